"""Leakage: does the prediction use more than the concepts?"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from zoo.concept_schema import ConceptSchema
from zoo.metrics.base import Record, Score, expect
from zoo.metrics.concepts._policies import Decide
from zoo.registry import register

AFFINE = 1e-3  # residual, as a share of the spread of the logits, below which they are affine in the strengths
PARTS = ("index", "y", "strength", "hard", "concepts", "features", "logits", "own", "adds")


@register
class Leakage(Score):
    """Accuracy minus the oracle-concept ceiling: that of the best head on the true concepts.

    A model above the ceiling uses more than the true concepts contain. It is marked as leaking where the gap,
    paired by sample, is more than 1.96 standard errors above 0. Heads are fitted on the training split (``fit``) and
    scored on the samples of ``update``. They are of the model's own kind: multinomial logistic regression on
    standardized inputs if its logits are affine in its strengths, else a random forest, which stands for any function.
    Sources: Koh et al. 2020; Mahinpei et al., Promises and Pitfalls of Black-Box Concept Learning Models, 2021.

    Further read-outs:
        ``ceiling``: of the head on the true concepts; for an affine model, its own head with all concepts corrected if
            that is better. Unknown concepts are replaced by their mean.
        ``majority class``: accuracy of the most frequent class of the training split.
        ``soft``, ``hard``, ``hard-soft gap``: heads refitted on the strengths, on the strengths decided (0 or 1, the
            strongest of a group), and soft minus hard: the information in soft values beyond decisions.
        ``shuffled concepts``: as many concepts, learned from the features by ridge regression with the concept labels
        of
            other samples, and a head on those: what meaningless concepts let through. Left out where a model has no
            features.
        ``non-zeros per class``: units that add or take anything in any sample of the class (NEC).
        ``linear head``: 1 if the logits are affine in the strengths.

    Args:
        concepts: the schema, m columns.
        l2: penalty of the logistic heads: l2 / 2 times the sum of squared weights, beside the mean loss.

    Raises:
        ValueError: if ``l2`` is not above 0.
    """

    title = "Leakage"
    meaning = "accuracy minus that of the best head on the true concepts (ceiling); above 0 suggests leakage"
    details = True
    requires = frozenset({"units", "concepts"})
    protocol = "zoo-leakage-v1"
    fit_splits = ("train",)

    def __init__(self, concepts: ConceptSchema, *, l2: float = 1e-3) -> None:
        super().__init__()
        if not l2 > 0:
            raise ValueError(f"l2 is {l2!r}; expected a number above 0")
        self.l2, self.schema = float(l2), concepts
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
            ValueError: if a shape does not fit.
        """
        expect("strength", strength, None, len(self.schema))
        expect("predicted", predicted, len(strength), len(self.schema))
        expect("truth", truth, len(strength), len(self.schema))
        expect("logits", logits, len(strength), None)
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
        self.samples = self.samples + (0 if learn else len(y))

    def update_from(self, record: Record, changed: Record | None = None, draw: int = 0) -> None:
        """Add the samples of a record."""
        self._seen(record, learn=False)

    def fit(self, record: Record, split: str) -> None:
        """Add a batch of the training split, on which the heads learn."""
        self._seen(record, learn=True)

    def _seen(self, record: Record, *, learn: bool) -> None:
        assert record.ends is not None
        assert record.predicted is not None
        explanation, b = record.explanation, record.batch
        assert b.concepts is not None
        self.update(
            explanation.strength,
            record.predicted,
            b.concepts,
            b.y,
            b.index,
            *record.ends,
            logits=explanation.logits,
            decide=record.decide,
            contribution=explanation.contribution,
            features=record.features,
            learn=learn,
        )

    def _whole(self, name: str) -> dict[str, np.ndarray]:
        """The columns of a split in the order of its samples, whatever the batches were."""
        found = {part: getattr(self, f"{name}_{part}") for part in PARTS}
        columns = {k: dim_zero_cat(v) for k, v in found.items()}
        order = columns["index"].argsort(stable=True)
        return {k: v[order].numpy() for k, v in columns.items()}

    def compute(self) -> dict[str, Tensor]:
        """The gap and its read-outs; see the class."""
        if not (self.learnt_index and self.judged_index):
            return {"oracle gap": torch.tensor(torch.nan), "support": torch.zeros_like(self.samples)}
        here, there = self._whole("learnt"), self._whole("judged")
        linear = _affine(there["strength"], there["logits"])
        y, truth = here["y"], there["y"]

        from sklearn.ensemble import RandomForestClassifier
        from sklearn.linear_model import LogisticRegression, Ridge

        def refit(one: np.ndarray, two: np.ndarray) -> np.ndarray:
            mean, std = one.mean(0), one.std(0)
            one, two = ((x - mean) / np.where(std > 0, std, 1) for x in (one, two))
            if linear:
                head = LogisticRegression(C=1 / (self.l2 * len(one)), max_iter=1000)
            else:
                head = RandomForestClassifier(200, random_state=0)
            return head.fit(one, y).predict(two) == truth

        mean = np.nan_to_num(here["concepts"]).sum(0) / np.isfinite(here["concepts"]).sum(0).clip(1)
        filled = [np.where(np.isnan(s["concepts"]), mean, s["concepts"]) for s in (here, there)]
        oracle, own = refit(*filled), there["own"] == truth
        oracle = own if linear and own.mean() > oracle.mean() else oracle
        soft, hard = (refit(here[k], there[k]).mean() for k in ("strength", "hard"))
        gap = (there["logits"].argmax(1) == truth) - oracle.astype(float)
        found = {
            "oracle gap": gap.mean(),
            "ceiling": oracle.mean(),
            "majority class": (truth == np.bincount(y).argmax()).mean(),
            "soft": soft,
            "hard": hard,
            "hard-soft gap": soft - hard,
        }
        if here["features"].shape[1]:
            other = np.random.default_rng(0).permutation(len(y))
            features = here["features"].mean(0), here["features"].std(0) + 1e-8
            inputs = [(s["features"] - features[0]) / features[1] for s in (here, there)]
            learnt = Ridge(1.0).fit(inputs[0], filled[0][other])
            found["shuffled concepts"] = refit(*(learnt.predict(x).reshape(len(x), -1) for x in inputs)).mean()
        found["non-zeros per class"] = np.mean([there["adds"][truth == c].any(0).sum() for c in np.unique(truth)])
        found |= {"linear head": float(linear), "standard error": gap.std() / len(gap) ** 0.5}
        return {k: torch.tensor(float(v), dtype=torch.float64) for k, v in found.items()} | {"support": self.samples}

    def remark(self, value: float, more: dict[str, float]) -> str:
        """The mark of a leaking model; empty for others."""
        if not value > max(0.0, 1.96 * more["standard error"]):
            return ""
        return f"LEAKING: {value:.3f} above the {more['ceiling']:.3f} that the true concepts allow"


def _affine(strength: np.ndarray, logits: np.ndarray) -> bool:
    """Whether logits are affine in strengths, as far as these samples tell; no if they are too few."""
    n, m = strength.shape
    if n < 2 * (m + 1):
        return False
    std = strength.std(0)
    x = np.concatenate([(strength - strength.mean(0)) / np.where(std > 0, std, 1), np.ones((n, 1))], 1)
    left = logits - x @ np.linalg.lstsq(x, logits, rcond=None)[0]
    return bool(np.sqrt((left**2).mean()) <= AFFINE * max(float(logits.std()), 1e-12))
