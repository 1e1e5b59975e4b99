"""The start of a run: its config, and the model and data that it describes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
from torch import nn

from zoo import checkpoint
from zoo import config as configs
from zoo.capabilities import HasFixedShape, HasWindows, capability
from zoo.concept_schema import ConceptSchema
from zoo.config import Settings
from zoo.data import create_data, data_class
from zoo.data.base import Data
from zoo.inputs.base import Inputs
from zoo.layers.backbone import OWN
from zoo.model import SelfExplaining
from zoo.registry import create_model, model_class
from zoo.training.check import check_run
from zoo.training.fit_task import declared_task
from zoo.training.run_folder import is_first_process

log = logging.getLogger("zoo")


def classes(section: str, name: str) -> type:
    """Return the class whose ``__init__`` types a section of a config."""
    return model_class(name) if section == "model" else data_class(name)


def load_config(name: str, overrides: Sequence[str] = ()) -> Settings:
    """Read and check a config, see ``zoo.config.load``."""
    return configs.load(name, overrides, classes=classes)


def validate(name: str, overrides: Sequence[str] = ()) -> None:
    """Check a config and everything that it names, without reading data or backbone weights.

    Raises:
        ValueError: the first mistake; the message names the key and the nearest valid one.
    """
    config = load_config(name, overrides)
    check_run(*build(config, dry=True), config)


FROM_DATA = ("concepts", "encoder", "input_shape", "num_classes", "sequence")
PLACEHOLDERS = {
    "concepts": {"columns": {"this": None, "that": None}},
    "encoder": None,
    "input_shape": [4],
    "num_classes": 4,
    "sequence": {"tokens": ["this", "that"], "length": 4},
}


def build(
    config: Settings, *, dry: bool = False, data: Data | None = None, backbone: nn.Module | None = None
) -> tuple[SelfExplaining, Data]:
    """Return model and data of a config, the model initialized from the seed.

    Arguments of the model that depend on the data (``FROM_DATA``) and are not set are filled in, in ``config`` too; so
    are arguments of the data that are resolved by reading them, such as a vocabulary.

    Args:
        config: the run.
        dry: read neither data nor weights from disk or hub; placeholders take their place.
        data: the source; None for that of the config.
        backbone: a module of the user instead of the backbone of the config.

    Raises:
        ValueError: if model and data do not fit each other, or the model cannot do the task of the data.
    """
    _keep_vocabulary(config)
    args = configs.plain(config)
    data = create_data(**args["data"]) if data is None else data
    data.use_encoding(model_class(args["model"]["name"]).table_encoding)
    next_token = capability(data, HasWindows) is not None
    if next_token and model_class(args["model"]["name"]).input_kind != "tokens":
        raise ValueError(
            f"{args['model']['name']} is no language model, and {args['data']['name']} has no labels: its classes are"
            " the next tokens; choose a language model such as dense_transformer, or data with labels"
        )
    task = None if dry else declared_task(data, config)
    if task is not None and args["model"]["num_classes"] not in (None, task.outputs):
        what = {"classification": "classes", "multilabel": "labels"}.get(task.kind, "output, a number")
        raise ValueError(
            f"model.num_classes is {args['model']['num_classes']};"
            f" {args['data']['name']} has {task.outputs} {what}: set model.num_classes={task.outputs}"
        )
    for key, value in ({} if dry else data.resolved_args()).items():
        config.data[key] = configs.plain(value)
    for key in FROM_DATA:
        if key in args["model"] and args["model"][key] is None:
            shape_known = key == "input_shape" and capability(data, HasFixedShape) is not None
            unread = dry and not shape_known  # images know their shape unread
            args["model"][key] = _placeholder(config, key) if unread else _from_data(data, key)
            if not dry:
                config.model[key] = configs.plain(args["model"][key])
    pl.seed_everything(config.seed, verbose=False)
    arguments: dict[str, Any] = checkpoint.standalone(args["model"]) if dry else args["model"]
    if backbone is not None:
        config.model.backbone = OWN + type(backbone).__qualname__
        arguments = arguments | {"backbone": backbone}
    model = create_model(**arguments, task=task)
    if config.finetune is not None and config.finetune.source:
        source = checkpoint.load(config.finetune.source)
        checkpoint.graft(model, source, list(config.finetune.replace))
        if not dry:
            report_replaced(source, data.inputs, list(config.finetune.replace))
    if not dry:
        model.inputs = data.inputs
    return model, data


def _keep_vocabulary(config: Settings) -> None:
    """Use the tokens of the checkpoint that a run starts from, if the run keeps their embedding."""
    if config.finetune is None or not config.finetune.source or "embed" in config.finetune.replace:
        return
    source, _ = checkpoint.read(checkpoint.find(config.finetune.source))
    for key in ("tokenizer", "vocabulary", "merges"):
        if key in config.data and key in source["data"]:
            config.data[key] = source["data"][key]


def _placeholder(config: Settings, key: str) -> Any:
    """Value of an argument without reading data: that of the checkpoint that the run starts from, or a placeholder."""
    if config.finetune is None or not config.finetune.source:
        return PLACEHOLDERS[key]
    source, _ = checkpoint.read(checkpoint.find(config.finetune.source))
    return source["model"].get(key) or PLACEHOLDERS[key]


def _from_data(data: Data, key: str) -> Any:
    if key == "num_classes":
        return data.model_task.outputs
    if key == "input_shape":
        return list(data.input_shape)
    if key == "encoder":
        return None if data.encoder_spec is None else data.encoder_spec.to_config()
    if key == "sequence":
        return None if data.sequence is None else {**data.sequence.to_config(), "classes": list(data.class_names)}
    return None if data.concepts is None else data.concepts.to_config()


def report_replaced(source: SelfExplaining, inputs: Inputs | None, replace: Sequence[str]) -> None:
    """Log what fine-tuning replaces: parts that start afresh, and inputs and classes that are not the source's."""
    kept = [part for part in source.trainable_parts() if part not in replace]
    log.info("finetune: %s start afresh, %s are the source's", ", ".join(replace) or "no parts", ", ".join(kept))
    if source.inputs is None or inputs is None:
        return
    if source.inputs.class_names != inputs.class_names:
        old, new = (", ".join(names[:8]) + ", ..." * (len(names) > 8) for names in _classes(source.inputs, inputs))
        log.info("finetune: inputs.classes replaced: %s instead of %s", new, old)
    old, new = ({k: v for k, v in i.to_config().items() if "class" not in k} for i in (source.inputs, inputs))
    changed = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    if changed:
        log.info("finetune: inputs replaced: %s", ", ".join(changed))


