"""Rules of Othello for many games at once: a board is two 64-bit words, a ply about a hundred array operations.

Square ``row * 8 + column`` is bit ``row * 8 + column``; n is the number of games.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

NONE = 255  # padding after the last move of a game
SQUARES = tuple(f"{column}{row}" for row in range(1, 9) for column in "abcdefgh")
CENTER = (27, 28, 35, 36)
ONE = np.uint64(1)
INSIDE = np.uint64(0x7E7E7E7E7E7E7E7E)  # discs of the outer columns cannot be flipped horizontally
ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
DIRECTIONS = ((1, INSIDE), (7, INSIDE), (8, ALL), (9, INSIDE))


class Position(NamedTuple):
    """Boards of n games before a move.

    Attributes:
        black: ``(n,)`` uint64 discs.
        white: ``(n,)`` uint64 discs.
        player: ``(n,)`` int8 player to move: 1 black, -1 white, 0 where neither can move and the game is over.
        legal: ``(n,)`` uint64 squares where that player may move.
    """

    black: np.ndarray
    white: np.ndarray
    player: np.ndarray
    legal: np.ndarray


def _rays(start: np.ndarray, over: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield for each of eight directions the discs of ``over`` in a row from ``start``, and the squares after them."""
    for step, mask in DIRECTIONS:
        through = over & mask
        by = np.uint64(step)
        for shift in (np.left_shift, np.right_shift):
            met = shift(start, by) & through
            for _ in range(5):
                met |= shift(met, by) & through
            yield met, shift(met, by)


def legal(own: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the squares ``(n,)`` where the player with discs ``own`` may move."""
    moves = np.zeros_like(own)
    empty = ~(own | other)
    for _, behind in _rays(own, other):
        moves |= behind & empty
    return moves


def flipped(move: np.ndarray, own: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the discs ``(n,)`` that moves ``(n,)`` of one bit each flip."""
    discs = np.zeros_like(own)
    for met, behind in _rays(move, other):
        discs |= np.where(behind & own, met, np.uint64(0))
    return discs


def play(moves: np.ndarray) -> Iterator[Position]:
    """Yield the boards before each ply and after the last.

    A player who cannot move passes; passes are not recorded. An illegal move is made as if it were legal; see
    ``first_illegal``.

    Args:
        moves: ``(n, p)`` uint8 squares, padded with ``NONE``.

    Yields:
        p + 1 positions.
    """
    n = len(moves)
    own = np.full(n, (ONE << np.uint64(28)) | (ONE << np.uint64(35)))
    other = np.full(n, (ONE << np.uint64(27)) | (ONE << np.uint64(36)))
    player = np.ones(n, np.int8)
    for ply in range(moves.shape[1] + 1):
        moves_now = legal(own, other)
        stuck = moves_now == 0
        if stuck.any():
            own[stuck], other[stuck] = other[stuck], own[stuck]
            player[stuck] *= -1
            moves_now[stuck] = legal(own[stuck], other[stuck])
        black, white = np.where(player > 0, own, other), np.where(player > 0, other, own)
        yield Position(black, white, np.where(moves_now != 0, player, 0).astype(np.int8), moves_now)
        if ply == moves.shape[1]:
            return
        real = moves[:, ply] != NONE
        move = np.where(real, ONE << np.where(real, moves[:, ply], 0).astype(np.uint64), np.uint64(0))
        turned = flipped(move, own, other)
        own, other = np.where(real, other & ~turned, own), np.where(real, own | turned | move, other)
        player = np.where(real, -player, player).astype(np.int8)


def first_illegal(moves: np.ndarray) -> np.ndarray:
    """Return the ply ``(n,)`` of the first illegal move of each game, -1 where all moves are legal."""
    plies = np.full(len(moves), -1)
    for ply, position in zip(range(moves.shape[1]), play(moves), strict=False):
        made = moves[:, ply]
        known = np.minimum(made, 63).astype(np.uint64)
        wrong = (made != NONE) & ((made > 63) | ((position.legal >> known) & ONE == 0))
        plies[wrong & (plies < 0)] = ply
    return plies
