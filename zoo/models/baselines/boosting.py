"""Gradient boosting of trees: the black-box reference of the models of tables; trained by scikit-learn.

Source: Friedman, Greedy Function Approximation: A Gradient Boosting Machine, Annals of Statistics, 2001.

Trees are grown on histograms by ``HistGradientBoostingClassifier`` or ``Regressor``, and then kept as tensors.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from zoo.batch import Batch
from zoo.layers.additive.fit_batches import rows_of
from zoo.layers.black_box_model import BlackBoxModel
from zoo.layers.decision_trees import DecisionTrees
from zoo.registry import register
from zoo.task import Classification, Regression


@register
class Boosting(BlackBoxModel):
    """A sum of decision trees on the values of the columns; missing cells are sent left or right by each node.

    Levels are numbered by their frequency (of an ordinal by their order). A phase without epochs calls ``fit_trees``.

    Args:
        num_classes: c; filled in from the data, 1 for a regression.
        input_shape: ``[d]`` of one row; filled in from the data.

    Example:
        >>> import zoo
        >>> from zoo.batch import Batch
        >>> model = zoo.create_model("boosting", num_classes=2, input_shape=[1]).eval()
        >>> x = torch.linspace(0, 1, 100)[:, None]
        >>> _ = model.fit_trees([Batch(x, (x[:, 0] > 0.3).long(), torch.arange(100))], max_iter=20)
        >>> model(torch.tensor([[0.1], [0.9]])).argmax(1).tolist()
        [0, 1]
    """

    tasks = ("classification", "regression")
    table_encoding = "values"
    weight_properties = ("units", "depth")

    def __init__(self, *, num_classes: int | None = None, input_shape: list[int] | None = None) -> None:
        super().__init__()
        if num_classes is None or num_classes < 1:
            raise ValueError(f"num_classes is {num_classes}; expected at least 1")
        if not input_shape or min(input_shape) < 1:
            raise ValueError(f"input_shape is {input_shape}; expected the number of columns, such as [12]")
        self.save_hyperparameters()
        self.trees = DecisionTrees(1 if num_classes <= 2 else num_classes)
        self.register_load_state_dict_pre_hook(_resize)

    def trainable_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """``trees``."""
        return {"trees": self.trees}

    def resize_for(self, state: Mapping[str, Tensor], prefix: str = "") -> None:
        """Take the number of trees and nodes from a state about to be loaded."""
        self.trees.resize_for(state, f"{prefix}trees.")

    def encode(self, x: Tensor) -> Tensor:
        """Return the sums of the trees ``(b, scores)`` of rows ``(b, d)``."""
        return self.trees(x.flatten(1), self.depth if torch.compiler.is_exporting() else None)

    @property
    def depth(self) -> int:
        """Number of decisions to the deepest leaf."""
        return self.trees.depth()

    def decide(self, state: Tensor, mask: Tensor | None = None, value: Tensor | None = None) -> Tensor:
        """Return the logits of sums; there are no units to set."""
        binary = isinstance(self.task, Classification) and self.task.classes == 2
        logits = torch.cat([-state / 2, state / 2], -1) if binary else state
        return logits if mask is None else logits.expand(*mask.shape[:-1], -1)

    @torch.no_grad()
    def fit_trees(
        self,
        loader: Iterable[Batch],
        *,
        learning_rate: float = 0.1,
        max_iter: int = 100,
        max_leaf_nodes: int = 31,
        min_samples_leaf: int = 20,
        l2_regularization: float = 0.0,
        early_stopping: bool = False,
        seed: int = 0,
    ) -> dict[str, float]:
        """Grow trees on all training rows; weights of rows and classes count.

        Args:
            loader: all training rows.
            learning_rate: factor of each tree.
            max_iter: number of trees, or of groups of one tree for each class.
            max_leaf_nodes: leaves of a tree.
            min_samples_leaf: rows of a leaf.
            l2_regularization: of the values of the leaves.
            early_stopping: whether to stop where a tenth of the training rows is predicted no better.
            seed: of that tenth.

        Raises:
            ValueError: if several processes share the rows, a class has no row, or an option is out of range.
        """
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        x, y, weights = rows_of(loader, self.task)
        kind: Any = (
            HistGradientBoostingRegressor if isinstance(self.task, Regression) else HistGradientBoostingClassifier
        )
        model = kind(
            learning_rate=learning_rate,
            max_iter=max_iter,
            max_leaf_nodes=max_leaf_nodes,
            min_samples_leaf=min_samples_leaf,
            l2_regularization=l2_regularization,
            early_stopping=early_stopping,
            random_state=seed,
            categorical_features=None,
        )
        model.fit(x, y, sample_weight=weights)
        trees = [(k, tree.nodes) for group in model._predictors for k, tree in enumerate(group)]
        self.trees.set_trees(trees, np.asarray(model._baseline_prediction, dtype=np.float64).reshape(-1))
        return {"trees": float(len(trees)), "nodes": float(sum(len(nodes) for _, nodes in trees))}


def _resize(module: Boosting, state: Mapping[str, Any], prefix: str, *_: Any) -> None:
    module.resize_for(state, prefix)
