"""Erasure of words: which tokens of a text the explanation points at, and the answers without them or from them alone.

Source: DeYoung et al., ERASER: A Benchmark to Evaluate Rationalized NLP Models, ACL 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from zoo.capabilities import HasAffineHead, capability
from zoo.explanation import Explanation, gather
from zoo.metrics._value_checks import check_finite
from zoo.metrics.base import Record, Score, count, expect, fraction
from zoo.metrics.perturbations._text_change import text_reader
from zoo.metrics.perturbations.noise import chosen, random_bits

SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)  # of the tokens, as in ERASER
STREAM = 8 << 32  # draw numbers of random orders, apart from those of perturbations
ADDITIVE = 1e-3  # relative gap up to which the evidence of a unit counts as adding up to its strength
SLACK = 1e-6  # of a number of tokens, so that rounding adds none


class WordErasure(Score):
    """A score of the probability of the predicted class when tokens of a text are taken away.

    The tokens (words, or word pieces of an encoder) are ordered by their evidence for the predicted class, largest
    first, see ``token_evidence``; those around a text, such as ``[CLS]``, are never taken away. At each share the
    smallest number of tokens that is at least that share of the text, and at least one, is taken away or kept alone:
    the others are removed, not masked, and the model reads what is left. The value of a text is the mean over the
    shares of the fall of the probability (the area over the perturbation curve, AOPC). The same with one random order
    for each sample id stands beside it.

    Args:
        shares: of the tokens of a text.
        units: read for the order, those with the largest absolute contribution.
        share: of the texts that a suite scores, chosen by a hash of the sample id.

    Raises:
        ValueError: if an argument is out of range.

    Attributes:
        keep: whether the first tokens are kept alone, or taken away.
    """

    requires = frozenset({"units", "words"})
    inputs = {"whole": "share", "changed": "share", "random": "share"}
    chance_readouts = ("random",)
    axes = {"*": ("share of the words", "fall of the probability of the predicted class")}
    keep: bool = False
    falls: Tensor
    aopc: Tensor

    def __init__(self, *, shares: Sequence[float] = SHARES, units: int = 64, share: float = 1.0) -> None:
        super().__init__()
        self.shares = tuple(fraction("shares", one, zero=False) for one in shares)
        if not self.shares or list(self.shares) != sorted(set(self.shares)):
            raise ValueError(f"shares is {list(shares)}; expected shares of the words in ascending order")
        self.units = count("units", units)
        self.share = fraction("share", share, zero=False)
        self.protocol = self._variant(type(self).protocol, units=self.units)
        if self.shares != SHARES:
            self.protocol += f"/shares{','.join(f'{one:g}' for one in self.shares)}"
        self._sum("falls", 2, len(self.shares), dtype=torch.float64)
        self._sum("aopc", 2, dtype=torch.float64)

    def update(self, whole: Tensor, changed: Tensor, random: Tensor, *, scored: Tensor | None = None) -> None:
        """Add a batch of probabilities of the class that is predicted for the whole text.

        Args:
            whole: ``(b,)`` of the whole text.
            changed: ``(b, s)`` at each share, tokens in the order of the explanation.
            random: ``(b, s)`` the same in a random order.
            scored: ``(n,)`` bool, which b of the n samples of a batch these are; None if they are all.

        Raises:
            ValueError: if a shape does not fit.
        """
        expect("whole", whole, None)
        for name, value in (("changed", changed), ("random", random)):
            expect(name, value, len(whole), len(self.shares))
        self._check(whole=whole, changed=changed, random=random)
        both = torch.stack([changed, random], 1).detach().to(self.device).double()
        falls = whole.detach().to(self.device).double()[:, None, None] - both
        every = torch.ones(len(whole), dtype=torch.bool) if scored is None else scored
        every = every.to(self.device)
        rows = falls.new_zeros(len(every), *falls.shape[1:])
        rows[every] = falls
        self._add("falls", rows)
        self._add("aopc", rows.mean(2))
        self._add("samples", every.long())

    def update_from(self, record: Record, changed: Record | None = None, draw: int = 0) -> None:
        """Add the chosen samples of a record: one forward pass for each share, and as many in random orders."""
        rows = chosen(record.batch.index, self.share)
        if not bool(rows.any()):
            return
        contribution, predicted = record.predicted_contribution
        contribution, predicted = contribution[rows], predicted[rows]
        model, x, index = record.model, record.batch.x[rows], record.batch.index[rows]
        reader = text_reader(model)
        assert reader is not None
        order = contribution.abs().argsort(dim=1, descending=True, stable=True)[:, : self.units]
        explanation = model.explain(x, target=predicted, shown=order).detach()
        special = reader.special_codes().to(x.device)
        words = (x >= 0) & ~special[x.clamp_min(0)]
        evidence = token_evidence(model, x, explanation)
        noise = (random_bits(index.to(x.device), draw=STREAM, count=x.shape[1]) & (2**62 - 1)).double()
        whole = _probability(explanation.logits, predicted)
        values = [self._without(model, x, predicted, words, score) for score in (evidence, noise)]
        self.update(whole, *values, scored=rows)

    def _without(self, model: Any, x: Tensor, target: Tensor, words: Tensor, score: Tensor) -> Tensor:
        """Return the probabilities ``(b, s)`` of ``target`` at each share, tokens ordered by a score ``(b, t)``."""
        first = first_words(score, words, self.shares)
        left = (first | ~words) if self.keep else ~first
        kept = kept_tokens(x.expand(first.shape).flatten(0, 1), left.flatten(0, 1))
        logits = model(kept).detach()
        check_finite("logits of texts with words erased", logits)
        return _probability(logits, target.repeat(len(self.shares))).unflatten(0, (len(self.shares), -1)).T

    def compute(self) -> dict[str, Tensor]:
        """The score and its read-outs; see the class."""
        value, random = (self.aopc / self.samples.double()).unbind()
        ordered, at_random = (self.falls / self.samples.double()).unbind()
        return {
            type(self).headline: value,
            "random": random,
            "gap": value - random,
            "support": self.samples,
            "curve/explanation": ordered,
            "curve/random": at_random,
        }

    headline: str = ""


def token_evidence(model: Any, x: Tensor, explanation: Explanation) -> Tensor:
    """Return the evidence ``(b, t)`` of each token for the class explained, summed over the units shown.

    A unit adds its evidence at the token times its slope: the weight of the head where that is affine, and otherwise
    contribution over strength. Evidence that does not add up to the strength of the unit is first scaled so that the
    sum of its absolute values is the absolute strength. For heads on similarities and on n-grams this is exactly what
    each token adds to the logit, as far as it is read there.

    Args:
        model: may have the capability ``affine_head``.
        x: ``(b, t)`` tokens.
        explanation: with ``where`` ``(b, k, t)``.
    """
    where, shown = explanation.where, explanation.shown
    assert where is not None
    where = where.double()
    strength = gather(explanation.strength, shown).double()
    contribution = gather(explanation.contribution, shown).double()
    affine = capability(model, HasAffineHead)
    if affine is None:
        slope = torch.where(strength != 0, contribution / torch.where(strength != 0, strength, 1), 0)
    else:
        weight = affine.affine_head(x).weight.detach().double()
        slope = gather(weight[explanation.target], shown)
    mass = where.abs().sum(2)
    additive = (where.sum(2) - strength).abs() <= ADDITIVE * mass
    scale = torch.where(additive, 1.0, strength.abs() / torch.where(mass > 0, mass, 1))
    factor = torch.where(shown >= 0, slope * scale, 0)
    return (factor[..., None] * where).sum(1)


def first_words(score: Tensor, words: Tensor, shares: Sequence[float]) -> Tensor:
    """Return which tokens ``(s, b, t)`` are the first of each share, largest score first, of equal ones the earlier.

    Args:
        score: ``(b, t)``.
        words: ``(b, t)`` bool, which tokens can be taken away.
        shares: s shares of their number, each rounded up.

    Example:
        >>> score = torch.tensor([[9.0, 1.0, 3.0, 2.0]])
        >>> first_words(score, torch.tensor([[False, True, True, True]]), (0.01, 0.5)).tolist()
        [[[False, False, True, False]], [[False, False, True, True]]]
    """
    order = torch.where(words, score.double(), -torch.inf).argsort(dim=1, descending=True, stable=True)
    place = order.argsort(1)
    total = words.sum(1, keepdim=True)
    numbers = torch.stack([(total * share - SLACK).ceil().clamp_min(1) for share in shares])
    return (place < numbers) & words


def kept_tokens(x: Tensor, kept: Tensor) -> Tensor:
    """Return the kept tokens of texts ``(b, t)``, in their order, padded with -1 behind.

    Example:
        >>> kept_tokens(torch.tensor([[5, 6, 7, -1]]), torch.tensor([[True, False, True, True]])).tolist()
        [[5, 7, -1, -1]]
    """
    kept = kept & (x >= 0)
    order = (~kept).int().argsort(dim=1, stable=True)
    return torch.where(kept, x, -1).gather(1, order)


def _probability(logits: Tensor, target: Tensor) -> Tensor:
    return logits.double().softmax(1).gather(1, target[:, None])[:, 0]
