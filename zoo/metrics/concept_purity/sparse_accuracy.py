"""Accuracy at few non-zeros: how good is a head that reads five units for each class?

Source: Srivastava et al., VLG-CBM: Training Concept Bottleneck Models with Vision-Language Guidance, NeurIPS 2024
(number of effective concepts). The controls are defined here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from zoo.capabilities import HasFeatures, capability
from zoo.metrics._value_checks import check_classes
from zoo.metrics.base import Record, Score, expect
from zoo.registry import register
from zoo.solvers.elastic_net import ElasticNet

PARTS = ("index", "y", "strength", "features")
TOLERANCE = 1e-4  # of the optimality conditions


@register
class SparseAccuracy(Score):
    """Accuracy of linear heads with a few weights for each class that are not 0, fitted on the strengths of units.

    Heads are fitted on the training split, as the optimum of an elastic net whose penalty is the smallest with at most
    that many non-zeros of a class on average, and measured on the samples of ``update``. The headline is the accuracy
    at the first number. A dense head on many units reaches a high accuracy with units that mean nothing; the controls
    say how much of it a sparse one keeps.

    Further read-outs: ``at <k>`` for each number; ``mean`` of them; ``random at <k>``: as many units that are random
    projections of the features; left out where a model has no features; ``classes``.

    Args:
        nonzeros: numbers of weights of a class that are not 0, mean over classes.

    Raises:
        ValueError: if a number is not above 0.

    Example:
        >>> y = torch.arange(60) % 3
        >>> units = torch.nn.functional.one_hot(y, 3).float()
        >>> score = SparseAccuracy(nonzeros=[1])
        >>> for learn in (True, False):
        ...     score.update(units, y, torch.arange(60), learn=learn)
        >>> float(score.compute()["sparse accuracy"])
        1.0
    """

    title = "Accuracy at few non-zeros"
    meaning = "accuracy of a linear head on the units with five weights for each class that are not 0"
    details = True
    requires = frozenset({"units", "features"})
    inputs = {"strength": "finite", "y": "class", "index": "ids", "features": "finite"}
    protocol = "zoo-nec-v1"
    fit_splits = ("train",)
    no_interval = "it is the accuracy of heads fitted on the training split"
    learnt_index: list[Tensor]
    judged_index: list[Tensor]

    def __init__(self, *, nonzeros: Sequence[float] = (5, 30)) -> None:
        super().__init__()
        self.nonzeros = tuple(float(k) for k in nonzeros)
        if not self.nonzeros or min(self.nonzeros) <= 0:
            raise ValueError(f"nonzeros is {list(nonzeros)}; expected numbers above 0, such as [5, 30]")
        names = ",".join(f"{k:g}" for k in self.nonzeros)
        self.protocol = type(self).protocol + ("" if names == "5,30" else f"/nonzeros{names}")
        for part in PARTS:
            self._rows(f"learnt_{part}")
            self._rows(f"judged_{part}")

    def update(
        self, strength: Tensor, y: Tensor, index: Tensor, *, features: Tensor | None = None, learn: bool = False
    ) -> None:
        """Add a batch.

        Args:
            strength: ``(b, u)`` of the units.
            y: ``(b,)`` true class.
            index: ``(b,)`` int64 identity of each sample.
            features: ``(b, d)`` what the units are computed from.
            learn: whether these samples are of the training split, on which the heads are fitted.

        Raises:
            ValueError: if a shape does not fit, a number is not finite, or an index occurs twice.
        """
        expect("strength", strength, None, None)
        expect("y", y, len(strength))
        expect("index", index, len(strength))
        self._check(strength=strength, y=y, index=index, features=features)
        check_classes(self._field("y"), y, int(y.max()) + 1 if len(y) else 1)
        rows = {
            "index": index,
            "y": y,
            "strength": strength.double(),
            "features": (strength[:, :0] if features is None else features).double(),
        }
        for part in PARTS:
            getattr(self, f"{'learnt' if learn else 'judged'}_{part}").append(rows[part].detach().cpu())
        if not learn:
            self._add("samples", torch.ones(len(y), dtype=torch.int64, device=self.device))

    def update_from(self, record: Record, changed: Record | None = None, draw: int = 0) -> None:
        """Add the samples of a record."""
        self._add_record(record, learn=False)

    def fit(self, record: Record, split: str) -> None:
        """Add a batch of the training split, on which the heads are fitted."""
        self._add_record(record, learn=True)

    def _add_record(self, record: Record, *, learn: bool) -> None:
        model, batch = capability(record.model, HasFeatures), record.batch
        features = None if model is None else model.features(batch.x)
        self.update(record.explanation.strength, batch.targets, batch.index, features=features, learn=learn)

    def _whole(self, name: str) -> dict[str, Tensor]:
        """Return the columns of a split in the order of its samples, whatever the batches were."""
        columns = {part: dim_zero_cat(getattr(self, f"{name}_{part}")) for part in PARTS}
        order = columns["index"].argsort(stable=True)
        return {part: column[order] for part, column in columns.items()}

    def compute(self) -> dict[str, Tensor]:
        """The accuracies; see the class."""
        self.why = ""
        if not (self.learnt_index and self.judged_index):
            self.why = "no training samples were given"
            return {"sparse accuracy": torch.tensor(torch.nan, dtype=torch.float64), "support": self.samples}
        train, test = self._whole("learnt"), self._whole("judged")
        names = [f"{k:g}" for k in self.nonzeros]
        own = self._accuracies(train["strength"], test["strength"], train["y"], test["y"])
        values = {"sparse accuracy": own[0]} | {f"at {n}": a for n, a in zip(names, own, strict=True)}
        values["mean"] = float(np.mean(own))
        if width := train["features"].shape[1]:
            generator = torch.Generator().manual_seed(0)
            units = torch.randn(width, train["strength"].shape[1], generator=generator, dtype=torch.float64)
            spread = train["features"].std(0, correction=0)
            units = units / torch.where(spread > 0, spread, 1.0)[:, None]
            random = self._accuracies(train["features"] @ units, test["features"] @ units, train["y"], test["y"])
            values |= {f"random at {n}": a for n, a in zip(names, random, strict=True)}
        values["classes"] = float(len(train["y"].unique()))
        numbers = {key: torch.tensor(value, dtype=torch.float64) for key, value in values.items()}
        return numbers | {"support": self.samples}

    def _accuracies(self, train: Tensor, test: Tensor, y: Tensor, truth: Tensor) -> list[float]:
        """Accuracy on test strengths ``(b, u)`` for each number of non-zeros."""
        mean, spread = train.mean(0), train.std(0, correction=0)
        spread = torch.where(spread > 0, spread, 1.0)
        outputs = int(torch.cat([y, truth]).max()) + 1
        problem = ElasticNet((train - mean) / spread, y, outputs=outputs, tolerance=TOLERANCE)
        points = [problem.fit_with_nonzeros(k) for k in self.nonzeros]
        scores = (test - mean) / spread
        return [float((point.logits(scores).argmax(1) == truth).double().mean()) for point in points]
