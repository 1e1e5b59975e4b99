"""What the strength of each concept tells of the class and of other concepts, beyond the label of the concept.

Concept-task leakage and interconcept leakage after Parisini et al., Leakage and interpretability in concept-based
models, 2025: differences of mutual information, here from histograms with the correction of Miller and Madow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zoo.metrics.concepts._information import aurocs, bins, information

PERMUTATIONS = 10  # of the null
FEW = 10  # samples that a class or a label must have


@dataclass(frozen=True)
class ConceptInformation:
    """Per concept, of m columns; NaN where it is not defined.

    Attributes:
        ctl: ``(m,)`` concept-task leakage: information of the strength on the class beyond that of the label, as a
            share of the entropy of the class.
        ctl_null: ``(m,)`` mean of the same with strengths permuted among samples of equal label.
        ctl_spread: ``(m,)`` its standard deviation.
        icl: ``(m,)`` interconcept leakage, mean over the concepts of other groups.
        icl_null: ``(m,)`` mean of the same with strengths permuted among samples of equal label.
        label_auroc: ``(m,)`` AUROC of the strength against the label.
        class_auroc: ``(m,)`` that against the class that it separates best from the others, in either direction.
        copies: ``(m,)`` largest share of samples in which the label equals membership of one class, or its opposite.
    """

    ctl: np.ndarray
    ctl_null: np.ndarray
    ctl_spread: np.ndarray
    icl: np.ndarray
    icl_null: np.ndarray
    label_auroc: np.ndarray
    class_auroc: np.ndarray
    copies: np.ndarray


def concept_information(
    strength: np.ndarray, concepts: np.ndarray, y: np.ndarray, group: np.ndarray, continuous: np.ndarray
) -> ConceptInformation:
    """Compute what strengths tell of classes and of other concepts.

    Args:
        strength: ``(n, m)``.
        concepts: ``(n, m)`` labels, NaN where unknown.
        y: ``(n,)`` classes.
        group: ``(m,)`` group of each concept.
        continuous: ``(m,)`` bool.
    """
    known = np.isfinite(concepts)
    labels = np.where(known, concepts > 0.5, -1)
    if continuous.any():
        labels[:, continuous] = np.where(known, bins(np.nan_to_num(concepts)), -1)[:, continuous]
    classes = np.unique(y, return_inverse=True)[1][:, None]
    codes = bins(strength)
    other = group[:, None] != group
    rng = np.random.default_rng(0)
    ctl, icl = _leakages(codes, labels, classes, other)
    null = [_leakages(_within_labels(codes, labels, rng), labels, classes, other) for _ in range(PERMUTATIONS)]
    nulls = np.array([one[0] for one in null])
    auroc = aurocs(strength, labels, known & ~continuous)
    return ConceptInformation(
        ctl,
        nulls.mean(0),
        nulls.std(0),
        icl,
        np.array([one[1] for one in null]).mean(0),
        auroc,
        _class_auroc(strength, classes[:, 0]),
        _copies(labels, classes[:, 0], continuous),
    )


def _leakages(
    codes: np.ndarray, labels: np.ndarray, classes: np.ndarray, other: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """CTL ``(m,)`` and mean ICL ``(m,)``, from codes of strengths, labels ``(n, m)`` and classes ``(n, 1)``."""
    codes = np.where(labels >= 0, codes, -1)
    entropy = information(classes, classes)[0, 0]
    ctl = (information(codes, classes) - information(labels, classes))[:, 0] / max(entropy, 1e-12)
    own = information(labels, labels)
    size = np.sqrt(np.outer(own.diagonal(), own.diagonal()).clip(1e-12))
    pairs = ((information(codes, labels) - own) / size).clip(0) * other
    count = other.sum(1)
    icl = np.where(count > 0, pairs.sum(1) / count.clip(1), np.nan)
    return ctl.clip(0), icl


def _within_labels(codes: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Codes ``(n, m)`` with each column permuted among the rows of equal label."""
    places = np.argsort(labels, axis=0, kind="stable")
    shuffled = np.lexsort((rng.random(labels.shape), labels), axis=0)
    out = np.empty_like(codes)
    np.put_along_axis(out, places, np.take_along_axis(codes, shuffled, 0), 0)
    return out


def _class_auroc(strength: np.ndarray, classes: np.ndarray) -> np.ndarray:
    from scipy.stats import rankdata

    member = classes[:, None] == np.arange(classes.max() + 1)
    size = member.sum(0)
    enough = (size >= FEW) & (size <= len(classes) - FEW)
    if not enough.any():
        return np.full(strength.shape[1], np.nan)
    ranks = rankdata(strength, axis=0).T @ member.astype(float) - size * (size + 1) / 2
    area = (ranks / (size * (len(classes) - size)).clip(1))[:, enough]
    return np.maximum(area, 1 - area).max(1)


def _copies(labels: np.ndarray, classes: np.ndarray, continuous: np.ndarray) -> np.ndarray:
    """Largest share of rows in which a label equals membership of a class, where both values are FEW or more."""
    member = (classes[:, None] == np.arange(classes.max() + 1)).astype(float)
    true, false = (labels == 1).astype(float), (labels == 0).astype(float)
    number = (true.sum(0) + false.sum(0)).clip(1)[:, None]
    same = (true.T @ member + false.T @ (1 - member)) / number
    often = (true.sum(0) >= FEW) & (false.sum(0) >= FEW) & ~continuous
    balanced = np.minimum(
        true.T @ member / true.sum(0).clip(1)[:, None], false.T @ (1 - member) / false.sum(0).clip(1)[:, None]
    )
    opposite = np.minimum(
        true.T @ (1 - member) / true.sum(0).clip(1)[:, None], false.T @ member / false.sum(0).clip(1)[:, None]
    )
    share = np.maximum(np.where(balanced >= 0.9, same, 0), np.where(opposite >= 0.9, 1 - same, 0)).max(1)
    return np.where(often, share, 0)
