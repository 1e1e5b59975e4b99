"""One thread, two cores: what every test shares, and a server of warm processes for the tests that kill."""

import multiprocessing
import os
import socket
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch

TRAIN = Path(__file__).parent / "training"

TINY = """\
model: {name: protopnet, num_classes: 10, backbone: resnet10t, backbone_level: 1, backbone_args: {drop_path_rate: 0.2},
        per_class: 2, dim: 16}
data: {name: digits, size: 16, batch_size: 16, limit: 60}
phases:
  warm: {epochs: 2, lr: {addon: 3e-3, prototypes: 3e-3}, loss: {cluster: 0.8, separation: -0.08}, cache: 2}
  joint:
    epochs: 3
    lr: {backbone: 1e-3, addon: 3e-3, prototypes: 3e-3}
    schedule: step
    every: 1
    gamma: 0.5
    loss: {cluster: 0.8, separation: -0.08}
  project: {then: project}
  last: {then: {fit_head: {l1: 1e-3, l2: 1e-3}, prune: {k: 6, least: 3}}}
trainer: {accelerator: cpu, save_every: 3}
seed: 3
"""


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


class Processes:
    """Runs functions of ``jobs.py`` in processes forked off a clean server that has torch and zoo imported."""

    def __init__(self) -> None:
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["jobs"])
        os.environ["PYTHONPATH"] = os.pathsep.join([str(TRAIN), str(TRAIN.parents[1])])

    def start(self, name, *args, **env):
        process = self.context.Process(target=jobs().run, args=(name, args, env))
        process.start()
        return process

    def wait(self, *processes, seconds=240):
        for process in processes:
            process.join(seconds)
        late = [p for p in processes if p.exitcode is None]
        for process in late:
            process.kill()
        assert not late, f"{len(late)} processes hang"
        return [p.exitcode for p in processes]

    def run(self, name, *args, **env):
        return self.wait(self.start(name, *args, **env))[0]

    def ranks(self, name, *args, world=2):
        """The same job on each rank of a gloo group, as Lightning's own launcher would start it."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        env = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": world, "NODE_RANK": 0}
        return self.wait(*(self.start(name, *args, LOCAL_RANK=rank, **env) for rank in range(world)))


def jobs():
    import sys

    if str(TRAIN) not in sys.path:
        sys.path.insert(0, str(TRAIN))
    import jobs as module

    return module


@pytest.fixture(scope="session")
def processes():
    return Processes()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A config of a few seconds: four steps per epoch, every kind of phase, random depth, a step schedule."""
    file = tmp_path_factory.mktemp("config") / "tiny.yaml"
    file.write_text(TINY)
    return file


@pytest.fixture(scope="session")
def finished(processes, tiny, tmp_path_factory):
    """The run folder of ``tiny``, trained without interruption through the command line."""
    out = tmp_path_factory.mktemp("runs") / "tiny"
    assert processes.run("cli", ["train", str(tiny), "--out", str(out)], {}) == 0
    return out
