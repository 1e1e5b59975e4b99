"""What sources of games share: a game is one row of tokens behind a begin token, and no context leaves its game."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo import paths
from zoo.data.games._game_files import different
from zoo.data.sampler import mix
from zoo.data.split import Split
from zoo.data.token_windows import SequenceData


class Games(SequenceData):
    """Games, each a begin token (the last class) and its tokens, cut where the context ends; -1 stands behind the end.

    Games that are alike as far as the context reaches count once, so that splits share none. Which games are for
    testing is a matter of ``division`` and not of ``seed``: runs of several seeds have the same test positions.

    Args:
        file: of games; None for those of the data folder.
        context: tokens of a context at most, the begin token among them.
        n_train: games for training; None for all that the other splits leave.
        n_val: for validation.
        n_test: for testing.
        division: seed of the choice of games for each split.
        batch_size: of one rank.
        common: the other arguments of ``Data``.

    Raises:
        ValueError: if an argument is out of range; or, once read, if there are no games, too few, or a wrong one.
    """

    default = ""  # the file in the data folder

    def __init__(
        self,
        *,
        file: str | None,
        context: int,
        n_train: int | None,
        n_val: int,
        n_test: int,
        division: int,
        batch_size: int,
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
        self.file, self.n_train, self.n_val, self.n_test, self.division = file, n_train, n_val, n_test, division

    @property
    def path(self) -> Path:
        """The file of games.

        Raises:
            ValueError: if it is not there.
        """
        asked = Path(self.file or self.default).expanduser()
        path = asked if self.file and (asked.exists() or asked.is_absolute()) else paths.data() / asked
        if not path.is_file():
            raise ValueError(f"no games {str(asked)!r}, neither here nor under {paths.data()}; set data.file")
        return path

    @property
    def begin(self) -> int:
        """The begin token."""
        return len(self.class_names) - 1

    @abstractmethod
    def _table(self) -> np.ndarray:
        """Games ``(n, context)`` of tokens without the begin token, ``begin`` behind the end."""

    @cached_property
    def _chosen(self) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
        """All games in use as one row of tokens, where each begins and the last ends, and the games of each split."""
        table = self._table()
        first = different(table)
        rest = len(first) - self.n_val - self.n_test
        if rest < 1:
            raise ValueError(
                f"{self.path} has {len(first)} different games, and validation and test take {self.n_val} and"
                f" {self.n_test}; give more games, or set data.n_val and data.n_test"
            )
        counts = {"test": self.n_test, "val": self.n_val, "train": min(rest, self.n_train or rest)}
        order = np.random.default_rng(mix(self.division, 29)).permutation(first)[: sum(counts.values())]
        games = np.pad(table[order], ((0, 0), (1, 0)), constant_values=self.begin)
        real = np.ones(games.shape, bool)
        real[:, 1:] = games[:, 1:] != self.begin
        return games[real], np.concatenate([[0], real.sum(1).cumsum()]), counts

    @property
    def _tokens(self) -> np.ndarray:
        return self._chosen[0]

    def _read(self) -> dict[str, Split]:
        _, ends, counts = self._chosen
        start, length = ends[:-1], np.diff(ends) - 1  # the last token of a game is only foretold
        place = np.random.default_rng(mix(self.division, 17)).permutation(len(start)) % self.context
        drawn, found, at = place * length // self.context + 1, {}, 0
        for name, n in counts.items():
            own = slice(at, at + n)
            found[name] = self._contexts(name, start[own], (drawn if name == "test" else length)[own])
            at += n
        return found

    def windows(self, name: Any) -> Tensor:
        """Whole games ``(n, context + 1)`` of a split, -1 behind their end."""
        tokens, ends, _ = self._chosen
        rows = self._split(name).rows
        assert rows is not None
        start = rows.numpy()
        length = ends[np.searchsorted(ends, start, "right")] - start
        at = np.arange(self.context + 1)
        real = at < length[:, None]
        return torch.from_numpy(np.where(real, tokens[np.where(real, start[:, None] + at, 0)].astype(np.int64), -1))

    def token_texts(self, x: Tensor) -> list[list[str]]:
        """The moves, with a space after each."""
        return [[text + " " for text in row] for row in super().token_texts(x)]

    def _beside(self, model: Any, windows: Tensor) -> dict[str, float]:
        """Loss and accuracy at every position of whole games."""
        loss, right = self.nats(model, windows)
        real = windows[:, 1:] >= 0
        told = {"nats per token": loss[real].mean(), "token accuracy": right[real].double().mean()}
        return {name: float(value) for name, value in told.items()}
