"""The codebooks of a decoder: where they are, what their codes are called, and the pass through them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from zoo.layers.codebook.bottleneck import Codebook, Snapped
from zoo.layers.transformer.decoder import Visit

SITES = ("mix", "attention", "mlp")
Note = Callable[[int, str, Snapped], None]
Change = Callable[[int, Snapped, Tensor], Tensor]


class Books(nn.ModuleDict):
    """A codebook at each of some places of every block.

    The vocabulary is all codes in the order of the pass: ``L1.H2.17`` of a head (``mix`` has a list for each),
    ``L1.A.17`` of the sum of heads (``attention``), ``L1.M.17`` of an MLP (``mlp``).

    Args:
        sites: some of ``SITES``.
        depth: blocks.
        heads: of each block.
        width: of the residual stream.
        codes: of each list.
        k: codes chosen from each list at each position.

    Attributes:
        first: the id of the first code of the book at each layer and place.
        names: of all codes.

    Raises:
        ValueError: if ``sites`` are not some places, each once; or as for ``Codebook``.
    """

    def __init__(self, sites: Sequence[str], *, depth: int, heads: int, width: int, codes: int, k: int) -> None:
        super().__init__()
        if not sites or len(set(sites)) < len(sites) or not set(sites) <= set(SITES):
            raise ValueError(f"sites is {list(sites)}; expected some of {', '.join(SITES)}, each once")
        self.first: dict[tuple[int, str], int] = {}
        self.names: list[str] = []
        for layer in range(depth):
            for place in (site for site in SITES if site in sites):
                marks = [f"H{j}" for j in range(heads)] if place == "mix" else [place[0].upper()]
                self.first[layer, place] = len(self.names)
                self[f"{layer}-{place}"] = Codebook(len(marks), codes, width // len(marks), k)
                self.names += [f"L{layer}.{mark}.{c}" for mark in marks for c in range(codes)]

    def at(self, layer: int, place: str) -> Codebook:
        """The book there."""
        book = self[f"{layer}-{place}"]
        assert isinstance(book, Codebook)
        return book

    def visit(self, note: Note | None = None, change: Change | None = None) -> Visit:
        """The pass with codes in place of what was found.

        Args:
            note: is told of every choice: layer, place, ``Snapped`` with g groups.
            change: gives what is used in place of ``value``, from the id of the book's first code, the choice and the
                codes ``(g, c, e)``.
        """

        def see(layer: int, place: str, found: Tensor) -> Tensor:
            if (layer, place) not in self.first:
                return found
            book = self.at(layer, place)
            snapped = book(found if place == "mix" else found[..., None, :])
            if note is not None:
                note(layer, place, snapped)
            value = snapped.value if change is None else change(self.first[layer, place], snapped, book.codes)
            return value.view_as(found)

        return see


class Choices:
    """Notes the choices of a pass, and tells them as unit ids."""

    def __init__(self, books: Books) -> None:
        self.books, self.found = books, list[Tensor]()

    def __call__(self, layer: int, place: str, snapped: Snapped) -> None:
        """Note a choice."""
        self.found.append((self.books.at(layer, place).rows(snapped.ids) + self.books.first[layer, place]).flatten(-2))

    def ids(self) -> Tensor:
        """All codes that are on, ``(..., n)``."""
        return torch.cat(self.found, -1)
