"""PIP-Net: classifies an image by which of a few patterns, shared by all classes, are present in it.

Source: Nauta et al., PIP-Net: Patch-Based Intuitive Prototypes for Interpretable Image Classification, CVPR 2023.

The channels of the feature map are the prototypes; they are trained so that the same place of two augmented views has
the same prototype. The head is sparse and never negative: evidence is only for a class, and an image without any
prototype has the score 0 for every class.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.batch import Batch
from zoo.editing.state import EditState
from zoo.layers.edited_head import HeadProblem, solve_head
from zoo.layers.prototypes.channel_prototypes import PRESENT, ChannelPrototypes
from zoo.registry import register


@register
class PIPNet(ChannelPrototypes):
    """Backbone, softmax over channels, maximum over places, non-negative linear head without bias.

    Args:
        features: number of prototypes, by an additional 1 x 1 convolution; 0 for the channels of the backbone.
        shrinkage: subtracted from every weight of the head after each training step of the head; makes it sparse.
        common: the arguments of ``zoo.layers.backbone_model.BackboneModel``.

    Example:
        >>> import torch, zoo
        >>> model = zoo.create_model("pipnet", num_classes=2, backbone="resnet10t", features=16).eval()
        >>> bool((model.maps(torch.zeros(1, 3, 64, 64)).sum(1) - 1).abs().max() < 1e-5)  # shares of each cell
        True
    """

    def __init__(self, *, features: int = 0, shrinkage: float = 1e-3, **common: Any) -> None:
        super().__init__(**common)
        if shrinkage < 0:
            raise ValueError(f"shrinkage is {shrinkage}; expected 0 or more")
        self.shrinkage = shrinkage
        self.build_channels(features)
        self.head = nn.Linear(len(self.source_index), self.num_classes, bias=False)
        nn.init.normal_(self.head.weight, mean=1.0, std=0.1)

    editable_by = ("forbid", "merge", "resolve")
    penalties = (1e-3, 1e-3)
    leaves_when_merged = False  # a channel that left would change the shares of all others

    def trainable_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """``backbone``, ``addon``, ``head``."""
        return {**self.backbone_parts(), "addon": self.addon, "head": self.head}

    def class_weights(self) -> Tensor:
        """Return the weights ``(c, u)``, none below 0."""
        return F.relu(self.head.weight)

    def class_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return the loss of the task at log(1 + logits^2)."""
        return self.task_loss(logits.square().log1p(), batch)

    @torch.no_grad()
    def after_step(self) -> None:
        """Shrink the weights of the head toward 0, if the phase trains it."""
        if self.learning_rate("head", 1.0) is not None:
            self.head.weight.sub_(self.shrinkage).clamp_min_(0.0)

    @torch.no_grad()
    def prune(self, loader: Iterable[Batch]) -> dict[str, float]:
        """Set the weights of prototypes to 0 that are present in no training image."""
        scores, _ = self.score_matrix(loader)
        absent = (scores < PRESENT).all(0)
        self.head.weight[:, absent] = 0.0
        return {"never present": int(absent.sum()), "weights": int((self.head.weight > 0).sum())}

    # Edits.

    @torch.no_grad()
    def forbid(self, unit: int) -> None:
        """Set the weights of a prototype to 0."""
        self.head.weight[:, unit] = 0.0

    @torch.no_grad()
    def merge(self, unit: int, into: int) -> None:
        """Add the weights of a prototype to those of another one."""
        weights = self.class_weights()
        self.head.weight[:, into] = weights[:, into] + weights[:, unit]
        self.forbid(unit)

    @torch.no_grad()
    def solve(self, state: EditState, train: Iterable[Batch], l1: float, l2: float) -> None:
        """Set the weights, none below 0, to the optimum of cross-entropy + L1 + L2."""
        scores, y, share = self._weighted_scores(train)
        start = torch.zeros_like(self.head.weight)
        every = torch.ones_like(start, dtype=torch.bool)
        loss = self.head_loss(y, share)
        problem = HeadProblem(
            scores,
            y,
            start,
            every,
            l1,
            l2,
            loss=loss,
            sign=torch.ones_like(start),
        )
        self.head.weight.copy_(solve_head(problem, self.class_weights(), state)[0])
