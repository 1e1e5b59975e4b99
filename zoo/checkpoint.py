"""One folder per checkpoint, written whole or not at all, loaded strictly or not at all. No pickle.

``model.safetensors`` weights and ``model.safetensors.sha256`` their hash, ``config.yaml`` the run (its ``model:`` alone
rebuilds the network), ``inputs.yaml`` the preprocessing and the class names (``tokenizer.json`` byte pairs),
``task.yaml`` what the model answers, with what was chosen on validation samples (temperature, threshold),
``metrics.json``, ``README.md`` a model card, ``units.yaml`` and ``units.png`` the names and pictures of the units.
Of an edited model also ``edits.yaml``, its edits, and ``edits.safetensors``, what undoes them (``zoo.editing``).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from yaml import YAMLError

from zoo import config as configs
from zoo import paths
from zoo._version import __version__
from zoo.config.plain_yaml import to_config_yaml
from zoo.config.seed_group import members
from zoo.weights.integrity import check_hash, check_types, count_tensors, write_hash

if TYPE_CHECKING:
    from PIL import Image
    from torch import nn

    from zoo.model import SelfExplaining
    from zoo.task import Task

WEIGHTS = "model.safetensors"
TASK = "task.yaml"
TASK_FORMAT = 1
UNITS = "units.yaml"
SHEET = "units.png"


def list_checkpoints(pattern: str = "*") -> list[str]:
    """Names of the checkpoints on this machine that match a glob."""
    found = {p.parent.name for root in paths.checkpoints() for p in root.glob(f"*/{WEIGHTS}")}
    return sorted(n for n in found if fnmatch(n, pattern) and not n.startswith("."))  # hidden: half written


def find(name: str) -> Path:
    """The folder of a checkpoint.

    Args:
        name: of a checkpoint on this machine, a checkpoint or run folder, or ``hub:org/name@revision``.

    Raises:
        ValueError: if there is none; the message names the nearest.
    """
    if name.startswith("hub:"):
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError

        repo, _, revision = name.removeprefix("hub:").partition("@")
        try:
            return Path(snapshot_download(repo, revision=revision or None))
        except (HfHubHTTPError, OSError, ValueError) as error:
            raise ValueError(f"{name}: {str(error).splitlines()[0]}") from error
    here = Path(name).expanduser()
    for folder in (here, here / "checkpoint", *(root / name for root in paths.checkpoints())):
        if (folder / WEIGHTS).is_file():
            return folder
    if group := members(here):
        one = next(iter(group.values()))
        raise ValueError(f"{name} is a group of {len(group)} seeds; name one of its runs, such as {one}")
    near = paths.did_you_mean(name, list_checkpoints()) or "."
    raise ValueError(f"no checkpoint {name!r}{near} `zoo ls` lists all; a run folder must be of a finished run")


def title(name: str) -> str:
    """The short name of a checkpoint: of its folder, or of the run that it belongs to."""
    folder = find(name).resolve()
    return folder.parent.name if folder.name == "checkpoint" else folder.name


def read(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Config and metrics of a checkpoint.

    Raises:
        ValueError: if one is missing or unreadable.
    """
    try:
        config: Any = configs.read_yaml(folder / "config.yaml")
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, YAMLError, RecursionError) as error:
        raise ValueError(f"{folder} is no whole checkpoint: {' '.join(str(error).split())}") from error
    if not isinstance(config, dict) or not isinstance(config.get("model"), dict) or "name" not in config["model"]:
        raise ValueError(f"{folder} is no whole checkpoint: config.yaml does not name its model")
    if not isinstance(metrics, dict):
        raise ValueError(f"{folder} is no whole checkpoint: metrics.json is {type(metrics).__name__}, not a mapping")
    _check_scores(metrics.get("scores", {}), folder)
    return configs.migrate(config), metrics


def _check_scores(scores: Any, folder: Path) -> None:
    """Check that each score is a mapping with its value and protocol."""
    if not isinstance(scores, dict):
        raise ValueError(f"{folder} is no whole checkpoint: scores of metrics.json are no mapping")
    for name, score in scores.items():
        score = score if isinstance(score, dict) else {}
        value = score.get("value", "none")
        is_number = value is None or (isinstance(value, int | float) and not isinstance(value, bool))
        if not is_number or not isinstance(score.get("protocol"), str) or not isinstance(score.get("note", ""), str):
            raise ValueError(
                f"{folder} is no whole checkpoint: score {name!r} of metrics.json has no value or protocol"
            )


