"""Sampling from a decoder, one token at a time with a cache of keys and values."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.layers.transformer.block import Visit, same
from zoo.layers.transformer.decoder import Cache, Decoder


def choose(
    logits: Tensor,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw a token from each row of ``logits`` ``(b, c)``.

    Args:
        logits: of the next token.
        temperature: divides the logits; 0 takes the most probable token.
        top_k: only the k most probable tokens can be drawn, ties in order of their ids.
        top_p: only the most probable tokens that together reach this probability can be drawn (at least one).
        generator: of random numbers.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> choose(torch.tensor([[0.0, 3.0, 1.0]]), temperature=0).tolist()
        [1]
    """
    check_sampling(temperature, top_k, top_p)
    if temperature == 0:
        return logits.argmax(-1)
    logits = logits.float() - logits.float().amax(-1, keepdim=True)  # a small temperature must not give infinity
    ranked, order = (logits / temperature).sort(dim=-1, descending=True, stable=True)
    if top_k is not None:
        ranked[:, top_k:] = -math.inf
    probability = ranked.softmax(-1)
    if top_p is not None:  # a token stays while those before it have not reached top_p
        probability = torch.where(probability.cumsum(-1) - probability < top_p, probability, 0)
    drawn = torch.multinomial(probability, 1, generator=generator)
    return order.gather(1, drawn)[:, 0]


def check_sampling(temperature: float, top_k: int | None, top_p: float | None) -> None:
    """Raise ValueError for arguments of ``choose`` out of range."""
    if not (temperature >= 0 and math.isfinite(temperature)):
        raise ValueError(f"temperature is {temperature}; expected a number, 0 or more")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k is {top_k}; expected 1 or more")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p is {top_p}; expected a probability above 0, up to 1")


@torch.no_grad()
def generate(
    decoder: Decoder,
    tokens: Tensor,
    length: Tensor,
    new: int,
    *,
    visit: Visit = same,
    prompt: Visit | None = None,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return ``new`` further tokens ``(b, new)`` of prompts.

    Args:
        decoder: in eval mode.
        tokens: ``(b, t)`` prompts; entries after a prompt's length are not read.
        length: ``(b,)`` of each prompt, at least 1.
        new: number of tokens.
        visit: of the pass over each position from the last of the prompt on.
        prompt: of the pass over the prompt; None for ``visit``.
        temperature: as for ``choose``.
        top_k: as for ``choose``.
        top_p: as for ``choose``.
        generator: of random numbers.

    Raises:
        ValueError: if an argument is out of range, or prompt and new tokens do not fit the context.
    """
    check_sampling(temperature, top_k, top_p)
    longest = int(length.max())
    if new < 0:
        raise ValueError(f"new is {new}; expected a number of tokens, 0 or more")
    if longest + new - 1 > decoder.context:  # the last token drawn is not read again
        raise ValueError(
            f"a prompt of {longest} tokens and {new} new ones do not fit the context of {decoder.context} tokens;"
            " ask for fewer"
        )
    drawn: list[Tensor] = []
    if new:
        _, cache = decoder.run(tokens[:, :longest], prompt or visit, keep=True)
        assert cache is not None
        past = Cache(*(F.pad(part, (0, 0, 0, new)) for part in cache))
        rows = torch.arange(len(tokens), device=tokens.device)
        at = length - 1
        last = tokens.gather(1, at[:, None])[:, 0]
        for _ in range(new):
            stream, own = decoder.step(last, at, past, visit)
            for part, fresh in zip(past, own, strict=True):
                part[rows, :, :, at] = fresh[:, :, :, 0]
            logits = decoder.read(stream[0])
            last = choose(logits, temperature=temperature, top_k=top_k, top_p=top_p, generator=generator)
            at = at + 1
            drawn.append(last)
    return torch.stack(drawn, 1) if drawn else tokens.new_zeros(len(tokens), 0)
