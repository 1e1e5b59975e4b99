"""Edits of the characters of a text, and where its other characters go."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple


class Edit(NamedTuple):
    """Characters ``start`` to ``end`` of a text, replaced by others."""

    start: int
    end: int
    new: str


def edited(text: str, edits: Sequence[Edit]) -> str:
    """Return a text with edits applied, which are in order and do not overlap.

    Example:
        >>> edited("a dull film", [Edit(2, 6, "poor"), Edit(11, 11, ".")])
        'a poor film.'
    """
    parts, last = [], 0
    for start, end, new in edits:
        parts += [text[last:start], new]
        last = end
    return "".join([*parts, text[last:]])


def moved_offset(offset: int, edits: Sequence[Edit]) -> int:
    """Return where a character of a text is after edits; in a replaced run, as far from its start as before.

    Example:
        >>> moved_offset(7, [Edit(2, 6, "bad")])
        6
    """
    shift = 0
    for start, end, new in edits:
        if offset < start or (offset == start < end):
            break
        if offset < end:
            return start + shift + min(offset - start, max(len(new) - 1, 0))
        shift += len(new) - (end - start)
    return offset + shift


def is_punctuation(word: str) -> bool:
    """Return whether every character of a word is a punctuation mark of Unicode."""
    return all(unicodedata.category(character).startswith("P") for character in word)


def letters_in_case(word: str, to: str) -> str:
    """Return a word in ``upper``, ``lower`` or ``title`` case; a letter whose other case is not one character stays.

    Example:
        >>> letters_in_case("straße", "upper"), letters_in_case("it's", "title")
        ('STRAßE', "It's")
    """
    out = []
    for i, letter in enumerate(word):
        upper = to == "upper" or (to == "title" and i == 0)
        other = letter.upper() if upper else letter.lower()
        fits = len(other) == 1 and unicodedata.normalize("NFC", other) == other
        out.append(other if fits else letter)
    return "".join(out)
