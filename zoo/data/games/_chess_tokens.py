"""Tokens of chess games: moves, or the characters of their notation."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

CHARACTERS = (*" #+-.0123456789=BKNOQRabcdefghx",)


def _moves() -> tuple[str, ...]:
    """Return all moves of all pieces on an empty board, in UCI: 1968 with the promotions."""
    moves = []
    for column, row, to_column, to_row in product(range(8), range(8), range(8), range(8)):
        across = abs(to_column - column)
        up = abs(to_row - row)
        if sorted((across, up)) == [1, 2] or (across + up and (across == up or not across * up)):
            text = f"{'abcdefgh'[column]}{row + 1}{'abcdefgh'[to_column]}{to_row + 1}"
            last = across <= 1 and (row, to_row) in ((6, 7), (1, 0))
            moves += [text, *(text + piece for piece in "qrbn" if last)]
    return tuple(moves)


MOVES = _moves()


def notation(moves: Sequence[str]) -> str:
    """Return moves (SAN) as in the published protocol: ``1.e4 e5 2.Nf3``."""
    return " ".join(move if i % 2 else f"{i // 2 + 1}.{move}" for i, move in enumerate(moves))
