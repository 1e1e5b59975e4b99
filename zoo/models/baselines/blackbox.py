"""The reference: the same backbone with an ordinary linear head and no units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.batch import Batch
from zoo.explanation import Explanation, Units
from zoo.layers.backbone import Backbone
from zoo.model import SelfExplaining
from zoo.registry import register


@register
class BlackBox(SelfExplaining):
    """Backbone, average pooling, linear layer. Its vocabulary is empty: the whole logit is ``base``.

    Args:
        num_classes: c.
        backbone: timm architecture.
        backbone_level: which feature level, -1 the deepest.
        pretrained: backbone weights from timm's hub.
        backbone_weights: backbone weights from a local safetensors file.
        backbone_args: further arguments of ``timm.create_model``.
        dropout: before the head.
        input_shape: of one input, for ``backbone=mlp``; filled in from the data.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        backbone: str = "resnet18",
        backbone_level: int = -1,
        pretrained: bool = False,
        backbone_weights: str | None = None,
        backbone_args: dict[str, Any] | None = None,
        dropout: float = 0.0,
        input_shape: list[int] | None = None,
    ) -> None:
        super().__init__()
        if num_classes < 1:
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

    @property
    def units(self) -> Units:
        """No units."""
        return Units("none", ())

    def trainable_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """``backbone`` and ``head``."""
        return {"backbone": self.backbone, "head": self.head}

    def encode(self, x: Tensor) -> Tensor:
        """Pooled features ``(b, d)`` of inputs, such as images ``(b, 3, s, s)``."""
        return self.backbone(x).mean((2, 3))

    def decide(self, state: Tensor, mask: Tensor | None = None, value: Tensor | None = None) -> Tensor:
        """The linear head; there is nothing to set."""
        logits = self.head(self.dropout(state))
        return logits if mask is None else logits.expand(*mask.shape[:-1], -1)

    def explain(self, x: Tensor, target: Tensor | None = None, shown: int | Tensor = 10) -> Explanation:
        """The honest explanation of a black box: no unit claims anything."""
        logits = self(x)
        target = self.resolve_target(logits, target)
        none = logits.new_zeros(len(x), 0)
        base = logits.gather(1, target[:, None])[:, 0]
        ids = torch.zeros(len(x), 0, dtype=torch.int64, device=x.device)
        return Explanation(self.units, logits, target, none, none, base, ids)

    def loss(self, batch: Batch, weights: Mapping[str, float]) -> dict[str, Tensor]:
        """Cross-entropy."""
        return {"task": F.cross_entropy(self(batch.x), batch.y)}
