"""The layers of a timm feature extractor as a sequence of steps, so that it can be run from a feature level on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn


class BackboneSteps:
    """The steps of a timm network made with ``features_only``, and after which of them its feature levels are.

    The modules are those of the network; nothing is copied.

    Args:
        net: a network that timm runs step by step: its EfficientNets, MobileNets and most convolutional networks.

    Attributes:
        steps: modules, each applied to the result of the one before.
        ends: index of the step after which each returned feature level is taken, in order.

    Raises:
        ValueError: if timm does not run the network step by step (a vision transformer, for instance).
    """

    def __init__(self, net: nn.Module) -> None:
        inner: Any = net
        self.steps: list[nn.Module]
        if isinstance(getattr(inner, "_stage_out_idx", None), dict) and inner.feature_hooks is None:  # EfficientNets
            self.steps = [nn.Sequential(inner.conv_stem, inner.bn1), *inner.blocks]
            self.ends = sorted(inner._stage_out_idx)
        elif isinstance(net, nn.ModuleDict) and isinstance(getattr(inner, "return_layers", None), dict):
            self.steps = list(net.values())
            self.ends = [step for step, name in enumerate(net) if name in inner.return_layers]
        else:
            raise ValueError(
                f"backbone_cut is set and timm does not run {type(net).__name__} step by step; expected a convolutional"
                " network such as mobilenetv2_100 or resnet18"
            )

    def until(self, level: int, x: Tensor) -> Tensor:
        """Return the features of the returned level number ``level`` of images ``x``."""
        for step in self.steps[: self.ends[level] + 1]:
            x = step(x)
        return x

    def after(self, level: int, features: Tensor) -> list[Tensor]:
        """Return the features of all returned levels from ``level`` on, from its own."""
        outputs = [features]
        for number in range(self.ends[level] + 1, len(self.steps)):
            features = self.steps[number](features)
            if number in self.ends:
                outputs.append(features)
        return outputs

    def halves(self, level: int) -> tuple[nn.ModuleList, nn.ModuleList]:
        """Return the modules up to ``level`` and those after it."""
        last = self.ends[level] + 1
        return _listed(self.steps[:last]), _listed(self.steps[last:])


def _listed(steps: Sequence[nn.Module]) -> nn.ModuleList:
    return nn.ModuleList(steps)
