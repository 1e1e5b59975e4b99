"""Toy data with known solutions: XOR, Trig and Dot (Espinosa Zarlenga et al., Concept Embedding Models, 2022)."""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor

from zoo.concept_schema import Concept, ConceptSchema
from zoo.data.split import Split
from zoo.data.table_data import TableData
from zoo.registry import register

Kind = Literal["xor", "trig", "dot"]
SPLITS = ("train", "val", "test")
CONCEPTS = {"xor": ("a > .5", "b > .5"), "trig": ("u > 0", "v > 0", "w > 0"), "dot": ("v.p > 0", "w.q > 0")}


@register
class Toys(TableData):
    """Random points with binary concepts.

    - ``xor``: x uniform on the unit square; concepts: each coordinate above 0.5; class: exactly one of them is. Both
      concepts together determine the class, but a linear head on them has an accuracy of at most 0.75.
    - ``trig``: (u, v, w) normal with variance 2; x is sin(h) + h and cos(h) + h of each, and u^2 + v^2 + w^2; concepts:
      the three signs; class: u + v > 0, which the signs do not determine.
    - ``dot``: v and w normal in the plane with variance 2; x is v + w and v - w; concepts: the signs of v.p and w.q for
      p = q = (1, 1); class: v.w > 0, which the concepts determine even less.

    Args:
        kind: ``xor``, ``trig`` or ``dot``.
        n_train: number of training points.
        n_val: number of validation points.
        n_test: number of test points.
        batch_size: samples per batch on each rank.
        common: other arguments of ``zoo.data.base.Data``.

    Raises:
        ValueError: if an argument is unknown or out of range.

    Example:
        >>> from zoo.data import create_data
        >>> create_data("toys", kind="trig", n_test=8).samples("test", [0, 1]).concepts.shape
        torch.Size([2, 3])
    """

    class_names = ("no", "yes")
    license = "drawn by zoo"

    def __init__(
        self,
        *,
        kind: Kind = "xor",
        n_train: int = 3000,
        n_val: int = 500,
        n_test: int = 2000,
        batch_size: int = 256,
        **common: Any,
    ) -> None:
        super().__init__(batch_size=batch_size, **common)
        if kind not in get_args(Kind):
            raise ValueError(f"data.kind is {kind!r}; expected one of {', '.join(get_args(Kind))}")
        self.kind = kind
        self.counts = {"train": n_train, "val": n_val, "test": n_test}
        for name, n in self.counts.items():
            if n < 8:
                raise ValueError(f"data.n_{name} is {n}; expected 8 or more")
        self.concepts = ConceptSchema(tuple(map(Concept, CONCEPTS[kind])), "by definition")
        width = {"xor": 2, "trig": 7, "dot": 4}[kind]
        self.feature_names = tuple(f"x{i}" for i in range(1, width + 1))

    def _read(self) -> dict[str, Split]:
        return {name: self._draw(name) for name in SPLITS}

    def _draw(self, name: str) -> Split:
        n = self.counts[name]
        g = torch.Generator().manual_seed(3 * self.seed + SPLITS.index(name))
        x, concepts, y = {"xor": _xor, "trig": _trig, "dot": _dot}[self.kind](n, g)
        return Split([f"{name}/{i:05d}" for i in range(n)], y.long(), concepts=concepts.float(), x=x)


def _xor(n: int, g: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    x = torch.rand(n, 2, generator=g)
    concepts = x > 0.5
    return x, concepts, concepts[:, 0] ^ concepts[:, 1]


def _trig(n: int, g: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    h = torch.randn(n, 3, generator=g) * 2**0.5
    x = torch.cat([torch.stack([h.sin() + h, h.cos() + h], 2).flatten(1), h.square().sum(1, keepdim=True)], 1)
    return x, h > 0, h[:, 0] + h[:, 1] > 0


def _dot(n: int, g: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    v, w = (torch.randn(2, n, 2, generator=g) * 2**0.5).unbind()
    concepts = torch.stack([v.sum(1) > 0, w.sum(1) > 0], 1)
    return torch.cat([v + w, v - w], 1), concepts, (v * w).sum(1) > 0
