"""Read-outs of leakage from the samples of two splits."""

from __future__ import annotations

import numpy as np

from zoo.concept_schema import ConceptSchema
from zoo.metrics.concepts._concept_information import ConceptInformation, concept_information
from zoo.metrics.concepts._leakage_heads import Heads, is_affine, shuffled_concepts

LEAST = 10  # training samples with all concepts known
COPY = 0.97  # share of samples from which a concept counts as a copy of a class
MARGIN = 0.1  # AUROC of the class above that of the label from which a concept is named
NAMED = 3  # concepts named in a remark, at most


class Splits:
    """Training samples and measured samples with their concepts, and the read-outs of leakage.

    Args:
        train: columns of the training split, ``(n, ...)`` each.
        test: columns of the samples measured.
        schema: m concepts.
        l2: penalty of linear heads.
    """

    def __init__(self, train: dict[str, np.ndarray], test: dict[str, np.ndarray], schema: ConceptSchema, l2: float):
        self.train = train
        self.test = test
        self.schema = schema
        self.heads = Heads(is_affine(test["strength"], test["logits"]), l2)
        used = np.isfinite(train["concepts"]).any(0)  # columns that are annotated at all
        self.used = used
        self.train_known = np.asarray(np.isfinite(train["concepts"][:, used]).all(1))
        self.differences: dict[str, np.ndarray] = {}  # by ``readouts``: paired, of each sample; NaN where unknown
        self.test_known = np.asarray(np.isfinite(test["concepts"][:, used]).all(1))

    def why_not(self) -> str:
        """Return why there is no ceiling; empty if there is one."""
        if self.train_known.sum() < LEAST or not self.used.any():
            return f"fewer than {LEAST} training samples have all concepts known"
        if len(np.unique(self.train["y"][self.train_known])) < 2:
            return "the training samples with all concepts known are of one class"
        return "" if self.test_known.any() else "no sample has all concepts known"

    def readouts(self) -> tuple[dict[str, float], dict[str, np.ndarray], list[str]]:
        """Return numbers, the headline first, vectors per concept, and remarks."""
        train, test, rows = self.train, self.test, self.test_known
        y, truth = train["y"], test["y"]
        correct = test["logits"].argmax(1) == truth
        corrected = np.equal(test["own"], truth)[rows]
        oracle = self._oracle() == truth[rows]
        if self.heads.linear and corrected.mean() > oracle.mean():
            oracle = corrected
        gap = correct[rows] - oracle.astype(float)
        self._keep("oracle gap", gap)
        soft, hard = ((self.heads.predict(train[part], y, test[part]) == truth).mean() for part in ("strength", "hard"))
        values = {
            "oracle gap": gap.mean(),
            "ceiling": oracle.mean(),
            "known samples": rows.sum(),
            "majority class": (truth == np.bincount(y).argmax()).mean(),
            "soft": soft,
            "hard": hard,
            "soft-hard gap": soft - hard,
        }
        own_head = bool((test["own"] >= 0).all())
        if own_head:
            values["corrected"] = corrected.mean()
        if train["features"].shape[1]:
            features = self.heads.predict(train["features"], y, test["features"])[rows] == truth[rows]
            values["black box"] = features.mean()
            if own_head:
                values["correction gain"] = corrected.mean() - features.mean()
                self._keep("correction gain", corrected.astype(float) - features)
            concepts = shuffled_concepts(train["features"], test["features"], self._filled())
            values["shuffled concepts"] = (self.heads.predict(concepts[0], y, concepts[1]) == truth).mean()
        per_class = [test["adds"][truth == c].any(0).sum() for c in np.unique(truth)]
        values["non-zeros per class"] = np.mean(per_class)
        values["linear head"] = float(self.heads.linear)
        values["standard error"] = gap.std() / len(gap) ** 0.5
        info = concept_information(
            test["strength"],
            test["concepts"],
            truth,
            self.schema.group_ids.numpy(),
            self.schema.columns("continuous").numpy(),
        )
        for name in ("ctl", "ctl_null", "icl", "icl_null"):
            mean = np.nanmean(vector) if np.isfinite(vector := getattr(info, name)).any() else np.nan
            values[name.replace("_", " ")] = mean
        per_unit = {
            "label auroc": info.label_auroc,
            "class auroc": info.class_auroc,
            "ctl": info.ctl,
            "icl": info.icl,
        }
        remarks = self._remarks(info)
        if not rows.all():
            remarks.append(f"gap and ceiling of the {rows.sum()} of {len(rows)} samples with all concepts known")
        change = corrected.astype(float) - correct[rows]
        if own_head and change.mean() < -1.96 * change.std() / len(gap) ** 0.5 and change.mean() < 0:
            remarks.append(f"corrections harm: accuracy {correct[rows].mean():.3f} to {corrected.mean():.3f}")
        return values, per_unit, remarks

    def _keep(self, name: str, values: np.ndarray) -> None:
        """Keep a difference of the samples whose concepts are all known."""
        self.differences[name] = np.full(len(self.test_known), np.nan)
        self.differences[name][self.test_known] = values

    def _oracle(self) -> np.ndarray:
        """Return the classes of the known test samples by a head on the annotated concepts."""
        train, test = (
            split["concepts"][known][:, self.used]
            for split, known in ((self.train, self.train_known), (self.test, self.test_known))
        )
        return self.heads.predict(train, self.train["y"][self.train_known], test)

    def _filled(self) -> np.ndarray:
        """Return the training concepts with the mean of the column where unknown."""
        concepts = self.train["concepts"]
        mean = np.nan_to_num(concepts).sum(0) / np.isfinite(concepts).sum(0).clip(1)
        return np.where(np.isnan(concepts), mean, concepts)

    def _remarks(self, info: ConceptInformation) -> list[str]:
        """Return a line for concepts that follow the class, and one for those that are copies of it."""
        excess = info.ctl > info.ctl_null + np.maximum(3 * info.ctl_spread, 0.02)
        follows = excess & (info.class_auroc > np.maximum(info.label_auroc, 0.5) + MARGIN)
        lines = [
            f"{name} follows the class (AUROC {info.class_auroc[i]:.2f}) more than its label"
            f" ({info.label_auroc[i]:.2f})"
            for i, name in self._named(follows, info.class_auroc - info.label_auroc)
        ]
        lines += [
            f"the label of {name} equals a class in {100 * info.copies[i]:.0f} % of samples"
            for i, name in self._named(info.copies >= COPY, info.copies)
        ]
        return lines

    def _named(self, marked: np.ndarray, order: np.ndarray) -> list[tuple[int, str]]:
        """Return the first few marked concepts, the largest of ``order`` first."""
        ids = [i for i in np.argsort(-np.nan_to_num(order), kind="stable").tolist() if marked[i]]
        return [(i, self.schema.names[i]) for i in ids[:NAMED]]
