"""A checkpoint that was damaged or made to harm is refused in one line, without the network or a foreign file."""

import random
import resource
import shutil
import socket
import stat
import subprocess
import time

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

import zoo
from zoo import checkpoint, paths
from zoo.weights.integrity import SUFFIX, check_hash, count_tensors, file_hash, write_hash
from zoo.weights.tensors import bounded_memory

WEIGHTS = checkpoint.WEIGHTS


@pytest.fixture
def saved(tmp_path):
    model = zoo.create_model("blackbox", num_classes=2, backbone="resnet10t")
    config = {"model": {"name": "blackbox", "num_classes": 2, "backbone": "resnet10t"}, "data": {"name": "digits"}}
    return checkpoint.save(tmp_path / "c", model, config=config, metrics={}, card="")


@pytest.fixture
def small(tmp_path):
    torch.manual_seed(0)
    arguments = {"num_classes": 2, "input_shape": [4], "width": 8}
    model = zoo.create_model("bilinear_mlp", **arguments)
    config = {"model": {"name": "bilinear_mlp", **arguments}, "data": {"name": "toys"}}
    return checkpoint.save(tmp_path / "c", model, config=config, metrics={}, card="")


def change(folder, **model):
    file = folder / "config.yaml"
    config = yaml.safe_load(file.read_text())
    config["model"] |= model
    file.write_text(yaml.safe_dump(config))


def refused(folder, words):
    with pytest.raises(ValueError, match=words) as error:
        zoo.load(str(folder))
    assert "\n" not in str(error.value)


def test_every_flipped_bit_is_found(small):
    whole = (small / WEIGHTS).read_bytes()
    draw = random.Random(0)
    for _ in range(100):
        content = bytearray(whole)
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        (small / WEIGHTS).write_bytes(content)
        refused(small, "model.safetensors is damaged: its SHA-256 is not that of model.safetensors.sha256")
    (small / WEIGHTS).write_bytes(whole)
    zoo.load(str(small))
    (small / (WEIGHTS + SUFFIX)).write_text("no hash")
    refused(small, "sha256 is damaged; expected a hash and model.safetensors")


def test_the_hash_is_that_of_sha256sum(small):
    assert shutil.which("sha256sum")
    done = subprocess.run(["sha256sum", "-c", WEIGHTS + SUFFIX], cwd=small, capture_output=True, text=True)
    assert done.stdout == f"{WEIGHTS}: OK\n"
    (small / (WEIGHTS + SUFFIX)).unlink()  # as an earlier version wrote it
    check_hash(small / WEIGHTS)
    zoo.load(str(small))


def test_all_files_have_one_mode(small):
    modes = {stat.S_IMODE(path.stat().st_mode) for path in small.iterdir()}
    assert len(modes) == 1


@pytest.mark.parametrize("dtype", [torch.int64, torch.float64, torch.float16, torch.bool])
def test_types_are_those_of_the_model(small, dtype):
    state = load_file(small / WEIGHTS)
    save_file({**state, "head.weight": state["head.weight"].to(dtype)}, small / WEIGHTS)
    write_hash(small / WEIGHTS)
    refused(small, f"tensor head.weight is {str(dtype)[6:]}; the model of config.yaml has float32")


@pytest.mark.parametrize("sizes", [{"depth": 1_000_000}, {"width": 10**9}, {"input_shape": [10**9]}])
def test_sizes_are_compared_with_the_weights(small, sizes):
    change(small, **sizes)
    start = time.process_time()
    refused(small, "far larger than its weights file")
    assert time.process_time() - start < 20


def test_a_tensor_that_is_too_large_is_never_written():
    """Deterministic algorithms fill new tensors, which would take the memory before it is refused."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    torch.use_deterministic_algorithms(True)
    try:
        with pytest.raises(ValueError, match="far larger"), bounded_memory(8, "config.yaml"):
            torch.empty(1 << 31, dtype=torch.uint8)
        assert torch.utils.deterministic.fill_uninitialized_memory
    finally:
        torch.use_deterministic_algorithms(False)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 1 << 20, f"{grown} kB more"


def test_count_of_tensors(small, tmp_path):
    assert count_tensors(small / WEIGHTS) == len(load_file(small / WEIGHTS))
    for i, content in enumerate((b"", b"12345678", b"\x02\0\0\0\0\0\0\0{", b"\x02\0\0\0\0\0\0\0[]"[:-1] + b"x")):
        (tmp_path / f"{i}").write_bytes(content)
        with pytest.raises(ValueError, match="is not a safetensors file"):
            count_tensors(tmp_path / f"{i}")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"pretrained": True}, None),
        ({"backbone_weights": "/etc/passwd"}, None),
        ({"backbone": "hf-hub:evil/model"}, "names a place"),
        ({"backbone": "hf_hub:evil/model"}, "names a place"),
        ({"backbone": "local-dir:/etc"}, "names a place"),
        ({"backbone": "timm/resnet10t.c3_in1k"}, "names a place"),
        ({"backbone_args": {"pretrained_cfg": {"url": "http://evil.test/x.pth"}}}, "pretrained_cfg names where"),
        ({"backbone_args": {"checkpoint_path": "/etc/passwd"}}, "checkpoint_path names where"),
        ({"backbone_args": {"pretrained_cfg_overlay": {"file": "/etc/passwd"}}}, "overlay names where"),
        ({"backbone_args": {"pretrained": True}}, "pretrained names where"),
        ({"backbone_args": {"cache_dir": "/tmp/x"}}, "cache_dir names where"),
    ],
)
def test_places_in_a_config_are_not_followed(saved, monkeypatch, arguments, words):
    def fail(*_, **__):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", fail)
    monkeypatch.setattr(socket, "getaddrinfo", fail)
    change(saved, **arguments)
    if words is None:
        zoo.load(str(saved))
    else:
        refused(saved, words)


def test_data_roots_in_a_config_are_not_read(small, monkeypatch):
    file = small / "config.yaml"
    config = yaml.safe_load(file.read_text())
    config["data"] = {"name": "table", "file": "/dev/zero", "target": "${oc.env:HOME}"}
    config["finetune"] = {"source": "hub:evil/model", "replace": []}
    file.write_text(yaml.safe_dump(config))
    assert zoo.load(str(small)).config["data"]["target"] == "${oc.env:HOME}"


@pytest.mark.parametrize("name", sorted(p.parent.name for p in (paths.home() / "checkpoints").glob(f"*/{WEIGHTS}")))
def test_shipped_weights_have_their_hash(name):
    file = paths.home() / "checkpoints" / name / WEIGHTS
    assert (file.with_name(file.name + SUFFIX)).read_text() == f"{file_hash(file)}  {WEIGHTS}\n"


@pytest.mark.parametrize("text", ["[1]", "[" * 100_000, "{", ""])
def test_metrics_are_a_mapping(small, text):
    (small / "metrics.json").write_text(text)
    refused(small, "is no whole checkpoint: ")
