"""Chess games as sequences of moves, or of the characters of their notation, with the pieces on the board."""

from __future__ import annotations

import re
from importlib import import_module
from types import ModuleType
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from zoo.data.base import SplitName
from zoo.data.file_readers import read_lines
from zoo.data.games._chess_tokens import CHARACTERS, MOVES, notation
from zoo.data.games._game_data import GameData
from zoo.inputs.texts.tokenizers import Symbols, Tokenizer, Words
from zoo.paths import did_you_mean
from zoo.registry import register
from zoo.sequence_spec import Family, Properties

Tokens = Literal["moves", "characters"]
LEGAL_GAMES = 300  # test games on which the share of legal moves is measured


@register
class Chess(GameData):
    """Chess games. A token is a move in UCI (``e2e4``) or, with ``characters``, a character of ``1.e4 e5 2.Nf3 ...``.

    Boards are known where White is to move, as in the published protocol: there the notation has a ``.``.

    Args:
        file: ``.pgn`` (also ``.gz``, ``.xz``), or lines of moves in SAN or UCI (plain, ``.gz``, ``.xz``), whose moves
            are all checked once (needs ``chess``); None for the games of the data folder.
        tokens: ``moves`` or ``characters``.
        context: maximum number of tokens of a context, the begin token included.
        common: the arguments of ``zoo.data.games._game_data.GameData``.

    Raises:
        ValueError: as for ``GameData``; for an illegal move, file, line and move are named.
    """

    license = "game scores: facts"

    def __init__(
        self,
        *,
        file: str | None = None,
        tokens: Tokens = "moves",
        context: int = 128,
        **common: Any,
    ) -> None:
        super().__init__(file=file, context=context, **common)
        if tokens not in get_args(Tokens):
            raise ValueError(f"data.tokens is {tokens!r}; expected one of {', '.join(get_args(Tokens))}")
        self.by_character = tokens == "characters"
        if self.by_character and context < 16:
            raise ValueError(f"data.context is {context}; expected 16 or more characters, so that a move fits")
        self.default = f"chess/games_{'san' if self.by_character else 'uci'}.txt.xz"
        self.class_names = (*(CHARACTERS if self.by_character else MOVES), "<begin>")
        self.code = {text: i for i, text in enumerate(self.class_names)}

    def input_tokenizer(self) -> Tokenizer:
        """Return one token for each move, or for each character."""
        return Symbols(self.class_names) if self.by_character else Words(self.class_names)

    def _table(self) -> np.ndarray:
        path = self.path
        files = _module("files")  # without ``chess`` it fails now and not after hours of training
        games = list(read_lines(path)) if self.file is None else files.read_games(path, san=self.by_character)
        table = np.full((len(games), self.context), self.begin, np.uint8 if self.by_character else np.uint16)
        for row, game in zip(table, games, strict=True):
            moves = game.split()
            tokens = (notation(moves) if self.by_character else moves)[: self.context]
            row[: len(tokens)] = [self.code[token] for token in tokens]
        return table

    def games(self, x: Tensor) -> list[list[str]]:
        """Return the complete moves (UCI) of games ``(n, t)``."""
        texts = [[self.class_names[i] for i in row if 0 <= i < self.begin] for row in x.tolist()]
        if not self.by_character:
            return texts
        convert = _module("files").convert_moves
        return [convert(re.sub(r"\d+\.", "", "".join(text).rpartition(" ")[0]).split(), "a game") for text in texts]

    def position_labels(self, split: SplitName, count: int = 500) -> Properties:
        """Return the pieces and some facts wherever White is to move, except at the begin token."""
        boards = _module("boards")
        x = self.windows(split)[:count, :-1]
        pieces, facts, start = boards.read_boards(self.games(x))
        if self.by_character:
            look = x == self.code["."]
            place = look.cumsum(1) - 1
        else:
            place = torch.arange(x.shape[1]).expand_as(x) // 2
            look = (x >= 0) & (torch.arange(x.shape[1]) % 2 == 0)
        row = (torch.from_numpy(start[:-1])[:, None] + place)[look]
        codes = torch.full((*x.shape, 64), -1, dtype=torch.int8)
        codes[look] = torch.from_numpy(pieces)[row]
        known = torch.full((*x.shape, len(boards.FACTS)), -1, dtype=torch.int8)
        known[look] = torch.from_numpy(facts)[row].to(torch.int8) - 1
        at_begin = look[:, :1] & (x[:, :1] == self.begin)
        look = look.clone()
        look[:, :1] &= ~at_begin
        initial = torch.from_numpy(boards.read_boards([[]])[0][0])
        families = (
            Family("pieces", codes, boards.SQUARES, boards.PIECES, blank=0, initial=initial),
            Family("facts", known, boards.FACTS, ("yes",)),
        )
        return Properties(x, look, families)

    def _legal_moves(self, model: Any, windows: Tensor) -> dict[str, float]:
        """Moves: at every position of 300 games. Characters: at one position of each of them, moves spelled out."""
        legal = _module("legal")
        rates = legal.of_characters if self.by_character else legal.of_moves
        return rates(self, model, windows[:LEGAL_GAMES])

    def token_texts(self, x: Tensor) -> list[list[str]]:
        """Return the moves of contexts ``(b, t)``, each followed by a space, or the characters."""
        rows = super().token_texts(x)
        return [[text[:-1] for text in row] for row in rows] if self.by_character else rows

    def read_input(self, text: str) -> Tensor:
        """Return a game as a context ``(context,)``: ``e2e4 e7e5`` or, by characters, ``1.e4 e5 2.``.

        Raises:
            ValueError: if the game is empty, too long, illegal, or not in the vocabulary.
        """
        words = list(text) if self.by_character else text.split()
        unit = "place" if self.by_character else "move"
        for place, word in enumerate(words, 1):
            if word not in self.code:
                near = "" if self.by_character else did_you_mean(word, list(MOVES))
                raise ValueError(f"{word!r} ({unit} {place} of the prompt) is not in the vocabulary{near}")
        if not self.by_character:
            _module("files").convert_moves(words, "the prompt")
        return self.padded([self.begin, *(self.code[word] for word in words)] if words else [], text)


def _module(name: str) -> ModuleType:
    """Return ``zoo.data.games._chess_<name>``, a module that needs the package ``chess``."""
    try:
        return import_module(f"zoo.data.games._chess_{name}")
    except ModuleNotFoundError as error:
        if error.name != "chess":
            raise
        raise ValueError("this needs the rules of chess: pip install 'zoo-interpretable[chess]'") from error
