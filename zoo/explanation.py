"""The contract: the explanation that every model returns, and all that scores and reports read.

Letters of shapes everywhere in the project: b inputs, c classes, u units, k shown units, h w the model's own grid,
t tokens, d width, p parts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Literal, get_args

import torch
from torch import Tensor

from zoo.display import explanation_frame, explanation_html, explanation_text

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["prototype", "concept", "code", "eigenvector", "neuron", "variable", "term", "passage", "latent", "none"]
Method = Literal["exact", "ablation", "gradient"]


def _expect(ok: bool, field: str, actual: object, expected: str) -> None:
    if not ok:
        raise ValueError(f"{field} is {actual}; expected {expected}")


def _expect_finite(field: str, value: Tensor) -> None:
    if value.is_meta or torch.compiler.is_compiling() or bool(value.detach().sum().isfinite()):
        return
    wrong = (~value.detach().isfinite()).nonzero()
    if len(wrong):  # the sum of finite numbers can overflow
        place = tuple(wrong[0].tolist())
        raise ValueError(f"{field} of input {place[0]} holds {float(value[place]):g}; expected finite numbers")


def _shape(x: Tensor) -> tuple[int, ...]:
    return tuple(x.shape)


@dataclass(frozen=True)
class Units:
    """The vocabulary of one trained model.

    Attributes:
        kind: what the units are; ``none`` for a black box, whose vocabulary is empty.
        names: u readable names, such as ``wing: striped`` or ``L3.H2.code17``.
        owner: ``(u,)`` integer class that each unit is evidence for, -1 where classes share it; None if no unit is
            owned.
        group: u names of groups, whose units are set together; None if each unit is a group of its own.
        describe: what the units are and how to read their strength, in a few plain sentences for a reader who has never
            met them.
        binary: the strength is 0 or 1.
        signed: the evidence in ``Explanation.where`` has a sign: positive for the unit, negative against it.

    Raises:
        ValueError: if the kind is unknown, or ``owner`` or ``group`` does not have one entry for each name.

    Example:
        >>> units = Units("concept", ["round", "red"], group=["shape", "color"])
        >>> len(units), units.binary
        (2, False)
    """

    kind: Kind
    names: Sequence[str]
    owner: Tensor | None = None
    group: Sequence[str] | None = None
    describe: str = ""
    binary: bool = False
    signed: bool = False

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
        """Return the ids of the units that each class owns, in id order.

        Args:
            classes: ``(b,)`` class of each input.

        Returns:
            ``(b, k)`` unit ids, k the largest number owned by any class of the vocabulary; shorter rows end in -1.

        Raises:
            ValueError: if no unit has an owner.
        """
        if self.owner is None:
            raise ValueError(
                "Units.owner is None; expected a class for each unit: only units that belong to classes have one"
            )
        return owned_by(self.owner.to(classes.device), classes)


def owned_by(owner: Tensor, classes: Tensor) -> Tensor:
    """Return the ids ``(b, k)`` of the units of classes ``(b,)`` by ``owner`` ``(u,)``; -1 pads short rows.

    Example:
        >>> owned_by(torch.tensor([0, 1, 1]), torch.tensor([1, 0])).tolist()
        [[1, 2], [0, -1]]
    """
    width = int(torch.bincount(owner[owner >= 0]).max()) if bool((owner >= 0).any()) else 0
    first = (owner[None] == classes[:, None]).int().sort(dim=1, descending=True, stable=True)
    return torch.where(first.values.bool(), first.indices, -1)[:, :width]


@dataclass(frozen=True, repr=False)
class Explanation:
    """Why a model gave its answer, for b inputs.

    Attributes:
        units: the vocabulary, u units.
        logits: ``(b, c)`` of the forward pass that is explained.
        target: ``(b,)`` the class that is explained.
        strength: ``(b, u)`` how strongly each unit is present, on the family's own scale.
        contribution: ``(b, u)`` what each unit adds to ``logits[target]``.
        base: ``(b,)`` the part of ``logits[target]`` that no unit accounts for: bias, residual path.
        shown: ``(b, k)`` ids of the units shown to a reader, most important first; -1 pads a short row.
        where: ``(b, k, *g)`` evidence of the shown units over the model's own grid; None if units have no location.
            A padded row is zero everywhere.
        method: how ``contribution`` was computed. ``exact`` promises ``contribution.sum(1) + base == logits[target]``.

    Raises:
        ValueError: naming the field and the expectation when a shape does not fit or a number is not finite.

    Example:
        >>> import zoo
        >>> model = zoo.create_model("bilinear_mlp", num_classes=2, input_shape=[4], width=8).eval()
        >>> explanation = model.explain(torch.ones(3, 4), shown=2)
        >>> explanation.shown.shape
        torch.Size([3, 2])
        >>> total = explanation.contribution.sum(1) + explanation.base
        >>> torch.allclose(total, explanation.logits.gather(1, explanation.target[:, None])[:, 0], atol=1e-5)
        True
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
        b, u = self.logits.shape[0], len(self.units)  # len() would fix the size of a batch that is exported
        for name, shape in (("target", (b,)), ("strength", (b, u)), ("contribution", (b, u)), ("base", (b,))):
            actual = _shape(getattr(self, name))
            _expect(actual == shape, f"Explanation.{name}", actual, f"{shape} for {b} inputs and {u} units")
        for name in ("target", "shown"):
            dtype = getattr(self, name).dtype
            _expect(dtype == torch.int64, f"Explanation.{name}", dtype, "torch.int64")
        shown = _shape(self.shown)
        _expect(self.shown.ndim == 2 and shown[0] == b, "Explanation.shown", shown, f"({b}, k)")
        if self.where is not None:
            ok = self.where.ndim > 2 and _shape(self.where)[:2] == shown
            _expect(ok, "Explanation.where", _shape(self.where), f"({b}, {shown[1]}, *grid)")
            _expect_finite("Explanation.where", self.where)
        for name in ("logits", "strength", "contribution", "base"):
            _expect_finite(f"Explanation.{name}", getattr(self, name))
        _expect(self.method in get_args(Method), "Explanation.method", repr(self.method), f"one of {get_args(Method)}")

    def __len__(self) -> int:
        return len(self.logits)

    def __repr__(self) -> str:
        """A few lines: size, and the largest units of the first inputs."""
        return explanation_text(self)

    def _repr_html_(self) -> str:
        return explanation_html(self)

    def to_pandas(self) -> pd.DataFrame:
        """Return a frame with one row for each shown unit of each input, most important first.

        Example:
            >>> import zoo
            >>> model = zoo.create_model("bilinear_mlp", num_classes=2, input_shape=[4], width=8).eval()
            >>> model.explain(torch.ones(3, 4), shown=2).to_pandas().columns.tolist()
            ['input', 'target', 'logit', 'rank', 'unit', 'name', 'strength', 'contribution']
        """
        return explanation_frame(self)

    def to(self, device: torch.device | str) -> Explanation:
        """Return the same explanation with every tensor on ``device``."""
        return self._map(lambda x: x.to(device))

    def detach(self) -> Explanation:
        """Return the same explanation detached from the graph."""
        return self._map(lambda x: x.detach())

    def _map(self, fn: Callable[[Tensor], Tensor]) -> Explanation:
        tensors = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{name: fn(x) for name, x in tensors.items() if isinstance(x, Tensor)})


