"""Chess games as sequences of moves, or of the characters of their notation, with what stands on the board."""

from __future__ import annotations

import re
from importlib import import_module
from types import ModuleType
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from zoo.data.games._chess_tokens import CHARACTERS, MOVES, notation
from zoo.data.games._game_files import lines
from zoo.data.games._games import Games
from zoo.paths import did_you_mean
from zoo.registry import register
from zoo.sequence_spec import Family, Properties

Tokens = Literal["moves", "characters"]


@register
class Chess(Games):
    """Chess games. A token is a move in UCI (``e2e4``); or, with ``characters``, a letter of ``1.e4 e5 2.Nf3 ...``.

    Boards are known where it is White's move, as in the published protocol: there "." stands in the notation.

    Args:
        file: ``.pgn`` (also ``.gz``, ``.xz``), or lines of moves in SAN or UCI (plain, ``.gz``, ``.xz``), whose moves
            are all checked once (needs ``chess``); None for the games of the data folder.
        tokens: ``moves`` or ``characters``.
        context: tokens of a context at most, the begin token among them.
        n_train: games for training; None for all that the other splits leave.
        n_val: for validation.
        n_test: for testing.
        division: seed of the choice of games for each split.
        batch_size: of one rank.
        common: the other arguments of ``Data``.

    Raises:
        ValueError: as for ``Games``; for an illegal move, the file, the line and the move.
    """

    license = "game scores: facts"

    def __init__(
        self,
        *,
        file: str | None = None,
        tokens: Tokens = "moves",
        context: int = 128,
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
        if tokens not in get_args(Tokens):
            raise ValueError(f"data.tokens is {tokens!r}; expected one of {', '.join(get_args(Tokens))}")
        self.spelt = tokens == "characters"
        if self.spelt and context < 16:
            raise ValueError(f"data.context is {context}; expected 16 or more characters, so that a move fits")
        self.default = f"chess/games_{'san' if self.spelt else 'uci'}.txt.xz"
        self.class_names = (*(CHARACTERS if self.spelt else MOVES), "<begin>")
        self.code = {text: i for i, text in enumerate(self.class_names)}

    def _table(self) -> np.ndarray:
        path, files = self.path, _package("files")  # without it boards would be missed after hours of training
        games = list(lines(path)) if self.file is None else files.read_games(path, san=self.spelt)
        table = np.full((len(games), self.context), self.begin, np.uint8 if self.spelt else np.uint16)
        for row, game in zip(table, games, strict=True):
            words = notation(game.split())[: self.context] if self.spelt else game.split()[: self.context]
            row[: len(words)] = [self.code[word] for word in words]
        return table

    def games(self, x: Tensor) -> list[list[str]]:
        """Moves (UCI) of games ``(n, t)`` as far as they are whole."""
        texts = [[self.class_names[i] for i in row if 0 <= i < self.begin] for row in x.tolist()]
        if not self.spelt:
            return texts
        play = _package("files").play
        return [play(re.sub(r"\d+\.", "", "".join(text).rpartition(" ")[0]).split(), "a game") for text in texts]

    def position_labels(self, split: Any, count: int = 500) -> Properties:
        """The pieces, and some facts, wherever it is White's move; not at the begin token."""
        boards, x = _package("boards"), self.windows(split)[:count, :-1]
        pieces, facts, start = boards.look(self.games(x))
        if self.spelt:
            look = x == self.code["."]
            place = look.cumsum(1) - 1
        else:
            place = torch.arange(x.shape[1]).expand_as(x) // 2
            look = (x >= 0) & (torch.arange(x.shape[1]) % 2 == 0)
        row = (torch.from_numpy(start[:-1])[:, None] + place)[look]
        look, begins = look.clone(), look[:, :1] & (x[:, :1] == self.begin)
        codes = torch.full((*x.shape, 64), -1, dtype=torch.int8)
        codes[look] = torch.from_numpy(pieces)[row]
        known = torch.full((*x.shape, len(boards.FACTS)), -1, dtype=torch.int8)
        known[look] = torch.from_numpy(facts)[row].to(torch.int8) - 1
        look[:, :1] &= ~begins
        first = torch.from_numpy(boards.look([[]])[0][0])
        families = (
            Family("pieces", codes, boards.SQUARES, boards.PIECES, blank=0, initial=first),
            Family("facts", known, boards.FACTS, ("yes",)),
        )
        return Properties(x, look, families)

    def extra_metrics(self, model: Any) -> dict[str, float]:
        """Loss and accuracy at every position of the test games; in how many of them the next move would be legal.

        ``legal moves`` is the share of likeliest moves that are legal, ``legal moves sampled`` of those drawn at
        temperature 1: at every position of 300 games, or, of characters, at one position of each of them.
        """
        if not hasattr(model, "position_logits"):
            return {}
        windows = self.windows("test")
        legal = _package("legal").legal(self, model, windows[:300])
        return self._beside(model, windows) | legal

    def token_texts(self, x: Tensor) -> list[list[str]]:
        """Moves with a space after each, or characters."""
        rows = super().token_texts(x)
        return [[text[:-1] for text in row] for row in rows] if self.spelt else rows

    def read_input(self, text: str) -> Tensor:
        """A game of the user's own: ``e2e4 e7e5``, or, of characters, ``1.e4 e5 2.``, as far as one likes.

        Raises:
            ValueError: if it is empty, too long, has something outside the vocabulary, or an illegal move.
        """
        words = list(text) if self.spelt else text.split()
        for place, word in enumerate(words, 1):
            if word not in self.code:
                near = "" if self.spelt else did_you_mean(word, list(MOVES))
                what = "place" if self.spelt else "move"
                raise ValueError(f"{word!r} ({what} {place} of the prompt) is not in the vocabulary{near}")
        if not self.spelt:
            _package("files").play(words, "the prompt")
        return self.padded([self.begin, *(self.code[word] for word in words)] if words else [], text)


def _package(name: str) -> ModuleType:
    """What needs the rules of chess: ``zoo.data.games._chess_files``, ``chess_boards``, ``chess_legal``."""
    try:
        return import_module(f"zoo.data.games._chess_{name}")
    except ModuleNotFoundError as error:
        if error.name != "chess":
            raise
        raise ValueError("this needs the rules of chess: pip install 'zoo-interpretable[chess]'") from error
