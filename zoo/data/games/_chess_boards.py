"""Boards of chess games as arrays of the piece on each square, and facts about them. Needs the package ``chess``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import chess
import numpy as np

from zoo.data.games._bitboards import squares

KINDS = ("pawn", "knight", "bishop", "rook", "queen", "king")
PIECES = ("none", *(f"{color} {kind}" for color in ("white", "black") for kind in KINDS))
SQUARES = tuple(chess.SQUARE_NAMES)
FACTS = (
    "white is in check",
    "white may castle kingside",
    "white may castle queenside",
    "black may castle kingside",
    "black may castle queenside",
    "white may take en passant",
    "white has both bishops",
    "black has both bishops",
    "white has a queen",
    "black has a queen",
)


def play(moves: Iterable[str]) -> Iterator[chess.Board]:
    """Yield the board before each of the legal moves (UCI) and after the last: one object that is updated in place."""
    board = chess.Board()
    yield board
    for move in moves:
        board.push(chess.Move.from_uci(move))
        yield board


def read_boards(games: Sequence[Sequence[str]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the boards of games (UCI) wherever White is to move.

    Returns:
        ``(r, 64)`` int8 index in ``PIECES`` of the piece on each square; ``(r, f)`` bool ``FACTS``; ``(n + 1,)`` first
        board of each game and the number r of all boards.
    """
    rows: list[list[int]] = []
    ends = [0]
    for game in games:
        rows += [_row(board) for ply, board in enumerate(play(game)) if ply % 2 == 0]
        ends.append(len(rows))
    table = np.array(rows, np.uint64)
    kinds, white, facts = squares(table[:, :6]), squares(table[:, 6]), table[:, 7:].astype(bool)
    codes = (kinds * np.arange(1, 7, dtype=np.int8)[:, None]).sum(1, dtype=np.int8)
    codes = np.where((codes > 0) & ~white, codes + np.int8(6), codes)
    count = np.stack([(codes == piece).sum(1) for piece in (3, 9, 5, 11)], 1) >= [2, 2, 1, 1]
    return codes.astype(np.int8), np.concatenate([facts, count], 1), np.array(ends)


def _row(board: chess.Board) -> list[int]:
    rights = [chess.BB_H1, chess.BB_A1, chess.BB_H8, chess.BB_A8]
    return [
        board.pawns,
        board.knights,
        board.bishops,
        board.rooks,
        board.queens,
        board.kings,
        board.occupied_co[chess.WHITE],
        int(board.is_check()),
        *(int(bool(board.castling_rights & r)) for r in rights),
        int(board.has_legal_en_passant()),
    ]


def legal_moves(games: Sequence[Sequence[str]]) -> Iterator[tuple[int, int, list[str]]]:
    """Yield game, number of moves made and the legal moves (UCI) for every position of each game but the last."""
    for i, game in enumerate(games):
        for ply, board in enumerate(play(game[:-1])):
            yield i, ply, [move.uci() for move in board.legal_moves]


def is_legal(before: Sequence[str], text: str) -> bool:
    """Return whether a move (SAN) is legal after moves (UCI)."""
    *_, board = play(before)
    try:
        return bool(board.parse_san(text))
    except ValueError:
        return False
