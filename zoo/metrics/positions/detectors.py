"""Single units as detectors of properties of positions, codes beside neurons at equal recall."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from zoo.metrics.base import count, expect
from zoo.metrics.positions._detection import at_recall_of, best_by_f1, best_by_precision, counts, judge
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

    Units are chosen on validation and scored on test sequences. A code is on or off: the one of highest precision among
    those that catch over 1 % of the property (Tamkin et al., Codebook features, 2023), and (``... by F1``) the one of
    highest F1. Beside each, ``neuron precision``: the best hidden neuron of the same network, of either sign, by a
    threshold with the same recall. Neurons that are themselves the units are scored at recall 0.9.

    Only families of up to ``most`` properties are scored. Further read-outs: ``recall``, and all of it by F1.

    Args:
        sequences: of each split.
        most: properties of a family.

    Raises:
        ValueError: if an argument is out of range.
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
        found = detect(evaluator.model, x, look, has)
        yield (found,), torch.arange(len(found))

    def compute(self) -> dict[str, Tensor]:
        """The means; see the class."""
        mean = self.total / self.known
        read = {key: value for key, value in zip(FULL, mean, strict=True) if bool(value.isfinite())}
        if "recall" not in read:
            read = {"neuron precision": mean[2]}
        return {**read, "support": self.samples}


@torch.no_grad()
def detect(model: Any, x: dict[str, Tensor], look: dict[str, Tensor], has: dict[str, Tensor]) -> Tensor:
    """What ``Detectors.update`` takes, ``(p, 6)``.

    Args:
        model: a language model.
        x: contexts ``(n, t)`` of ``val`` and of ``test``.
        look: ``(n, t)`` bool, the r positions that count.
        has: ``(r, p)`` properties of each.
    """
    p, nan = has["test"].shape[1], torch.full((has["test"].shape[1],), torch.nan)
    if not model.units.binary:
        (beside,) = _neurons(model, x, look, has, [torch.full((p,), LEVEL)])
        return torch.stack([nan, nan, beside, nan, nan, nan], 1)
    met = {name: _met(model, x[name], look[name], has[name]) for name in x}
    ways: list[Callable[..., Tensor]] = [best_by_precision, best_by_f1]
    found = [judge(choose(*met["val"]), *met["test"]) for choose in ways]
    beside = _neurons(model, x, look, has, [one.recall for one in found])
    columns = [(one.precision, one.recall, other) for one, other in zip(found, beside, strict=True)]
    return torch.stack([column for three in columns for column in three], 1)


def _neurons(
    model: Any, x: dict[str, Tensor], look: dict[str, Tensor], has: dict[str, Tensor], recalls: list[Tensor]
) -> list[Tensor]:
    """Test precision ``(p,)`` of the best hidden neuron, as chosen on ``val``, at each of these recalls ``(p,)``."""
    best = [torch.full_like(recall, -2) for recall in recalls]
    precision = [torch.full_like(recall, torch.nan) for recall in recalls]
    width = model.hidden(x["val"][:1].to(model.device)).shape[2]
    for chunk in (slice(i, min(i + CHUNK, width)) for i in range(0, width, CHUNK)):
        ranks = {}
        for name in x:
            parts = zip(x[name].split(8), look[name].split(8), strict=True)
            value = torch.cat(
                [model.hidden(v.to(model.device)).cpu()[..., chunk][at[:, : v.shape[1]]] for v, at in parts]
            )
            ranks[name] = at_recall_of(torch.cat([value, -value], 1), has[name])
        for i, recall in enumerate(recalls):
            first = ranks["val"](recall).nan_to_num(-1).max(1)
            new = ranks["test"](recall).gather(1, first.indices[:, None])[:, 0]
            precision[i] = torch.where(first.values > best[i], new, precision[i])
            best[i] = torch.maximum(best[i], first.values)
    return precision


def _met(model: Any, x: Tensor, look: Tensor, has: Tensor) -> tuple[Tensor, ...]:
    """``counts`` of all units over the positions that count, a few sequences at a time."""
    each, at = [], 0
    for some, where in zip(x.split(8), look.split(8), strict=True):
        on = model.activity(some.to(model.device)).cpu()[where] > 0
        each.append(counts(on, has[at : at + len(on)]))
        at += len(on)
    return tuple(torch.stack(part).sum(0) for part in zip(*each, strict=True))
