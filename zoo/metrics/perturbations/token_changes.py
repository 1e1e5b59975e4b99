"""Changes of token sequences that a stable explanation should survive, or follow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from zoo.batch import Batch
from zoo.metrics.base import count
from zoo.metrics.perturbations.noise import Change, random_bits


def _tokens(x: Tensor) -> Tensor:
    if x.ndim != 2 or x.is_floating_point():
        raise ValueError(f"x is {tuple(x.shape)} {x.dtype}; a change of tokens needs (b, t) integers")
    return x


@dataclass(frozen=True)
class Prefix(Change):
    """Tokens put in front; positions move along.

    Attributes:
        tokens: their ids.
        start: number of leading tokens (such as a start token) that stay in front of them.

    Example:
        >>> Prefix(tokens=(7,), start=1).inputs(torch.tensor([[0, 5, 6]]), torch.tensor([0]), 0)
        tensor([[0, 7, 5, 6]])
    """

    takes: ClassVar[str] = "tokens"
    moves: ClassVar[bool] = True
    tokens: tuple[int, ...] = ()
    start: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "tokens", tuple(self.tokens))
        count("the number of tokens", len(self.tokens))

    def inputs(self, x: Tensor, ids: Tensor, draw: int) -> Tensor:
        """The longer sequences ``(b, t + n)``."""
        new = torch.tensor(self.tokens, dtype=x.dtype, device=x.device).expand(len(x), -1)
        return torch.cat([_tokens(x)[:, : self.start], new, x[:, self.start :]], 1)

    def place(self, points: Tensor, ids: Tensor, draw: int, size: tuple[int, ...]) -> Tensor:
        """Positions ``(b, n)`` in the longer sequence."""
        return points + len(self.tokens) * (points >= self.start)


@dataclass(frozen=True)
class Typo(Change):
    """Some random tokens replaced by others.

    Attributes:
        vocabulary: number of token ids.
        number: of tokens replaced.
        start: number of leading tokens that stay.
    """

    takes: ClassVar[str] = "tokens"
    random: ClassVar[bool] = True
    vocabulary: int = 2
    number: int = 1
    start: int = 0

    def __post_init__(self) -> None:
        if count("vocabulary", self.vocabulary) < 2:
            raise ValueError("vocabulary is 1; expected 2 or more, so that there is another token")
        count("number", self.number)

    def inputs(self, x: Tensor, ids: Tensor, draw: int) -> Tensor:
        """The sequences with their typos; a replaced token is never the same again."""
        t = _tokens(x).shape[1] - self.start
        bits = random_bits(ids.to(x.device), draw=draw + (3 << 32), count=2 * t) & (2**62 - 1)
        at = self.start + bits[:, :t].argsort(1)[:, : self.number]
        step = 1 + bits[:, t:].gather(1, at - self.start) % (self.vocabulary - 1)
        return x.scatter(1, at, ((x.gather(1, at) + step) % self.vocabulary).to(x.dtype))


@dataclass(frozen=True)
class Swap(Change):
    """Some random neighbors exchanged, one pair after the other.

    Attributes:
        number: of exchanges.
        start: number of leading tokens that stay.
    """

    takes: ClassVar[str] = "tokens"
    random: ClassVar[bool] = True
    moves: ClassVar[bool] = True
    number: int = 1
    start: int = 0

    def __post_init__(self) -> None:
        count("number", self.number)

    def _order(self, ids: Tensor, draw: int, t: int) -> Tensor:
        """``(b, t)`` the old position of each new one."""
        order = torch.arange(t, device=ids.device).repeat(len(ids), 1)
        if t - self.start < 2:
            return order
        bits = random_bits(ids, draw=draw + (4 << 32), count=self.number) & (2**62 - 1)
        for first in (self.start + bits % (t - self.start - 1)).split(1, dim=1):
            pair = torch.cat([first, first + 1], 1)
            order = order.scatter(1, pair, order.gather(1, pair.flip(1)))
        return order

    def inputs(self, x: Tensor, ids: Tensor, draw: int) -> Tensor:
        """The sequences with neighbors exchanged."""
        return x.gather(1, self._order(ids.to(x.device), draw, _tokens(x).shape[1]))

    def place(self, points: Tensor, ids: Tensor, draw: int, size: tuple[int, ...]) -> Tensor:
        """New positions ``(b, n)``."""
        return self._order(ids.to(points.device), draw, size[0]).argsort(1).gather(1, points)


@dataclass(frozen=True)
class Rename(Change):
    """A renaming of the vocabulary, or a symmetry of a board: tokens, classes and labels by given maps.

    Attributes:
        tokens: new id of each token id. Empty for as it was, as in the others.
        order: for each new position, the old one.
        classes: new number of each class.
        concepts: new column of each concept.

    Example:
        >>> Rename(tokens=(0, 2, 1)).inputs(torch.tensor([[0, 1, 2]]), torch.tensor([0]), 0)
        tensor([[0, 2, 1]])
    """

    takes: ClassVar[str] = "tokens"
    moves: ClassVar[bool] = True
    tokens: tuple[int, ...] = ()
    order: tuple[int, ...] = ()
    classes: tuple[int, ...] = ()
    concepts: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("tokens", "order", "classes", "concepts"):
            given = tuple(getattr(self, name))
            object.__setattr__(self, name, given)
            if sorted(given) != list(range(len(given))):
                raise ValueError(f"{name} is {given}; expected each number from 0 to {len(given) - 1} once")

    def inputs(self, x: Tensor, ids: Tensor, draw: int) -> Tensor:
        """The renamed sequences."""
        x = torch.tensor(self.tokens, dtype=x.dtype, device=x.device)[_tokens(x).long()] if self.tokens else _tokens(x)
        return x[:, torch.tensor(self.order, device=x.device)] if self.order else x

    def place(self, points: Tensor, ids: Tensor, draw: int, size: tuple[int, ...]) -> Tensor:
        """New positions ``(b, n)``."""
        return torch.tensor(self.order, device=points.device).argsort()[points] if self.order else points

    def __call__(self, batch: Batch, draw: int) -> Batch:
        """The renamed samples, with their classes and labels."""
        new = super().__call__(batch, draw)
        if self.classes:
            new = replace(new, y=torch.tensor(self.classes, device=batch.targets.device)[batch.targets])
        if self.concepts and batch.concepts is not None:
            old = torch.tensor(self.concepts, device=batch.concepts.device).argsort()
            new = replace(new, concepts=batch.concepts[:, old])
        return new
