"""Leakage: does the prediction use more than the concepts?

Source: Koh et al., Concept Bottleneck Models, ICML 2020; Mahinpei et al., Promises and Pitfalls of Black-Box Concept
Learning Models, 2021; Parisini et al., 2025 (CTL, ICL). The gap to the ceiling and its test are defined here.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from zoo.concept_schema import ConceptSchema
from zoo.metrics._value_checks import check_classes
from zoo.metrics.base import Record, Score, expect
from zoo.metrics.concepts._concept_values import check_concepts
from zoo.metrics.concepts._leakage_readouts import Splits
from zoo.metrics.concepts._policies import Decide
from zoo.registry import register

PARTS = ("index", "y", "strength", "hard", "concepts", "features", "logits", "own", "adds")


@register
class Leakage(Score):
    """Accuracy minus the oracle-concept ceiling: that of the best head on the annotated concepts.

    A model above the ceiling uses more than the annotations contain: information that leaks into its concepts, or
    concepts that it knows better than a wrong annotation. It is marked where the gap, paired by sample, is more than
    1.96 standard errors above 0. Heads are fitted on the training split (``fit``) and measured on the samples of
    ``update``. They are of the model's own kind: multinomial logistic regression on standardized inputs if its logits
    are affine in its strengths, else a random forest, which stands for any function. Gap and ceiling are of the samples
    all of whose concepts are known. Sources: Koh et al. 2020; Mahinpei et al., Promises and Pitfalls of Black-Box
    Concept Learning Models, 2021; Parisini et al. 2025 (CTL, ICL).

    Further read-outs:
        ``ceiling``: of the head on the annotated concepts; for an affine model, its own head with all concepts
            corrected if that is better. ``known samples``: number of samples it is measured on.
        ``majority class``: accuracy of the most frequent class of the training split.
        ``soft``, ``hard``, ``soft-hard gap``: heads refitted on the strengths, on the strengths decided (0 or 1, the
            strongest of a group), and soft minus hard: the information in soft values beyond decisions.
        ``corrected``: accuracy of the model with all known concepts corrected; ``black box``: of a head on the features
            alone; ``correction gain``: corrected minus black box. Left out where a model has no features.
        ``shuffled concepts``: as many concepts, learned from the features by ridge regression with the concept labels
            of other samples, and a head on those: what meaningless concepts let through. Left out likewise.
        ``ctl``, ``ctl null``, ``icl``, ``icl null``: means over concepts of what their strength tells of the class, and
            of concepts of other groups, beyond their own label, and the same with strengths permuted among samples of
            equal label.
        ``non-zeros per class``: units that add or take anything in any sample of the class (NEC).
        ``linear head``: 1 if the logits are affine in the strengths.
        Per unit: ``unit/label auroc`` and ``unit/class auroc`` of the strength against the label of the concept and
            against the class that it separates best; ``unit/ctl``, ``unit/icl``.

    Args:
        concepts: the schema, m columns.
        l2: penalty of the logistic heads: l2 / 2 times the sum of squared weights, beside the mean loss.

    Raises:
        ValueError: if ``l2`` is not above 0.

    Example:
        >>> from zoo.concept_schema import Concept
        >>> score = Leakage(ConceptSchema((Concept("a"),)))
        >>> concept = (torch.arange(40) % 2).float()[:, None]
        >>> labels = (torch.arange(40) // 2) % 2  # independent of the concept
        >>> logits = torch.stack([1.0 - labels, labels], 1)  # yet the model knows them
        >>> rest = {"low": torch.zeros(40, 1), "high": torch.ones(40, 1), "logits": logits}
        >>> for learn in (True, False):
        ...     score.update(concept, concept, concept, labels, torch.arange(40), **rest, learn=learn)
        >>> values = score.compute()
        >>> [round(float(values[name]), 6) for name in ("oracle gap", "ceiling")]
        [0.5, 0.5]
    """

    title = "Leakage"
    higher_is_better = None
    meaning = "accuracy minus that of the best head on the annotated concepts (ceiling); above 0 suggests leakage"
    unit_readouts = {"label auroc": "AUROC of its own label", "class auroc": "AUROC of the best class"}
    details = True
    requires = frozenset({"units", "concepts"})
    inputs = {
        "strength": "finite",
        "predicted": "share",
        "truth": "share or nan",
        "y": "class",
        "index": "ids",
        "low": "finite",
        "high": "finite",
        "logits": "finite",
        "contribution": "finite",
        "features": "finite",
    }
    protocol = "zoo-leakage-v2"
    fit_splits = ("train",)
    intervals = {
        "oracle gap": ("", -1, 1),
        "correction gain": ("", -1, 1),
    }
    population = "inputs like these, and these heads"

    judged_index: list[Tensor]

    def __init__(self, concepts: ConceptSchema, *, l2: float = 1e-3) -> None:
        super().__init__()
        if not l2 > 0:
            raise ValueError(f"l2 is {l2!r}; expected a number above 0")
        self.l2 = float(l2)
        self.schema = concepts
        self.remarks: list[str] = []
        self._differences: dict[str, np.ndarray] = {}  # (n,) of each sample, in the order of ids; NaN where unknown
        self.protocol = self._variant(type(self).protocol, l2=l2)
        for part in PARTS:
            self._rows(f"learnt_{part}")
            self._rows(f"judged_{part}")

    def update(
        self,
        strength: Tensor,
        predicted: Tensor,
        truth: Tensor,
        y: Tensor,
        index: Tensor,
        low: Tensor,
        high: Tensor,
        *,
        logits: Tensor,
        decide: Decide | None = None,
        contribution: Tensor | None = None,
        features: Tensor | None = None,
        learn: bool = False,
    ) -> None:
        """Add a batch.

        Args:
            strength: ``(b, m)`` what the head reads.
            predicted: ``(b, m)`` the concepts as probabilities; where strengths are those, the same.
            truth: ``(b, m)`` true concepts, NaN where unknown.
            y: ``(b,)`` true class.
            index: ``(b,)`` int64 identity of each sample: the order of batches does not matter.
            low: ``(b, m)`` strengths that stand for 0.
            high: ``(b, m)`` strengths that stand for 1.
            logits: ``(b, c)``.
            decide: logits ``(..., b, c)`` from mask and strengths ``(..., b, m)``; None without the
                model's own head.
            contribution: ``(b, u)`` of each unit to the true class.
            features: ``(b, d)`` what the concepts are computed from.
            learn: whether these samples are of the training split, on which the heads learn.

        Raises:
            ValueError: if a shape does not fit, a number is not finite or out of range, or an index occurs twice.
        """
        expect("strength", strength, None, len(self.schema))
        expect("predicted", predicted, len(strength), len(self.schema))
        check_concepts(self._name, self.schema, predicted, truth)
        expect("logits", logits, len(strength), None)
        expect("y", y, len(strength))
        expect("index", index, len(strength))
        self._check(strength=strength, low=low, high=high, logits=logits, y=y, index=index)
        self._check(contribution=contribution, features=features)
        check_classes(self._field("y"), y, logits.shape[1])
        known = truth.isfinite()
        value = torch.where(known, low + truth.nan_to_num() * (high - low), strength)
        rows = {
            "index": index,
            "y": y,
            "strength": strength.double(),
            "concepts": truth.double(),
            "logits": logits.double(),
            "hard": self.schema.decided(predicted).double(),
            "features": (truth[:, :0] if features is None else features).float(),
            "own": torch.full_like(y, -1) if decide is None else decide(known, value).argmax(-1),
            "adds": (truth[:, :0] if contribution is None else contribution) != 0,
        }
        for part in PARTS:
            getattr(self, f"{'learnt' if learn else 'judged'}_{part}").append(rows[part].detach().cpu())
        if not learn:
            self._add("samples", torch.ones(len(y), dtype=torch.int64, device=self.device))

    def update_from(self, record: Record, changed: Record | None = None, draw: int = 0) -> None:
        """Add the samples of a record."""
        self._add_record(record, learn=False)

    def fit(self, record: Record, split: str) -> None:
        """Add a batch of the training split, on which the heads learn."""
        self._add_record(record, learn=True)

    def _add_record(self, record: Record, *, learn: bool) -> None:
        assert record.ends is not None
        assert record.predicted is not None
        explanation, b = record.explanation, record.batch
        assert b.concepts is not None
        self.update(
            explanation.strength,
            record.predicted,
            b.concepts,
            b.targets,
            b.index,
            *record.ends,
            logits=explanation.logits,
            decide=record.decide,
            contribution=explanation.contribution,
            features=record.features,
            learn=learn,
        )

    def _whole(self, name: str) -> dict[str, np.ndarray]:
        """Return the columns of a split in the order of its samples, whatever the batches were."""
        columns = {part: dim_zero_cat(getattr(self, f"{name}_{part}")) for part in PARTS}
        order = columns["index"].argsort(stable=True)
        return {part: column[order].numpy() for part, column in columns.items()}

    def compute(self) -> dict[str, Tensor]:
        """Return the gap and its read-outs; see the class."""
        self.why, self.remarks = "", []
        if not (self.learnt_index and self.judged_index):
            return {"oracle gap": torch.tensor(torch.nan), "support": torch.zeros_like(self.samples)}
        split = Splits(self._whole("learnt"), self._whole("judged"), self.schema, self.l2)
        self.why = split.why_not()
        if self.why:
            return {"oracle gap": torch.tensor(torch.nan), "support": torch.zeros_like(self.samples)}
        values, per_unit, self.remarks = split.readouts()
        self._differences = split.differences
        numbers = {key: torch.tensor(float(value), dtype=torch.float64) for key, value in values.items()}
        vectors = {f"unit/{key}": torch.from_numpy(vector) for key, vector in per_unit.items()}
        return numbers | {"support": self.samples} | vectors

    def interval_support(self, name: str, samples: int) -> int:
        """The samples whose concepts are all known."""
        return int(np.isfinite(self._differences[name]).sum())

    def resample(self, weights: Tensor) -> dict[str, Tensor]:
        """Replicates of the paired differences, for the heads as they were fitted."""
        order = dim_zero_cat(self.judged_index).argsort(stable=True)
        w = weights.cpu()[order].double()
        replicates = {}
        for name, difference in self._differences.items():
            known = torch.from_numpy(np.isfinite(difference))
            each = torch.from_numpy(difference)[known, None]
            replicates[name] = (w[known] * each).sum(0) / w[known].sum(0)
        return replicates

    def remark(self, value: float, more: dict[str, float]) -> str:
        """Return the mark of a leaking model and of concepts and corrections that mislead; empty for others."""
        marks = []
        if value > max(0.0, 1.96 * more["standard error"]):
            marks.append(
                f"LEAKING: {value:.3f} above the {more['ceiling']:.3f} that the annotated concepts allow"
                " (or annotations are wrong)"
            )
        return "; ".join(marks + self.remarks)
