"""All perturbations by name, as in a list of scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from zoo.batch import Batch
from zoo.metrics.base import Perturbation
from zoo.metrics.perturbations._text_change import TextChange
from zoo.metrics.perturbations.geometry import Flip, Rotate, Shift
from zoo.metrics.perturbations.image_changes import Blur, Jpeg
from zoo.metrics.perturbations.noise import Change, Noise
from zoo.metrics.perturbations.text_changes import Casing, Clause, Punctuation, Synonyms, Typos
from zoo.metrics.perturbations.token_changes import Prefix, Rename, Swap, Typo
from zoo.paths import did_you_mean

PERTURBATIONS: dict[str, type[Change]] = {
    "noise": Noise,
    "blur": Blur,
    "jpeg": Jpeg,
    "shift": Shift,
    "flip": Flip,
    "rotate": Rotate,
    "prefix": Prefix,
    "typo": Typo,
    "swap": Swap,
    "rename": Rename,
    "typos": Typos,
    "casing": Casing,
    "punctuation": Punctuation,
    "clause": Clause,
    "synonyms": Synonyms,
}


def perturbation(spec: str | Mapping[str, Any] | Perturbation) -> Perturbation:
    """A perturbation by name, with its settings, or as it is.

    Args:
        spec: ``flip``; ``{name: shift, pixels: 8}``; or a function of (batch, draw).

    Raises:
        ValueError: if there is no such perturbation or setting, or a value is out of range.

    Example:
        >>> perturbation({"name": "shift", "pixels": 8})
        Shift(pixels=8)
    """
    if callable(spec):
        return spec
    settings = {"name": spec} if isinstance(spec, str) else dict(spec) if isinstance(spec, Mapping) else {}
    name = settings.pop("name", None)
    if name not in tuple(PERTURBATIONS):
        near = did_you_mean(str(name), list(PERTURBATIONS)) or "."
        raise ValueError(f"perturbation is {spec!r}; no such name{near} Known: {', '.join(PERTURBATIONS)}")
    known = [field.name for field in fields(PERTURBATIONS[name])]
    if unknown := [key for key in settings if key not in known]:
        raise ValueError(f"perturbation {name!r} has no {unknown[0]!r}; it takes {', '.join(known) or 'nothing'}")
    try:
        return PERTURBATIONS[name](**settings)
    except (TypeError, ValueError) as error:
        raise ValueError(f"perturbation {name!r}: {error}") from error


def perturbed(change: Perturbation, batch: Batch, draw: int, model: Any) -> Batch:
    """Return the samples of a batch under a perturbation; changes of texts need the model that reads them."""
    return change(batch, draw, model) if isinstance(change, TextChange) else change(batch, draw)


def unfit(change: Change, batch: Batch, model: Any) -> str:
    """Return why a perturbation cannot change the inputs of a batch for a model; empty if it can."""
    return change.unread_by(model) if isinstance(change, TextChange) else change.unfit(batch.x)


def label(change: Perturbation) -> str:
    """Return the name of a perturbation in a protocol id."""
    return change.label if isinstance(change, Change) else getattr(change, "__name__", type(change).__name__).lower()


def check_draws(change: Perturbation, draws: int) -> None:
    """Check that several draws of a perturbation would differ.

    Raises:
        ValueError: if the perturbation is deterministic.
    """
    if isinstance(change, Change) and not change.random and draws > 1:
        raise ValueError(f"draws is {draws}; {label(change)} is deterministic, so expected 1")
