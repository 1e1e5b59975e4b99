"""Words of a text of any script, as spans of its characters."""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import lru_cache

SEPARATOR = "[SEP]"  # between the texts of a pair
# Scripts that are written without spaces: each character is a word.
UNSPACED = (
    "\u0e00-\u0edf\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U000323af"
)


def word_spans(text: str) -> list[tuple[int, int]]:
    """Return the words and the punctuation marks of a text as half-open spans of characters.

    A word is a run of letters, digits and their marks, with apostrophes inside it; every other character but white
    space is a word of its own, and so is each character of a script without spaces, with the marks on it.

    Args:
        text: in Unicode form NFC.

    Example:
        >>> text = "It's good, isn't it?"
        >>> [text[start:end] for start, end in word_spans(text)]
        ["It's", 'good', ',', "isn't", 'it', '?']
        >>> [len(word_spans(text)) for text in ("很好", "हिन्दी", "a [SEP] b")]
        [2, 1, 3]
    """
    return [match.span() for match in _pattern().finditer(text)]


@lru_cache(maxsize=1)
def _pattern() -> re.Pattern[str]:
    points = [i for i in range(0x300, 0x20000) if unicodedata.category(chr(i))[0] == "M"]
    points += [i for i in range(0xE0100, min(0xE01F0, sys.maxunicode))] + [0x200C, 0x200D]
    marks = "".join(_ranges(sorted(points)))
    letter = rf"(?:(?![{UNSPACED}])\w)"
    word = rf"{letter}(?:{letter}|[{marks}])*(?:['’]{letter}(?:{letter}|[{marks}])*)*"
    return re.compile(rf"{re.escape(SEPARATOR)}|{word}|[^\s{marks}][{marks}]*|[{marks}]+")


def _ranges(points: list[int]) -> list[str]:
    """Return sorted code points as ranges of a character class."""
    out: list[str] = []
    start = last = points[0]
    for point in [*points[1:], -1]:
        if point == last + 1:
            last = point
            continue
        out.append(chr(start) if start == last else f"{chr(start)}-{chr(last)}")
        start = last = point
    return out
