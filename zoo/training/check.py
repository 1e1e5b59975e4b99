"""Checks of a run before training begins."""

from __future__ import annotations

import inspect
import math
from typing import Any

import torch

from zoo.capabilities import HasExtraMetrics
from zoo.config import Settings
from zoo.data.base import Data
from zoo.metrics.suite import check as check_scores
from zoo.model import SelfExplaining
from zoo.paths import did_you_mean
from zoo.phase import Phase, methods

MINIMUM = {"epochs": 0, "every": 1, "cache": 0, "weight_decay": 0, "gamma": 0}


def check_run(model: SelfExplaining, data: Data, config: Settings) -> None:
    """Check phases, suite of scores and input size of a run.

    Raises:
        ValueError: naming the mistake and the nearest valid name.
    """
    check_phases(model, config)
    check_scores(config.suite)
    model.eval()
    shape = tuple(model.hparams.get("input_shape") or data.input_shape)
    try:
        with torch.no_grad():
            model(torch.zeros(1, *shape, dtype=torch.int64 if model.input_kind == "tokens" else None))
    except (RuntimeError, AssertionError, ValueError, IndexError) as error:
        reason = str(error).splitlines()[0]
        sides = " x ".join(map(str, shape[1:] or shape))
        what = f"images of {sides} (data.size)" if len(shape) == 3 else f"rows of {sides} {model.input_kind}"
        raise ValueError(f"{model.name} cannot take {what}: {reason}") from error


def check_phases(model: SelfExplaining, config: Settings) -> None:
    """Check parts, loss terms, methods and their arguments, and ranges of numbers.

    Raises:
        ValueError: naming phase, name and the nearest valid one.
    """
    trainer = config.trainer
    for key in ("devices", "save_every"):
        if trainer[key] is not None and trainer[key] < 1:
            raise ValueError(f"trainer.{key} is {trainer[key]}; expected 1 or more")
    if not 0 <= trainer.feature_cache_gb < math.inf:
        raise ValueError(f"trainer.feature_cache_gb is {trainer.feature_cache_gb}; expected 0 or more")
    cached = [f"phases.{n}.cache" for n, p in config.phases.items() if p.cache]
    for key in [*cached, *(["trainer.compile"] if trainer.compile else [])]:
        if "backbone" not in model.trainable_parts():
            raise ValueError(f"{key} needs the part 'backbone', which {model.name} does not have")
    for name, phase in config.phases.items():
        try:
            _check_phase(model, Phase(**phase))
        except ValueError as error:
            raise ValueError(f"phases.{name}: {error}") from error
    model.check_phases({name: Phase(**phase) for name, phase in config.phases.items()})
    model.configure_phase(Phase())


def _check_phase(model: SelfExplaining, phase: Any) -> None:
    for key, minimum in MINIMUM.items():
        if not minimum <= getattr(phase, key) < math.inf:
            raise ValueError(f"{key} is {getattr(phase, key)}; expected {minimum} or more")
    for name, value in phase.lr.items():
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise ValueError(f"lr.{name} is {value!r}; expected a finite number")
    phase.loss_weights(0.0)
    for part, rate in phase.lr.items():
        if rate < 0:
            raise ValueError(f"lr.{part} is {rate}; expected 0 or more")
    model.configure_phase(phase)
    if phase.epochs and not phase.lr:
        raise ValueError(f"epochs is {phase.epochs} and lr names no part; expected at least one part to train")
    cut = "stem" in model.trainable_parts()
    if phase.cache and ("stem" if cut else "backbone") in phase.lr:
        frozen = "stem" if cut else "backbone, or model.backbone_cut and a frozen stem"
        raise ValueError(f"cache is set and lr trains the {'stem' if cut else 'backbone'}; expected a frozen {frozen}")
    for method, args in methods(phase.then).items():
        known = _methods(model)
        if method not in known:
            raise ValueError(
                f"{model.name} has no method {method!r}{did_you_mean(method, known)} (has: {', '.join(known)})"
            )
        accepted = dict(list(inspect.signature(getattr(model, method)).parameters.items())[1:])
        for arg, value in args.items():
            if arg not in accepted:
                near = did_you_mean(arg, list(accepted))
                raise ValueError(f"{method} takes no {arg!r}{near} (takes: {', '.join(accepted)})")
            if isinstance(accepted[arg].default, (int, float)) and not isinstance(value, (int, float)):
                raise ValueError(f"{method}.{arg} is {value!r}; expected a number")


def _methods(model: SelfExplaining) -> list[str]:
    """Public methods of the family whose first argument is a loader."""
    inherited = {*dir(SelfExplaining), *dir(HasExtraMetrics)}
    own = [n for n in dir(type(model)) if not n.startswith("_") and n not in inherited]
    return [n for n in own if callable(getattr(type(model), n)) and _first(getattr(model, n)) == ["loader"]]


def _first(method: Any) -> list[str]:
    return list(inspect.signature(method).parameters)[:1]
