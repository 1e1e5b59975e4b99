"""The codebooks of a decoder: their sites, the names of their codes, and the pass through them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from zoo.layers.codebook.bottleneck import Codebook, Quantized
from zoo.layers.transformer.block import Visit

SITES = ("mix", "attention", "mlp")
Note = Callable[[int, str, Quantized], None]
Change = Callable[[int, Quantized, Tensor], Tensor]


class SiteCodebooks(nn.ModuleDict):
    """A codebook at each of some places of every block.

    The vocabulary is all codes in the order of the forward pass: ``L1.H2.17`` of a head (``mix`` has a list for each),
    ``L1.A.17`` of the sum of heads (``attention``), ``L1.M.17`` of an MLP (``mlp``).

    Args:
        sites: some of ``SITES``.
        depth: number of blocks.
        heads: of each block.
        width: of the residual stream.
        codes: of each list.
        k: codes selected from each list at each position.

    Attributes:
        first: the id of the first code of the codebook at each layer and place.
        names: of all codes.

    Raises:
        ValueError: if ``sites`` are not some places, each once; or as for ``Codebook``.

    Example:
        >>> SiteCodebooks(["mix"], depth=1, heads=2, width=8, codes=3, k=1).names
        ['L0.H0.0', 'L0.H0.1', 'L0.H0.2', 'L0.H1.0', 'L0.H1.1', 'L0.H1.2']
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
        """Return the codebook at a layer and place."""
        codebook = self[f"{layer}-{place}"]
        assert isinstance(codebook, Codebook)
        return codebook

    def visit(self, note: Note | None = None, change: Change | None = None) -> Visit:
        """Return the visit that replaces values by their codes.

        Args:
            note: called with layer, place and ``Quantized`` of every codebook.
            change: returns what replaces ``Quantized.value``, from the id of the codebook's first code, the
                ``Quantized`` and the codes ``(g, c, e)``.
        """

        def quantize(layer: int, place: str, value: Tensor) -> Tensor:
            if (layer, place) not in self.first:
                return value
            codebook = self.at(layer, place)
            quantized: Quantized = codebook(value if place == "mix" else value[..., None, :])
            if note is not None:
                note(layer, place, quantized)
            if change is None:
                return quantized.value.view_as(value)
            return change(self.first[layer, place], quantized, codebook.codes).view_as(value)

        return quantize


class CodeRecorder:
    """Records the selected codes of a pass as unit ids; a ``note`` of ``SiteCodebooks.visit``.

    Args:
        codebooks: of the pass.
    """

    def __init__(self, codebooks: SiteCodebooks) -> None:
        self.codebooks = codebooks
        self.recorded: list[Tensor] = []

    def __call__(self, layer: int, place: str, quantized: Quantized) -> None:
        """Record the codes of one codebook."""
        rows = self.codebooks.at(layer, place).rows(quantized.ids)
        self.recorded.append((rows + self.codebooks.first[layer, place]).flatten(-2))

    def ids(self) -> Tensor:
        """Return the ids ``(..., n)`` of all selected codes."""
        return torch.cat(self.recorded, -1)
