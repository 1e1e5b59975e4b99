"""Intervals of numbers as words, for models that read words: ``below 30``, ``30 to 45``, ``45 or more``."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

import numpy as np

NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?"
BELOW = re.compile(rf"below ({NUMBER})")
ABOVE = re.compile(rf"({NUMBER}) or more")


def fit_cuts(values: Sequence[float] | np.ndarray, bins: int) -> list[float]:
    """Return at most ``bins - 1`` cuts between intervals of about equal numbers of rows, with six digits.

    Args:
        values: known numbers of the training rows.
        bins: largest number of intervals.

    Example:
        >>> fit_cuts([1.0, 2.0, 3.0, 4.0], 2), fit_cuts([5.0, 5.0], 3)
        ([2.5], [])
    """
    x = np.sort(np.asarray(values, dtype=np.float64))
    cuts = set()
    for k in range(1, bins):
        place = round(k * len(x) / bins)
        below, above = x[: max(place, 1)].max(), x[min(place, len(x) - 1) :].min()
        cut = float(f"{(below + above) / 2:.6g}")
        if x[0] < cut <= x[-1]:
            cuts.add(cut)
    return sorted(cuts)


def interval_words(cuts: Sequence[float]) -> list[str]:
    """Return the words of the intervals between ascending cuts; the lower end belongs to an interval.

    Example:
        >>> interval_words([30.0, 45.5])
        ['below 30', '30 to 45.5', '45.5 or more']
    """
    texts = [f"{cut:.6g}" for cut in cuts]
    between = [f"{a} to {b}" for a, b in zip(texts[:-1], texts[1:], strict=True)]
    return [f"below {texts[0]}", *between, f"{texts[-1]} or more"]


def cuts_of(words: Collection[str]) -> list[float]:
    """Return the cuts whose intervals are all among the words; none if the words are no intervals.

    Example:
        >>> cuts_of(["?", "30 to 45.5", "45.5 or more", "below 30"]), cuts_of(["red", "below 30"])
        ([30.0, 45.5], [])
    """
    known = set(words)
    lowest = [match for word in words if (match := BELOW.fullmatch(word))]
    if len(lowest) != 1 or not any(ABOVE.fullmatch(word) for word in words):
        return []
    follow = {a: b for a, to, b in (word.partition(" to ") for word in words) if to}
    texts = [lowest[0][1]]
    while texts[-1] in follow and len(texts) <= len(words):
        texts.append(follow[texts[-1]])
    if not all(re.fullmatch(NUMBER, text) for text in texts):
        return []
    cuts = [float(text) for text in texts]
    return cuts if known >= set(interval_words(cuts)) else []


def word_of(cell: str, words: Collection[str]) -> str:
    """Return the word of a cell: the interval of a number where the words are intervals, otherwise the cell itself.

    Example:
        >>> word_of("33", ["below 30", "30 or more"]), word_of("red", ["below 30", "30 or more"])
        ('30 or more', 'red')
    """
    if cell in words or re.fullmatch(NUMBER, cell.strip(), re.IGNORECASE) is None:
        return cell
    cuts = cuts_of(words)
    return interval_words(cuts)[int(np.searchsorted(cuts, float(cell), side="right"))] if cuts else cell
