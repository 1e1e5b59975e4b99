"""The folder of a run: locked by its process, opened once, and resumed with the same config and data alone."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from pytorch_lightning.utilities.rank_zero import rank_zero_only

from zoo import config as configs
from zoo.config import Settings
from zoo.config.plain_yaml import to_config_yaml
from zoo.data.base import Data
from zoo.inputs import base as model_inputs
from zoo.model import SelfExplaining
from zoo.training.atomic_files import write_whole

try:
    import fcntl
except ImportError:  # Windows: runs are not locked
    fcntl = None

LOCK = ".lock"
SHOWN = 4  # keys named in an error, at most
DATA = "data.json"  # identity of the data of a run
RUN = (
    "config.yaml",
    "inputs.yaml",
    DATA,
    "log.csv",
    "phases",
    "checkpoint",
    "report.html",
    "tensorboard",
    "wandb",
    "mlruns",
)
MAY_CHANGE = (
    "suite",
    "reference",
    "data.workers",
    "trainer.save_every",
)  # on resume: the weights do not depend on them
_locked_here: set[tuple[int, int]] = set()  # device and inode of the lock files of this process


def is_first_process() -> bool:
    """Return whether this is the only process of a run, or the first of several."""
    return getattr(rank_zero_only, "rank", 0) == 0 and int(os.environ.get("LOCAL_RANK", 0)) == 0


class RunFolder:
    """The folder of a run; as a context it holds the lock, and says how to resume a run that is stopped.

    Only the first process of a distributed run locks, creates and writes the folder.

    Args:
        path: the folder.
        command: command line of the run, without ``--out``.
        resume: whether the run in the folder is continued.
        overwrite: whether an older run in the folder is replaced.

    Raises:
        ValueError: (on entering) if another process has the lock, or the folder holds something and neither ``resume``
            nor ``overwrite`` is set.
        OSError: (on entering) if the folder cannot be written.
    """

    def __init__(self, path: Path, *, command: str, resume: bool = False, overwrite: bool = False) -> None:
        self.path = path
        self.resume = resume
        self.overwrite = overwrite
        self._command = f"{command} --out {shlex.quote(str(path))} --resume"
        self._opened = False
        self._lock: TextIO | None = None
        self._made: list[Path] = []

    def __enter__(self) -> RunFolder:
        if is_first_process():
            self._made = [p for p in (self.path, *self.path.parents) if not p.exists()]
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = lock(self.path)
            try:
                self._check_use()
            except BaseException:
                self._leave()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._opened and isinstance(error, KeyboardInterrupt | OSError | MemoryError):
            error.add_note(f"resume with: {self._command}")
        self._leave()

    def _leave(self) -> None:
        if self._lock is None:
            return
        unlock(self.path, self._lock)
        self._lock = None
        for folder in [] if self._opened else self._made:  # nothing was written
            try:
                folder.rmdir()
            except OSError:
                break

    def _check_use(self) -> None:
        names = [name for name in _names(self.path) if not name.endswith(".part")]
        if names and not (self.resume or self.overwrite):
            raise ValueError(
                f"{self.path} exists; add --resume to continue it, --overwrite to replace it, or choose another --out"
            )
        if names and not (self.path / "config.yaml").is_file():
            raise ValueError(
                f"{self.path} is not a run folder (it has no config.yaml) and is not changed; choose another --out"
            )

    def open(self, config: Settings) -> None:
        """Write the config into the folder; leftovers of a killed process are removed.

        Raises:
            ValueError: if the folder to be overwritten is not a run; if the run to be resumed has another config: the
                message names the keys.
        """
        if not is_first_process():
            return
        file = self.path / "config.yaml"
        names = _names(self.path)
        if names and self.resume:
            old = configs.migrate(configs.read_yaml(file))
            old["task"] = vars(configs.TaskArgs()) | old.get("task", {})  # unknown to earlier versions
            differences = _different(old, config)
            if differences:
                keys = ", ".join(differences[:SHOWN])
                raise ValueError(f"{self.path} was started with another config ({keys}); --overwrite replaces it")
        elif names:
            foreign = [name for name in names if name not in RUN and not name.endswith(".part")]
            if foreign:
                raise ValueError(
                    f"{self.path} holds {foreign[0]!r}, which is not part of a run; move it away, or choose another"
                    " --out"
                )
            for name in names:
                _remove(self.path / name)
        sweep(self.path)
        write_whole(file, to_config_yaml(configs.plain(config)).encode())
        self._opened = True

    def save_inputs(self, model: SelfExplaining) -> None:
        """Write the fitted inputs into the folder.

        Raises:
            ValueError: if a run is resumed and the inputs fitted on the data differ from those in its folder.
        """
        if model.inputs is None or not is_first_process():
            return
        if self.resume and (self.path / model_inputs.FILE).is_file():
            if model_inputs.load(self.path).to_config() != model.inputs.to_config():
                raise ValueError(self._other_data())
            return
        model_inputs.save(model.inputs, self.path)

    def save_data(self, data: Data) -> None:
        """Write the identity of the data into the folder, see ``Data.fingerprint``.

        Raises:
            ValueError: if a run is resumed and the data are not those that it was started with.
        """
        if not is_first_process():
            return
        file = self.path / DATA
        now = data.fingerprint()
        if self.resume and file.is_file():
            try:
                before = json.loads(file.read_text(encoding="utf-8"))["fingerprint"]
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise ValueError(f"{file} is damaged; restore it, or start again with --overwrite") from error
            if before != now:
                raise ValueError(self._other_data())
            return
        write_whole(file, json.dumps({"fingerprint": now}).encode() + b"\n")

    def _other_data(self) -> str:
        return (
            f"the data differ from those that {self.path} was started with (rows, labels or files have changed);"
            " restore them, or start again with --overwrite"
        )


def lock(folder: Path) -> TextIO | None:
    """Lock a folder for this process until ``unlock`` or its end; a lock left by a killed process does not count.

    Raises:
        ValueError: if another process, or another run of this process, has the lock; it is named.
    """
    if fcntl is None:
        return None
    path = folder / LOCK
    identity = None
    while True:
        if path.exists() and _identity(path.stat()) in _locked_here:  # closing the file again would release the lock
            raise ValueError(f"{folder} is in use by another run of this process; choose another folder")
        file = path.open("a+", encoding="utf-8")
        identity = _identity(os.fstat(file.fileno()))
        try:
            # a lock of the process, not of the open file: loader processes that outlive a killed run do not inherit it
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            file.seek(0)
            owner = " ".join(file.read(200).split()) or "another process"
            file.close()
            raise ValueError(f"{folder} is in use by {owner}; wait for it, or choose another --out") from error
        if path.exists() and _identity(path.stat()) == identity:
            break
        file.close()  # its former owner has just removed it
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()} since {time.strftime('%Y-%m-%d %H:%M:%S')}\n")
    file.flush()
    _locked_here.add(identity)
    return file


def unlock(folder: Path, file: TextIO) -> None:
    """Remove the lock of a folder."""
    _locked_here.discard(_identity(os.fstat(file.fileno())))
    (folder / LOCK).unlink(missing_ok=True)
    file.close()


def sweep(folder: Path) -> None:
    """Remove what a killed process has left half written in a run folder that this process has locked."""
    for pattern in (".checkpoint.*", "*.part", ".*.part", ".report.html.*", "phases/*.part"):
        for path in folder.glob(pattern):
            _remove(path)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _names(folder: Path) -> list[str]:
    """Names of the files of a folder, without hidden ones such as the lock."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def config_differences(run: Path, config: Settings) -> list[str]:
    """Return in which keys the config of a run folder differs from another; what data fill in does not count."""
    old = configs.migrate(configs.read_yaml(run / "config.yaml"))
    unset = [key for key, value in _leaves(configs.plain(config)) if value is None]
    ends = tuple(f"{key}{end}" for key in unset for end in (":", "."))
    return [text for text in _different(old, config) if not text.startswith(ends)][:SHOWN]


def _different(old: Any, new: Any) -> list[str]:
    a, b = (dict(_leaves(configs.plain(c))) for c in (old, new))
    keys = [key for key in sorted({*a, *b}) if a.get(key) != b.get(key) and key not in MAY_CHANGE]
    return [f"{key}: {a.get(key)} there, {b.get(key)} now" for key in keys]


def _leaves(tree: Any, prefix: str = "") -> list[tuple[str, Any]]:
    if not isinstance(tree, Mapping):
        return [(prefix.rstrip("."), tree)]
    return [leaf for k, v in tree.items() for leaf in _leaves(v, f"{prefix}{k}.")]
