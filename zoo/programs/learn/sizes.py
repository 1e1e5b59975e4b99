"""Sizes of the network of a program."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """Sizes of a network.

    Attributes:
        tokens: of the vocabulary.
        length: n, largest number of positions.
        classes: c.
        width: k, values of every variable; at least ``length``, and ``tokens`` where they are read whole.
        variables: of the embedding; 0 to read tokens whole.
        layers: each with the following.
        heads: that select.
        counters: heads that count.
        tables: that read two categories.
        number_tables: that read two numbers.
        chained: whether counters may add up earlier counters.
        direct: whether tables of categories are learned entry by entry; else by a small network of ``hidden`` units.
        hidden: width of those networks.
        causal: a position sees only what comes before.
        pooled: one answer for a sequence.
    """

    tokens: int
    length: int
    classes: int
    width: int
    variables: int = 0
    layers: int = 1
    heads: int = 2
    counters: int = 2
    tables: int = 1
    number_tables: int = 1
    chained: bool = False
    direct: bool = False
    hidden: int = 64
    causal: bool = False
    pooled: bool = False

    def __post_init__(self) -> None:
        for name in ("tokens", "length", "classes", "width", "hidden"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected 1 or more")
        for name in ("variables", "layers", "heads", "counters", "tables", "number_tables"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; expected 0 or more")
        least = max(self.length, 0 if self.variables else self.tokens)
        if self.width < least:
            raise ValueError(f"width is {self.width}; expected {least} or more for {self.tokens} tokens, {self.length}")

    def seen(self, layer: int, *, mid: bool = False) -> int:
        """Categories that a layer reads; ``mid`` for its tables, which read its heads too."""
        step = self.heads + self.tables + self.number_tables
        return max(1, self.variables) + 1 + layer * step + (self.heads if mid else 0)

    def numbers(self, layer: int, *, mid: bool = False) -> int:
        """Numbers that a layer reads, the constant 1 among them."""
        return 1 + (layer + mid) * self.counters

    @property
    def units(self) -> int:
        """Of the read-out."""
        return self.seen(self.layers) * self.width + self.layers * self.counters