def gather(values: Tensor, shown: Tensor) -> Tensor:
    """Return the values of the shown units, zero where ``shown`` pads.

    Args:
        values: ``(b, u, *g)`` one entry for each unit.
        shown: ``(b, k)`` unit ids, -1 for padding.

    Returns:
        ``(b, k, *g)``

    Example:
        >>> gather(torch.tensor([[5.0, 6.0, 7.0]]), torch.tensor([[2, 0, -1]])).tolist()
        [[7.0, 5.0, 0.0]]
    """
    ids = shown.clamp_min(0)
    rest = values.shape[2:]
    if values.shape[1] == 0:
        return values.new_zeros(*shown.shape, *rest)
    picked = values[torch.arange(values.shape[0], device=values.device)[:, None], ids]
    return picked * (shown >= 0).reshape(*shown.shape, *[1] * len(rest)).to(picked.dtype)


def upsample(where: Tensor, size: int | tuple[int, int]) -> Tensor:
    """Upsample evidence to the input's pixels; pictures and part scores share this function.

    Cubic (a = -0.75), half-pixel centers, replicated border, as in the published part protocols.

    Args:
        where: ``(b, k, h, w)`` evidence on the model's grid.
        size: side of the square input, or (height, width), in pixels.

    Returns:
        ``(b, k, height, width)``
    """
    size = (size, size) if isinstance(size, int) else size
    return torch.nn.functional.interpolate(where, size=size, mode="bicubic", align_corners=False)


