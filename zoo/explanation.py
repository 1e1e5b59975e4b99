"""The contract: what every interpretable model says, and all that scores and reports may read.

Letters used for shapes everywhere in the project:
b inputs, c classes, u units, k shown units, h w the model's own grid, t tokens, d width, p parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal, get_args

import torch
from torch import Tensor

Kind = Literal["prototype", "concept", "code", "eigenvector", "neuron", "variable", "none"]
Method = Literal["exact", "ablation", "gradient"]


def _expect(ok: bool, field: str, found: object, expected: str) -> None:
    if not ok:
        raise ValueError(f"{field} is {found}; expected {expected}")


def _shape(x: Tensor) -> tuple[int, ...]:
    return tuple(x.shape)


@dataclass(frozen=True)
class Units:
    """The vocabulary of one trained model.

    Attributes:
        kind: what the units are; ``none`` for a black box, whose vocabulary is empty.
        names: u readable names, such as ``wing: striped`` or ``L3.H2.code17``.
        owner: ``(u,)`` integer class that each unit argues for, -1 where classes share it. None if no unit is owned.
        group: u names of groups, units of one group being set together; None if each unit stands alone.

    Raises:
        ValueError: if the kind is unknown, or ``owner`` or ``group`` does not have one entry for each name.
    """

    kind: Kind
    names: Sequence[str]
    owner: Tensor | None = None
    group: Sequence[str] | None = None

    def __post_init__(self) -> None:
        _expect(self.kind in get_args(Kind), "Units.kind", repr(self.kind), f"one of {', '.join(get_args(Kind))}")
        if self.owner is not None:
            _expect(
                _shape(self.owner) == (len(self.names),), "Units.owner", _shape(self.owner), f"({len(self.names)},)"
            )
            _expect(not self.owner.is_floating_point(), "Units.owner", self.owner.dtype, "an integer type")
        if self.group is not None:
            _expect(len(self.group) == len(self.names), "Units.group", len(self.group), f"{len(self.names)} names")

    def __len__(self) -> int:
        return len(self.names)

    def of_class(self, classes: Tensor) -> Tensor:
        """Ids of the units that each class owns, in id order.

        Args:
            classes: ``(b,)`` class of each input.

        Returns:
            ``(b, k)`` unit ids, k the largest number owned by any class of the vocabulary; shorter rows end in -1.

        Raises:
            ValueError: if no unit has an owner.
        """
        if self.owner is None:
            raise ValueError(
                "Units.owner is None; only a vocabulary whose units belong to classes can be asked by class"
            )
        return owned_by(self.owner.to(classes.device), classes)


def owned_by(owner: Tensor, classes: Tensor) -> Tensor:
    """Ids ``(b, k)`` of the units of each class ``(b,)``, in order, by their ``owner`` ``(u,)``; -1 pads short rows."""
    width = int(torch.bincount(owner[owner >= 0]).max()) if bool((owner >= 0).any()) else 0
    first = (owner[None] == classes[:, None]).int().sort(dim=1, descending=True, stable=True)
    return torch.where(first.values.bool(), first.indices, -1)[:, :width]


@dataclass(frozen=True)
class Explanation:
    """Why a model answered as it did, for b inputs.

    Attributes:
        units: the vocabulary, u units.
        logits: ``(b, c)`` of the very forward pass that is explained.
        target: ``(b,)`` class explained.
        strength: ``(b, u)`` how present each unit is, on the family's own scale.
        contribution: ``(b, u)`` what each unit adds to ``logits[target]``.
        base: ``(b,)`` what no unit claims: bias, residual path.
        shown: ``(b, k)`` ids of the units shown to a reader, most important first; -1 pads a short row.
        where: ``(b, k, *g)`` evidence of the shown units over the model's own grid; None if units have no place.
            A padded row is zero everywhere.
        method: how ``contribution`` was found. ``exact`` promises ``contribution.sum(1) + base == logits[target]``.

    Raises:
        ValueError: naming field, shape and expectation when the fields do not fit together.
    """

    units: Units
    logits: Tensor
    target: Tensor
    strength: Tensor
    contribution: Tensor
    base: Tensor
    shown: Tensor
    where: Tensor | None = None
    method: Method = "exact"

    def __post_init__(self) -> None:
        _expect(self.logits.ndim == 2, "Explanation.logits", _shape(self.logits), "(b, c)")
        b, u = len(self.logits), len(self.units)
        for name, shape in (("target", (b,)), ("strength", (b, u)), ("contribution", (b, u)), ("base", (b,))):
            found = _shape(getattr(self, name))
            _expect(found == shape, f"Explanation.{name}", found, f"{shape} for {b} inputs and {u} units")
        for name in ("target", "shown"):
            dtype = getattr(self, name).dtype
            _expect(dtype == torch.int64, f"Explanation.{name}", dtype, "torch.int64")
        shown = _shape(self.shown)
        _expect(self.shown.ndim == 2 and shown[0] == b, "Explanation.shown", shown, f"({b}, k)")
        if self.where is not None:
            ok = self.where.ndim > 2 and _shape(self.where)[:2] == shown
            _expect(ok, "Explanation.where", _shape(self.where), f"({b}, {shown[1]}, *grid)")
        _expect(self.method in get_args(Method), "Explanation.method", repr(self.method), f"one of {get_args(Method)}")

    def __len__(self) -> int:
        return len(self.logits)

    def to(self, device: torch.device | str) -> Explanation:
        """The same explanation with every tensor on ``device``."""
        return self._map(lambda x: x.to(device))

    def detach(self) -> Explanation:
        """The same explanation cut from the graph."""
        return self._map(lambda x: x.detach())

    def _map(self, fn) -> Explanation:
        tensors = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{name: fn(x) for name, x in tensors.items() if isinstance(x, Tensor)})


def gather(values: Tensor, shown: Tensor) -> Tensor:
    """Values of the shown units, zero where ``shown`` pads.

    Args:
        values: ``(b, u, *g)`` one entry for each unit.
        shown: ``(b, k)`` unit ids, -1 for padding.

    Returns:
        ``(b, k, *g)``
    """
    ids, rest = shown.clamp_min(0), values.shape[2:]
    if values.shape[1] == 0:
        return values.new_zeros(*shown.shape, *rest)
    picked = values[torch.arange(len(values), device=values.device)[:, None], ids]
    return picked * (shown >= 0).reshape(*shown.shape, *[1] * len(rest)).to(picked.dtype)


def upsample(where: Tensor, size: int | tuple[int, int]) -> Tensor:
    """The one upsampling of evidence to the input's pixels, shared by pictures and part scores.

    Cubic (a = -0.75), half-pixel centres, replicated border: what the published part protocols use.

    Args:
        where: ``(b, k, h, w)`` evidence on the model's grid.
        size: side of the square input, or (height, width), in pixels.

    Returns:
        ``(b, k, height, width)``
    """
    size = (size, size) if isinstance(size, int) else size
    return torch.nn.functional.interpolate(where, size=size, mode="bicubic", align_corners=False)
