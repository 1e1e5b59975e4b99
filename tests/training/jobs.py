"""What the training tests do in other processes; see ``Processes`` in ``tests/conftest.py``."""

import os
import resource
import signal
import sys
from pathlib import Path

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from safetensors.torch import load_file, save_file

from zoo.cli import main
from zoo.data import create_data
from zoo.evaluation.pipeline import Evaluation
from zoo.layers.codebook.bottleneck import Codebook
from zoo.layers.codebook.reset import count, reset_dead_codes
from zoo.layers.prototypes.nearest_patches import nearest_patches
from zoo.models.protopnet import ProtoPNet
from zoo.recipe_support import recipe
from zoo.runtime.gathering import _gather_rows
from zoo.training import atomic_files, phases

torch.set_num_threads(1)
create_data("digits").setup()  # read once, before any fork


def run(name, args, env):
    """Target of a process: the exit code is what the job returns."""
    os.environ.update({k: str(v) for k, v in env.items()})
    rank_zero_only.rank = int(env.get("LOCAL_RANK", 0))  # what importing Lightning in a new process does
    torch.set_num_threads(1)
    sys.exit(globals()[name](*args))


class Watch(pl.Callback):
    """Note every finished step in a file, and send a signal to this very process after a given one."""

    def __init__(self, file, phase, step, kill, rank):
        self.file, self.phase, self.step, self.kill, self.rank = file, phase, step, kill, rank

    def on_train_batch_end(self, trainer, *_):
        phase = trainer.logger.phase
        with self.file.open("a") as out:
            out.write(f"{phase} {trainer.global_step}\n")
        mine = self.rank in (None, os.environ.get("LOCAL_RANK"))
        if (phase, trainer.global_step) == (self.phase, self.step) and mine:
            os.kill(os.getpid(), self.kill)


def cli(argv, how):
    """``zoo <argv>``, watched.

    ``how``: ``steps`` file to note steps in; ``phase``, ``step``, ``signal`` and
    perhaps the ``rank`` that it is sent to; ``between`` the phase after which to
    die; ``saving`` the number of the save in the middle of which to die; ``dump`` folder for each rank's weights;
    ``bare`` leaves scores and page out.
    """
    steps = Path(how.get("steps") or os.devnull)
    killer = Watch(steps, how.get("phase"), how.get("step"), how.get("signal", signal.SIGKILL), how.get("rank"))
    trainer, save = phases._trainer, phases._save

    def watched_trainer(*args):
        return trainer(*args[:-1], [*args[-1], killer])

    def watched_save(model, done, running):
        if "dump" in how:
            rank = os.environ.get("LOCAL_RANK", "0")
            save_file({k: v.contiguous() for k, v in model.state_dict().items()}, how["dump"] / f"{done.stem}.{rank}")
        save(model, done, running)
        if done.stem == how.get("between"):
            os.kill(os.getpid(), signal.SIGKILL)

    phases._trainer, phases._save = watched_trainer, watched_save
    if "bare" in how:
        recipe("train").finish = lambda *args, **kwargs: Evaluation({}, [], None, None)
    if "saving" in how:
        _die_while_saving(how["saving"])
    return main(argv)


def _die_while_saving(number):
    whole, count = atomic_files.write_whole, [0]

    def half(path, content):
        if path.suffix == ".ckpt":
            count[0] += 1
            if count[0] == number:
                path.with_name(f"{path.name}.part").write_bytes(content[: len(content) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
        whole(path, content)

    atomic_files.write_whole = half


def uneven(folder):
    """Two ranks gather rows of which they hold different numbers, and search one half of the samples each."""
    rank, world = int(os.environ["LOCAL_RANK"]), int(os.environ["WORLD_SIZE"])
    dist.init_process_group("gloo", rank=rank, world_size=world)
    rows = _gather_rows(torch.arange(5)[:2] if rank == 0 else torch.arange(5)[2:])
    world_ = load_file(folder / "world.safetensors")
    mine = slice(rank, None, world)
    batch = tuple(world_[k][mine] for k in ("z", "y", "index", "content"))
    result = nearest_patches([batch], world_["prototypes"], world_["owner"], "l2")
    save_file({"rows": rows, **vars(result)}, folder / f"found.{rank}")
    dist.destroy_process_group()


def reload(checkpoint, x, expected):
    """A checkpoint loads strictly where its model was never built, and answers as before."""
    import zoo

    model = zoo.load(str(checkpoint))
    assert isinstance(model, ProtoPNet)
    with torch.no_grad():
        return 0 if torch.equal(model(torch.load(x)), torch.load(expected)) else 3


def revived(folder):
    """Two ranks choose codes of their own in two micro-batches and a step, DDP copying buffers from the first rank."""
    rank, world = int(os.environ["LOCAL_RANK"]), int(os.environ["WORLD_SIZE"])
    dist.init_process_group("gloo", rank=rank, world_size=world)
    torch.manual_seed(0)
    book = torch.nn.parallel.DistributedDataParallel(Codebook(2, 40, 4, 1).train())
    known, state = load_file(folder / "x.safetensors"), {}
    for step in range(2):
        for x in known[f"{step}.{rank}"]:
            result = book(x)
            result.value.sum().backward()
            book.module.note(result, torch.ones(x.shape[:2], dtype=torch.bool))
        [wanted] = count([book.module])
        state[f"hits.{step}"] = book.module.hits.clone()
    reset_dead_codes(book.module, wanted, [], seed=0)
    save_file({**state, "codes": book.module.codes.detach()}, folder / f"book.{rank}")
    dist.destroy_process_group()


def limited(argv, size, errors):
    """``zoo <argv>`` where no file may grow beyond a size; standard error goes to a file."""
    sys.stderr = errors.open("w")
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    code = main(argv)
    sys.stderr.flush()
    return code
