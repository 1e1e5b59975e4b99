"""Games of chess from a user's file: PGN, or lines of SAN or UCI moves; every move is played once and then remembered.

Needs the package ``chess``.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import chess
import chess.pgn

from zoo import paths
from zoo.data.games._game_files import lines

UCI = re.compile(r"[a-h][1-8][a-h][1-8][qrbn]?$")
AROUND = re.compile(r"\d+\.+|1-0$|0-1$|1/2-1/2$|\*$")  # move numbers and results
PGN = (".pgn", ".pgn.gz", ".pgn.xz")


def read_games(path: Path, *, san: bool) -> list[str]:
    """The games of a file, a line each: moves in UCI, or in SAN, with spaces between.

    What was found is kept in the user's cache folder, under the hash of the file.

    Raises:
        ValueError: if there is no game, or one has an illegal move; names file, line, move.
    """
    content = hashlib.sha256(f"{'san' if san else 'uci'} {''.join(path.suffixes)} ".encode() + path.read_bytes())
    kept = paths.cache() / "games" / f"{content.hexdigest()[:24]}.txt"
    if not kept.is_file():
        found = [" ".join(game) for game in (_of_pgn if path.name.endswith(PGN) else _of_lines)(path, san)]
        if not found:
            raise ValueError(f"{path} has no game with a move; expected PGN, or a game on each line (SAN or UCI)")
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=kept.parent, delete=False) as part:
            part.write("\n".join(found))
        os.replace(part.name, kept)
    return kept.read_text().splitlines()


def _of_lines(path: Path, san: bool) -> Iterator[list[str]]:
    for i, line in enumerate(lines(path), 1):
        if line.startswith("["):
            raise ValueError(f"{path}, line {i} looks like PGN; give the file a name that ends in .pgn")
        if words := [word for part in line.split() if (word := AROUND.sub("", part))]:
            yield play(words, f"{path}, line {i}", san=san)


def play(words: list[str], where: str, *, san: bool = False) -> list[str]:
    """Moves, each in SAN or UCI, as UCI or SAN.

    Raises:
        ValueError: if one is illegal.
    """
    board, told = chess.Board(), []
    for i, word in enumerate(words, 1):
        try:
            move = board.parse_uci(word) if UCI.match(word) else board.parse_san(word)
        except ValueError as error:
            before = " ".join(words[max(0, i - 7) : i - 1]) or "the start"
            raise ValueError(f"{where}: move {i}, {word}, is not legal after {before}") from error
        if not move:
            raise ValueError(f"{where}: move {i}, {word}, is no move")
        told.append(board.san(move) if san else board.uci(move))
        board.push(move)
    return told


class _Counting:
    """Lines of a file, one after another, and how many there were."""

    def __init__(self, path: Path) -> None:
        self.rows, self.line = lines(path), 0

    def readline(self) -> str:
        """The next line; empty at the end."""
        self.line += 1
        return next(self.rows, "")


class _Mainline(chess.pgn.BaseVisitor):
    """The moves that were played: no comments, no variations."""

    def __init__(self, san: bool) -> None:
        self.san, self.told, self.own_start = san, [], False

    def visit_header(self, tagname: str, tagvalue: str) -> None:
        """Games that start elsewhere, or by other rules."""
        self.own_start |= tagname == "FEN" or (tagname == "Variant" and tagvalue.lower() not in ("standard", "chess"))

    def begin_variation(self) -> chess.pgn.SkipType:
        """Nobody played it."""
        return chess.pgn.SKIP

    def visit_move(self, board: chess.Board, move: chess.Move) -> None:
        """One more."""
        if not move:
            self.handle_error(ValueError("no move: --"))
        self.told.append(board.san(move) if self.san else board.uci(move))

    def handle_error(self, error: Exception) -> None:
        """An illegal move, or one that means nothing; of a game that is left out it does not matter."""
        if not self.own_start:
            raise ValueError(f"move {len(self.told) + 1} is wrong ({error})") from error

    def result(self) -> tuple[list[str], bool]:
        """The moves, and whether the game is one from the usual start."""
        return self.told, not self.own_start


def _of_pgn(path: Path, san: bool) -> Iterator[list[str]]:
    file, left = _Counting(path), 0
    while True:
        try:
            game = chess.pgn.read_game(file, Visitor=lambda: _Mainline(san))  # type: ignore[arg-type]
        except ValueError as error:
            raise ValueError(f"{path}, line {file.line}: {error}") from error
        if game is None:
            break
        told, usual = game
        left += not usual
        if told and usual:
            yield told
    if left:
        warnings.warn(f"{path}: {left} games with a start or rules of their own were left out", stacklevel=2)
