"""How a run begins: the config, what it builds, and the folder it may write to."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from zoo import checkpoint
from zoo import config as configs
from zoo.data import create_data, data_class
from zoo.data.base import Data
from zoo.model import SelfExplaining
from zoo.registry import create_model, model_class
from zoo.training.check import check_run


def classes(section: str, name: str) -> type:
    """Return the class whose ``__init__`` types a section of a config."""
    return model_class(name) if section == "model" else data_class(name)


def load_config(name: str, overrides: Sequence[str] = ()) -> DictConfig:
    """Read and check a config, see ``zoo.config.load``."""
    return configs.load(name, overrides, classes=classes)


def validate(name: str, overrides: Sequence[str] = ()) -> None:
    """Check a config and everything that it names, without reading data or backbone weights.

    Raises:
        ValueError: the first mistake; the message names the key and the nearest valid one.
    """
    config = load_config(name, overrides)
    check_run(*build(config, dry=True), config)


FROM_DATA = ("concepts", "input_shape", "num_classes", "sequence")
MADE_UP = {
    "concepts": {"columns": {"this": None, "that": None}},
    "input_shape": [4],
    "num_classes": 4,
    "sequence": {"tokens": ["this", "that"], "length": 4},
}


def build(config: DictConfig, *, dry: bool = False) -> tuple[SelfExplaining, Data]:
    """Return the model and the data of a config, the model initialized from the seed.

    What the model's ``__init__`` wants to know of the data (``FROM_DATA``) and the config leaves out is filled in, in
    ``config`` too; so is what reading the data settles, such as a vocabulary.

    Args:
        config: the run.
        dry: read neither data nor weights from disk or hub; what would be read is made up.

    Raises:
        ValueError: if they do not fit each other.
    """
    _keep_vocabulary(config)
    args = configs.plain(config)
    data = create_data(**args["data"])
    if not dry and args["model"]["num_classes"] not in (None, data.num_classes):
        raise ValueError(
            f"model.num_classes is {args['model']['num_classes']};"
            f" {args['data']['name']} has {data.num_classes} classes: set model.num_classes={data.num_classes}"
        )
    for key, value in ({} if dry else data.resolved_args()).items():
        OmegaConf.update(config.data, key, value, force_add=True)
    for key in FROM_DATA:
        if key in args["model"] and args["model"][key] is None:
            unread = dry and not (key == "input_shape" and hasattr(data, "size"))  # pictures say their shape unread
            args["model"][key] = _made_up(config, key) if unread else _from_data(data, key)
            if not dry:
                OmegaConf.update(config.model, key, args["model"][key], force_add=True)
    pl.seed_everything(config.seed, verbose=False)
    model = create_model(**(checkpoint.standalone(args["model"]) if dry else args["model"]))
    if config.finetune is not None and config.finetune.source:
        checkpoint.graft(model, checkpoint.load(config.finetune.source), list(config.finetune.replace))
    return model, data


def _keep_vocabulary(config: DictConfig) -> None:
    """Take over the vocabulary of the checkpoint that a run starts from, unless its embedding is replaced."""
    if config.finetune is None or not config.finetune.source or "embed" in config.finetune.replace:
        return
    source, _ = checkpoint.read(checkpoint.find(config.finetune.source))
    for key in ("tokenizer", "vocabulary", "merges"):
        if key in config.data and key in source["data"]:
            config.data[key] = source["data"][key]


def _made_up(config: DictConfig, key: str) -> Any:
    """Return a stand-in for what is not read: that of the checkpoint that the run starts from, if there is one."""
    if config.finetune is None or not config.finetune.source:
        return MADE_UP[key]
    source, _ = checkpoint.read(checkpoint.find(config.finetune.source))
    return source["model"].get(key) or MADE_UP[key]


def _from_data(data: Data, key: str) -> Any:
    """Return what a model wants to know of the data, as a config holds it."""
    if key == "num_classes":
        return data.num_classes
    if key == "input_shape":
        return list(data.input_shape)
    if key == "sequence":
        return None if data.sequence is None else {**data.sequence.to_config(), "classes": list(data.class_names)}
    return None if data.concepts is None else data.concepts.to_config()


RUN_FILES = ("config.yaml", "log.csv", "phases", "checkpoint", "report.html", "tensorboard", "wandb", "mlruns")
AFTER_TRAINING = ("suite", "reference")  # keys that only matter once training is over


def is_first_process() -> bool:
    """Return whether this is the only process of a run, or the first of several."""
    return getattr(rank_zero_only, "rank", 0) == 0


def open_folder(out: Path, config: DictConfig, *, resume: bool, overwrite: bool) -> None:
    """Make the run folder and write the config into it. Only the first process of a run does anything.

    Raises:
        ValueError: if the folder holds something and neither ``resume`` nor ``overwrite`` is given; if what is to be
            overwritten is no run; if the run to be resumed has another config: the keys that differ are named.
    """
    if not is_first_process() or int(os.environ.get("LOCAL_RANK", 0)) != 0:
        return
    file = out / "config.yaml"
    existing = [p.name for p in out.iterdir()] if out.is_dir() else []
    if existing and not (resume or overwrite):
        raise ValueError(
            f"{out} exists; add --resume to go on with it, --overwrite to replace it, or choose another --out"
        )
    if existing and not file.is_file():
        raise ValueError(f"{out} is no run folder (it has no config.yaml) and is left alone; choose another --out")
    if (
        existing
        and resume
        and (differ := _different(OmegaConf.create(configs.migrate(configs.to_dict(configs.read_yaml(file)))), config))
    ):
        raise ValueError(f"{out} was started with another config ({', '.join(differ)}); --overwrite replaces it")
    if existing and overwrite and not resume:
        if foreign := [name for name in existing if name not in RUN_FILES and not name.startswith(".")]:
            raise ValueError(
                f"{out} holds {foreign[0]!r}, which is no part of a run; move it away or choose another --out"
            )
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    configs.save(config, out / ".config.part")
    os.replace(out / ".config.part", file)


def _different(old: Any, new: Any) -> list[str]:
    a, b = (dict(_leaves(OmegaConf.to_container(configs.read_yaml(OmegaConf.to_yaml(c))))) for c in (old, new))
    return [
        f"{k}: {a.get(k)} there, {b.get(k)} now"
        for k in sorted({*a, *b})
        if a.get(k) != b.get(k) and k not in AFTER_TRAINING
    ][:4]


def _leaves(tree: Any, prefix: str = "") -> list[tuple[str, Any]]:
    if not isinstance(tree, Mapping):
        return [(prefix.rstrip("."), tree)]
    return [leaf for k, v in tree.items() for leaf in _leaves(v, f"{prefix}{k}.")]


def data_of(config: DictConfig) -> Data:
    """Return the data of a trained model's config, read with the tokens and classes that the model knows.

    Raises:
        ValueError: if these data have others.
    """
    args = configs.to_dict(config)
    data = create_data(**args["data"])
    if args["model"].get("sequence"):
        data.check_compatible_with(args["model"]["sequence"])
    return data


def load_checkpoint(name: str, overrides: Sequence[str]) -> tuple[SelfExplaining, DictConfig]:
    """Return a trained model and its config, whose ``data`` and ``trainer.accelerator`` may be overridden.

    Raises:
        ValueError: no such checkpoint, or an override of what training has settled.
    """
    configs.check_trained_overrides(overrides)
    model = checkpoint.load(name)
    return model, configs.check(OmegaConf.create(model.config), overrides, where=name, classes=classes)
