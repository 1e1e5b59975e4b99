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
from zoo.concept_schema import ConceptSchema
from zoo.data import create_data, data_class
from zoo.data.base import Data
from zoo.inputs import base as model_inputs
from zoo.model import SelfExplaining
from zoo.registry import create_model, model_class


def classes(section: str, name: str) -> type:
    """The class whose ``__init__`` types a section of a config."""
    return model_class(name) if section == "model" else data_class(name)


def load_config(name: str, overrides: Sequence[str] = ()) -> DictConfig:
    """Read and check a config, see ``zoo.config.load``."""
    return configs.load(name, overrides, classes=classes)


FROM_DATA = ("concepts", "input_shape", "num_classes", "sequence")
MADE_UP = {
    "concepts": {"columns": {"this": None, "that": None}},
    "input_shape": [4],
    "num_classes": 4,
    "sequence": {"tokens": ["this", "that"], "length": 4},
}


def build(config: DictConfig, *, dry: bool = False) -> tuple[SelfExplaining, Data]:
    """Model and data of a config, the model initialised from the seed.

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
            args["model"][key] = _made_up(config, key) if unread else _told(data, key)
            if not dry:
                OmegaConf.update(config.model, key, args["model"][key], force_add=True)
    pl.seed_everything(config.seed, verbose=False)
    model = create_model(**(checkpoint.standalone(args["model"]) if dry else args["model"]))
    if config.finetune is not None and config.finetune.source:
        checkpoint.graft(model, checkpoint.load(config.finetune.source), list(config.finetune.replace))
    if not dry:
        model.inputs = data.inputs
    return model, data


def _keep_vocabulary(config: DictConfig) -> None:
    """A run that starts from a checkpoint reads text with that checkpoint's tokens, where it keeps their embedding."""
    if config.finetune is None or not config.finetune.source or "embed" in config.finetune.replace:
        return
    source, _ = checkpoint.read(checkpoint.find(config.finetune.source))
    for key in ("tokenizer", "vocabulary", "merges"):
        if key in config.data and key in source["data"]:
            config.data[key] = source["data"][key]


def _made_up(config: DictConfig, key: str) -> Any:
    """In place of what is not read: as in the checkpoint that the run starts from, if it starts from one."""
    if config.finetune is None or not config.finetune.source:
        return MADE_UP[key]
    source, _ = checkpoint.read(checkpoint.find(config.finetune.source))
    return source["model"].get(key) or MADE_UP[key]


def _told(data: Data, key: str) -> Any:
    if key == "num_classes":
        return data.num_classes
    if key == "input_shape":
        return list(data.input_shape)
    if key == "sequence":
        return None if data.sequence is None else {**data.sequence.to_config(), "classes": list(data.class_names)}
    return None if data.concepts is None else data.concepts.to_config()


RUN = ("config.yaml", "inputs.yaml", "log.csv", "phases", "checkpoint", "report.html", "tensorboard", "wandb", "mlruns")
LATER = ("suite", "reference")  # keys that only matter once training is over


def open_folder(out: Path, config: DictConfig, *, resume: bool, overwrite: bool) -> None:
    """Make the run folder and write the config into it. Only the first process of a run does anything.

    Raises:
        ValueError: if the folder holds something and neither ``resume`` nor ``overwrite`` is given; if what is to be
            overwritten is no run; if the run to be resumed has another config: the keys that differ are named.
    """
    if rank_zero_only.rank != 0 or int(os.environ.get("LOCAL_RANK", 0)) != 0:
        return
    file = out / "config.yaml"
    held = [p.name for p in out.iterdir()] if out.is_dir() else []
    if held and not (resume or overwrite):
        raise ValueError(
            f"{out} exists; add --resume to go on with it, --overwrite to replace it, or choose another --out"
        )
    if held and not file.is_file():
        raise ValueError(f"{out} is no run folder (it has no config.yaml) and is left alone; choose another --out")
    if (
        held
        and resume
        and (
            differ := _different(
                OmegaConf.create(configs.migrate(OmegaConf.to_container(configs.read_yaml(file)))), config
            )
        )
    ):
        raise ValueError(f"{out} was started with another config ({', '.join(differ)}); --overwrite replaces it")
    if held and overwrite and not resume:
        if foreign := [name for name in held if name not in RUN and not name.startswith(".")]:
            raise ValueError(
                f"{out} holds {foreign[0]!r}, which is no part of a run; move it away or choose another --out"
            )
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    configs.save(config, out / ".config.part")
    os.replace(out / ".config.part", file)


def keep_inputs(model: SelfExplaining, out: Path, *, resume: bool) -> None:
    """Keep the fitted inputs in the run folder; a run that is resumed must have the same.

    Only the first process of a run does anything.

    Raises:
        ValueError: if the inputs fitted on the data are not those that the run began with.
    """
    if model.inputs is None or rank_zero_only.rank != 0 or int(os.environ.get("LOCAL_RANK", 0)) != 0:
        return
    if resume and (out / model_inputs.FILE).is_file():
        if model_inputs.load(out).to_config() != model.inputs.to_config():
            raise ValueError(f"the data are not those that {out} began with; restore them, or --overwrite the run")
        return
    model_inputs.save(model.inputs, out)


def _different(old: Any, new: Any) -> list[str]:
    a, b = (dict(_leaves(OmegaConf.to_container(configs.read_yaml(OmegaConf.to_yaml(c))))) for c in (old, new))
    return [
        f"{k}: {a.get(k)} there, {b.get(k)} now" for k in sorted({*a, *b}) if a.get(k) != b.get(k) and k not in LATER
    ][:4]


def _leaves(tree: Any, prefix: str = "") -> list[tuple[str, Any]]:
    if not isinstance(tree, Mapping):
        return [(prefix.rstrip("."), tree)]
    return [leaf for k, v in tree.items() for leaf in _leaves(v, f"{prefix}{k}.")]


def statements(texts: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """What ``name=value`` texts say of a model's units, and those that override its data or accelerator.

    Raises:
        ValueError: if a name is stated twice.
    """
    stated, overrides = {}, []
    for text in texts:
        name, _, value = text.rpartition("=")
        if name.startswith("data.") or name == "trainer.accelerator":
            overrides.append(text)
        elif name in stated:
            raise ValueError(f"{name!r} is stated twice; state one value")
        else:
            stated[name] = value
    return stated, overrides


def data_of(config: DictConfig, model: SelfExplaining) -> Data:
    """The data of a trained model's config, read with the inputs, tokens and classes that the model knows.

    Raises:
        ValueError: if these data have others.
    """
    args = OmegaConf.to_container(config)
    data = create_data(**args["data"])
    if model.inputs is not None:
        concepts = args["model"].get("concepts")
        data.use_inputs(model.inputs, ConceptSchema.from_config(concepts) if concepts else None)
    if args["model"].get("sequence"):
        data.check_compatible_with(args["model"]["sequence"])
    return data


def load_checkpoint(name: str, overrides: Sequence[str]) -> tuple[SelfExplaining, DictConfig]:
    """A trained model and its config, whose ``data`` and ``trainer.accelerator`` may be overridden.

    Raises:
        ValueError: no such checkpoint, or an override of what training has settled.
    """
    for text in overrides:
        if not text.startswith(("data.", "trainer.accelerator=")):
            raise ValueError(f"override {text!r}: a trained model is fixed; data.* and trainer.accelerator may change")
    model = checkpoint.load(name)
    return model, configs.check(OmegaConf.create(model.config), overrides, where=name, classes=classes)
