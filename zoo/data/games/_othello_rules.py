"""Rules of Othello for thousands of games at once: a board is two 64-bit words, a ply is some hundred array operations.

Square ``row * 8 + column`` is bit ``row * 8 + column``; n games everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

NONE = 255  # behind the last move of a game
SQUARES = tuple(f"{column}{row}" for row in range(1, 9) for column in "abcdefgh")
CENTRE = (27, 28, 35, 36)
ONE = np.uint64(1)
INSIDE = np.uint64(0x7E7E7E7E7E7E7E7E)  # no disc of the outer columns can be caught sideways
ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
WAYS = ((1, INSIDE), (7, INSIDE), (8, ALL), (9, INSIDE))


class Position(NamedTuple):
    """Boards of n games before a move.

    Attributes:
        black: ``(n,)`` discs.
        white: ``(n,)`` discs.
        player: ``(n,)`` who is to move: 1 black, -1 white, 0 where neither can and the game is over.
        can: ``(n,)`` where that player may move.
    """

    black: np.ndarray
    white: np.ndarray
    player: np.ndarray
    can: np.ndarray


def _rays(start: np.ndarray, over: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """In each of eight directions: discs of ``over`` met without a gap from ``start``, and the squares behind them."""
    for step, mask in WAYS:
        through, by = over & mask, np.uint64(step)
        for shift in (np.left_shift, np.right_shift):
            met = shift(start, by) & through
            for _ in range(5):
                met |= shift(met, by) & through
            yield met, shift(met, by)


def legal(own: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Squares ``(n,)`` where the player with discs ``own`` may move."""
    found, empty = np.zeros_like(own), ~(own | other)
    for _, behind in _rays(own, other):
        found |= behind & empty
    return found


def caught(move: np.ndarray, own: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Discs ``(n,)`` that are turned by moves ``(n,)`` of one bit each."""
    found = np.zeros_like(own)
    for met, behind in _rays(move, other):
        found |= np.where(behind & own, met, np.uint64(0))
    return found


def play(moves: np.ndarray) -> Iterator[Position]:
    """Boards before each ply, and after the last.

    A player who cannot move passes, and passes are not written. A move that is not legal is made all the same, and
    turns what it would; see ``first_illegal``.

    Args:
        moves: ``(n, p)`` squares, ``NONE`` behind the end.

    Yields:
        p + 1 positions.
    """
    n = len(moves)
    own = np.full(n, (ONE << np.uint64(28)) | (ONE << np.uint64(35)))
    other = np.full(n, (ONE << np.uint64(27)) | (ONE << np.uint64(36)))
    player = np.ones(n, np.int8)
    for ply in range(moves.shape[1] + 1):
        can = legal(own, other)
        if (stuck := can == 0).any():
            own[stuck], other[stuck] = other[stuck], own[stuck]
            player[stuck] *= -1
            can[stuck] = legal(own[stuck], other[stuck])
        black, white = np.where(player > 0, own, other), np.where(player > 0, other, own)
        yield Position(black, white, np.where(can != 0, player, 0).astype(np.int8), can)
        if ply == moves.shape[1]:
            return
        real = moves[:, ply] != NONE
        move = np.where(real, ONE << np.where(real, moves[:, ply], 0).astype(np.uint64), np.uint64(0))
        turned = caught(move, own, other)
        own, other = np.where(real, other & ~turned, own), np.where(real, own | turned | move, other)
        player = np.where(real, -player, player).astype(np.int8)


def first_illegal(moves: np.ndarray) -> np.ndarray:
    """``(n,)`` the ply of each game's first move that the rules forbid, -1 where there is none."""
    found = np.full(len(moves), -1)
    for ply, position in zip(range(moves.shape[1]), play(moves), strict=False):
        made = moves[:, ply]
        known = np.minimum(made, 63).astype(np.uint64)
        wrong = (made != NONE) & ((made > 63) | ((position.can >> known) & ONE == 0))
        found[wrong & (found < 0)] = ply
    return found


def squares(boards: np.ndarray) -> np.ndarray:
    """``(..., 64)`` bool of boards ``(...)``."""
    return (boards[..., None] >> np.arange(64, dtype=np.uint64) & ONE).astype(bool)
