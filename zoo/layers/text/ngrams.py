"""N-grams of sequences of word codes: vocabulary, TF-IDF values, places."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.sequence_spec import NOTHING

CHUNK = 512  # texts whose values are computed at a time


class NGrams(nn.Module):
    """TF-IDF of the words and the pairs of neighboring words of a vocabulary: ``(1 + ln count) * idf``, of norm 1.

    The values are those of scikit-learn's ``TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)`` on these words.

    Args:
        tokens: number of words that a code stands for.

    Attributes:
        keys: ``(f,)`` sorted numbers of the n-grams: ``first * (tokens + 1) + second + 1``, second -1 for a word.
        idf: ``(f,)`` ``ln((1 + n) / (1 + df)) + 1`` of n texts, df of which have the n-gram.

    Example:
        >>> ngrams = NGrams(3)
        >>> ngrams.fit(torch.tensor([[0, 1, -1], [0, 2, 0]]), min_count=1, max_features=9, longest=2)
        >>> ngrams.codes().tolist()
        [[0, -1], [0, 1], [0, 2], [1, -1], [2, -1], [2, 0]]
    """

    keys: Tensor
    idf: Tensor

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self.tokens = tokens
        self.register_buffer("keys", torch.zeros(0, dtype=torch.int64))
        self.register_buffer("idf", torch.zeros(0))

    def __len__(self) -> int:
        return len(self.keys)

    def codes(self) -> Tensor:
        """Return the words ``(f, 2)`` of each n-gram, -1 for no second one."""
        return torch.stack([self.keys // (self.tokens + 1), self.keys % (self.tokens + 1) - 1], 1)

    def _keys_at(self, x: Tensor) -> Tensor:
        """Keys ``(b, 2, t)`` of the word and of the pair that begin at each position, -1 where there is none."""
        word = torch.where(x != NOTHING, x * (self.tokens + 1), -1)
        following = F.pad(x[:, 1:], (0, 1), value=NOTHING)
        pair = torch.where((x != NOTHING) & (following != NOTHING), word + following + 1, -1)
        return torch.stack([word, pair], 1)

    @torch.no_grad()
    def fit(
        self, x: Tensor, *, min_count: int, max_features: int, longest: int, left_out: tuple[int, ...] = ()
    ) -> None:
        """Take the n-grams of texts, the most frequent ones if there are too many.

        Args:
            x: ``(n, t)`` codes, -1 at padding.
            min_count: number of texts that an n-gram must be in.
            max_features: n-grams at most.
            longest: 1 for words alone, 2 for pairs too.
            left_out: codes that are in no n-gram, such as that of unknown words.
        """
        keys = self._keys_at(x)[:, :longest].flatten(1)
        for code in left_out:
            keys = torch.where((keys // (self.tokens + 1) == code) | (keys % (self.tokens + 1) - 1 == code), -1, keys)
        row = torch.arange(len(x))[:, None].expand_as(keys)
        present = torch.stack([keys.flatten(), row.flatten()], 1)[keys.flatten() >= 0].unique(dim=0)
        every, count = present[:, 0].unique_consecutive(return_counts=True)
        frequent = count >= min_count
        every, count = every[frequent], count[frequent]
        if len(every) > max_features:
            order = count.argsort(descending=True, stable=True)[:max_features].sort().values
            every, count = every[order], count[order]
        self.keys = every
        self.idf = ((1 + len(x)) / (1 + count.double())).log().add(1).to(self.idf.dtype)

    def places(self, x: Tensor) -> Tensor:
        """Return the n-gram ``(b, 2, t)`` that begins at each position, as a word and as a pair; -1 for none."""
        keys = self._keys_at(x)
        if not len(self.keys):
            return torch.full_like(keys, -1)
        found = _search(self.keys, keys) if torch.compiler.is_exporting() else torch.searchsorted(self.keys, keys)
        found = found.clamp_max(len(self.keys) - 1)
        return torch.where((self.keys[found] == keys) & (keys >= 0), found, -1)

    def shares(self, places: Tensor) -> Tensor:
        """Return ``(b, 2, t)`` the TF-IDF value of the n-gram at each of its places, divided by their number.

        Over the places of an n-gram they add up to its value, see ``values``.

        Args:
            places: ``(b, 2, t)``, see ``places``.
        """
        flat = places.flatten(1)
        known = flat >= 0
        times = (flat[:, :, None] == flat[:, None]).sum(2).to(self.idf.dtype)
        value = torch.where(known, (1 + times.log()) * self.idf[flat.clamp_min(0)], 0.0)
        norm = (value.square() / times).sum(1, keepdim=True).sqrt().clamp_min(1e-30)
        return (value / norm / times).unflatten(1, (2, -1))

    def values(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the TF-IDF values that are not 0: text, n-gram and value, each ``(m,)``, ordered by text and n-gram.

        Args:
            x: ``(b, t)`` codes.
        """
        places = self.places(x)
        f = max(1, len(self))
        flat = places.flatten(1)
        row = torch.arange(len(x), device=x.device)[:, None].expand_as(flat)
        known = flat >= 0
        pairs, count = (row[known] * f + flat[known]).unique(return_counts=True)
        text, ngram = pairs // f, pairs % f
        value = (1 + count.to(self.idf.dtype).log()) * self.idf[ngram]
        norm = value.new_zeros(len(x)).index_add(0, text, value.square()).sqrt()
        return text, ngram, value / norm.clamp_min(1e-30)[text]


def _search(keys: Tensor, wanted: Tensor) -> Tensor:
    """Return the place of the first of sorted keys ``(f,)`` that is not below each of ``wanted``: ``searchsorted``.

    In a graph, as ONNX has no binary search: one comparison for each bit of f.
    """
    below = torch.zeros_like(wanted)  # how many keys are known to be below
    for bit in reversed(range(len(keys).bit_length())):
        further = below + (1 << bit)
        smaller = (further <= len(keys)) & (keys[(further - 1).clamp_max(len(keys) - 1)] < wanted)
        below = torch.where(smaller, further, below)
    return below
