"""Any timm backbone, CNN or ViT, as a feature map."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from zoo import paths
from zoo.layers.backbone_steps import BackboneSteps
from zoo.layers.gaussian_blur import GaussianBlur
from zoo.weights.state_files import read_state

OWN = "own:"  # prefix of the name of a module of the user, in hyperparameters and configs
PLACES = ("checkpoint_path", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "cache_dir")  # of timm


class Backbone(nn.Module):
    """One feature map ``(b, d, h, w)`` of a timm ``features_only`` model, or a small MLP for other inputs than images.

    Weights of convolutions are laid out channels last, which makes a CNN faster and changes no more than the rounding;
    ``backbone.to(memory_format=torch.contiguous_format)`` undoes it.

    Args:
        name: timm architecture, ``resnet18`` or ``vit_tiny_patch16_224``; ``mlp`` for linear layers with ReLU over the
            flattened input, whose widths are ``args["hidden"]`` (default 128, 128) and whose map is 1 x 1.
        level: index of timm's feature level; -1 is the deepest.
        shallow: index of a second, shallower level, for ``pyramid``; None for none.
        cut: index of a level at which the network is cut in two, so that the part after it can be trained on cached
            features of the level; None for no cut.
        blur: standard deviation, in pixels, of a Gaussian filter of the images; 0 for none.
        pretrained: load timm's weights from the hub (needs the network).
        weights: load a local file of the full timm model instead (safetensors, or a state dict that ``torch.save``
            wrote, read without running code), a path from the current folder or from
            ``ZOO_DATA``. Strict: every tensor of the feature extractor must be in the file with its shape, and every
            tensor of the file in the full architecture.
        args: further arguments of ``timm.create_model``, such as ``{"pad_type": "same"}``.
        input_shape: of one input; only the MLP needs it.

    ``name`` may also be a module of your own, which maps inputs to ``(b, d, h, w)``, or to ``(b, d)`` for a map of 1 x
    1; d is tried out on a zero input, or given in ``args`` as ``{"channels": 64}``.

    Attributes:
        channels: d.
        entry: what inputs are: images (``input``), feature maps of the cut (``cut``), or feature maps of ``level``
            (``end``), which are returned as they are; see ``zoo.training.cache``.

    Raises:
        ValueError: unknown architecture, level or argument; weights that do not fit, with the tensors named; a cut that
            is not below ``level``, or a network that cannot be cut.

    Example:
        >>> import torch
        >>> Backbone("mlp", input_shape=[4], args={"hidden": [8]})(torch.zeros(2, 4)).shape
        torch.Size([2, 8, 1, 1])
    """

    channels: int

    def __init__(
        self,
        name: str | nn.Module,
        *,
        level: int = -1,
        shallow: int | None = None,
        cut: int | None = None,
        blur: float = 0.0,
        pretrained: bool = False,
        weights: str | None = None,
        args: dict[str, Any] | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.entry: Literal["input", "cut", "end"] = "input"
        self.levels = sorted({one for one in (shallow, cut) if one is not None})  # below ``level``
        self.shallow = shallow
        self.cut = cut
        self.blur = GaussianBlur(blur) if blur else None
        self.is_flat = name == "mlp"
        self.takes_images = False  # known of timm's networks only
        if cut is not None and (isinstance(name, nn.Module) or name == "mlp"):
            raise ValueError("backbone_cut is set; expected a timm architecture, whose feature levels are known")
        if isinstance(name, nn.Module):
            if pretrained or weights:
                raise ValueError("the backbone is a module of your own; expected neither pretrained nor weights for it")
            self.net = name
            self.channels, self.is_flat = _own(name, input_shape, **(args or {}))
            return
        if name.startswith(OWN):
            raise ValueError(
                f"the backbone is a module of your own ({name.removeprefix(OWN)}); pass it: zoo.load(..., backbone=...)"
            )
        if name == "mlp":
            if pretrained or weights:
                raise ValueError(
                    "backbone 'mlp' has no pretrained weights; expected neither pretrained nor backbone_weights"
                )
            self.net, self.channels = _mlp(input_shape, **(args or {}))
            return
        if pretrained and weights:
            raise ValueError("pretrained=true and backbone_weights are both given; expected one of them")
        import timm  # takes a second, and not every model has a backbone

        args = dict(args or {})
        if ":" in name or "/" in name:
            raise ValueError(
                f"backbone {name!r} names a place; expected a timm architecture, with pretrained=true or"
                " backbone_weights for its weights"
            )
        for key in args:
            if key in PLACES:
                raise ValueError(
                    f"backbone_args.{key} names where weights come from; expected pretrained=true or"
                    " backbone_weights=FILE"
                )
        if cut is not None and min(self.levels) < 0:
            raise ValueError(f"backbone_cut is {cut}, the shallow level {shallow}; expected levels counted from 0")
        levels = (*self.levels, level)
        try:
            self.net = timm.create_model(name, pretrained=pretrained, features_only=True, out_indices=levels, **args)
        except (RuntimeError, AssertionError, AttributeError, TypeError, IndexError, OSError) as error:
            near = "" if timm.is_model(name) else paths.did_you_mean(name, timm.list_models())
            raise ValueError(
                f"backbone {name!r} (level {level}, {args}): {str(error).splitlines()[0]}{near}"
            ) from error
        self.takes_images = True
        info: Any = self.net.feature_info
        self.channels = info.channels()[-1]
        if cut is not None:
            if info[-1]["index"] <= cut:
                raise ValueError(
                    f"backbone_cut is {cut}; expected a feature level below {info[-1]['index']}, the deepest"
                )
            BackboneSteps(self.net)  # raises an error if it cannot be cut
        if weights:
            file = Path(weights).expanduser()
            self._load(file if file.exists() else paths.data() / file, name, args)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x``, images ``(b, 3, s, s)`` or for the MLP any shape, to ``(b, d, h, w)``.

        Raises:
            ValueError: if images have no batch dimension.
        """
        if self.entry == "end":
            return x
        if self.entry == "cut":
            return self._steps.after(self._cut_place, x)[-1]
        features = self.net(self.filtered(x))
        if isinstance(features, list):  # timm: one map for each level, the shallow one first
            return features[-1]
        return features[..., None, None] if self.is_flat else features

    def filtered(self, x: Tensor) -> Tensor:
        """Return ``x``, images ``(b, 3, s, s)`` or for the MLP any shape, after the blur.

        Raises:
            ValueError: if images have no batch dimension.
        """
        if x.ndim != 4 and self.takes_images:
            one = "; one image is x[None]" if x.ndim == 3 else ""
            raise ValueError(f"images are {tuple(x.shape)}; expected a batch (b, 3, height, width){one}")
        return x if self.blur is None else self.blur(x)

    def pyramid(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map ``x`` to the features of the shallow level and of the level, ``(b, d', h', w')`` and ``(b, d, h, w)``.

        Raises:
            ValueError: if there is no shallow level: none was asked for, or ``x`` are cached features of a deeper one.
        """
        first = 0  # place of the first returned level
        if self.entry == "cut":
            first = self._cut_place
            features = self._steps.after(first, x)
        else:
            features = [x] if self.entry == "end" else self.net(self.filtered(x))
        place = -1 if self.shallow is None else self.levels.index(self.shallow) - first
        if not isinstance(features, list) or len(features) < 2 or place < 0:
            why = "the backbone has one level" if self.entry == "input" else "the phase caches deeper features"
            raise ValueError(f"there is no shallow feature map: {why}; expected a timm backbone with a shallow level")
        return features[place], features[-1]

    # A network that is cut in two.

    @property
    def _steps(self) -> BackboneSteps:
        return BackboneSteps(self.net)

    @property
    def _cut_place(self) -> int:
        assert self.cut is not None
        return self.levels.index(self.cut)

    def stem(self, x: Tensor) -> Tensor:
        """Map images ``(b, 3, s, s)`` to the feature map of the cut."""
        return self._steps.until(self._cut_place, self.filtered(x))

    def tail(self, features: Tensor) -> Tensor:
        """Map the feature map of the cut to that of ``level``."""
        return self._steps.after(self._cut_place, features)[-1]

    def halves(self) -> tuple[nn.ModuleList, nn.ModuleList]:
        """Return the modules up to the cut and those after it; they are the network's own."""
        return self._steps.halves(self._cut_place)

    def _load(self, file: Path, name: str, args: dict[str, Any]) -> None:
        import timm

        if not file.exists():
            remedy = "put it there, set ZOO_DATA, or pass model.backbone_weights=null for random weights"
            raise ValueError(f"backbone_weights {file} is missing; {remedy}")
        try:
            loaded = read_state(file)
        except ValueError as error:
            raise ValueError(f"backbone_weights {error}") from error
        with torch.device("meta"):
            full = set(timm.create_model(name, **args).state_dict())
        own = self.net.state_dict()
        origin = {key: _full_name(key, full) for key in own}
        counters = {key for key in own if key.endswith("num_batches_tracked")}
        missing = [o for k, o in origin.items() if o not in loaded and k not in counters]
        foreign = sorted(set(loaded) - full)
        shapes = [
            f"{o} {tuple(loaded[o].shape)} for {tuple(own[k].shape)}"
            for k, o in origin.items()
            if o in loaded and loaded[o].shape != own[k].shape
        ]
        for what, keys in (("lacks", missing), ("has tensors unknown to", foreign), ("has other shapes than", shapes)):
            if keys:
                raise ValueError(f"backbone_weights {file} {what} {name}: {', '.join(keys[:4])} ({len(keys)} in all)")
        state = {k: loaded[o].to(own[k].dtype) if o in loaded else own[k] for k, o in origin.items()}
        self.net.load_state_dict(state)


@torch.no_grad()
def _own(
    net: nn.Module, input_shape: Sequence[int] | None, channels: int | None = None, **unknown: Any
) -> tuple[int, bool]:
    """Return the channels of a module's features, and whether they are vectors instead of maps."""
    if unknown:
        raise ValueError(f"backbone_args is {unknown}; a module of your own takes channels only")
    parameter = next(net.parameters(), torch.zeros(()))
    modes = {module: module.training for module in net.modules()}
    shapes = [tuple(input_shape)] if input_shape else [(3, side, side) for side in (64, 224, 32)]
    reason = ""
    for shape in shapes:
        net.eval()
        try:
            features = net(torch.zeros(1, *shape, dtype=parameter.dtype, device=parameter.device))
        except (RuntimeError, AssertionError, ValueError, IndexError) as error:
            reason = f"an input of {shape}: {str(error).splitlines()[0]}"
            continue
        finally:
            for module, mode in modes.items():
                module.training = mode
        if not isinstance(features, Tensor) or features.ndim not in (2, 4):
            what = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
            raise ValueError(f"the backbone of your own gives {what}; expected maps (b, d, h, w) or vectors (b, d)")
        return features.shape[1], features.ndim == 2
    if channels is None:
        raise ValueError(f"the backbone of your own cannot be tried on {reason}; give backbone_args={{'channels': d}}")
    return channels, False


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
    """Return the name in the full timm model of a tensor of its feature extractor, which renames some."""
    bare = key.removeprefix("model.")
    return next((k for k in (key, bare, re.sub(r"_(\d+)", r".\1", bare, count=1)) if k in full), key)
