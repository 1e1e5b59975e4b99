"""How often a model's next move would be legal. Needs the package ``chess``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from zoo.data.games._chess_boards import is_legal, legal_moves

if TYPE_CHECKING:
    from zoo.data.games.chess import Chess

LONGEST = 8  # characters of a move, with the space behind it: "Qa1xb2#" has 7


def legal(data: Chess, model: Any, windows: Tensor) -> dict[str, float]:
    """Share of likeliest moves that are legal, and of those drawn at temperature 1.

    Args:
        data: the source of the games.
        model: offers ``predict`` and, for characters, ``generate``.
        windows: ``(n, t)`` games, -1 behind their end.
    """
    return (of_characters if data.spelt else of_moves)(data, model, windows)


@torch.no_grad()
def of_moves(data: Chess, model: Any, windows: Tensor) -> dict[str, float]:
    """At every position of games ``(n, t)`` of moves."""
    told = []
    for some in windows.split(50):
        chance = model.position_logits(some[:, :-1].to(model.device)).cpu().double().softmax(2)
        best = chance.argmax(2)
        for i, ply, moves in legal_moves(data.games(some)):
            ids = [data.code[move] for move in moves]
            told.append((float(int(best[i, ply]) in ids), float(chance[i, ply, ids].sum())))
    best, mass = torch.tensor(told, dtype=torch.float64).mean(0).tolist()
    return {"legal moves": best, "legal moves sampled": mass}


@torch.no_grad()
def of_characters(data: Chess, model: Any, windows: Tensor) -> dict[str, float]:
    """At one position of each of games ``(n, t)`` of characters, where White is to move; moves are written out."""
    dots = windows[:, : max(3, data.context - LONGEST)] == data.code["."]
    nth = torch.arange(len(windows)) * 7919 % dots.sum(1)
    place = ((dots.cumsum(1) == nth[:, None] + 1) & dots).int().argmax(1)
    x = torch.where(torch.arange(windows.shape[1]) <= place[:, None], windows, -1)[:, : data.context]
    before = [game[: 2 * int(n)] for game, n in zip(data.games(windows), nth, strict=True)]
    told = {}
    for name, top in (("legal moves", 1), ("legal moves sampled", None)):
        new = min(LONGEST, data.context - int(place.max()))
        drawn = model.generate(x.to(model.device), new, top_k=top).tolist()
        texts = ["".join(data.class_names[i] for i in row if i < data.begin).partition(" ")[0] for row in drawn]
        ok = [is_legal(game, text) for game, text in zip(before, texts, strict=True)]
        told[name] = sum(ok) / len(ok)
    return told
