"""Base class of game sources: a game is one row of tokens after a begin token; no context spans two games."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo import paths
from zoo.capabilities import LanguageModel, capability
from zoo.data.base import SplitName
from zoo.data.sampler import mix
from zoo.data.split import Split
from zoo.data.token_windows import TokenWindowData


def unique_rows(table: np.ndarray) -> np.ndarray:
    """Return the positions, in order, of the first of each set of equal rows of a table ``(n, t)``."""
    padding = -table.shape[1] * table.itemsize % 8 // table.itemsize
    words = np.ascontiguousarray(np.pad(table, ((0, 0), (0, padding)))).view(np.uint64)
    order = np.lexsort(words.T)
    new = np.ones(len(order), bool)
    new[1:] = (words[order[1:]] != words[order[:-1]]).any(1)
    return np.sort(order[new])


class GameData(TokenWindowData):
    """Games: each a begin token (the last class) and its tokens, cut at the end of the context, padded with -1.

    Games that are equal within the context count once, so that splits share none. The division into splits follows
    ``division`` and not ``seed``: runs of several seeds have the same test positions.

    A subclass sets ``default`` and ``class_names`` and implements ``_table`` and ``_legal_moves``.

    Args:
        file: file of games; None for the games of the data folder.
        context: maximum number of tokens of a context, the begin token included.
        n_train: number of training games; None for all games outside the other splits.
        n_val: number of validation games.
        n_test: number of test games.
        division: random seed of the division into splits.
        batch_size: games per batch on each rank.
        common: other arguments of ``zoo.data.base.Data``.

    Raises:
        ValueError: if an argument is out of range; or, once read, if there are no games, too few, or an illegal one.
    """

    begins_with = ("<begin>",)
    default = ""  # the file in the data folder

    def __init__(
        self,
        *,
        file: str | None = None,
        context: int,
        n_train: int | None = None,
        n_val: int = 1000,
        n_test: int = 2000,
        division: int = 0,
        batch_size: int = 64,
        **common: Any,
    ) -> None:
        super().__init__(context=context, batch_size=batch_size, **common)
        if context < 2:
            raise ValueError(f"data.context is {context}; expected 2 or more: the begin token and a move")
        for name, n in (("n_train", n_train), ("n_val", n_val), ("n_test", n_test)):
            if n is not None and n < 1:
                raise ValueError(f"data.{name} is {n}; expected 1 or more games")
        if division < 0:
            raise ValueError(f"data.division is {division}; expected 0 or more")
        self.file = file
        self.n_train = n_train
        self.n_val = n_val
        self.n_test = n_test
        self.division = division

    @property
    def path(self) -> Path:
        """Path of the file of games.

        Raises:
            ValueError: if the file is missing.
        """
        requested = Path(self.file or self.default).expanduser()
        local = self.file and (requested.exists() or requested.is_absolute())
        path = requested if local else paths.data() / requested
        if not path.is_file():
            raise ValueError(
                f"no file of games {str(requested)!r}, neither in the working directory nor under {paths.data()};"
                " set data.file"
            )
        return path

    @property
    def begin(self) -> int:
        """The begin token."""
        return len(self.class_names) - 1

    @abstractmethod
    def _table(self) -> np.ndarray:
        """Return games ``(n, context)`` of tokens without the begin token, padded with ``begin``."""

    @abstractmethod
    def _legal_moves(self, model: Any, windows: Tensor) -> dict[str, float]:
        """Return the metrics ``legal moves`` and ``legal moves sampled`` on games ``(n, context + 1)``."""

    @cached_property
    def _selected(self) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
        """Tokens of all games in one row, the ``n + 1`` boundaries of the games, and the size of each split."""
        table = self._table()
        first = unique_rows(table)
        rest = len(first) - self.n_val - self.n_test
        if rest < 1:
            raise ValueError(
                f"{self.path} has {len(first)} different games, but validation and test need {self.n_val} and"
                f" {self.n_test}; provide more games, or lower data.n_val and data.n_test"
            )
        counts = {"test": self.n_test, "val": self.n_val, "train": min(rest, self.n_train or rest)}
        order = np.random.default_rng(mix(self.division, 29)).permutation(first)[: sum(counts.values())]
        games = np.pad(table[order], ((0, 0), (1, 0)), constant_values=self.begin)
        real = np.ones(games.shape, bool)
        real[:, 1:] = games[:, 1:] != self.begin
        return games[real], np.concatenate([[0], real.sum(1).cumsum()]), counts

    @property
    def _tokens(self) -> np.ndarray:
        return self._selected[0]

    def _read(self) -> dict[str, Split]:
        _, ends, counts = self._selected
        start = ends[:-1]
        length = np.diff(ends) - 1  # the last token of a game is a target only
        place = np.random.default_rng(mix(self.division, 17)).permutation(len(start)) % self.context
        drawn = place * length // self.context + 1
        splits: dict[str, Split] = {}
        first = 0
        for name, n in counts.items():
            own = slice(first, first + n)
            splits[name] = self._contexts(name, start[own], (drawn if name == "test" else length)[own])
            first += n
        return splits

    def windows(self, name: SplitName) -> Tensor:
        """Return whole games ``(n, context + 1)`` of a split, padded with -1."""
        tokens, ends, _ = self._selected
        rows = self._split(name).rows
        assert rows is not None
        start = rows.numpy()
        length = ends[np.searchsorted(ends, start, "right")] - start
        offset = np.arange(self.context + 1)
        real = offset < length[:, None]
        index = np.where(real, start[:, None] + offset, 0)
        return torch.from_numpy(np.where(real, tokens[index].astype(np.int64), -1))

    def token_texts(self, x: Tensor) -> list[list[str]]:
        """Return the moves of contexts ``(b, t)``, each followed by a space."""
        return [[text + " " for text in row] for row in super().token_texts(x)]

    def extra_metrics(self, model: Any) -> dict[str, float]:
        """Return loss, accuracy and share of legal moves of a language model on the test games.

        ``nats per token`` and ``token accuracy`` are over all positions. ``legal moves`` is the share of most likely
        moves that are legal, ``legal moves sampled`` the share of moves sampled at temperature 1 that are legal.
        """
        if capability(model, LanguageModel) is None:
            return {}
        windows = self.windows("test")
        legal = self._legal_moves(model, windows)
        return self.next_token_metrics(model, [windows]) | legal