def load(name: str, *, backbone: nn.Module | None = None) -> SelfExplaining:
    """A trained model, in eval mode on the CPU.

    Args:
        name: as in ``find``.
        backbone: a module like that which the model was created with, if that was one of your own.

    Returns:
        The model; ``model.config`` is the config of its run.

    Raises:
        ValueError: if there is no such checkpoint; the weights are damaged; a tensor is missing, unknown, of another
            shape or type or not finite; or the config describes a model that is far larger than the weights.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from zoo.editing.history import History
    from zoo.inputs import base as model_inputs
    from zoo.registry import create_model, model_class
    from zoo.weights.tensors import bounded_memory, check_finite

    folder = find(name)
    config, _ = read(folder)
    model_class(str(config["model"].get("name")))  # imported before the memory of the model is counted
    own: dict[str, Any] = {} if backbone is None else {"backbone": backbone}
    check_hash(folder / WEIGHTS)
    size, tensors = (folder / WEIGHTS).stat().st_size, count_tensors(folder / WEIGHTS)
    with bounded_memory(size, str(folder / "config.yaml"), tensors=tensors):
        model = create_model(**standalone(config["model"]) | own, task=read_task(folder))
    try:
        state = load_file(folder / WEIGHTS)
        check_types(state, model.state_dict(), str(folder / WEIGHTS))
        check_finite(state, str(folder / WEIGHTS), "the checkpoint is not usable, train again")
        model.load_state_dict(state)
    except (SafetensorError, RuntimeError) as error:
        raise ValueError(f"{folder / WEIGHTS} does not fit its config.yaml: {' '.join(str(error).split())}") from error
    model.config = config
    if (folder / model_inputs.FILE).is_file():
        model.inputs = model_inputs.load(folder)
    history = History.load(folder)
    if history is not None and len(history.state.origin) != len(model.units):
        raise ValueError(
            f"{folder / 'edits.yaml'} is of a model of {len(history.state.origin)} units; this one has"
            f" {len(model.units)}: restore the files"
        )
    model.history = history
    return model.eval()


def read_task(folder: Path) -> Task | None:
    """Return the task of a checkpoint; None for one of an earlier version, which is a classification.

    Raises:
        ValueError: if the file is damaged.
    """
    from zoo.inputs.base import from_yaml
    from zoo.task import task_from

    file = folder / TASK
    if not file.is_file():
        return None
    try:
        config = from_yaml(file.read_text(encoding="utf-8"), str(file))
        if not isinstance(config, dict) or config.pop("format", None) != TASK_FORMAT:
            raise ValueError(f"expected a task of format {TASK_FORMAT}")
        return task_from(config)
    except (OSError, UnicodeDecodeError, TypeError, ValueError) as error:
        raise ValueError(f"{file} cannot be read: {' '.join(str(error).split())}") from error


def save_task(folder: Path, task: Task) -> None:
    """Write the task of a model into a folder, whole or not at all."""
    from zoo.inputs.base import to_yaml

    part = folder / f".{TASK}.part"
    part.write_text(to_yaml({"format": TASK_FORMAT, **task.to_config()}), encoding="utf-8")
    os.replace(part, folder / TASK)


def save(
    folder: Path,
    model: SelfExplaining,
    *,
    config: Mapping[str, Any],
    metrics: Mapping[str, Any],
    card: str,
    unit_lines: Sequence[str] = (),
    unit_sheet: Image.Image | None = None,
    example: Image.Image | None = None,
    extra: Mapping[str, bytes] | None = None,
) -> Path:
    """Write a checkpoint beside its place, then rename it there; an older one is replaced.

    Args:
        folder: where.
        model: whose state is saved.
        config: of the run; where its backbone came from is dropped from ``model``, since the weights are here.
        metrics: scores, seeds, data hash, code version.
        card: the text of ``README.md``.
        unit_lines: one line on each unit, for ``units.yaml``.
        unit_sheet: pictures of all units in one image.
        example: picture of one explanation.
        extra: contents of further files by name.

    Raises:
        ValueError: if a tensor is not finite; nothing is written.
    """
    from safetensors.torch import save as to_bytes

    from zoo.inputs import base as model_inputs
    from zoo.weights.tensors import check_finite

    state = {k: v.contiguous() for k, v in model.state_dict().items()}
    check_finite(state, f"{folder} is not written", "train again with lower learning rates")
    config = {**config, "model": standalone(config["model"])}
    text = to_config_yaml(configs.plain(config))
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    part.chmod(0o755)
    meta = {"format": "pt", "zoo": __version__, "config": hashlib.sha256(text.encode()).hexdigest()[:12]}
    try:
        (part / WEIGHTS).write_bytes(to_bytes(state, metadata=meta))  # unlike save_file, a full disk is an OSError
        write_hash(part / WEIGHTS)
        (part / "config.yaml").write_text(text, encoding="utf-8")
        if model.inputs is not None:
            model_inputs.save(model.inputs, part)
        if model.inputs is not None or model.input_kind == "numbers":
            save_task(part, model.task)
        (part / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
        (part / "README.md").write_text(card)
        if example is not None:
            example.save(part / "explanation.png", optimize=True)
        if unit_lines:
            (part / UNITS).write_text(units_text(model.units.kind, model.units.describe, unit_lines), encoding="utf-8")
        if unit_sheet is not None:
            unit_sheet.save(part / SHEET, optimize=True)
        for name, content in (extra or {}).items():
            (part / name).write_bytes(content)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.replace(folder, old)
    os.replace(part, folder)
    shutil.rmtree(old, ignore_errors=True)
    return folder


def units_text(kind: str, describe: str, lines: Sequence[str]) -> str:
    """Return ``units.yaml``: plain YAML, in which a name such as ``${x}`` is a text and nothing else."""
    content = {"kind": kind, **({"describe": describe} if describe else {}), "units": dict(enumerate(lines))}
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=10**6)


def read_units(folder: Path) -> list[str]:
    """Return one line on each unit of a checkpoint, by unit id; empty if none were saved.

    Reads ``units.yaml``, or ``units/names.yaml`` of checkpoints saved by older versions.

    Raises:
        ValueError: if the file is no list of units.
    """
    for file, key in ((folder / UNITS, "units"), (folder / "units" / "names.yaml", None)):
        if not file.is_file():
            continue
        return unit_lines_of(file.read_bytes(), key=key, where=str(file))
    return []


def unit_lines_of(text: bytes, *, key: str | None = "units", where: str = UNITS) -> list[str]:
    """Return one line on each unit from the content of ``units.yaml``; empty for an empty one.

    Raises:
        ValueError: if it is no list of units.
    """
    if not text:
        return []
    try:
        content = yaml.safe_load(text.decode("utf-8"))
        lines = content if key is None else content[key]
        return [str(lines[i]) for i in range(len(lines))]
    except (YAMLError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(f"{where} is no list of units: {' '.join(str(error).split())}") from error


def standalone(model: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments that rebuild the network alone: no weights are taken from a hub or another file."""
    return {k: {"pretrained": False, "backbone_weights": None}.get(k, v) for k, v in model.items()}


