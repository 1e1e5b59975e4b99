"""Comprehensiveness: how much the answer loses without the words that the explanation points at.

Source: DeYoung et al., ERASER: A Benchmark to Evaluate Rationalized NLP Models, ACL 2020.
"""

from __future__ import annotations

from zoo.metrics.faithfulness._word_erasure import WordErasure
from zoo.registry import register


@register
class WordComprehensiveness(WordErasure):
    """Fall of the probability of the predicted class without the words of most evidence, mean over shares and texts.

    The AOPC of ERASER over 1, 5, 10, 20 and 50 % of the words, or word pieces; see ``WordErasure`` for the order and
    what is taken away. Further read-outs: ``random`` the same without random words, the chance level; ``gap`` the
    difference. ``curve/...`` the mean fall at each share.

    Args:
        shares: of the tokens of a text.
        units: read for the order, those with the largest absolute contribution.
        share: of the texts that a suite scores, chosen by a hash of the sample id.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        The answer has 0.9; without one of two words of most evidence 0.4, without a random one 0.8.

        >>> import torch
        >>> score = WordComprehensiveness(shares=(0.5,))
        >>> score.update(torch.tensor([0.9]), torch.tensor([[0.4]]), torch.tensor([[0.8]]))
        >>> round(float(score.compute()["comprehensiveness"]), 3)
        0.5
    """

    title = "Word comprehensiveness"
    meaning = "fall of the probability of the answer without the words of most evidence"
    protocol = "deyoung2020-comprehensiveness"
    intervals = {"comprehensiveness": ("", -1, 1)}
    headline = "comprehensiveness"