def _classes(*inputs: Inputs) -> list[tuple[str, ...]]:
    return [one.class_names for one in inputs]


def report_inputs(model: SelfExplaining) -> None:
    """Log the preprocessing that a model keeps, one line for each fact; the command line prints it."""
    if is_first_process() and model.inputs is not None:
        for line in model.inputs.describe():
            log.info("%s", line)
        if model.inputs.kind != "table" and (balance := model.task.describe_data(model.class_names)):
            log.info("classes: %s", balance)  # a table describes its target itself


def data_of(config: Settings, model: SelfExplaining) -> Data:
    """Return the data of a trained model's config, read with the inputs, tokens and classes of the model.

    Raises:
        ValueError: if the data have other tokens or classes.
    """
    args = configs.plain(config)
    data = create_data(**args["data"])
    if model.inputs is not None:
        concepts = args["model"].get("concepts")
        data.use_inputs(model.inputs, ConceptSchema.from_config(concepts) if concepts else None)
    if args["model"].get("sequence"):
        data.check_compatible_with(args["model"]["sequence"])
    return data


def load_checkpoint(name: str, overrides: Sequence[str]) -> tuple[SelfExplaining, Settings]:
    """Return a trained model and its config, with overrides of ``data`` and ``trainer.accelerator``.

    Raises:
        ValueError: if there is no such checkpoint, or another key is overridden.
    """
    configs.check_trained_overrides(overrides)
    model = checkpoint.load(name)
    return model, configs.check(model.config, overrides, where=name, classes=classes)