def graft(model: SelfExplaining, source: SelfExplaining, replace: Sequence[str]) -> None:
    """Fine-tuning's start: take over every part of ``source`` but the replaced ones, which stay as ``model`` has them.

    Raises:
        ValueError: if ``replace`` names an unknown part, or a tensor that is not replaced does not fit; it is named.
    """
    parts = list(model.trainable_parts())
    for part in replace:
        if part not in parts:
            raise ValueError(
                f"finetune.replace: {model.name} has no part {part!r}{paths.did_you_mean(part, parts)}"
                f" (has: {', '.join(parts)})"
            )
    other = source.state_dict()
    model.resize_for({k: v for k, v in other.items() if source.part_of(k) not in replace})
    own = model.state_dict()
    kept = {k: v for k, v in own.items() if model.part_of(k) in replace}
    taken = model.convert_state({k: v for k, v in other.items() if source.part_of(k) not in replace}, source)
    for key in sorted((set(own) - set(kept)) ^ set(taken)):
        side = "source has no" if key in own else "config has no"
        raise ValueError(
            f"finetune: the {side} tensor {key};"
            f" add {model.part_of(key)!r} to finetune.replace, or use the source's model"
        )
    for key, value in taken.items():
        if value.shape != own[key].shape:
            raise ValueError(
                f"finetune: {key} is {tuple(value.shape)} in the source and {tuple(own[key].shape)} in the config;"
                f" add {model.part_of(key)!r} to finetune.replace, or use the source's arguments"
            )
    model.load_state_dict({**kept, **taken})
