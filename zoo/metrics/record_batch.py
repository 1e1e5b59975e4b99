"""From a model and a batch to the record that scores read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from zoo.batch import Batch
from zoo.capabilities import HasConcepts, HasConceptUncertainty, HasCorrectionPolicy, HasFeatures, capability
from zoo.explanation import Units, gather
from zoo.metrics.base import Record
from zoo.metrics.parts._localization import cells, hits, peak
from zoo.metrics.perturbations._text_change import text_reader
from zoo.metrics.perturbations.noise import random_bits
from zoo.model import SelfExplaining

NO_LOCATIONS = "the units have no place in an image"
NO_SENTENCES = "the model reads no sentences"
NO_WORDS = "the units have no places in a text"
NO_PARTS = "the data have no part annotations"
NO_KEYPOINTS = "the data have masks of parts, but no keypoints"
NO_CAPABILITY = {
    "decide": "the model does not offer encode and decide",
    "activity": "the model gives no activity of its units at each position",
    "features": "the units are not computed from one vector of features",
    "correction_policy": "the model has no learned policy of corrections",
    "selection": "the model does not select words and answer from these alone",
    "hidden_neurons": "the model gives no activity of its hidden neurons",
}


def record_batch(model: Any, batch: Batch, shown: int | Tensor, *, owned: bool) -> Record:
    """Explain the true class of a batch, or the prediction of another task, and locate the shown units on its parts.

    Args:
        model: offers ``explain(x, target, shown)``.
        batch: samples on the model's device.
        shown: number of units to read, or their ``(b, k)`` ids.
        owned: whether a unit claims every sample on which it is shown (it belongs to the class), or only those to whose
            logit it adds more than 0.
    """
    explanation = model.explain(batch.x, target=explained_target(batch), shown=shown).detach()
    gate = explanation.shown >= 0
    gate = gate if owned else gate & (gather(explanation.contribution, explanation.shown) > 0)
    record = Record(batch, explanation, gate, model=model)
    if why_no_place(record):
        return record
    return _at(record, peak(explanation.where, (batch.x.shape[-2], batch.x.shape[-1])))


def explained_target(batch: Batch) -> Tensor | None:
    """Return the classes ``(b,)`` of a batch, which are explained; None for numbers and labels."""
    y = batch.targets
    return None if y.is_floating_point() else y


def with_interventions(record: Record) -> Record:
    """Add what interventions on concepts need: strengths that stand for 0 and 1, and the logits with strengths set."""
    truth, model = record.batch.concepts, capability(record.model, HasConcepts)
    if truth is None or model is None:
        return record
    x, features = record.batch.x, capability(record.model, HasFeatures)
    uncertain = capability(record.model, HasConceptUncertainty)
    state, policy = record.model.encode(x), capability(record.model, HasCorrectionPolicy)
    return replace(
        record,
        ends=(model.encode_concepts(torch.zeros_like(truth)), model.encode_concepts(torch.ones_like(truth))),
        predicted=model.decode_concepts(record.explanation.strength),
        decide=partial(record.model.decide, state),
        correction=None if policy is None else partial(policy.correction_scores, state),
        uncertainty=None if uncertain is None else uncertain.concept_uncertainty(x),
        features=None if features is None else features.features(x),
    )


def why_no_place(record: Record) -> str:
    """Return what is missing for units to be located on parts; empty if nothing is."""
    if record.batch.points is None or record.batch.visible is None:
        return NO_PARTS if record.batch.masks is None else NO_KEYPOINTS
    where = record.explanation.where
    return NO_LOCATIONS if where is None or where.ndim != 4 else ""


def missing_annotation(record: Record, requires: frozenset[str]) -> str:
    """Return what a batch and its explanation lack of what a score requires; empty if nothing is missing."""
    if "parts" in requires and (reason := why_no_place(record)):
        return reason
    no_keypoints = record.batch.points is None or record.batch.visible is None
    if "points" in requires and no_keypoints and record.batch.masks is None:
        return NO_PARTS
    where = record.explanation.where
    if "maps" in requires and (where is None or where.ndim != 4 or record.batch.x.ndim != 4):
        return NO_LOCATIONS
    if "words" in requires:
        if text_reader(record.model) is None:
            return NO_SENTENCES
        if where is None or where.ndim != 3:
            return NO_WORDS
    return "the data have no concepts" if requires & {"concepts", "labels"} and record.batch.concepts is None else ""


def missing_capability(model: Any, requires: frozenset[str], *, units: Units | None = None) -> str:
    """Return what a model lacks of the capabilities that a score requires; empty if nothing is missing."""
    if "concepts" in requires and capability(model, HasConcepts) is None:
        return f"{'unit' if units is None else units.kind}s are not the concepts of the data"
    declared = getattr(model, "capabilities", frozenset())
    if isinstance(model, SelfExplaining):
        declared = declared | {"decide"}  # part of the contract
    return next((reason for name, reason in NO_CAPABILITY.items() if name in requires - declared), "")


def with_random_locations(record: Record, draw: int) -> Record:
    """Return the same claims with each unit at a random cell of its map, by (sample, unit, draw) alone."""
    explanation, x = record.explanation, record.batch.x
    assert explanation.where is not None
    bits = random_bits(record.batch.index.to(explanation.shown.device), draw=draw, count=len(explanation.units))
    place = gather(bits, explanation.shown) & 0x7FFFFFFFFFFFFFFF
    grid = (explanation.where.shape[-2], explanation.where.shape[-1])
    return _at(record, cells(place, grid, (x.shape[-2], x.shape[-1])))


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Put a module in eval mode for a while; every submodule gets its own mode back."""
    modules = [m for m in model.modules() if m.training] if isinstance(model, nn.Module) else []
    for module in modules:
        module.training = False
    try:
        yield
    finally:
        for module in modules:
            module.training = True


def _at(record: Record, peaks: Tensor) -> Record:
    batch = record.batch
    assert batch.points is not None
    assert batch.visible is not None
    size = (batch.x.shape[-2], batch.x.shape[-1])
    return replace(record, peaks=peaks, hits=hits(peaks, batch.points, batch.visible, size=size))
