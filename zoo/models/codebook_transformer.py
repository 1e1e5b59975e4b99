"""Codebook transformer: a small language model whose heads and MLPs can say only what is in a list of codes.

Tamkin, Taufeeque, Goodman, Codebook features: sparse and discrete interpretability for neural networks, 2023. At
named places of every block the vector is replaced by the mean of the k best codes of a learnt list: on or off each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.batch import Batch
from zoo.explanation import Explanation, Units
from zoo.layers.codebook.bottleneck import Snapped, committed, matched
from zoo.layers.codebook.override import Held
from zoo.layers.codebook.reset import Revival
from zoo.layers.codebook.sites import Books, Choices
from zoo.layers.transformer.decoder import Activation, Decoder, Visit
from zoo.layers.transformer.language_model import Language, following
from zoo.model import SelfExplaining
from zoo.registry import register


@register
class CodebookTransformer(Language, SelfExplaining):
    """A decoder-only language model with codebooks; an input is a context of tokens, the classes are the vocabulary.

    Units are codes: ``L1.H2.17`` of a head, ``L1.A.17`` of the sum of heads, ``L1.M.17`` of an MLP. A code's strength
    is 1 where it was chosen at the last position, 0 elsewhere; its contribution the direct read-out of its share 1/k,
    exact; ``where`` the positions that chose it. A strength that is set replaces its weight in the sum, at the last
    position, and the later layers follow it.

    Args:
        num_classes: size of the vocabulary; filled in from the data.
        input_shape: [t], the longest context; filled in from the data.
        width: of the residual stream.
        depth: blocks.
        heads: of each block.
        hidden: hidden units of each MLP; 0 for 4 widths (8/3 with swiglu).
        mlp: activation.
        rotary_base: ratio between the fastest and the slowest turn of positions.
        rotary_fastest: angle of the fastest turn from one token to the next; pi tells odd from even positions.
        dropout: of what each sub-layer adds to the stream.
        sites: where the codebooks are: ``mix`` (a book for each head), ``attention``, ``mlp``; None for ``mix``.
        codes: of each book.
        k: codes chosen by each book at each position.
        revive: steps after which codes that were not chosen begin anew; 0 for never.
    """

    terms = ("task", "match", "commit")

    def __init__(
        self,
        *,
        num_classes: int | None = None,
        input_shape: list[int] | None = None,
        width: int = 128,
        depth: int = 2,
        heads: int = 4,
        hidden: int = 0,
        mlp: Activation = "gelu",
        rotary_base: float = 1e4,
        rotary_fastest: float = 1.0,
        dropout: float = 0.0,
        sites: list[Literal["mix", "attention", "mlp"]] | None = None,
        codes: int = 1000,
        k: int = 1,
        revive: int = 0,
    ) -> None:
        super().__init__()
        if num_classes is None or not input_shape or len(input_shape) != 1:
            raise ValueError(
                f"num_classes is {num_classes} and input_shape {input_shape}; expected the size of the vocabulary and"
                " [the longest context]"
            )
        if revive < 0:
            raise ValueError(f"revive is {revive}; expected a number of steps, or 0 for never")
        self.save_hyperparameters()
        self.decoder = Decoder(
            num_classes,
            input_shape[0],
            width=width,
            depth=depth,
            heads=heads,
            hidden=hidden,
            activation=mlp,
            rotary_base=rotary_base,
            rotary_fastest=rotary_fastest,
            dropout=dropout,
        )
        places = ["mix"] if sites is None else sites
        self.codebooks = Books(places, depth=depth, heads=heads, width=width, codes=codes, k=k)
        self.k, self.revive = k, revive
        self._units = Units("code", self.codebooks.names)

    @property
    def units(self) -> Units:
        """Codes, named by layer, head or site, and number."""
        return self._units

    def trainable_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """``embed``, ``blocks``, ``norm``, ``head``, ``codebooks``."""
        names = ("embed", "blocks", "norm", "head")
        return {name: getattr(self.decoder, name) for name in names} | {"codebooks": self.codebooks}

    def configure_callbacks(self) -> list[Revival]:
        """Revival of unchosen codes, where asked for and where codes learn."""
        return [Revival(self.revive)] if self.revive and "codebooks" in self.phase.lr else []

    # The pass.

    def transform(self, layer: int, place: str, value: Tensor) -> Tensor:
        """The codes in place of what was found."""
        return self.codebooks.visit()(layer, place, value)

    def setting(self, mask: Tensor, value: Tensor) -> Visit:
        """Codes with their weights in the sum as set."""

        def change(first: int, snapped: Snapped, codes: Tensor) -> Tensor:
            groups, count, _ = codes.shape
            own = slice(first, first + groups * count)
            weight = torch.zeros(*snapped.ids.shape[:-1], count, dtype=value.dtype, device=value.device)
            weight = weight.scatter(-1, snapped.ids, 1).flatten(-2)
            moved = torch.where(mask[..., own], value[..., own] - weight, 0).unflatten(-1, (groups, count))
            return snapped.value + torch.einsum("nbgc,gce->nbge", moved, codes) / self.k

        return self.codebooks.visit(change=change)

    def holding(self, held: Mapping[int, bool]) -> Visit:
        """Codes held on or off, at every position of the pass.

        A code that is on is in the sum, besides those that were chosen; one that is off is left out of it.

        Args:
            held: unit id -> on or off.

        Raises:
            ValueError: if an id is not in the vocabulary.
        """
        self.check_values(dict.fromkeys(held, 0.0))
        return self.codebooks.visit(change=Held(held, codes=self.hparams["codes"], k=self.k))

    def steer(self, x: Tensor, new: int, held: Mapping[int, bool], **options: Any) -> Tensor:
        """``generate`` with codes held on or off from the last position of the context on.

        Args:
            x: ``(b, t)`` contexts.
            new: how many tokens to draw.
            held: as for ``holding``.
            options: of ``generate``.

        Raises:
            ValueError: as for ``holding`` and ``generate``.
        """
        return self.generate(x, new, visit=self.holding(held), **options)

    def loss(self, batch: Batch, weights: Mapping[str, float]) -> dict[str, Tensor]:
        """Cross-entropy; distance of the codes from what was wanted (``match``), of that from them (``commit``)."""
        found: list[Snapped] = []
        y, real = following(batch.x, batch.y), batch.x >= 0

        def note(layer: int, place: str, snapped: Snapped) -> None:
            found.append(snapped)
            self.codebooks.at(layer, place).note(snapped, real)

        logits = self.decoder(batch.x.clamp_min(0), self.codebooks.visit(note))
        terms = {"task": F.cross_entropy(logits.flatten(0, 1), y.flatten(), ignore_index=-1)}
        for name, distance in (("match", matched), ("commit", committed)):
            if weights.get(name, 0):
                terms[name] = torch.stack([distance(snapped, real) for snapped in found]).mean()
        return terms

    @torch.no_grad()
    def start_codes(self, loader: Iterable[Batch], batches: int = 4, rounds: int = 10) -> dict[str, float]:
        """Start every book as k-means of what its place computes, in the order of the pass.

        Args:
            loader: of the training split.
            batches: how many to take.
            rounds: of k-means.
        """
        self.eval()
        x = [batch.x.to(self.device) for batch, _ in zip(loader, range(batches), strict=False)]
        for layer, place in self.codebooks.first:
            seen: list[Tensor] = []

            def catch(i: int, p: str, v: Tensor, at=(layer, place), seen=seen) -> Tensor:
                if (i, p) == at:
                    seen.append(v)
                return v if (i, p) == at else self.transform(i, p, v)

            for some in x:
                self.decoder.run(some.clamp_min(0), catch)
            vectors = torch.cat([v[some >= 0] for v, some in zip(seen, x, strict=True)])
            book = self.codebooks.at(layer, place)
            book.fit(vectors if place == "mix" else vectors[:, None], rounds=rounds)
        return {}

    # The contract.

    def chosen(self, x: Tensor) -> Tensor:
        """Unit ids ``(b, t, n)`` of all codes that are on at every position of contexts ``(b, t)``."""
        note = Choices(self.codebooks)
        self.begin_at(x, self.codebooks.visit(note))
        return note.ids()

    def activity(self, x: Tensor, units: Tensor | None = None) -> Tensor:
        """Strengths ``(b, t, n)`` of units ``(n,)`` (None for all) at every position of contexts ``(b, t)``."""
        on = self.chosen(x)
        if units is None:
            return torch.zeros(*on.shape[:2], len(self.units), device=x.device).scatter(2, on, 1)
        return (on[:, :, :, None] == units).any(2).float()

    def explain(self, x: Tensor, target: Tensor | None = None, shown: int | Tensor = 10) -> Explanation:
        """Codes that are on, times their direct effect on the logit, exact."""
        everywhere, here = Choices(self.codebooks), Choices(self.codebooks)
        state = self.begin_at(x, self.codebooks.visit(everywhere))[1]
        stream = self.finish_at(state, self.codebooks.visit(here))
        logits = self.decoder.read(stream)[0]
        target = self.resolve_target(logits, target)
        strength = logits.new_zeros(len(x), len(self.units)).scatter(1, here.ids()[0], 1)
        contribution = strength * self._effects(self.decoder.readout(stream[0], target))
        base = logits.gather(1, target[:, None])[:, 0] - contribution.sum(1)
        shown = self.resolve_shown(contribution, shown)
        on = everywhere.ids().masked_fill(x[:, : self.decoder.context, None] < 0, -2)
        where = (on[:, None] == shown[:, :, None, None]).any(-1).to(logits.dtype)
        return Explanation(self.units, logits, target, strength, contribution, base, shown, where)

    def _effects(self, direction: Tensor) -> Tensor:
        """What each code that is on adds to the logit ``(b, u)``, from the read-out ``(b, d)``."""
        told = []
        for layer, place in self.codebooks.first:
            codes = self.codebooks.at(layer, place).codes
            legs = direction[:, None]
            if place == "mix":
                legs = (direction @ self.decoder.blocks[layer].attention.out.weight).unflatten(1, codes.shape[::2])
            told.append(torch.einsum("bge,gce->bgc", legs, codes).flatten(1) / self.k)
        return torch.cat(told, 1)
