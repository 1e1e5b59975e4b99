"""Othello games as sequences of moves, with the discs on the board after each of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.data.games._games import Games
from zoo.data.games._othello_files import of_lines, of_npz, read_moves, refuse
from zoo.data.games._othello_rules import CENTRE, NONE, SQUARES, first_illegal, play, squares
from zoo.registry import register
from zoo.sequence_spec import Family, Properties

FREE = tuple(square for square in range(64) if square not in CENTRE)  # a token each
TOKEN = np.full(256, len(FREE))
TOKEN[list(FREE)] = np.arange(len(FREE))
SQUARE = np.array([*FREE, NONE], np.uint8)
CHUNK = 20000  # games replayed at a time


@register
class Othello(Games):
    """Othello games; a token is the square of a move, and players who cannot move pass without one.

    Args:
        file: lines of games such as ``f5 d6 c3`` or ``f5d6c3`` (plain, ``.gz``, ``.xz``), or an ``.npz`` with ``moves``
            ``(n, 60)``, row * 8 + column, 255 behind the end; None for the tournament games of the data folder.
        context: tokens of a context at most, the begin token among them.
        n_train: games for training; None for all that the other splits leave.
        n_val: for validation.
        n_test: for testing.
        division: seed of the choice of games for each split.
        batch_size: of one rank.
        common: the other arguments of ``Data``.

    Raises:
        ValueError: as for ``Games``; for a game that breaks the rules, the file, the game and the move.
    """

    default = "othello/wthor.npz"
    license = "WTHOR, French Othello Federation: free use"
    class_names = (*(SQUARES[square] for square in FREE), "<begin>")

    def __init__(
        self,
        *,
        file: str | None = None,
        context: int = 60,
        n_train: int | None = None,
        n_val: int = 1000,
        n_test: int = 2000,
        division: int = 0,
        batch_size: int = 64,
        **common: Any,
    ) -> None:
        super().__init__(
            file=file,
            context=context,
            n_train=n_train,
            n_val=n_val,
            n_test=n_test,
            division=division,
            batch_size=batch_size,
            **common,
        )

    def _table(self) -> np.ndarray:
        path = self.path
        moves, place = of_npz(path) if path.suffix == ".npz" else of_lines(path)
        if self.file is not None:  # every game of the data folder has been replayed
            for some in range(0, len(moves), CHUNK):
                illegal = first_illegal(moves[some : some + CHUNK])
                for i in (illegal >= 0).nonzero()[0][:1]:
                    refuse(moves[some + i], int(illegal[i]), f"{path}, {place} {some + i + 1}")
        return TOKEN[moves[:, : self.context]].astype(np.uint8)

    def boards(self, x: Tensor) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Discs ``(n, 64)`` after each token of games ``(n, t)``: 0 none, 1 of the player to move, 2 of the other.

        With them the squares ``(n, 64)`` where that player may move.
        """
        moves = SQUARE[np.where(x.numpy() < 0, len(FREE), x.numpy())][:, 1:]
        for black, white, player, can in play(moves):
            own, other = np.where(player < 0, white, black), np.where(player < 0, black, white)
            yield squares(own) + np.int8(2) * squares(other), squares(can)

    def position_labels(self, split: Any, count: int = 500) -> Properties:
        """The discs, own and the other's, after every move; those of the corners by themselves too."""
        x = self.windows(split)[:count, :-1]
        codes = torch.from_numpy(np.stack([discs for discs, _ in self.boards(x)], 1))
        look = (x >= 0) & (x != self.begin)
        answers, corners = ("none", "own", "other's"), [0, 7, 56, 63]
        families = (
            Family("discs", codes, SQUARES, answers, blank=0),
            Family("corners", codes[..., corners], tuple(SQUARES[i] for i in corners), answers, blank=0),
        )
        return Properties(x, look, families)

    def extra_metrics(self, model: Any) -> dict[str, float]:
        """Loss and accuracy at every position of the test games; in how many of them the next move would be legal.

        ``legal moves`` is the share of likeliest moves that are legal, ``legal moves sampled`` the chance of a legal
        move (temperature 1).
        """
        if not hasattr(model, "position_logits"):
            return {}
        windows = self.windows("test")
        told, best, mass, real = self._beside(model, windows), 0.0, 0.0, 0
        for some in windows[:, :-1].split(64):
            can = torch.from_numpy(np.stack([can for _, can in self.boards(some)], 1))[..., list(FREE)]
            with torch.no_grad():
                chance = model.position_logits(some.to(model.device)).cpu().double().softmax(2)
            asked = (some >= 0) & can.any(2)
            legal = torch.nn.functional.pad(can, (0, 1))
            best += float(legal.gather(2, chance.argmax(2, keepdim=True))[..., 0][asked].double().sum())
            mass += float((chance * legal).sum(2)[asked].sum())
            real += int(asked.sum())
        return told | {"legal moves": best / real, "legal moves sampled": mass / real}

    def read_input(self, text: str) -> Tensor:
        """A game of the user's own, such as ``f5 d6 c3``.

        Raises:
            ValueError: if it is empty, too long, not a game, or breaks the rules.
        """
        moves = read_moves(text, "the prompt")
        row = np.array([moves], np.uint8)
        if len(moves) > 60 or int(ply := first_illegal(row)[0]) >= 0:
            refuse(row[0], 60 if len(moves) > 60 else int(ply), "the prompt")
        return self.padded([self.begin, *TOKEN[row[0]].tolist()] if moves else [], text)
