"""The base class of models that read the features of a backbone."""

from __future__ import annotations

from typing import Any

from torch import nn

from zoo.layers.backbone import Backbone
from zoo.model import SelfExplaining


class BackboneModel(SelfExplaining):
    """A model that reads the features of a backbone.

    A family calls ``super().__init__`` with these arguments, which it takes as ``**common``:

    Args:
        num_classes: c; filled in from the data.
        backbone: timm architecture with ``features_only``, CNN or ViT; ``mlp``; or a module of your own.
        backbone_level: index of the feature level, -1 for the deepest.
        pretrained: backbone weights from timm's hub.
        backbone_weights: backbone weights from a local file, ``.safetensors`` or a state dict of ``torch.save``.
        backbone_args: further arguments of ``timm.create_model``, or of the MLP.
        input_shape: of one input, for ``backbone=mlp``; filled in from the data.
        backbone_cut: index of a feature level that cuts the backbone in two trainable parts: ``stem``, the layers up to
            the level, and ``backbone``, those after it. A phase that does not train the stem can cache the features of
            the level and train the rest on them. None for one part, ``backbone``.
        input_blur: standard deviation, in pixels, of a Gaussian filter of the images, a part of the model; 0 for none.

    Attributes:
        num_classes: c.
        backbone: inputs to feature maps ``(b, d, h, w)``.

    Raises:
        ValueError: if ``num_classes`` is missing or below 1, or as for ``Backbone``.
    """

    num_classes: int

    def __init__(
        self,
        *,
        num_classes: int | None = None,
        backbone: str | nn.Module = "resnet18",
        backbone_level: int = -1,
        pretrained: bool = False,
        backbone_weights: str | None = None,
        backbone_args: dict[str, Any] | None = None,
        input_shape: list[int] | None = None,
        backbone_cut: int | None = None,
        input_blur: float = 0.0,
    ) -> None:
        super().__init__()
        if num_classes is None or num_classes < 1:
            raise ValueError(f"num_classes is {num_classes}; expected at least 1")
        self.save_hyperparameters()
        self.num_classes = num_classes
        self.backbone = Backbone(
            backbone,
            level=backbone_level,
            shallow=self.hparams.get("shallow_level"),  # an argument of families that need a second level
            cut=backbone_cut,
            blur=input_blur,
            pretrained=pretrained,
            weights=backbone_weights,
            args=backbone_args,
            input_shape=input_shape,
        )

    def backbone_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """Return the trainable parts of the backbone: ``backbone``, and before it ``stem`` if it is cut."""
        if self.backbone.cut is None:
            return {"backbone": self.backbone}
        stem, tail = self.backbone.halves()
        return {"stem": stem, "backbone": tail}

    def part_of(self, key: str) -> str:
        """Return the name of the trainable part that a tensor of the state dict belongs to."""
        part = super().part_of(key)
        if part != "backbone" or self.backbone.cut is None:
            return part
        stem, _ = self.backbone.halves()
        stem_tensors = {id(tensor) for tensor in (*stem.parameters(), *stem.buffers())}
        return "stem" if id(self.state_dict(keep_vars=True).get(key)) in stem_tensors else "backbone"
