"""Patch prototypes: distances and similarities between patches of a feature map and prototypes; add-on layers.

A prototype is a small tensor ``(d, i, j)`` in feature space, usually 1 x 1. Distances are squared L2, 1 - cosine, or
minus the length of the patch along the prototype (``projection``).
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Similarity = Literal["cosine", "log_l2", "l2", "exp_l2", "projection"]
AddOn = Literal["regular", "bottleneck", "single", "none"]
EPS = 1e-4  # of the log similarity, as in the ProtoPNet paper


def distances(z: Tensor, prototypes: Tensor, similarity: Similarity, *, exact: bool = False) -> Tensor:
    """Return the distance of every patch to every prototype, by one convolution, in float32 or wider.

    The squared L2 distance is the sum of three terms that cancel where a patch is near a prototype. In float32 what is
    left there is mostly rounding, which ``log_l2`` and ``exp_l2`` multiply by up to 1e4 and more: the logits then
    depend on the order in which a runtime adds. ``exact`` computes those two in float64.

    Args:
        z: ``(b, d, h, w)`` features.
        prototypes: ``(u, d, i, j)``
        similarity: ``cosine`` gives 1 - cosine in [0, 2]; ``projection`` minus the inner product with the prototype
            scaled to length 1; the others the squared L2 distance, never negative.
        exact: sum the distances of ``log_l2`` and ``exp_l2`` in float64, and return them in the dtype of ``z``.

    Returns:
        ``(b, u, h - i + 1, w - j + 1)``

    Example:
        >>> distances(torch.ones(1, 2, 3, 3), torch.zeros(4, 2, 1, 1), "l2").shape
        torch.Size([1, 4, 3, 3])
    """
    with torch.autocast(z.device.type, enabled=False):
        z = z.float() if z.dtype in (torch.float16, torch.bfloat16) else z
        p = prototypes.to(z.dtype)
        if exact and len(p) and similarity in ("log_l2", "exp_l2"):
            return _squared_distances(z.double(), p.double()).to(z.dtype)
        if not len(p):  # all are pruned
            return z.new_zeros(len(z), 0, z.shape[2] - p.shape[2] + 1, z.shape[3] - p.shape[3] + 1)
        square = F.conv2d(z.square().sum(1, keepdim=True), z.new_ones(1, 1, *p.shape[2:]))
        if similarity in ("cosine", "projection"):
            p = p / p.flatten(1).norm(dim=1).clamp_min(1e-12)[:, None, None, None]
        if similarity == "projection":
            return -F.conv2d(z, p)
        if similarity == "cosine":
            return 1 - F.conv2d(z, p) * square.clamp_min(1e-24).rsqrt()
        norm = p.square().sum((1, 2, 3))[:, None, None]
        return F.relu(square - 2 * F.conv2d(z, p) + norm)


def _squared_distances(z: Tensor, p: Tensor) -> Tensor:
    """Return ``(b, u, h', w')``, one matrix product a cell of the prototypes: onnxruntime convolves no float64."""
    height, width = z.shape[2] - p.shape[2] + 1, z.shape[3] - p.shape[3] + 1
    result = p.square().sum((1, 2, 3))[:, None, None]
    for i in range(p.shape[2]):
        for j in range(p.shape[3]):
            cell = z[:, :, i : i + height, j : j + width]
            product = (p[:, :, i, j] @ cell.flatten(2)).unflatten(2, (height, width))
            result = result + cell.square().sum(1, keepdim=True) - 2 * product
    return F.relu(result)


def similarities(distance: Tensor, similarity: Similarity) -> Tensor:
    """Return the similarity of each distance, elementwise; it falls with distance.

    ``exp_l2`` is ProtoTree's exp(-sqrt(d)), whose slope at distance 0 is 5e6: after a projection, train its prototypes
    with gradient clipping or not at all.

    Raises:
        ValueError: unknown similarity.

    Example:
        >>> similarities(torch.tensor([0.0, 1.0]), "l2").tolist()
        [-0.0, -1.0]
    """
    match similarity:
        case "cosine":
            return 1 - distance
        case "log_l2":
            return torch.log((distance + 1) / (distance + EPS))
        case "l2" | "projection":
            return -distance
        case "exp_l2":
            return torch.exp(-torch.sqrt(distance + 1e-14))
    raise ValueError(f"similarity is {similarity!r}; expected cosine, log_l2, l2, exp_l2 or projection")


class MeanDirection(nn.Module):
    """Replace each cell by the mean of the directions (vectors scaled to length 1) of the cells around it.

    The ``projection`` of the result on a prototype is the mean of its cosines to ``size`` x ``size`` cells, so maps,
    scores and projections on training patches are averaged alike. ``cosine`` is that of the mean direction, which is
    larger where the cells differ. The border is replicated.

    Example:
        >>> MeanDirection(3)(torch.ones(1, 4, 2, 2))[0, :, 0, 0].tolist()
        [0.5, 0.5, 0.5, 0.5]
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        if size < 1 or size % 2 == 0:
            raise ValueError(f"average is {size}; expected an odd number of cells, 1 for none")
        self.size = size

    def forward(self, z: Tensor) -> Tensor:
        """Average features ``(b, d, h, w)``."""
        half = self.size // 2
        return F.avg_pool2d(F.pad(F.normalize(z, dim=1), [half] * 4, mode="replicate"), self.size, stride=1)


def addon_layers(kind: AddOn, channels: int, dim: int, *, sigmoid: bool, average: int = 1) -> nn.Sequential:
    """Return the 1 x 1 convolutions between a backbone and its prototypes (ProtoPNet, section 2.1).

    Args:
        kind: ``regular``, two; ``bottleneck``, pairs that halve the width; ``single``, one; ``none``.
        channels: width of the backbone's features.
        dim: width of the result.
        sigmoid: end in a sigmoid.
        average: side of the square of cells whose directions are averaged, see ``MeanDirection``; 1 for none.

    Raises:
        ValueError: if ``kind`` is ``none`` and ``dim`` is not the backbone's width.
    """
    layers: list[nn.Module] = []
    if kind == "regular":
        layers = [nn.Conv2d(channels, dim, 1), nn.ReLU(), nn.Conv2d(dim, dim, 1)]
    elif kind == "single":
        layers = [nn.Conv2d(channels, dim, 1)]
    elif kind == "bottleneck":
        while channels > dim:
            half = max(dim, channels // 2)
            layers += [nn.Conv2d(channels, half, 1), nn.ReLU(), nn.Conv2d(half, half, 1), nn.ReLU()]
            channels = half
        layers = layers[:-1] or [nn.Conv2d(channels, dim, 1)]
    elif channels != dim:
        raise ValueError(f"dim is {dim}; expected the backbone's width {channels}, because addon is none")
    if sigmoid:
        layers.append(nn.Sigmoid())
    if average != 1:
        layers.append(MeanDirection(average))
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)
