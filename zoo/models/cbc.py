"""Classification by components: prototypes that should be present and prototypes that should be absent.

Source: Saralajew et al., Classification-by-Components: Probabilistic Modeling of Reasoning over a Set of Components,
NeurIPS 2019, and its deep version on the features of PIP-Net (Saralajew et al., A Robust Prototype-Based Network with
Interpretable RBF Classifier Foundations, AAAI 2025).

The score of a class is the probability that a prototype, drawn from the class's reasoning, is found as the class
expects it: present (positive reasoning) or absent (negative).
"""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.batch import Batch
from zoo.layers.prototypes.channel_prototypes import ChannelPrototypes
from zoo.layers.prototypes.prototype_edits import OFF
from zoo.registry import register

MARGIN = 0.025  # by which the probability of the true class should exceed that of every other one


@register
class CBC(ChannelPrototypes):
    """Backbone, softmax over channels, maximum over places, a head of reasoning probabilities.

    Args:
        features: number of prototypes, by an additional 1 x 1 convolution; 0 for the channels of the backbone.
        reasoning: ``signed`` with positive and negative reasoning and a margin loss; ``positive`` is the RBF variant:
            positive reasoning only, with PIP-Net's loss.
        common: the arguments of ``zoo.layers.backbone_model.BackboneModel``.

    Example:
        >>> import torch, zoo
        >>> model = zoo.create_model("cbc", num_classes=2, backbone="resnet10t", features=16).eval()
        >>> bool(((model(torch.zeros(1, 3, 64, 64)) >= 0) & (model(torch.zeros(1, 3, 64, 64)) <= 1)).all())
        True
    """

    def __init__(
        self, *, features: int = 0, reasoning: Literal["signed", "positive"] = "signed", **common: Any
    ) -> None:
        super().__init__(**common)
        if reasoning not in ("signed", "positive"):
            raise ValueError(f"reasoning is {reasoning!r}; expected signed or positive")
        self.is_signed = reasoning == "signed"
        self.build_channels(features)
        count = len(self.source_index)
        rows = 2 * count if self.is_signed else count
        self.head = nn.Parameter(0.6 - 0.2 * torch.randn(rows, self.num_classes))

    def trainable_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """``backbone``, ``addon``, ``head``."""
        return {**self.backbone_parts(), "addon": self.addon, "head": self.head}

    def reasoning(self) -> tuple[Tensor, Tensor]:
        """Return the probabilities ``(c, u)`` that a class asks for a prototype's presence, and for its absence.

        Over both they sum to 1 for each class.
        """
        positive, *rest = self.head.softmax(0).T.split(len(self.source_index), dim=1)
        return positive, rest[0] if rest else torch.zeros_like(positive)

    def class_weights(self) -> Tensor:
        """Return positive minus negative reasoning ``(c, u)``."""
        positive, negative = self.reasoning()
        return positive - negative

    def class_bias(self) -> Tensor | None:
        """Return the score ``(c,)`` of an image without any prototype: the sum of the negative reasoning."""
        return self.reasoning()[1].sum(1) if self.is_signed else None

    def class_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return how far the largest score of a wrong class comes within the margin of the true one, mean over samples.

        The RBF variant has PIP-Net's loss instead.
        """
        if not self.is_signed:
            return self.task_loss(logits.square().log1p(), batch)
        true = logits.gather(1, batch.targets[:, None])[:, 0]
        wrong = logits.scatter(1, batch.targets[:, None], -torch.inf).amax(1)
        return F.relu(wrong - true + MARGIN).mean()

    # Edits.

    editable_by = ("forbid", "merge")
    leaves_when_merged = False  # a channel that left would change the shares of all others

    @torch.no_grad()
    def forbid(self, unit: int) -> None:
        """Give the reasoning probabilities of a prototype to all others, in proportion."""
        count = len(self.source_index)
        rest = self.head[[i for i in range(len(self.head)) if i % count != unit]]
        if bool((rest <= OFF / 2).all(0).any()):
            raise ValueError("it is the last prototype that a class reasons with; expected to leave one")
        self.head[unit::count] = OFF

    @torch.no_grad()
    def merge(self, unit: int, into: int) -> None:
        """Add the reasoning probabilities of a prototype to those of another one."""
        count = len(self.source_index)
        self.head[into::count] = torch.logaddexp(self.head[into::count], self.head[unit::count])
        self.head[unit::count] = OFF
