"""Optimal sparse decision tree: a few rules, and the proof that no other tree of these rules is better.

Source: Lin, Zhong, Hu, Rudin, Seltzer, Generalized and Scalable Optimal Sparse Decision Trees, ICML 2020.

The package gosdt searches the tree (extra ``trees``); a trained model does not need it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from zoo.batch import Batch
from zoo.capabilities import DecisionPath, PathStep
from zoo.explanation import Explanation, Units
from zoo.layers.additive import AdditiveTables, ColumnBins, Columns, Term
from zoo.layers.additive.fit_batches import rows_of
from zoo.layers.additive_model import columns_of
from zoo.layers.scoring import Rule, candidate_rules
from zoo.layers.scoring.tree_search import RuleTree, optimal_tree
from zoo.model import SelfExplaining
from zoo.registry import register
from zoo.task import Classification

log = logging.getLogger("zoo")
DESCRIBE = (
    "This model is a small decision tree. Each of its units is a question about one column, whose strength is 1 for"
    " yes and 0 for no. A row passes the questions on one path; each of them adds to the log probability of a class"
    " what its answer changes, and questions beside the path add nothing. The base is the log probability among all"
    " training rows."
)
STATE = ("node_unit", "child", "needs", "value")


@register
class OptimalTree(SelfExplaining):
    """A tree of rules on single columns; its leaves hold the log probabilities of the classes.

    Rules are thresholds of numbers and ordinals, levels, and missing cells. Which class a leaf predicts is that of the
    optimal tree; its probabilities are those of the training rows with one row of each class added. A phase without
    epochs calls ``fit_tree``.

    Args:
        num_classes: c; filled in from the data.
        input_shape: ``[d]`` of one row; filled in from the data.

    Attributes:
        rules: u rules as tables of 0 and 1 over the bins of their columns.
        node_unit: ``(N,)`` unit that a node asks, -1 for a leaf; node 0 is the root.
        child: ``(N, 2)`` nodes behind no and yes; a leaf is its own child.
        needs: ``(N, u)`` answers on the path to a node: 1 yes, -1 no, 0 not asked.
        value: ``(N, c)`` log probabilities of the training rows that reach a node.
        certificate: ``(2,)`` objective of the tree, and a lower bound of that of every tree of the same rules.

    Example:
        >>> import zoo
        >>> model = zoo.create_model("optimal_tree", num_classes=2, input_shape=[1]).eval()
        >>> axis = ColumnBins("x0", "number", cuts=np.array([37.5]), counts=np.array([0.0, 2, 3, 0]))
        >>> tree = RuleTree(np.array([0, -1, -1]), np.array([[1, 2], [1, 1], [2, 2]]), 0.02, 0.02)
        >>> rule = Rule(0, np.array([False, False, True, False]))
        >>> model.set_tree(tree, [axis], [rule], np.array([[3, 2], [2, 0], [1, 2]]))
        >>> model.units.names, model(torch.tensor([[30.0], [40.0]])).exp().tolist()
        (['x0: 37.5 or more'], [[0.75, 0.25], [0.4, 0.6]])
    """

    tasks = ("classification",)
    table_encoding = "values"
    weight_properties = ("units",)
    node_unit: Tensor
    child: Tensor
    needs: Tensor
    value: Tensor
    certificate: Tensor

    def __init__(self, *, num_classes: int | None = None, input_shape: list[int] | None = None) -> None:
        super().__init__()
        if num_classes is None or num_classes < 2:
            raise ValueError(f"num_classes is {num_classes}; expected at least 2")
        if not input_shape or min(input_shape) < 1:
            raise ValueError(f"input_shape is {input_shape}; expected the number of columns, such as [12]")
        self.save_hyperparameters()
        self.rules = AdditiveTables([], np.zeros(1), self.columns)
        self.register_buffer("node_unit", torch.full((1,), -1))
        self.register_buffer("child", torch.zeros(1, 2, dtype=torch.int64))
        self.register_buffer("needs", torch.zeros(1, 0, dtype=torch.float64))
        self.register_buffer("value", torch.full((1, num_classes), -math.log(num_classes), dtype=torch.float64))
        self.register_buffer("certificate", torch.zeros(2, dtype=torch.float64))
        self.register_load_state_dict_pre_hook(_resize)

    @property
    def columns(self) -> Columns:
        """The d columns: those of the inputs, or numbers ``x0``, ``x1``, ..."""
        return columns_of(self)

    @property
    def units(self) -> Units:
        """The questions, such as ``age: 37.5 or more``."""
        columns = self.columns
        names = []
        for term in self.rules.terms(columns):
            axis = term.bins[0]
            words = [columns.text(axis, code) for code in np.flatnonzero(term.table[:, 0]).tolist()]
            names.append(f"{axis.name}: {' or '.join(words)}")
        return Units("term", names, describe=DESCRIBE, binary=True)

    @property
    def capabilities(self) -> frozenset[str]:
        """Names of the capabilities of this instance, see ``zoo.capabilities``."""
        return frozenset({"decision_paths", "extra_metrics", "unit_values"})

    def trainable_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """``rules``; the tree is searched, not trained by gradients."""
        return {"rules": self.rules}

    def part_of(self, key: str) -> str:
        """Return ``rules``, the only part."""
        return "rules"

    def resize_for(self, state: Mapping[str, Tensor], prefix: str = "") -> None:
        """Take the sizes of the tree from a state about to be loaded."""
        self.rules.resize_for(state, f"{prefix}rules.")
        for name in STATE:
            if f"{prefix}{name}" in state:
                setattr(self, name, torch.zeros_like(state[f"{prefix}{name}"]))

    # The contract.

    def encode(self, x: Tensor) -> Tensor:
        """Return the answers ``(b, u)`` to all questions, 1 for yes, of rows ``(b, d)``."""
        return self.rules.scores(self.rules.codes(x.flatten(1)))[..., 0]

    def _reached(self, answers: Tensor) -> Tensor:
        """Return 1 for the nodes ``(..., N)`` on the path of answers ``(..., u)``, else 0."""
        signs = torch.where(answers > 0.5, 1.0, -1.0).to(self.needs)
        return (signs @ self.needs.T >= self.needs.abs().sum(1) - 0.5).to(self.value)

    def decide(self, state: Tensor, mask: Tensor | None = None, value: Tensor | None = None) -> Tensor:
        """Return the log probabilities of the leaf that is reached, with some answers set."""
        if mask is not None and value is not None:
            state = torch.where(mask, value.to(state), state)
        return (self._reached(state) * (self.node_unit < 0)) @ self.value

    def explain(self, x: Tensor, target: Tensor | None = None, shown: int | Tensor = 10) -> Explanation:
        """Explain by what the answers on the path change, exact: the changes add up from the root to the leaf."""
        answers = self.encode(x)
        logits = self.decide(answers)
        target = self.resolve_target(logits, target)
        asks = self.node_unit >= 0
        change = (self.value[self.child] - self.value[:, None])[:, :, target]  # (N, 2, b)
        unit = self.node_unit.clamp_min(0)
        yes = answers[:, unit] > 0.5 if answers.shape[1] else answers.new_zeros(answers.shape[0], len(unit)).bool()
        added = torch.where(yes, change[:, 1].T, change[:, 0].T) * self._reached(answers) * asks
        contribution = torch.zeros_like(answers).index_add_(1, unit[asks], added[:, asks])
        base = self.value[0, target]
        return Explanation(
            self.units, logits, target, answers, contribution, base, self.resolve_shown(contribution, shown)
        )

    def unit_values(self, x: Tensor) -> list[list[str]]:
        """Return for each row ``(b, d)`` the answer to each question in words."""
        return [["yes" if answer > 0.5 else "no" for answer in row] for row in self.encode(x).tolist()]

    @torch.no_grad()
    def decision_paths(self, x: Tensor) -> list[DecisionPath]:
        """Return the path of each row ``(b, d)`` from the root to its leaf."""
        names, units, child = list(self.units.names), self.node_unit.tolist(), self.child.tolist()
        paths = []
        for answers in self.encode(x).tolist():
            node, steps = 0, []
            while (unit := units[node]) >= 0:
                yes = answers[unit] > 0.5
                steps.append(PathStep(unit, names[unit], answers[unit], yes, "yes" if yes else "no"))
                node = child[node][yes]
            paths.append(DecisionPath(steps, f"leaf {node}", self.value[node].exp().tolist(), 1.0))
        return paths

    def loss(self, batch: Batch, weights: Mapping[str, float]) -> dict[str, Tensor]:
        """``task``: the loss of the task."""
        return {"task": self.task_loss(self(batch.x), batch)}

    # The tree.

    @torch.no_grad()
    def fit_tree(
        self,
        loader: Iterable[Batch],
        *,
        penalty: float = 0.01,
        max_depth: int = 4,
        cuts: int = 4,
        min_share: float = 0.02,
        seconds: int | None = 120,
    ) -> dict[str, float]:
        """Search the tree with the smallest share of wrong training rows plus a penalty of each leaf.

        The same rows give the same tree, unless time runs out.

        Args:
            loader: all training rows.
            penalty: of a leaf, in shares of the rows; at least that of one row.
            max_depth: largest number of questions on a path.
            cuts: largest number of value bins of a column, from which the rules are made.
            min_share: share of the rows for which a rule must be true, and for which it must be false.
            seconds: after which the search stops without a proof; None for no limit.

        Returns:
            The number of leaves, the objective of the tree and a lower bound for every tree of the same rules.

        Raises:
            ValueError: if an option is out of range, rows or classes have weights, or the package gosdt is missing.
        """
        if not penalty > 0 or max_depth < 1 or not 0 < min_share < 0.5:
            raise ValueError(
                f"penalty is {penalty}, max_depth {max_depth}, min_share {min_share}; expected above 0, 1 or more, and"
                " between 0 and 0.5"
            )
        assert isinstance(self.task, Classification)
        x, y, weights = rows_of(loader, self.task)
        if np.ptp(weights) > 0:
            raise ValueError("rows or classes have weights, which the search for an optimal tree does not know")
        labels = y.astype(np.int64)
        bins, candidates, true = candidate_rules(*self.columns.cells(x), weights, cuts=cuts, min_share=min_share)
        tree = optimal_tree(true, labels, penalty=max(penalty, 1 / len(y)), max_depth=max_depth, seconds=seconds)
        reached = tree.reached(true).astype(np.float64)
        self.set_tree(tree, bins, candidates, reached.T @ np.eye(self.task.classes)[labels])
        leaves = int((tree.rule < 0).sum())
        log.info("tree: %d leaves, %d candidate rules", leaves, len(candidates))
        log.info("certificate: objective %.6g, no tree of these rules is below %.6g", tree.objective, tree.bound)
        return {"leaves": float(leaves), "objective": tree.objective, "lower bound": tree.bound}

    def set_tree(
        self, tree: RuleTree, bins: Sequence[ColumnBins], candidates: Sequence[Rule], counts: np.ndarray
    ) -> None:
        """Replace the tree.

        Args:
            tree: over the candidates.
            bins: of the d columns.
            candidates: the rules.
            counts: ``(N, c)`` training rows of each class that reach each node.

        Raises:
            ValueError: if the tree asks a rule twice on a path.
        """
        used = sorted(set(tree.rule[tree.rule >= 0].tolist()))
        needs = np.zeros((len(tree.rule), len(used)))
        unit = np.array([used.index(k) if k >= 0 else -1 for k in tree.rule.tolist()])
        for node in np.flatnonzero(unit >= 0):
            if needs[node, unit[node]]:
                raise ValueError(f"the tree asks rule {tree.rule[node]} twice on a path; expected once")
            for answer, child in zip((-1, 1), tree.child[node], strict=True):
                needs[child] = needs[node]
                needs[child, unit[node]] = answer
        terms = [_term(bins[candidates[k].column], candidates[k].holds) for k in used]
        columns = self.columns
        self.rules.set_terms([columns.named(term) for term in terms], np.zeros(1), columns)
        shares = (counts + 1) / (counts + 1).sum(1, keepdims=True)
        for name, array in zip(STATE, (unit, tree.child, needs, np.log(shares)), strict=True):
            setattr(self, name, torch.as_tensor(array).to(self.certificate.device))
        self.certificate.copy_(torch.tensor([tree.objective, tree.bound]))

    def extra_metrics(self, loader: Iterable[Batch]) -> dict[str, float]:
        """Return the number of leaves, the depth, and the certified gap of the objective in training."""
        objective, bound = self.certificate.tolist()
        return {
            "leaves": float((self.node_unit < 0).sum()),
            "depth": float(self.needs.abs().sum(1).max()),
            "certified gap": objective - bound,
        }


def _term(axis: ColumnBins, holds: np.ndarray) -> Term:
    """Return a rule as a table of 0 and 1; a threshold of a number keeps that cut alone."""
    inner = holds[1:-1]
    if axis.kind == "number" and inner.any():
        cut = axis.cuts[int(inner.argmax()) - 1]
        low, high = axis.counts[1:-1][~inner].sum(), axis.counts[1:-1][inner].sum()
        counts = np.array([axis.counts[0], low, high, axis.counts[-1]])
        axis = ColumnBins(
            axis.name, "number", cuts=np.array([cut]), counts=counts, minimum=axis.minimum, maximum=axis.maximum
        )
        holds = np.array([holds[0], False, True, holds[-1]])
    return Term((axis,), holds.astype(np.float64)[:, None], axis.counts)


def _resize(module: OptimalTree, state: Mapping[str, Any], prefix: str, *_: Any) -> None:
    module.resize_for(state, prefix)
