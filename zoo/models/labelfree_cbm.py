"""Label-free concept bottleneck: concepts are given by names and scores, not by annotations.

Source: Oikarinen et al., Label-free Concept Bottleneck Models, ICLR 2023.

The scores come from any pair of an image and a text encoder, or from a file; the trained model needs neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from zoo.batch import Batch
from zoo.capabilities import Directions
from zoo.explanation import Units
from zoo.layers.bottlenecks.cubed_similarity import fit_projection
from zoo.layers.bottlenecks.score_matrix import read_scores
from zoo.layers.bottlenecks.sparse_head_model import SparseHeadModel
from zoo.layers.bottlenecks.split_rows import split_rows
from zoo.layers.bottlenecks.standardized_head import StandardizedHead
from zoo.layers.feature_space import space_of
from zoo.registry import register

DESCRIBE = (
    "This model predicts by way of concepts that have a name but no labels: a concept was learned from scores that say"
    " how well its name fits each training sample. Its strength is on a scale of its own; what it adds to the score of"
    " a class is counted from the average sample."
)


@register
class LabelFreeCBM(SparseHeadModel):
    """Frozen backbone, average pooling, a projection onto named concepts, a sparse head.

    Phases call ``project``, then ``fit_head``. Concepts whose projection does not follow the scores on held-out
    training samples are dropped: their strength is 0 and they add nothing. The head has few weights that are not 0,
    because with many of them meaningless concepts would do as well (Srivastava et al., VLG-CBM, NeurIPS 2024).

    Args:
        concept_names: names of the concepts; columns of a file of scores.
        common: the arguments of ``zoo.layers.backbone_model.BackboneModel``.

    Raises:
        ValueError: if there are no names, or a name is repeated.

    Example:
        >>> import torch, zoo
        >>> args = {"num_classes": 3, "backbone": "mlp", "input_shape": [4]}
        >>> model = zoo.create_model("labelfree_cbm", concept_names=["round", "red"], **args).eval()
        >>> model.explain(torch.zeros(5, 4)).contribution.shape
        torch.Size([5, 2])
    """

    tasks = ("classification", "regression", "multilabel")
    kept: Tensor

    def __init__(self, *, concept_names: list[str] | None = None, **common: Any) -> None:
        super().__init__(**common)
        names = list(concept_names or ())
        if not names or len(set(names)) < len(names):
            raise ValueError(f"concept_names are {names}; expected distinct names, such as [round, red]")
        self.names = tuple(names)
        self.concepts = nn.Linear(self.backbone.channels, len(names), bias=False)
        self.head = StandardizedHead(len(names), self.num_classes)
        self.register_buffer("kept", torch.ones(len(names)))  # 1, or 0 for a dropped concept

    @property
    def units(self) -> Units:
        """The named concepts."""
        return Units("concept", self.names, describe=DESCRIBE)

    @property
    def capabilities(self) -> frozenset[str]:
        """Names of the capabilities of this instance, see ``zoo.capabilities``."""
        return frozenset({"affine_head", "directions", "editable", "features"})

    def directions(self) -> Directions:
        """Return the rows of the projection, in the space of the pooled features."""
        return Directions(self.concepts.weight.detach(), space_of(self.backbone))

    def trainable_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """``backbone``, ``concepts``, ``head``."""
        return self.model_parts(concepts=self.concepts)

    def part_of(self, key: str) -> str:
        """Return ``concepts`` for what ``project`` measures."""
        return "concepts" if key == "kept" else super().part_of(key)

    def concept_strengths(self, features: Tensor) -> Tensor:
        """Return the projections ``(b, u)`` of features ``(b, d)``; 0 of dropped concepts."""
        return self.concepts(features) * self.kept

    def loss(self, batch: Batch, weights: Mapping[str, float]) -> dict[str, Tensor]:
        """``task``: the loss of the task."""
        return {"task": self.task_loss(self(batch.x), batch)}

    @torch.no_grad()
    def project(
        self,
        loader: Iterable[Batch],
        *,
        scores: str | Tensor = "annotations",
        noise: float = 0.0,
        least: float = 0.45,
        steps: int = 1000,
        lr: float = 1e-3,
        holdout: float = 0.1,
        seed: int = 0,
    ) -> dict[str, float]:
        """Fit the projection on scores of the training samples.

        Args:
            loader: of the training split, n samples.
            scores: path of a CSV file with a column for each concept and a row for each training sample; a tensor ``(n,
                u)``, such as that of ``zoo.layers.bottlenecks.score_matrix.similarity_scores``; ``annotations`` for the
                annotated concepts of the data, which then stand in for the encoders; or ``random`` for scores without
                meaning, a control.
            noise: standard deviation of Gaussian noise added to standardized scores.
            least: similarity of projection and scores on held-out samples below which a concept is dropped.
            steps: largest number of steps.
            lr: learning rate.
            holdout: share of the training samples that are held out.
            seed: of the held-out samples, the noise and the initial projection.

        Returns:
            Mean held-out similarity and number of concepts kept.

        Raises:
            ValueError: if the scores do not fit the samples and concepts, or no concept is kept.
        """
        features, truth, _, _ = split_rows(self, loader, self.features)
        n, u = len(features), len(self.names)
        generator = torch.Generator().manual_seed(seed)
        draw = partial(torch.randn, n, u, generator=generator)
        if isinstance(scores, Tensor):
            values = scores
        elif scores in ("annotations", "random"):
            values = truth if scores == "annotations" else draw()
        else:
            values = read_scores(scores, self.names, n)
        if values.shape != (n, u):
            raise ValueError(f"scores are {tuple(values.shape)}; expected ({n}, {u}), a row for each training sample")
        values = values.float().cpu()
        values = torch.where(values.isnan(), values.nanmean(0), values)
        values = (values - values.mean(0)) / values.std(0, correction=0).clamp_min(1e-8) + noise * draw()
        held_out = torch.zeros(n, dtype=torch.bool)
        held_out[torch.randperm(n, generator=generator)[: max(2, round(holdout * n))]] = True
        weight, similarity = fit_projection(features.float().cpu(), values, held_out, steps=steps, lr=lr, seed=seed)
        kept = similarity >= least
        if not bool(kept.any()):
            raise ValueError(
                f"no concept is kept: the largest held-out similarity is {similarity.max():.2f}, least is {least};"
                " expected scores that can be read from the features, or a smaller least"
            )
        self.concepts.weight.copy_(weight)
        self.kept.copy_(kept)
        return {"held-out similarity": float(similarity.mean()), "concepts kept": int(kept.sum())}
