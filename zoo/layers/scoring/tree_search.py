"""Optimal sparse decision trees over candidate rules, searched by the package gosdt (extra ``trees``)."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np


class RuleTree(NamedTuple):
    """A binary tree whose inner nodes ask whether a rule is true; the root is node 0.

    Attributes:
        rule: ``(N,)`` candidate rule of a node, -1 for a leaf.
        child: ``(N, 2)`` the nodes behind no and yes; a leaf is its own child.
        objective: share of wrong training rows plus the penalty of all leaves.
        bound: no tree of the same candidates and depth has a lower objective.
    """

    rule: np.ndarray
    child: np.ndarray
    objective: float
    bound: float

    def reached(self, true: np.ndarray) -> np.ndarray:
        """Return which nodes each row passes, ``(n, N)`` bool, from where the candidate rules are true, ``(n, p)``.

        Example:
            >>> tree = RuleTree(np.array([0, -1, -1]), np.array([[1, 2], [1, 1], [2, 2]]), 0.0, 0.0)
            >>> tree.reached(np.array([[True], [False]])).astype(int).tolist()
            [[1, 0, 1], [1, 1, 0]]
        """
        reached = np.zeros((len(true), len(self.rule)), dtype=bool)
        reached[:, 0] = True
        for node in np.flatnonzero(self.rule >= 0):  # a parent comes before its children
            for answer, child in enumerate(self.child[node]):
                reached[:, child] = reached[:, node] & (true[:, self.rule[node]] == bool(answer))
        return reached


def optimal_tree(true: np.ndarray, y: np.ndarray, *, penalty: float, max_depth: int, seconds: float | None) -> RuleTree:
    """Return the tree of the lowest objective, the share of wrong rows plus a penalty of each leaf.

    The search is that of Lin, Zhong, Hu, Rudin and Seltzer, Generalized and Scalable Optimal Sparse Decision Trees,
    ICML 2020. Only its tree is used: the package's own ``predict`` fails with scikit-learn 1.8 and later.

    Args:
        true: ``(n, p)`` bool, where each candidate rule is true.
        y: ``(n,)`` class numbers.
        penalty: of a leaf, in shares of the rows.
        max_depth: largest number of rules on a path.
        seconds: after which the search stops without a proof; None for no limit.

    Raises:
        ValueError: if the package is missing, or time ran out before any tree was found.
    """
    try:
        gosdt: Any = import_module("gosdt")
    except ImportError as error:
        raise ValueError("an optimal tree needs the package gosdt: pip install 'zoo-interpretable[trees]'") from error
    search = gosdt.GOSDTClassifier(regularization=penalty, depth_budget=max_depth, time_limit=seconds, verbose=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            search.fit(true, y)
            found = search.get_result()
            models = json.loads(found["models_string"])
        except (RuntimeError, ValueError, IndexError) as error:
            raise ValueError(f"the search found no tree: {error}; raise seconds or penalty") from error
    if not models:
        raise ValueError(f"the search found no tree in {seconds:g} seconds; raise seconds or penalty")
    rule, child = _nodes(models[0])
    tree = RuleTree(rule, child, 0.0, 0.0)
    reached = tree.reached(true)[:, rule < 0]
    most = np.stack([reached[y == k].sum(0) for k in np.unique(y)]).max(0)
    objective = float(1 - most.sum() / len(y) + penalty * reached.shape[1])
    bound = min(float(found["lower_bound"]), objective)  # the package counts in single precision
    return tree._replace(objective=objective, bound=bound)


def _nodes(root: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return rules and children of nested nodes, each level before the next."""
    nodes = [root]
    rule, child = [], []
    for place, node in enumerate(nodes):  # grows while it is read
        if "feature" in node:
            rule.append(int(node["feature"]))
            child.append([len(nodes), len(nodes) + 1])
            nodes += [node["false"], node["true"]]
        else:
            rule.append(-1)
            child.append([place, place])
    return np.array(rule), np.array(child)
