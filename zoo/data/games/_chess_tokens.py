"""Tokens of chess games: moves, or the characters of their notation."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

CHARACTERS = (*" #+-.0123456789=BKNOQRabcdefghx",)


def _moves() -> tuple[str, ...]:
    """All moves that any piece can make on an empty board, in UCI: 1968 with the promotions."""
    found = []
    for c, r, C, R in product(range(8), range(8), range(8), range(8)):
        across, up = abs(C - c), abs(R - r)
        if sorted((across, up)) == [1, 2] or (across + up and (across == up or not across * up)):
            text = f"{'abcdefgh'[c]}{r + 1}{'abcdefgh'[C]}{R + 1}"
            last = across <= 1 and (r, R) in ((6, 7), (1, 0))
            found += [text, *(text + piece for piece in "qrbn" if last)]
    return tuple(found)


MOVES = _moves()


def notation(moves: Sequence[str]) -> str:
    """Moves (SAN) as in the published protocol: ``1.e4 e5 2.Nf3``."""
    return " ".join(move if i % 2 else f"{i // 2 + 1}.{move}" for i, move in enumerate(moves))
