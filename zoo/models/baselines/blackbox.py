"""Black box: a backbone with a linear head and without units, the baseline of the image and table models."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from zoo.layers.backbone import Backbone
from zoo.layers.unitless import UnitlessModel
from zoo.registry import register


@register
class BlackBox(UnitlessModel):
    """Backbone, average pooling, linear head.

    Args:
        num_classes: c.
        backbone: timm architecture, ``mlp``, or a module of your own.
        backbone_level: index of the feature level, -1 for the deepest.
        pretrained: backbone weights from timm's hub.
        backbone_weights: backbone weights from a local safetensors file.
        backbone_args: further arguments of ``timm.create_model``.
        dropout: before the head.
        input_shape: of one input, for ``backbone=mlp``; filled in from the data.

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
        num_classes: int | None = None,
        backbone: str | nn.Module = "resnet18",
        backbone_level: int = -1,
        pretrained: bool = False,
        backbone_weights: str | None = None,
        backbone_args: dict[str, Any] | None = None,
        dropout: float = 0.0,
        input_shape: list[int] | None = None,
    ) -> None:
        super().__init__()
        if num_classes is None or num_classes < 1:
            raise ValueError(f"num_classes is {num_classes}; expected at least 1")
        self.save_hyperparameters()
        self.backbone = Backbone(
            backbone,
            level=backbone_level,
            pretrained=pretrained,
            weights=backbone_weights,
            args=backbone_args,
            input_shape=input_shape,
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(self.backbone.channels, num_classes)

    def trainable_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """``backbone`` and ``head``."""
        return {"backbone": self.backbone, "head": self.head}

    def encode(self, x: Tensor) -> Tensor:
        """Return pooled features ``(b, d)`` of inputs, such as images ``(b, 3, s, s)``."""
        return self.backbone(x).mean((2, 3))
