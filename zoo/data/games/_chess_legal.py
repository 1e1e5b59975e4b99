"""Share of a model's next moves that are legal. Needs the package ``chess``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from zoo.data.games._chess_boards import is_legal, legal_moves

LONGEST = 8  # characters of the longest move, the space after it included: "Qa1xb2#" has 7


class ChessGames(Protocol):
    """The facts about a source of chess games that are needed here."""

    class_names: tuple[str, ...]
    code: Mapping[str, int]
    context: int

    @property
    def begin(self) -> int:
        """The begin token."""
        ...

    def games(self, x: Tensor) -> list[list[str]]:
        """Return the complete moves (UCI) of games ``(n, t)``."""
        ...


@torch.no_grad()
def of_moves(data: ChessGames, model: Any, windows: Tensor) -> dict[str, float]:
    """Return the shares over all positions of games ``(n, t)`` whose tokens are moves, padded with -1.

    Args:
        data: source of the games.
        model: a language model.
        windows: the games.
    """
    rows: list[tuple[float, float]] = []
    for games in windows.split(50):
        probability = model.position_logits(games[:, :-1].to(model.device)).cpu().double().softmax(2)
        best = probability.argmax(2)
        for i, ply, moves in legal_moves(data.games(games)):
            ids = [data.code[move] for move in moves]
            rows.append((float(int(best[i, ply]) in ids), float(probability[i, ply, ids].sum())))
    likeliest, sampled = torch.tensor(rows, dtype=torch.float64).mean(0).tolist()
    return {"legal moves": likeliest, "legal moves sampled": sampled}


@torch.no_grad()
def of_characters(data: ChessGames, model: Any, windows: Tensor) -> dict[str, float]:
    """Return the shares at one position with White to move of each of games ``(n, t)`` whose tokens are characters.

    Args:
        data: source of the games.
        model: a language model; it generates the characters of a move.
        windows: the games, padded with -1.
    """
    dots = windows[:, : max(3, data.context - LONGEST)] == data.code["."]
    nth = torch.arange(len(windows)) * 7919 % dots.sum(1)
    place = ((dots.cumsum(1) == nth[:, None] + 1) & dots).int().argmax(1)
    x = torch.where(torch.arange(windows.shape[1]) <= place[:, None], windows, -1)[:, : data.context]
    before = [game[: 2 * int(n)] for game, n in zip(data.games(windows), nth, strict=True)]
    rates: dict[str, float] = {}
    for name, top in (("legal moves", 1), ("legal moves sampled", None)):
        new = min(LONGEST, data.context - int(place.max()))
        generated = model.generate(x.to(model.device), new, top_k=top).tolist()
        texts = ["".join(data.class_names[i] for i in row if i < data.begin).partition(" ")[0] for row in generated]
        legal = [is_legal(game, text) for game, text in zip(before, texts, strict=True)]
        rates[name] = sum(legal) / len(legal)
    return rates
