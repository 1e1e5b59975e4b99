"""Bridge to the package interpret: read an explainable boosting machine as additive terms, and write terms into one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo.layers.additive import AdditiveFit, ColumnBins, Term

VERSION = "1.0"  # of the JSON of interpret 0.7, which it calls a beta
DETAIL = "interpretable"  # of ``to_jsonable``: scores, standard deviations and bin weights


def from_ebm(source: Any) -> AdditiveFit:
    """Return the terms of a fitted EBM; the scores of all cells are equal, also of missing and unknown ones.

    Terms keep the bins of the EBM, so a pair may have other cuts than its columns. Of three or more classes the mean
    over the classes is taken out of every cell, which changes no probability. The terms are not pure; see
    ``zoo.layers.additive.purify_terms``.

    Args:
        source: a fitted ``ExplainableBoostingClassifier`` or ``Regressor``, what its ``to_jsonable(detail=...)``
            returned, or the path of a JSON file with it.

    Raises:
        ValueError: if it is none of these, of another version, or has a link that is no identity, logit or softmax.
    """
    content = _content(source)
    if str(content.get("version")) != VERSION or "ebm" not in content:
        raise ValueError(
            f"the EBM has version {content.get('version')!r}; expected {VERSION!r}, as interpret 0.7 writes"
        )
    ebm = content["ebm"]
    output = ebm["outputs"][0]
    links = {"identity": "regression", "logit": "binary", "mlogit": "multiclass"}
    if len(ebm["outputs"]) != 1 or output["link"] not in links:
        raise ValueError(f"the EBM has the link {output['link']!r}; expected one output with {', '.join(links)}")
    intercept = _numbers(ebm["intercept"])
    features = {feature["name"]: feature for feature in ebm["features"]}
    terms = []
    for term in ebm["terms"]:
        names = term["term_features"]
        if len(names) > 2:
            raise ValueError(f"the EBM has the term {' x '.join(names)}; expected terms of one or two columns")
        shape = tuple(np.array(term["bin_weights"]).shape)
        table = _numbers(term["scores"]).reshape(*shape, -1)
        bands = _numbers(term["standard_deviations"]).reshape(table.shape) if "standard_deviations" in term else None
        counts = _numbers(term["bin_weights"])
        axes = []
        for i, name in enumerate(names):
            marginal = counts.sum(axis=tuple(j for j in range(len(names)) if j != i))
            axes.append(_bins(features[name], len(names), marginal))
        terms.append(Term(tuple(axes), table, counts, bands))
    if len(intercept) > 1:
        terms = [Term(t.bins, t.table - t.table.mean(-1, keepdims=True), t.counts, t.bands) for t in terms]
        intercept = intercept - intercept.mean()
    return AdditiveFit(
        task=links[output["link"]],
        terms=tuple(terms),
        intercept=intercept,
        classes=list(output.get("classes", [])),
        kkt=float("nan"),
        objective=float("nan"),
        strengths={},
        validation=[],
        chosen="imported from interpret",
    )


def to_ebm(fit: AdditiveFit, ebm: Any) -> Any:
    """Write additive terms into a fitted EBM in place, so that the tools of interpret open them, and return it.

    interpret builds no EBM from a file, so that a live one is needed: fitted to the same columns and classes, for
    example with ``max_rounds=1``.

    Args:
        fit: the terms.
        ebm: a fitted ``ExplainableBoostingClassifier`` or ``Regressor``.

    Raises:
        ValueError: if the columns or the classes of the two differ.
    """
    names = [str(name) for name in ebm.feature_names_in_]
    used = dict.fromkeys(name for term in fit.terms for name in term.columns)
    if unknown := [name for name in used if name not in names]:
        raise ValueError(f"the EBM has no column {unknown[0]!r}; it was fitted to {', '.join(names)}")
    classes = [] if fit.task == "regression" else [str(label) for label in fit.classes]
    expected = [str(label) for label in getattr(ebm, "classes_", [])]
    if classes != expected:
        raise ValueError(f"the EBM has the classes {expected}; the terms have {classes}")
    for j, name in enumerate(names):
        levels = [axis for order in (1, 2) for axis in _first(fit.terms, name, order)]
        if levels:
            ebm.bins_[j] = [_interpret_bins(axis) for axis in levels]
            ebm.feature_types_in_[j] = "continuous" if levels[0].kind == "number" else "nominal"
    squeeze = len(fit.intercept) == 1
    tables = [term.table[..., 0] if squeeze else term.table for term in fit.terms]
    bands = [np.zeros_like(term.table) if term.bands is None else term.bands for term in fit.terms]
    ebm.term_features_ = [tuple(names.index(name) for name in term.columns) for term in fit.terms]
    ebm.term_scores_ = [np.ascontiguousarray(table) for table in tables]
    ebm.standard_deviations_ = [np.ascontiguousarray(band[..., 0] if squeeze else band) for band in bands]
    ebm.bin_weights_ = [term.counts.copy() for term in fit.terms]
    ebm.bagged_scores_ = [table[None].copy() for table in tables]
    ebm.bagged_intercept_ = np.array(fit.intercept)[None] if not squeeze else np.array(fit.intercept)
    ebm.intercept_ = np.array(fit.intercept) if fit.task != "regression" else np.array(fit.intercept)
    return ebm


def _content(source: Any) -> Mapping[str, Any]:
    if isinstance(source, Mapping):
        return source
    if isinstance(source, str | Path):
        try:
            return json.loads(Path(source).read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{source} is no JSON of an EBM: {' '.join(str(error).split())}") from error
    if hasattr(source, "to_jsonable"):
        return source.to_jsonable(detail=DETAIL)
    raise ValueError(
        f"source is a {type(source).__name__}; expected a fitted EBM, its JSON, or the path of such a file"
    )


def _numbers(values: Any) -> np.ndarray:
    """Return nested lists as float64; ``nan`` and infinities are texts in the JSON of interpret."""
    return np.asarray(values, dtype=np.float64) if np.asarray(values).size else np.zeros(0)


def _bins(feature: Mapping[str, Any], order: int, counts: np.ndarray) -> ColumnBins:
    """Return the bins of a feature in a term of one or two columns."""
    name = feature["name"]
    if feature["type"] == "continuous":
        level = feature["cuts"][min(order, len(feature["cuts"])) - 1]
        low, high = float(feature["min"]), float(feature["max"])
        cuts = _numbers(level)
        return ColumnBins(name, "number", cuts=cuts, counts=counts, minimum=low, maximum=high, missing=())
    level = feature["categories"][min(order, len(feature["categories"])) - 1]
    groups = tuple((label,) if isinstance(label, str) else tuple(label) for label in level)
    return ColumnBins(name, "category", labels=groups, counts=counts, missing=())


def _first(terms: Sequence[Term], name: str, order: int) -> list[ColumnBins]:
    """Return the bins of a column in the first term of some number of columns; of a missing main those of its pair."""
    found = [axis for term in terms if len(term.bins) == order for axis in term.bins if axis.name == name]
    if order == 2 and any(axis.size != found[0].size for axis in found):
        raise ValueError(f"the pairs of column {name!r} have different bins; an EBM has one binning of all pairs")
    if not found and order == 1:
        return _first(terms, name, 2)
    return found[:1]


def _interpret_bins(axis: ColumnBins) -> Any:
    if axis.kind == "number":
        return axis.cuts.copy()
    return {label: code for code, group in enumerate(axis.labels, 1) for label in group}
