"""Single units as detectors of properties of positions, codes beside neurons at equal recall.

Source: Tamkin, Taufeeque, Goodman, Codebook features, 2023.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from zoo.metrics.base import count, expect
from zoo.metrics.positions._evaluator import PositionEvaluator
from zoo.metrics.positions._language_model_detectors import detect
from zoo.metrics.positions._position_score import PositionScore
from zoo.metrics.positions._properties import present
from zoo.registry import register

KEYS = ("precision", "recall", "neuron precision")
FULL = (*KEYS, *(f"{key} by F1" for key in KEYS))


@register
class Detectors(PositionScore):
    """How well single units detect a property of the position: mean precision over properties, one unit for each.

    Units are chosen on validation and measured on test sequences. A code is on or off: the one of highest precision
    among those of a recall above 1 % (Tamkin et al., Codebook features, 2023), and (``... by F1``) the one of highest
    F1. Beside each, ``neuron precision``: the best hidden neuron of the same network, of either sign, by a threshold
    with the same recall. Neurons that are themselves the units are measured at recall 0.9.

    Only families of up to ``max_properties`` properties are scored. Further read-outs: ``recall``, and all of it by F1.

    Args:
        sequences: of each split.
        max_properties: of a family; larger families are left out.

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
    inputs = {"precisions": "share or nan"}
    protocol = "zoo-detectors-v1"
    intervals = {
        "precision": ("", 0, 1),
        "neuron precision": ("", 0, 1),
    }
    population = "properties like these on these sequences"
    total: Tensor
    known: Tensor

    def __init__(self, *, sequences: int = 200, max_properties: int = 100) -> None:
        super().__init__()
        self.sequences = count("sequences", sequences)
        self.max_properties = count("max_properties", max_properties)
        self.protocol = self._variant(type(self).protocol, sequences=sequences, max_properties=max_properties)
        for name in ("total", "known"):
            self._sum(name, len(FULL), dtype=torch.float64)

    def update(self, precisions: Tensor) -> None:
        """Add properties.

        Args:
            precisions: ``(p, 6)`` precision and recall of the unit chosen for each property, precision of the neuron
                beside it; the same of the unit chosen by F1. NaN where there is none.

        Raises:
            ValueError: if the shape does not fit.
        """
        expect("precisions", precisions, None, len(FULL))
        self._check(precisions=precisions)
        precisions = precisions.double().to(self.device)
        self._add("total", precisions.nan_to_num())
        self._add("known", ~precisions.isnan())
        self._add("samples", torch.ones(len(precisions), dtype=torch.int64, device=self.device))

    def measure(self, evaluator: PositionEvaluator) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
        """Choose on ``val``, score on ``test``."""
        known = {split: evaluator.known(split, self.sequences) for split in ("val", "test")}
        splits = {split: properties for split, properties in known.items() if properties is not None}
        sizes = [len(f.questions) * len(f.answers) for f in splits["test"].families]
        if min(sizes) > self.max_properties:
            self.why = f"every family has more than {self.max_properties} properties; see board_coverage"
            return
        x, look, has = {}, {}, {}
        for split, one in splits.items():
            x[split], look[split] = one.x, one.look
            families = [f for f, size in zip(one.families, sizes, strict=True) if size <= self.max_properties]
            parts = [present(f.codes[one.look], len(f.answers))[:, f.telling.flatten()] for f in families]
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
