"""Othello games as sequences of moves, with the discs on the board after each of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.data.base import SplitName
from zoo.data.games._bitboards import squares
from zoo.data.games._game_data import GameData
from zoo.data.games._othello_files import illegal_move, parse_moves, read_lines_file, read_npz_file
from zoo.data.games._othello_rules import CENTER, NONE, SQUARES, first_illegal, play
from zoo.registry import register
from zoo.sequence_spec import Family, Properties

FREE = tuple(square for square in range(64) if square not in CENTER)  # one token each
TOKEN = np.full(256, len(FREE))  # token of each square
TOKEN[list(FREE)] = np.arange(len(FREE))
SQUARE = np.array([*FREE, NONE], np.uint8)  # square of each token
CORNERS = [0, 7, 56, 63]
MAX_MOVES = 60  # moves of a game
CHUNK = 20000  # games replayed at a time


@register
class Othello(GameData):
    """Othello games; a token is the square of a move, and players who cannot move pass without a token.

    Args:
        file: lines of games such as ``f5 d6 c3`` or ``f5d6c3`` (plain, ``.gz``, ``.xz``), or an ``.npz`` with ``moves``
            ``(n, 60)``, row * 8 + column, padded with 255; None for the tournament games of the data folder.
        context: maximum number of tokens of a context, the begin token included.
        common: the arguments of ``zoo.data.games._game_data.GameData``.

    Raises:
        ValueError: as for ``GameData``; for an illegal move, file, game and move are named.
    """

    default = "othello/wthor.npz"
    license = "WTHOR, French Othello Federation: free use"
    class_names = (*(SQUARES[square] for square in FREE), "<begin>")

    def __init__(self, *, context: int = 60, **common: Any) -> None:
        super().__init__(context=context, **common)

    def _table(self) -> np.ndarray:
        path = self.path
        moves, unit = read_npz_file(path) if path.suffix == ".npz" else read_lines_file(path)
        if self.file is not None:  # the games of the data folder are known to be legal
            for start in range(0, len(moves), CHUNK):
                illegal = first_illegal(moves[start : start + CHUNK])
                for i in (illegal >= 0).nonzero()[0][:1]:
                    raise illegal_move(moves[start + i], int(illegal[i]), f"{path}, {unit} {start + i + 1}")
        return TOKEN[moves[:, : self.context]].astype(np.uint8)

    def boards(self, x: Tensor) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the board after each token of games ``(n, t)``, as two arrays ``(n, 64)``.

        The first is int8: 0 empty, 1 a disc of the player to move, 2 a disc of the opponent. The second is bool: the
        squares where the player to move may move.
        """
        moves = SQUARE[np.where(x.numpy() < 0, len(FREE), x.numpy())][:, 1:]
        for black, white, player, legal in play(moves):
            own = np.where(player < 0, white, black)
            other = np.where(player < 0, black, white)
            yield squares(own) + np.int8(2) * squares(other), squares(legal)

    def position_labels(self, split: SplitName, count: int = 500) -> Properties:
        """Return the discs, own and the opponent's, after every move; those of the corners also separately."""
        x = self.windows(split)[:count, :-1]
        codes = torch.from_numpy(np.stack([discs for discs, _ in self.boards(x)], 1))
        look = (x >= 0) & (x != self.begin)
        answers = ("none", "own", "other's")
        families = (
            Family("discs", codes, SQUARES, answers, blank=0),
            Family("corners", codes[..., CORNERS], tuple(SQUARES[i] for i in CORNERS), answers, blank=0),
        )
        return Properties(x, look, families)

    @torch.no_grad()
    def _legal_moves(self, model: Any, windows: Tensor) -> dict[str, float]:
        best = 0.0
        mass = 0.0
        positions = 0
        for x in windows[:, :-1].split(64):
            legal = torch.from_numpy(np.stack([moves for _, moves in self.boards(x)], 1))[..., list(FREE)]
            probability = model.position_logits(x.to(model.device)).cpu().double().softmax(2)
            valid = (x >= 0) & legal.any(2)
            legal = torch.nn.functional.pad(legal, (0, 1))  # the begin token is never legal
            best += float(legal.gather(2, probability.argmax(2, keepdim=True))[..., 0][valid].double().sum())
            mass += float((probability * legal).sum(2)[valid].sum())
            positions += int(valid.sum())
        return {"legal moves": best / positions, "legal moves sampled": mass / positions}

    def read_input(self, text: str) -> Tensor:
        """Return a game such as ``f5 d6 c3`` as a context ``(context,)``.

        Raises:
            ValueError: if the game is empty, too long, not a list of squares, or illegal.
        """
        moves = parse_moves(text, "the prompt")
        row = np.array([moves], np.uint8)
        illegal = MAX_MOVES if len(moves) > MAX_MOVES else int(first_illegal(row)[0])
        if illegal >= 0:
            raise illegal_move(row[0], illegal, "the prompt")
        return self.padded([self.begin, *TOKEN[row[0]].tolist()] if moves else [], text)
