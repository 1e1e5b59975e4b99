"""Readers of Othello games: lines of moves, or a table of squares."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from zoo.data.file_readers import read_lines, read_npz
from zoo.data.games._othello_rules import NONE, SQUARES
from zoo.paths import did_you_mean


def read_npz_file(path: Path) -> tuple[np.ndarray, str]:
    """Return the squares ``(n, 60)`` of the moves of games, padded with ``NONE``, and the word for a row: game.

    Raises:
        ValueError: if it is not such a file, or a game has no move or a gap.
    """
    (moves,) = read_npz(path, "moves")
    if moves.ndim != 2 or moves.dtype != np.uint8 or not moves.size:
        raise ValueError(f"{path}: moves is {moves.shape} {moves.dtype}; expected (n, 60) uint8 squares")
    broken = (moves[:, 0] == NONE) | ((moves[:, 1:] != NONE) & (moves[:, :-1] == NONE)).any(1)
    if broken.any():
        raise ValueError(f"{path}, game {int(broken.argmax()) + 1} has no move, or continues after its end; remove it")
    return moves, "game"


def read_lines_file(path: Path) -> tuple[np.ndarray, str]:
    """Return the same for lines such as ``f5 d6 c3``; the word for a row is line.

    Raises:
        ValueError: if there is no game, a line without a game, or a move that is not a square.
    """
    games = [parse_moves(line, f"{path}, line {i}") for i, line in enumerate(read_lines(path), 1)]
    if not any(games):
        raise ValueError(f"{path} is empty; expected a game on each line, such as f5 d6 c3")
    last = max(i for i, game in enumerate(games) if game)
    for i, game in enumerate(games[:last], 1):
        if not game:
            raise ValueError(f"{path}, line {i} has no move; remove it")
    table = np.full((last + 1, max(map(len, games))), NONE, np.uint8)
    for row, game in zip(table, games, strict=False):
        row[: len(game)] = game
    return table, "line"


def parse_moves(text: str, where: str) -> list[int]:
    """Return the squares of moves such as ``f5d6`` or ``F5 d6``.

    Raises:
        ValueError: if a move is not a square.
    """
    moves = [move for word in text.lower().split() for move in re.findall("..?", word)]
    for i, move in enumerate(moves, 1):
        if move not in SQUARES:
            raise ValueError(f"{where}: move {i} is {move!r}, not a square{did_you_mean(move, list(SQUARES))}")
    return [SQUARES.index(move) for move in moves]


def illegal_move(moves: np.ndarray, ply: int, where: str) -> ValueError:
    """Return the error for a game whose move at index ``ply`` is illegal."""
    before = " ".join(SQUARES[square] for square in moves[:ply] if square < 64)
    move = SQUARES[moves[ply]] if moves[ply] < 64 else str(moves[ply])
    return ValueError(f"{where}: move {ply + 1}, {move}, is not legal after {before or 'the start'}")
