"""What language models of every family share: prompts, the pass, the loss over all positions, generation.

An input is a context ``(b, t)`` of token ids, -1 behind its end; the classes are the vocabulary, the answer is the next
token. So one input is one position of one sequence, and a model explains positions.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.batch import Batch
from zoo.layers.transformer.decoder import Cache, Decoder, Visit
from zoo.layers.transformer.sampling import generate


class Language(ABC):
    """A family of decoder language models; comes before ``SelfExplaining`` among the bases.

    A family sets ``decoder``, says in ``transform`` what happens at the places of every pass (nothing, unless it has a
    bottleneck there), and in ``setting`` how units are set at the last position.

    The state that ``encode`` finds is: the last token ``(b,)``, its position ``(b,)``, keys and values ``(b, l, h, t,
    e)``. Units are set at the last position only; what follows from them is computed anew.
    """

    input_kind = "tokens"
    decoder: Decoder
    log: Any  # Lightning's

    @property
    def capabilities(self) -> frozenset[str]:
        """Names of the capabilities of this instance, see ``zoo.capabilities``."""
        return frozenset({"activity", "hidden_neurons", "language_model", "steerable"})

    def transform(self, layer: int, place: str, value: Tensor) -> Tensor:
        """The family's own change of what a pass computes at a place."""
        return value

    @abstractmethod
    def setting(self, mask: Tensor, value: Tensor) -> Visit:
        """``transform``, with units set where ``mask`` ``(n, b, u)`` is true to ``value`` ``(n, b, u)``."""

    def firing(self, top: Tensor) -> Tensor:
        """Activity above which units fire, of the largest that each was seen with ``(n,)``: 0, they are on or off."""
        return torch.zeros_like(top)

    def part_of(self, key: str) -> str:
        """The part that a tensor of the state belongs to."""
        first, second = key.split(".", 2)[:2]
        return second if first == "decoder" else first

    def encode(self, x: Tensor) -> tuple[Tensor, ...]:
        """The state of contexts ``(b, t)``; see the class.

        Raises:
            ValueError: as for ``prompts``.
        """
        return self.begin_at(x, self.transform)[1]

    def begin_at(self, x: Tensor, visit: Visit) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The stream ``(b, t, d)`` of contexts and the state, with ``visit`` in place of ``transform``."""
        tokens, length = prompts(x, self.decoder)
        stream, cache = self.decoder.run(tokens, visit, keep=True)
        assert cache is not None
        last = tokens.gather(1, length[:, None] - 1)[:, 0]
        return stream, (last, length - 1, *cache)

    def finish_at(self, state: Any, visit: Visit, *, versions: int = 1) -> Tensor:
        """The stream ``(n, b, d)`` of the last position."""
        last, at, keys, values = state
        return self.decoder.step(last, at, Cache(keys, values), visit, versions=versions)[0]

    def decide(self, state: Any, mask: Tensor | None = None, value: Tensor | None = None) -> Tensor:
        """Logits of the next token; units that are set act on the last position and on all that follows there."""
        if mask is None:
            return self.decoder.read(self.finish_at(state, self.transform))[0]
        assert value is not None
        lead = mask.shape[:-2]
        mask, value = (part.reshape(-1, *mask.shape[-2:]) for part in (mask, value))
        stream = self.finish_at(state, self.setting(mask, value), versions=math.prod(lead))
        return self.decoder.read(stream).unflatten(0, lead) if lead else self.decoder.read(stream)[0]

    def position_logits(self, x: Tensor) -> Tensor:
        """Logits ``(b, t, c)`` after every position of contexts ``(b, t)``, without meaning behind the end.

        Raises:
            ValueError: as for ``prompts``.
        """
        return self.decoder(prompts(x, self.decoder)[0], self.transform)

    def hidden(self, x: Tensor) -> Tensor:
        """Hidden units of all MLPs ``(b, t, l * m)`` at every position of contexts ``(b, t)``, be they units or not."""
        found: list[Tensor] = []

        def visit(layer: int, place: str, value: Tensor) -> Tensor:
            if place == "hidden":
                found.append(value)
            return self.transform(layer, place, value)

        self.decoder.run(prompts(x, self.decoder)[0], visit)
        return torch.cat(found, -1)

    def generate(
        self,
        x: Tensor,
        new: int,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int = 0,
        visit: Visit | None = None,
    ) -> Tensor:
        """``new`` further tokens ``(b, new)`` of contexts ``(b, t)``; see ``zoo.layers.transformer.sampling.generate``.

        ``visit`` takes the place of ``transform`` from the last position of the context on.
        """
        tokens, length = prompts(x, self.decoder)
        g = torch.Generator(x.device).manual_seed(seed)
        options = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "generator": g}
        return generate(
            self.decoder, tokens, length, new, visit=visit or self.transform, prompt=self.transform, **options
        )

    def loss(self, batch: Batch, weights: Mapping[str, float], visit: Visit | None = None) -> dict[str, Tensor]:
        """Cross-entropy of the next token, mean over all positions; ``visit`` in place of ``transform``."""
        logits = self.decoder(batch.x.clamp_min(0), visit or self.transform)
        return {"task": F.cross_entropy(logits.flatten(0, 1), following(batch.x, batch.y).flatten(), ignore_index=-1)}

    def validation_step(self, batch: Batch, batch_idx: int, visit: Visit | None = None) -> None:
        """Log cross-entropy and accuracy over all positions; ``visit`` in place of ``transform``."""
        logits, y = self.decoder(batch.x.clamp_min(0), visit or self.transform), following(batch.x, batch.y)
        real = y >= 0
        known, size = {"sync_dist": True, "prog_bar": True}, int(real.sum())
        self.log("val/loss", F.cross_entropy(logits[real], y[real]), batch_size=size, **known)
        self.log("val/accuracy", (logits[real].argmax(1) == y[real]).float().mean(), batch_size=size, **known)


def following(x: Tensor, y: Tensor) -> Tensor:
    """The token ``(b, t)`` after each position of contexts ``x`` ``(b, t)``, with ``y`` ``(b,)`` after the last."""
    after = F.pad(x[:, 1:], (0, 1), value=-1)
    return after.scatter(1, (x >= 0).sum(1, keepdim=True) - 1, y[:, None].to(x.dtype))


def prompts(x: Tensor, decoder: Decoder) -> tuple[Tensor, Tensor]:
    """Contexts as tokens ``(b, t)`` that can be embedded, and their lengths ``(b,)``.

    Raises:
        ValueError: if ``x`` is no ``(b, t)`` of integers, is longer than the context, holds an empty context, a token
            outside the vocabulary, or -1 before the end.
    """
    if x.ndim != 2 or x.is_floating_point() or x.dtype == torch.bool:
        raise ValueError(f"x is {tuple(x.shape)} {x.dtype}; expected (b, t) integer tokens")
    real = x >= 0
    length = real.sum(1)
    if x.shape[1] > decoder.context and int(length.max()) > decoder.context:
        raise ValueError(f"a context has {int(length.max())} tokens; the model reads {decoder.context} at most")
    x, real = x[:, : decoder.context], real[:, : decoder.context]
    wrong = (x < -1) | (x >= decoder.vocabulary)
    if bool(wrong.any()):
        row, place = wrong.nonzero()[0].tolist()
        raise ValueError(
            f"context {row} has token {int(x[row, place])} at place {place}; expected 0 to {decoder.vocabulary - 1}"
        )
    hole = real != (torch.arange(x.shape[1], device=x.device) < length[:, None])
    if bool(hole.any()) or bool((length == 0).any()):
        bad = int((hole.any(1) | (length == 0)).nonzero()[0])
        what = "is empty" if int(length[bad]) == 0 else "has -1 before its end"
        raise ValueError(f"context {bad} {what}; expected tokens, then -1 to the end")
    return x.clamp_min(0).long(), length
