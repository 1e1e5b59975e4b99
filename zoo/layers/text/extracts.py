"""Extracts of texts: which words are kept, the kept words alone, and the passages that they form."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo.sequence_spec import NOTHING

RESOLUTION = 1e-4


def words_of(codes: Tensor, special: Tensor, joined: Tensor) -> Tensor:
    """Return the number ``(b, t)`` of the word of each token, from 0; -1 for special tokens and padding.

    Args:
        codes: ``(b, t)``, -1 at padding.
        special: ``(v,)`` bool, codes that are in no text; empty for none.
        joined: ``(v,)`` bool, codes of pieces that continue the word of the token before; empty for none.

    Example:
        >>> joined = torch.tensor([False, False, True])
        >>> words_of(torch.tensor([[1, 2, 1, -1]]), torch.zeros(0, dtype=torch.bool), joined).tolist()
        [[0, 0, 1, -1]]
    """
    known = codes.clamp_min(0)
    real = codes != NOTHING
    if len(special):
        real = real & ~special[known]
    starts = real
    if len(joined):
        before = torch.cat([torch.zeros_like(real[:, :1]), real[:, :-1]], 1)
        starts = real & ~(joined[known] & before)
    return torch.where(real, starts.long().cumsum(1) - 1, -1)


def keep_words(scores: Tensor, words: Tensor, share: float, *, contiguous: bool) -> Tensor:
    """Return which tokens ``(b, t)`` are kept: those of the words with the largest scores.

    A text of n words keeps the smallest number of words that is at least ``share * n``. Of equal words the first one
    is kept. The score of a word is the Euclidean norm of the sum over its tokens; scores that differ by less than
    ``RESOLUTION`` of the largest count as equal, so that rounding does not choose.

    Args:
        scores: ``(b, t, c)`` of the tokens.
        words: ``(b, t)`` number of the word of each token, -1 for none.
        share: of the words.
        contiguous: keep the run of words with the largest sum of scores.

    Example:
        >>> words = torch.tensor([[0, 1, 2, 3]])
        >>> scores = torch.tensor([[0.3, 0.0, 0.0, -0.2]])[..., None]
        >>> keep_words(scores, words, 0.5, contiguous=False).tolist()
        [[True, False, False, True]]
        >>> keep_words(scores, words, 0.5, contiguous=True).tolist()
        [[True, True, False, False]]
    """
    real = words >= 0
    slot = words.clamp_min(0)
    added = torch.where(real[..., None], scores, 0)
    total = torch.zeros_like(scores).scatter_add(1, slot[..., None].expand_as(added), added).norm(dim=2)
    total = (total / (total.amax(1, keepdim=True) * RESOLUTION).clamp_min(1e-30)).round()
    count = words.amax(1, keepdim=True) + 1
    number = (count * share - 1e-6).ceil().long().clamp(min=1)
    place = torch.arange(words.shape[1], device=words.device)
    if contiguous:
        sums = torch.cat([torch.zeros_like(total[:, :1]), total.cumsum(1)], 1)
        end = (place + number).clamp(max=words.shape[1])
        runs = sums.gather(1, end) - sums[:, :-1]
        first = torch.where(place + number <= count.clamp_min(1), runs, -math.inf).argmax(1, keepdim=True)
        kept = (place >= first) & (place < first + number)
    else:
        mine, other = total[:, :, None], torch.where(place < count, total, -1)[:, None]
        before = (other > mine) | ((other == mine) & (place < place[:, None]))
        kept = before.sum(2) < number  # not by sorting, which graphs of ONNX do not do in a stable way
    return kept.gather(1, slot) & real


def extract(codes: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
    """Return the kept tokens ``(b, t)`` alone, padded with -1 behind, and the place ``(b, t)`` of each in the text.

    Example:
        >>> codes = torch.tensor([[5, 6, 7, -1]])
        >>> extract(codes, torch.tensor([[True, False, True, False]]))[0].tolist()
        [[5, 7, -1, -1]]
    """
    number = kept.long().cumsum(1)
    behind = number[:, -1:] + (~kept).long().cumsum(1)
    place = torch.where(kept, number, behind) - 1
    order = torch.zeros_like(place).scatter(1, place, torch.arange(kept.shape[1], device=kept.device).expand_as(place))
    return torch.where(kept, codes, NOTHING).gather(1, order), order


def passages_of(kept: Tensor) -> Tensor:
    """Return the number ``(b, t)`` of the passage, a run of kept tokens, of each, from 0; -1 for tokens not kept.

    Example:
        >>> passages_of(torch.tensor([[True, True, False, True]])).tolist()
        [[0, 0, -1, 1]]
    """
    before = torch.cat([torch.zeros_like(kept[:, :1]), kept[:, :-1]], 1)
    return torch.where(kept, (kept & ~before).long().cumsum(1) - 1, -1)


def most_passages(length: int, share: float, *, contiguous: bool) -> int:
    """Return the largest number of passages of a text of ``length`` tokens."""
    return 1 if contiguous else max(1, min(math.ceil(length * share), (length + 1) // 2))
