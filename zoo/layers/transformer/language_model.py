"""The base class of decoder language models: prompts, forward pass, next-token loss, generation.

An input is a context ``(b, t)`` of token ids, -1 after its end; the classes are the vocabulary, the prediction is the
next token. So one input is one position of one sequence, and an explanation is about one position.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.batch import Batch
from zoo.layers.transformer.block import Visit, same
from zoo.layers.transformer.contexts import following, prompts
from zoo.layers.transformer.decoder import Cache, Decoder
from zoo.layers.transformer.sampling import generate
from zoo.model import SelfExplaining


class LanguageModelBase(SelfExplaining):
    """A decoder language model: an input is a context of tokens, the classes are the vocabulary.

    A family calls ``build_decoder``, names its units, and defines ``setting``: how units are set at the last position.
    One with a bottleneck inside the decoder also overrides ``transform``.

    The state of ``encode`` is the last token ``(b,)``, its position ``(b,)``, keys and values ``(b, l, h, t, e)``.
    Units are set at the last position only; what follows from them is computed anew.

    A family calls ``super().__init__`` with these arguments, which it takes as ``**sizes``:

    Args:
        num_classes: size of the vocabulary; filled in from the data.
        input_shape: [t], the longest context; filled in from the data.
        width: of the residual stream.
        depth: number of blocks.
        heads: of each block.
        rotary_base: ratio between the fastest and the slowest rotation of positions.
        rotary_fastest: angle of the fastest rotation from one token to the next; pi distinguishes odd from even
            positions.
        dropout: of the output of each sub-layer.
    """

    input_kind = "tokens"
    decoder: Decoder

    def __init__(
        self,
        *,
        num_classes: int | None = None,
        input_shape: list[int] | None = None,
        width: int = 128,
        depth: int = 2,
        heads: int = 4,
        rotary_base: float = 1e4,
        rotary_fastest: float = 1.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if num_classes is None or not input_shape or len(input_shape) != 1:
            raise ValueError(
                f"num_classes is {num_classes} and input_shape {input_shape}; expected the size of the vocabulary and"
                " [the longest context]"
            )
        self.save_hyperparameters()

    def build_decoder(self, **blocks: Any) -> None:
        """Set ``decoder`` of the sizes in ``hparams``; ``blocks`` are the arguments of ``Decoder`` for its MLPs.

        Raises:
            ValueError: if a size is out of range.
        """
        names = ("width", "depth", "heads", "rotary_base", "rotary_fastest", "dropout")
        sizes = {name: self.hparams[name] for name in names}
        self.decoder = Decoder(self.hparams["num_classes"], self.hparams["input_shape"][0], **sizes, **blocks)

    @property
    def capabilities(self) -> frozenset[str]:
        """Names of the capabilities of this instance, see ``zoo.capabilities``."""
        return frozenset({"activity", "hidden_neurons", "language_model", "steerable"})

    def trainable_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """``embed``, ``blocks``, ``norm``, ``head``."""
        decoder = self.decoder
        return {"embed": decoder.embed, "blocks": decoder.blocks, "norm": decoder.norm, "head": decoder.head}

    @property
    def transform(self) -> Visit:
        """The function that every pass applies at the places of the decoder; the identity without a bottleneck."""
        return same

    @abstractmethod
    def setting(self, mask: Tensor, value: Tensor) -> Visit:
        """Return ``transform`` with units set to ``value`` ``(n, b, u)`` where ``mask`` ``(n, b, u)`` is true."""

    def firing(self, top: Tensor) -> Tensor:
        """Return the threshold of activity for units of largest activation ``top`` ``(n,)``: 0 for on or off units."""
        return torch.zeros_like(top)

    def part_of(self, key: str) -> str:
        """Return the name of the trainable part that a tensor of the state dict belongs to."""
        first, second = key.split(".", 2)[:2]
        return second if first == "decoder" else first

    def encode(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the state of contexts ``(b, t)``; see the class.

        Raises:
            ValueError: as for ``prompts``.
        """
        return self.begin_at(x, self.transform)[1]

    def begin_at(self, x: Tensor, visit: Visit) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the stream ``(b, t, d)`` and the state of contexts, with ``visit`` instead of ``transform``."""
        tokens, length = prompts(x, self.decoder)
        stream, cache = self.decoder.run(tokens, visit, keep=True)
        assert cache is not None
        last = tokens.gather(1, length[:, None] - 1)[:, 0]
        return stream, (last, length - 1, *cache)

    def finish_at(self, state: Any, visit: Visit, *, versions: int = 1) -> Tensor:
        """Return the stream ``(n, b, d)`` of the last position, in n versions."""
        last, at, keys, values = state
        return self.decoder.step(last, at, Cache(keys, values), visit, versions=versions)[0]

    def decide(self, state: Any, mask: Tensor | None = None, value: Tensor | None = None) -> Tensor:
        """Compute next-token logits; units that are set act on the last position and on all that follows from it."""
        if mask is None or value is None:
            return self.decoder.read(self.finish_at(state, self.transform))[0]
        lead = mask.shape[:-2]
        mask = mask.reshape(-1, *mask.shape[-2:])
        value = value.reshape(mask.shape)
        stream = self.finish_at(state, self.setting(mask, value), versions=math.prod(lead))
        return self.decoder.read(stream).unflatten(0, lead) if lead else self.decoder.read(stream)[0]

    def position_logits(self, x: Tensor) -> Tensor:
        """Return next-token logits ``(b, t, c)`` at every position of contexts ``(b, t)``, undefined after their end.

        Raises:
            ValueError: as for ``prompts``.
        """
        return self.decoder(prompts(x, self.decoder)[0], self.transform)

    def hidden(self, x: Tensor) -> Tensor:
        """Return the hidden activations ``(b, t, l * m)`` of all MLPs for contexts ``(b, t)``, be they units or not."""
        activations: list[Tensor] = []
        transform = self.transform

        def visit(layer: int, place: str, value: Tensor) -> Tensor:
            if place == "hidden":
                activations.append(value)
            return transform(layer, place, value)

        self.decoder.run(prompts(x, self.decoder)[0], visit)
        return torch.cat(activations, -1)

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
        """Return ``new`` further tokens ``(b, new)`` of contexts ``(b, t)``.

        Args:
            x: contexts.
            new: number of tokens to draw.
            temperature: as in ``zoo.layers.transformer.sampling.generate``, like the next two.
            top_k: see there.
            top_p: see there.
            seed: of the random numbers.
            visit: replaces ``transform`` from the last position of the context on.
        """
        tokens, length = prompts(x, self.decoder)
        return generate(
            self.decoder,
            tokens,
            length,
            new,
            visit=visit or self.transform,
            prompt=self.transform,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            generator=torch.Generator(x.device).manual_seed(seed),
        )

    def loss(self, batch: Batch, weights: Mapping[str, float]) -> dict[str, Tensor]:
        """``task``: cross-entropy of the next token, mean over all positions."""
        return {"task": self.next_token_loss(batch, self.transform)}

    def next_token_loss(self, batch: Batch, visit: Visit) -> Tensor:
        """Return the cross-entropy of the next token, mean over all positions, of a pass with ``visit``."""
        logits = self.decoder(batch.x.clamp_min(0), visit)
        return F.cross_entropy(logits.flatten(0, 1), following(batch.x, batch.targets).flatten(), ignore_index=-1)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log cross-entropy and accuracy over all positions."""
        self.log_validation(batch, self.transform)

    def log_validation(self, batch: Batch, visit: Visit) -> None:
        """Log cross-entropy and accuracy over all positions of a pass with ``visit``."""
        logits = self.decoder(batch.x.clamp_min(0), visit)
        y = following(batch.x, batch.targets)
        real = y >= 0
        loss = F.cross_entropy(logits[real], y[real])
        accuracy = (logits[real].argmax(1) == y[real]).float().mean()
        for name, value in (("val/loss", loss), ("val/accuracy", accuracy)):
            self.log(name, value, batch_size=int(real.sum()), sync_dist=True, prog_bar=True)
