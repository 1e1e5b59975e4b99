"""Othello games from a file: lines of moves, or a table of squares."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from zoo.data.games._game_files import lines
from zoo.data.games._othello_rules import NONE, SQUARES
from zoo.data.images._npz import read_npz
from zoo.paths import did_you_mean


def of_npz(path: Path) -> tuple[np.ndarray, str]:
    """Squares ``(n, 60)`` of the moves of games, ``NONE`` behind their end, and the word for a row.

    Raises:
        ValueError: if it is no such file, or a game has no move or a gap.
    """
    (moves,) = read_npz(path, "moves")
    if moves.ndim != 2 or moves.dtype != np.uint8 or not moves.size:
        raise ValueError(f"{path}: moves is {moves.shape} {moves.dtype}; expected (n, 60) uint8 squares")
    broken = (moves[:, 0] == NONE) | ((moves[:, 1:] != NONE) & (moves[:, :-1] == NONE)).any(1)
    if broken.any():
        raise ValueError(f"{path}, game {int(broken.argmax()) + 1} has no move, or goes on after its end; remove it")
    return moves, "game"


def of_lines(path: Path) -> tuple[np.ndarray, str]:
    """The same of lines such as ``f5 d6 c3``.

    Raises:
        ValueError: if there is no game, a line without one, or a move that is no square.
    """
    games = [read_moves(line, f"{path}, line {i}") for i, line in enumerate(lines(path), 1)]
    if not any(games):
        raise ValueError(f"{path} is empty; expected a game on each line, such as f5 d6 c3")
    if not all(games[: (last := max(i for i, game in enumerate(games) if game))]):
        empty = next(i for i, game in enumerate(games[:last], 1) if not game)
        raise ValueError(f"{path}, line {empty} has no move; remove it")
    table = np.full((last + 1, max(map(len, games))), NONE, np.uint8)
    for row, game in zip(table, games, strict=False):
        row[: len(game)] = game
    return table, "line"


def read_moves(text: str, where: str) -> list[int]:
    """The squares of moves such as ``f5d6`` or ``F5 d6``.

    Raises:
        ValueError: if one is no square.
    """
    words = text.lower().split()
    moves = [word for joined in words for word in (re.findall("..?", joined))]
    for i, move in enumerate(moves, 1):
        if move not in SQUARES:
            raise ValueError(f"{where}: move {i} is {move!r}, no square{did_you_mean(move, list(SQUARES))}")
    return [SQUARES.index(move) for move in moves]


def refuse(moves: np.ndarray, ply: int, where: str) -> None:
    """Say which move of a game is not legal.

    Raises:
        ValueError: always.
    """
    before = " ".join(SQUARES[square] for square in moves[:ply] if square < 64)
    bad = SQUARES[moves[ply]] if moves[ply] < 64 else str(moves[ply])
    raise ValueError(f"{where}: move {ply + 1}, {bad}, is not legal after {before or 'the start'}")