@dataclass(frozen=True)
class Contrast:
    """Why ``first.target`` rather than ``second.target``, for b inputs; u units.

    The sums of two explanations with one starting value say little about the choice between the classes: what counts
    is by how much more a unit adds to one class than to the other. If both explanations are exact,
    ``contribution.sum(1) + base`` is the difference of the two logits.

    Attributes:
        first: explanation of the class in question.
        second: explanation of the other class, of the same inputs.
        shown: ``(b, k)`` ids of the units with the largest differences, largest first.

    Raises:
        ValueError: if the explanations are not of the same inputs and units.
    """

    first: Explanation
    second: Explanation
    shown: Tensor

    def __post_init__(self) -> None:
        if self.first.contribution.shape != self.second.contribution.shape:
            one, two = (tuple(e.contribution.shape) for e in (self.first, self.second))
            raise ValueError(f"contributions are {one} and {two}; expected two explanations of the same inputs")

    def __len__(self) -> int:
        return len(self.first)

    @classmethod
    def of(cls, first: Explanation, second: Explanation, shown: int) -> Contrast:
        """Return the contrast of two explanations with the ``shown`` units of the largest differences.

        Raises:
            ValueError: if both explain the same class of an input.
        """
        if bool((same := first.target == second.target).any()):
            i = int(same.nonzero()[0, 0])
            raise ValueError(f"input {i} is compared with its own class {int(first.target[i])}; expected another class")
        difference = (first.contribution - second.contribution).abs()
        return cls(first, second, difference.topk(min(shown, difference.shape[1]), dim=1).indices)

    @property
    def units(self) -> Units:
        """The vocabulary."""
        return self.first.units

    @property
    def target(self) -> Tensor:
        """Class ``(b,)`` in question."""
        return self.first.target

    @property
    def against(self) -> Tensor:
        """Class ``(b,)`` that it is compared with."""
        return self.second.target

    @property
    def contribution(self) -> Tensor:
        """By how much more each unit adds to the first class ``(b, u)``."""
        return self.first.contribution - self.second.contribution

    @property
    def base(self) -> Tensor:
        """Difference ``(b,)`` of the parts that no unit accounts for."""
        return self.first.base - self.second.base

    @property
    def difference(self) -> Tensor:
        """Difference ``(b,)`` of the two logits."""
        logits = self.first.logits
        return (logits.gather(1, self.target[:, None]) - logits.gather(1, self.against[:, None]))[:, 0]

    @property
    def is_exact(self) -> bool:
        """Whether contributions and base sum to the difference of the logits."""
        return self.first.method == "exact" and self.second.method == "exact"

    def to_pandas(self) -> pd.DataFrame:
        """Return one row for each shown unit of each input."""
        import pandas as pd

        contribution, rows = self.contribution, []
        for i, ids in enumerate(self.shown.tolist()):
            for unit in ids:
                rows.append(
                    {
                        "input": i,
                        "class": int(self.target[i]),
                        "against": int(self.against[i]),
                        "unit": self.units.names[unit],
                        "difference": float(contribution[i, unit]),
                        "for the class": float(self.first.contribution[i, unit]),
                        "for the other": float(self.second.contribution[i, unit]),
                    }
                )
        return pd.DataFrame(rows)
