"""Single units as detectors of properties of positions, codes beside neurons at equal recall."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from zoo.capabilities import HasChosenCodes, capability
from zoo.metrics._checks import check_finite
from zoo.metrics.base import count, expect
from zoo.metrics.positions._detection import at_recall_of, best_by_f1, best_by_precision, counts, counts_of_ids, judge
from zoo.metrics.positions._evaluator import PositionEvaluator, present
from zoo.metrics.positions._position_score import PositionScore
from zoo.registry import register

CHUNK = 1024  # neurons ranked at a time
LEVEL = 0.9  # recall at which neurons that are themselves the units are scored
KEYS = ("precision", "recall", "neuron precision")
FULL = (*KEYS, *(f"{key} by F1" for key in KEYS))


@register
class Detectors(PositionScore):
    """How well single units detect a property of the position: mean precision over properties, one unit for each.

    Units are chosen on validation and measured on test sequences. A code is on or off: the one of highest precision
    among those of a recall above 1 % (Tamkin et al., Codebook features, 2023), and (``... by F1``) the one of highest
    F1. Beside each, ``neuron precision``: the best hidden neuron of the same network, of either sign, by a threshold
    with the same recall. Neurons that are themselves the units are measured at recall 0.9.

    Only families of up to ``most`` properties are scored. Further read-outs: ``recall``, and all of it by F1.

    Args:
        sequences: of each split.
        most: properties of a family.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> score = Detectors()
        >>> nan = torch.nan
        >>> score.update(torch.tensor([[1.0, 0.5, 0.8, nan, nan, nan], [0.5, 0.1, 0.6, nan, nan, nan]]))
        >>> round(float(score.compute()["precision"]), 6)
        0.75
    """

    title = "Detectors"
    meaning = "precision of the best unit for each property of a position, mean over properties"
    details = True
    requires = PositionScore.requires | {"hidden_neurons"}
    protocol = "zoo-detectors-v1"
    total: Tensor
    known: Tensor

    def __init__(self, *, sequences: int = 200, most: int = 100) -> None:
        super().__init__()
        self.sequences, self.most = count("sequences", sequences), count("most", most)
        self.protocol = self._variant(type(self).protocol, sequences=sequences, most=most)
        for name in ("total", "known"):
            self._sum(name, len(FULL), dtype=torch.float64)

    def update(self, found: Tensor) -> None:
        """Add properties.

        Args:
            found: ``(p, 6)`` precision and recall of the unit chosen for each, precision of the neuron beside it; the
                same of the one chosen by F1. NaN where there is none.

        Raises:
            ValueError: if the shape does not fit.
        """
        expect("found", found, None, len(FULL))
        found = found.double().to(self.device)
        self._add("total", found.nan_to_num())
        self._add("known", ~found.isnan())
        self.samples = self.samples + len(found)

    def measure(self, evaluator: PositionEvaluator) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
        """Choose on ``val``, score on ``test``."""
        known = {split: evaluator.known(split, self.sequences) for split in ("val", "test")}
        splits = {split: properties for split, properties in known.items() if properties is not None}
        sizes = [len(f.questions) * len(f.answers) for f in splits["test"].families]
        if min(sizes) > self.most:
            self.why = f"every family has more than {self.most} properties; see board_coverage"
            return
        x, look, has = {}, {}, {}
        for split, one in splits.items():
            x[split], look[split] = one.x, one.look
            few = [f for f, size in zip(one.families, sizes, strict=True) if size <= self.most]
            parts = [present(f.codes[one.look], len(f.answers))[:, f.telling.flatten()] for f in few]
            has[split] = torch.cat(parts, 1)
        precisions = detect(evaluator.model, x, look, has)
        yield (precisions,), torch.arange(len(precisions))

    def compute(self) -> dict[str, Tensor]:
        """The means; see the class."""
        mean = self.total / self.known
        read = {key: value for key, value in zip(FULL, mean, strict=True) if bool(value.isfinite())}
        if "recall" not in read:
            read = {"neuron precision": mean[2]}
        return {**read, "support": self.samples}


@torch.no_grad()
def detect(model: Any, x: dict[str, Tensor], look: dict[str, Tensor], has: dict[str, Tensor]) -> Tensor:
    """Return what ``Detectors.update`` takes, ``(p, 6)``.

    Args:
        model: a language model.
        x: contexts ``(n, t)`` of ``val`` and of ``test``.
        look: ``(n, t)`` bool, the r labeled positions.
        has: ``(r, p)`` properties of each.
    """
    p, nan = has["test"].shape[1], torch.full((has["test"].shape[1],), torch.nan)
    if not model.units.binary:
        (beside,) = _neurons(model, x, look, has, [torch.full((p,), LEVEL)])
        return torch.stack([nan, nan, beside, nan, nan, nan], 1)
    counted = {name: _counts(model, x[name], look[name], has[name]) for name in x}
    ways: list[Callable[..., Tensor]] = [best_by_precision, best_by_f1]
    detections = [judge(choose(*counted["val"]), *counted["test"]) for choose in ways]
    beside = _neurons(model, x, look, has, [detection.recall for detection in detections])
    columns = [(unit.precision, unit.recall, other) for unit, other in zip(detections, beside, strict=True)]
    return torch.stack([column for three in columns for column in three], 1)


def _neurons(
    model: Any, x: dict[str, Tensor], look: dict[str, Tensor], has: dict[str, Tensor], recalls: list[Tensor]
) -> list[Tensor]:
    """Return the test precision ``(p,)`` of the best hidden neuron, chosen on ``val``, for each vector of recalls."""
    best = [torch.full_like(recall, -2) for recall in recalls]  # below the -1 of an undefined precision
    precision = [torch.full_like(recall, torch.nan) for recall in recalls]
    width = model.hidden(x["val"][:1].to(model.device)).shape[2]
    for chunk in (slice(i, min(i + CHUNK, width)) for i in range(0, width, CHUNK)):
        ranks = {}
        for name in x:
            parts = zip(x[name].split(8), look[name].split(8), strict=True)
            value = torch.cat(
                [model.hidden(v.to(model.device)).cpu()[..., chunk][at[:, : v.shape[1]]] for v, at in parts]
            )
            check_finite(f"hidden activations of the {name} sequences", value)
            ranks[name] = at_recall_of(value, has[name])
        for i, recall in enumerate(recalls):
            first = ranks["val"](recall).nan_to_num(-1).max(1)
            new = ranks["test"](recall).gather(1, first.indices[:, None])[:, 0]
            precision[i] = torch.where(first.values > best[i], new, precision[i])
            best[i] = torch.maximum(best[i], first.values)
    return precision


def _counts(model: Any, x: Tensor, look: Tensor, has: Tensor) -> tuple[Tensor, ...]:
    """Return ``counts`` of all units over the labeled positions, a few sequences at a time."""
    codes = capability(model, HasChosenCodes)
    width = len(model.units)
    if codes is not None:
        batches = zip(x.split(8), look.split(8), strict=True)
        ids = torch.cat([codes.chosen(contexts.to(model.device)).cpu()[at] for contexts, at in batches])
        row = torch.arange(len(ids)).repeat_interleave(ids.shape[1])
        return counts_of_ids(row, ids.flatten(), has, width)
    sums: list[Tensor] = []
    start = 0
    for contexts, positions in zip(x.split(8), look.split(8), strict=True):
        on = model.activity(contexts.to(model.device)).cpu()[positions] > 0
        part = counts(on, has[start : start + len(on)])
        sums = [total + more for total, more in zip(sums, part, strict=True)] if sums else list(part)
        start += len(on)
    return tuple(sums)
