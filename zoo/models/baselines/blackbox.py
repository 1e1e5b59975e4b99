"""Black box: a backbone with a linear head and without units, the baseline of the image and table models.

Source: standard architecture: He, Zhang, Ren, Sun, Deep Residual Learning for Image Recognition, CVPR 2016 (global
average pooling and a linear head).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from zoo.layers.backbone_model import BackboneModel
from zoo.layers.black_box_model import BlackBoxModel
from zoo.registry import register


@register
class BlackBox(BlackBoxModel, BackboneModel):
    """Backbone, average pooling, linear head.

    Args:
        dropout: before the head.
        common: the arguments of ``zoo.layers.backbone_model.BackboneModel``.

    Example:
        >>> import torch, zoo
        >>> model = zoo.create_model("blackbox", num_classes=3, backbone="mlp", input_shape=[4]).eval()
        >>> model(torch.zeros(2, 4)).shape
        torch.Size([2, 3])
    """

    tasks = ("classification", "regression", "multilabel")

    def __init__(
        self,
        *,
        dropout: float = 0.0,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(self.backbone.channels, self.num_classes)

    def trainable_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """``backbone`` and ``head``."""
        return {**self.backbone_parts(), "head": self.head}

    def encode(self, x: Tensor) -> Tensor:
        """Return pooled features ``(b, d)`` of inputs, such as images ``(b, 3, s, s)``."""
        return self.backbone(x).mean((2, 3))
