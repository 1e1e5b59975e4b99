"""Sufficiency of words: how much the answer loses when only the words are left that the explanation points at.

Source: DeYoung et al., ERASER: A Benchmark to Evaluate Rationalized NLP Models, ACL 2020.
"""

from __future__ import annotations

from zoo.metrics.faithfulness._word_erasure import WordErasure
from zoo.registry import register


@register
class WordSufficiency(WordErasure):
    """Fall of the probability of the predicted class with the words of most evidence alone, mean over shares and texts.

    The AOPC of ERASER over 1, 5, 10, 20 and 50 % of the words, or word pieces; see ``WordErasure`` for the order and
    what is kept. Below 0 the answer is surer from these words than from the whole text. Further read-outs: ``random``
    the same with random words alone, the chance level; ``gap`` the difference. ``curve/...`` the mean fall at each
    share. ``sufficiency`` without words is another score: the number of units.

    Args:
        shares: of the tokens of a text.
        units: read for the order, those with the largest absolute contribution.
        share: of the texts that a suite scores, chosen by a hash of the sample id.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        The answer has 0.9; from one of two words of most evidence 0.85, from a random one 0.5.

        >>> import torch
        >>> score = WordSufficiency(shares=(0.5,))
        >>> score.update(torch.tensor([0.9]), torch.tensor([[0.85]]), torch.tensor([[0.5]]))
        >>> round(float(score.compute()["sufficiency"]), 3)
        0.05
    """

    title = "Word sufficiency"
    meaning = "fall of the probability of the answer with the words of most evidence alone"
    protocol = "deyoung2020-sufficiency"
    higher_is_better = False
    intervals = {"sufficiency": ("", -1, 1)}
    keep = True
    headline = "sufficiency"
