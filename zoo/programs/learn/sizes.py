"""Sizes of the relaxed network of a program."""

from __future__ import annotations

from dataclasses import dataclass

COUNTS_FROM_ONE = ("tokens", "length", "classes", "width", "hidden")
COUNTS_FROM_ZERO = ("variables", "layers", "heads", "counters", "tables", "number_tables")


@dataclass(frozen=True)
class Sizes:
    """Sizes of a relaxed network.

    Attributes:
        tokens: size of the vocabulary.
        length: n, largest number of positions.
        classes: c.
        width: k, values of every variable; at least ``length``, and at least ``tokens`` if ``variables`` is 0.
        variables: number of learned properties of each token; 0 to read tokens as a whole.
        layers: number of layers, each with the following.
        heads: attention heads that copy.
        counters: attention heads that count.
        tables: tables of two categories.
        number_tables: tables of two numbers.
        chained: whether counters may sum earlier counters.
        direct: whether tables of categories are learned entry by entry; else each is a network with one hidden layer.
        hidden: width of these networks.
        causal: whether a position attends only to itself and earlier positions.
        pooled: whether there is one answer for a sequence.

    Raises:
        ValueError: if a size is too small.

    Example:
        >>> sizes = Sizes(tokens=4, length=5, classes=2, width=5, heads=2, counters=1, tables=1, number_tables=1)
        >>> sizes.categories(layer=1), sizes.numbers(layer=1), sizes.units
        (6, 2, 31)
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
        for names, smallest in ((COUNTS_FROM_ONE, 1), (COUNTS_FROM_ZERO, 0)):
            for name in names:
                if getattr(self, name) < smallest:
                    raise ValueError(f"{name} is {getattr(self, name)}; expected {smallest} or more")
        smallest = max(self.length, 0 if self.variables else self.tokens)
        if self.width < smallest:
            raise ValueError(
                f"width is {self.width}; expected {smallest} or more for {self.tokens} tokens and length {self.length}"
            )

    def categories(self, layer: int, *, after_heads: bool = False) -> int:
        """Return the number of categories that a layer reads; its tables read its heads too (``after_heads``)."""
        per_layer = self.heads + self.tables + self.number_tables
        return max(1, self.variables) + 1 + layer * per_layer + (self.heads if after_heads else 0)

    def numbers(self, layer: int, *, after_heads: bool = False) -> int:
        """Return the number of numbers that a layer reads, including the constant 1."""
        return 1 + (layer + after_heads) * self.counters

    @property
    def units(self) -> int:
        """Number of units of the read-out."""
        return self.categories(self.layers) * self.width + self.layers * self.counters
