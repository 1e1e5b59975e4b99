"""Readers of chess games: PGN, or lines of SAN or UCI moves; every move is checked once and the result is cached.

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
from zoo.data.file_readers import read_lines

UCI = re.compile(r"[a-h][1-8][a-h][1-8][qrbn]?$")
AROUND = re.compile(r"\d+\.+|1-0$|0-1$|1/2-1/2$|\*$")  # move numbers and results
PGN = (".pgn", ".pgn.gz", ".pgn.xz")


def read_games(path: Path, *, san: bool) -> list[str]:
    """Return the games of a file, one string each: moves in UCI or in SAN, separated by spaces.

    The result is kept in the user's cache folder under the hash of the file.

    Raises:
        ValueError: if there is no game, or a game has an illegal move; file, line and move are named.
    """
    content = hashlib.sha256(f"{'san' if san else 'uci'} {''.join(path.suffixes)} ".encode() + path.read_bytes())
    cached = paths.cache() / "games" / f"{content.hexdigest()[:24]}.txt"
    if not cached.is_file():
        games = [" ".join(game) for game in (_of_pgn if path.name.endswith(PGN) else _of_lines)(path, san)]
        if not games:
            raise ValueError(f"{path} has no game with a move; expected PGN, or a game on each line (SAN or UCI)")
        cached.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=cached.parent, delete=False) as part:
            part.write("\n".join(games))
        os.replace(part.name, cached)
    return cached.read_text().splitlines()


def _of_lines(path: Path, san: bool) -> Iterator[list[str]]:
    for i, line in enumerate(read_lines(path), 1):
        if line.startswith("["):
            raise ValueError(f"{path}, line {i} looks like PGN; give the file a name that ends in .pgn")
        words = [word for part in line.split() if (word := AROUND.sub("", part))]
        if words:
            yield convert_moves(words, f"{path}, line {i}", san=san)


def convert_moves(words: list[str], where: str, *, san: bool = False) -> list[str]:
    """Return moves, each in SAN or UCI, as UCI or SAN.

    Raises:
        ValueError: if a move is illegal.
    """
    board = chess.Board()
    moves: list[str] = []
    for i, word in enumerate(words, 1):
        try:
            move = board.parse_uci(word) if UCI.match(word) else board.parse_san(word)
        except ValueError as error:
            before = " ".join(words[max(0, i - 7) : i - 1]) or "the start"
            raise ValueError(f"{where}: move {i}, {word}, is not legal after {before}") from error
        if not move:
            raise ValueError(f"{where}: move {i}, {word}, is not a move")
        moves.append(board.san(move) if san else board.uci(move))
        board.push(move)
    return moves


class _LineReader:
    """A file whose lines are counted as they are read."""

    def __init__(self, path: Path) -> None:
        self.rows = read_lines(path)
        self.line = 0

    def readline(self) -> str:
        """Return the next line; empty at the end."""
        self.line += 1
        return next(self.rows, "")


class _Mainline(chess.pgn.BaseVisitor):
    """Collects the moves of the main line, without comments and variations."""

    def __init__(self, san: bool) -> None:
        self.san = san
        self.moves: list[str] = []
        self.nonstandard = False

    def visit_header(self, tagname: str, tagvalue: str) -> None:
        """Note games with another start position or other rules."""
        self.nonstandard |= tagname == "FEN" or (tagname == "Variant" and tagvalue.lower() not in ("standard", "chess"))

    def begin_variation(self) -> chess.pgn.SkipType:
        """Skip variations."""
        return chess.pgn.SKIP

    def visit_move(self, board: chess.Board, move: chess.Move) -> None:
        """Record a move."""
        if not move:
            self.handle_error(ValueError("no move: --"))
        self.moves.append(board.san(move) if self.san else board.uci(move))

    def handle_error(self, error: Exception) -> None:
        """Refuse an illegal or unreadable move, except in a game that is left out."""
        if not self.nonstandard:
            raise ValueError(f"move {len(self.moves) + 1} is wrong ({error})") from error

    def result(self) -> tuple[list[str], bool]:
        """Return the moves, and whether the game has the standard start and rules."""
        return self.moves, not self.nonstandard


def _of_pgn(path: Path, san: bool) -> Iterator[list[str]]:
    file = _LineReader(path)
    skipped = 0
    while True:
        try:
            game = chess.pgn.read_game(file, Visitor=lambda: _Mainline(san))  # pyright: ignore[reportArgumentType]
        except ValueError as error:
            raise ValueError(f"{path}, line {file.line}: {error}") from error
        if game is None:
            break
        moves, standard = game
        skipped += not standard
        if moves and standard:
            yield moves
    if skipped:
        warnings.warn(f"{path}: {skipped} games with another start position or other rules were left out", stacklevel=2)
