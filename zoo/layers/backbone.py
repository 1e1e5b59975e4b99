"""Any timm backbone as a map of features, CNN or ViT."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from zoo import paths


class Backbone(nn.Module):
    """One feature map ``(b, d, h, w)`` of a timm ``features_only`` model, or a small MLP for inputs that are no images.

    Args:
        name: timm architecture, ``resnet18`` or ``vit_tiny_patch16_224``; ``mlp`` for linear layers with ReLU over the
            flattened input, whose widths are ``args["hidden"]`` (default 128, 128) and whose map is 1 x 1.
        level: which of timm's feature levels; -1 is the deepest.
        pretrained: take timm's weights from the hub (needs the network).
        weights: take a local safetensors file of the full timm model instead, looked for here and then under
            ``ZOO_DATA``. Strict: every tensor of the feature extractor must be in the file with its shape, and every
            tensor of the file in the full architecture.
        args: further arguments of ``timm.create_model``, such as ``{"pad_type": "same"}``.
        input_shape: of one input; only the MLP needs it.

    Attributes:
        channels: d.
        bypass: hand the input through, because it already is a feature map (see ``zoo.training.cache``).

    Raises:
        ValueError: unknown architecture, level or argument; weights that do not fit, with the tensors named.
    """

    def __init__(
        self,
        name: str,
        *,
        level: int = -1,
        pretrained: bool = False,
        weights: str | None = None,
        args: dict[str, Any] | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.bypass = False
        if name == "mlp":
            if pretrained or weights:
                raise ValueError("backbone 'mlp' has no pretrained weights; leave pretrained and backbone_weights out")
            self.net, self.channels = _mlp(input_shape, **(args or {}))
            return
        if pretrained and weights:
            raise ValueError("pretrained=true and backbone_weights are both given; choose the hub or the file")
        args = dict(args or {})
        try:
            self.net = timm.create_model(name, pretrained=pretrained, features_only=True, out_indices=(level,), **args)
        except (RuntimeError, AssertionError, AttributeError, TypeError, IndexError, OSError) as error:
            near = "" if timm.is_model(name) else paths.did_you_mean(name, timm.list_models())
            raise ValueError(
                f"backbone {name!r} (level {level}, {args}): {str(error).splitlines()[0]}{near}"
            ) from error
        self.channels: int = self.net.feature_info.channels()[-1]
        if weights:
            here = Path(weights).expanduser()
            self._load(here if here.exists() else paths.data() / here, name, args)

    def forward(self, x: Tensor) -> Tensor:
        """``x``: ``(b, 3, s, s)`` images, or any shape for the MLP; returns ``(b, d, h, w)``."""
        if self.bypass:
            return x
        return self.net(x)[..., None, None] if isinstance(self.net, nn.Sequential) else self.net(x)[0]

    def _load(self, file: Path, name: str, args: dict[str, Any]) -> None:
        try:
            found = load_file(file)
        except (OSError, SafetensorError) as error:
            raise ValueError(f"backbone_weights {file}: {error}") from error
        with torch.device("meta"):
            full = set(timm.create_model(name, **args).state_dict())
        own = self.net.state_dict()
        origin = {key: _full_name(key, full) for key in own}
        counters = {key for key in own if key.endswith("num_batches_tracked")}
        missing = [o for k, o in origin.items() if o not in found and k not in counters]
        foreign = sorted(set(found) - full)
        shapes = [
            f"{o} {tuple(found[o].shape)} for {tuple(own[k].shape)}"
            for k, o in origin.items()
            if o in found and found[o].shape != own[k].shape
        ]
        for what, keys in (("lacks", missing), ("has tensors unknown to", foreign), ("has other shapes than", shapes)):
            if keys:
                raise ValueError(f"backbone_weights {file} {what} {name}: {', '.join(keys[:4])} ({len(keys)} in all)")
        self.net.load_state_dict({k: found[o].to(own[k].dtype) if o in found else own[k] for k, o in origin.items()})


def _mlp(
    input_shape: Sequence[int] | None, hidden: Sequence[int] = (128, 128), **unknown: Any
) -> tuple[nn.Module, int]:
    if unknown or not hidden or any(not isinstance(width, int) or width < 1 for width in hidden):
        raise ValueError(f"backbone_args is {dict(hidden=hidden, **unknown)}; backbone 'mlp' takes hidden=[128, 128]")
    if not input_shape:
        raise ValueError("backbone 'mlp' needs model.input_shape, such as [12] or [1, 28, 28]")
    layers: list[nn.Module] = [nn.Flatten()]
    for before, width in pairwise([math.prod(input_shape), *hidden]):
        layers += [nn.Linear(before, width), nn.ReLU()]
    return nn.Sequential(*layers), hidden[-1]


def _full_name(key: str, full: set[str]) -> str:
    """Name in the full timm model of a tensor of its feature extractor, which may flatten or prefix names."""
    bare = key.removeprefix("model.")
    return next((k for k in (key, bare, re.sub(r"_(\d+)", r".\1", bare, count=1)) if k in full), key)
