"""Othello: the rules against a slow game of its own, the real games against their recorded score, what can be wrong."""

import lzma
from functools import cache

import numpy as np
import pytest
import torch

from zoo import paths
from zoo.data import create_data
from zoo.data.games._bitboards import squares
from zoo.data.games._othello_rules import NONE, SQUARES, first_illegal, flipped, legal, play

WAYS = [(r, c) for r in (-1, 0, 1) for c in (-1, 0, 1) if r or c]


def turned(board, square, player):
    """Squares that a move turns, by walking; board maps square -> 1 or -1."""
    results = []
    for dr, dc in WAYS if square not in board else ():
        row, column, line = square // 8 + dr, square % 8 + dc, []
        while 0 <= row < 8 and 0 <= column < 8 and board.get(row * 8 + column) == -player:
            line.append(row * 8 + column)
            row, column = row + dr, column + dc
        if line and 0 <= row < 8 and 0 <= column < 8 and board.get(row * 8 + column) == player:
            results += line
    return results


def can(board, player):
    return [s for s in range(64) if turned(board, s, player)]


SHORTEST = "e6 f4 e3 f6 g5 d6 e7 f5 c5"  # all white discs are gone


@cache
def random_game(seed, given=()):
    """Moves, and board, player and legal moves before each and at the end; first those ``given``."""
    g, board, player, moves, boards = np.random.default_rng(seed), {27: -1, 36: -1, 28: 1, 35: 1}, 1, [], []
    while True:
        if not can(board, player):
            player = -player
        free = can(board, player)
        boards.append((dict(board), player if free else 0, free))
        if not free:
            return moves, boards
        moves.append(given[len(moves)] if len(moves) < len(given) else int(g.choice(free)))
        for square in [moves[-1], *turned(board, moves[-1], player)]:
            board[square] = player
        player = -player


def table(games):
    out = np.full((len(games), 60), NONE, np.uint8)
    for row, game in zip(out, games, strict=True):
        row[: len(game)] = game
    return out


def test_rules_against_a_slow_game():
    games = [random_game(seed) for seed in range(30)]
    games.append(random_game(0, tuple(map(SQUARES.index, SHORTEST.split()))))
    result = list(play(table([moves for moves, _ in games])))
    for i, (_, boards) in enumerate(games):
        for ply, (board, player, free) in enumerate(boards):
            now = result[ply]
            assert squares(now.black[i]).nonzero()[0].tolist() == sorted(s for s in board if board[s] == 1)
            assert squares(now.white[i]).nonzero()[0].tolist() == sorted(s for s in board if board[s] == -1)
            assert (int(now.player[i]), squares(now.legal[i]).nonzero()[0].tolist()) == (player, free)
    assert len(games[-1][0]) == 9
    assert any(a[1] == b[1] for _, boards in games for a, b in zip(boards, boards[1:], strict=False))
    assert (first_illegal(table([moves for moves, _ in games])) == -1).all()


def test_any_position():
    g = np.random.default_rng(0)
    for _ in range(30):
        board = {s: int(g.choice([1, -1])) for s in range(64) if g.random() < 0.7}
        own, other = (np.array([sum(1 << s for s in board if board[s] == p)], np.uint64) for p in (1, -1))
        assert squares(legal(own, other)[0]).nonzero()[0].tolist() == can(board, 1)
        for square in can(board, 1):
            flips = flipped(np.array([1 << square], np.uint64), own, other)
            assert squares(flips[0]).nonzero()[0].tolist() == sorted(turned(board, square, 1))


def test_an_illegal_move_is_found():
    games = [list(random_game(seed)[0]) for seed in range(6)]
    games[1][4] = games[1][0]  # taken already
    games[3][0] = 0
    games[4][2] = 99
    assert first_illegal(table(games)).tolist() == [-1, 4, -1, 0, 2, -1]


@pytest.fixture
def games(tmp_path):
    """A file of 60 random games."""
    file = tmp_path / "mine.txt"
    file.write_text("\n".join(" ".join(SQUARES[s] for s in random_game(seed)[0]) for seed in range(60)) + "\n")
    return file


def make(file, **args):
    return create_data("othello", **{"file": str(file), "n_val": 10, "n_test": 20, "batch_size": 8} | args)


def test_one_game_is_one_row(games):
    data = make(games)
    written = {tuple(line.split()) for line in games.read_text().splitlines()}
    row_of_game = {}
    for split in ("train", "val", "test"):
        for row in data.windows(split):
            names = [data.class_names[i] for i in row.tolist() if i >= 0]
            assert names[0] == "<begin>"
            row_of_game[tuple(names[1:])] = row_of_game.get(tuple(names[1:]), 0) + 1
    assert set(row_of_game) == written
    assert set(row_of_game.values()) == {1}
    assert [len(data.splits[s]) for s in ("train", "val", "test")] == [30, 10, 20]
    batch = data.samples("train", range(30))
    for x, y, row in zip(batch.x, batch.y, data.windows("train"), strict=True):
        moves = int((row >= 0).sum()) - 1
        assert x[:moves].tolist() == row[:moves].tolist()
        assert (x[moves:] == -1).all()
        assert int(y) == int(row[moves])
    batch = data.samples("test", range(20))
    for x, y, row in zip(batch.x, batch.y, data.windows("test"), strict=True):
        length = int((x >= 0).sum())
        assert x[:length].tolist() == row[:length].tolist()
        assert int(y) == int(row[length]) >= 0


def test_divisions_and_seeds(games):
    whole = lambda d: {s: {tuple(r) for r in d.windows(s).tolist()} for s in ("train", "val", "test")}  # noqa: E731
    a, b, c = make(games), make(games, seed=5), make(games, division=1)
    assert whole(a) == whole(b) != whole(c)
    assert a.fingerprint() == b.fingerprint() != c.fingerprint()
    few = make(games, n_train=7)
    assert whole(few)["train"] < whole(a)["train"]
    assert (whole(few)["test"], len(few.splits["train"])) == (whole(a)["test"], 7)
    short = make(games, context=5)
    assert short.windows("train").shape[1] == 6
    rows = [tuple(r) for s in ("train", "val", "test") for r in short.windows(s).tolist()]
    assert len(set(rows)) == len(rows)


def test_files_of_every_kind(games, tmp_path):
    joined = tmp_path / "joined.txt.xz"
    with lzma.open(joined, "wt") as file:
        file.write(games.read_text().replace(" ", "").upper())
    packed = tmp_path / "mine.npz"
    np.savez(packed, moves=table([random_game(seed)[0] for seed in range(60)]))
    first = make(games).windows("test")
    assert torch.equal(first, make(joined).windows("test"))
    assert torch.equal(first, make(packed).windows("test"))


def test_properties_are_the_boards(games):
    data = make(games)
    result = data.position_labels("test", 5)
    family, corners = result.families
    assert family.codes.shape == (5, 60, 64)
    for x, look, codes in zip(result.x.tolist(), result.look, family.codes, strict=True):
        moves = [SQUARES.index(data.class_names[i]) for i in x[1:] if i >= 0]
        assert look.nonzero()[:, 0].tolist() == list(range(1, len(moves) + 1))
        board, player = {27: -1, 36: -1, 28: 1, 35: 1}, 1
        for place in range(len(moves) + 1):
            if place:
                for square in [moves[place - 1], *turned(board, moves[place - 1], player)]:
                    board[square] = player
                player = -player
            player = player if can(board, player) else -player
            own = player if can(board, player) else 1
            wanted = [0 if s not in board else 1 if board[s] == own else 2 for s in range(64)]
            assert codes[place].tolist() == wanted
    assert family.telling.tolist() == [[False, True, True]] * 64
    assert torch.equal(corners.codes, family.codes[..., [0, 7, 56, 63]])


def test_legal_moves_of_models(games):
    data = make(games)

    class Knowing:
        """Says the moves that are legal, or those that are not."""

        device = "cpu"
        capabilities = frozenset({"language_model"})

        def __init__(self, right):
            self.right = right

        def position_logits(self, x):
            free = torch.stack([torch.from_numpy(c) for _, c in data.boards(x)], 1)
            free = free[..., [SQUARES.index(name) for name in data.class_names[:-1]]]
            return torch.nn.functional.pad((free if self.right else ~free).float() * 50, (0, 1))

    result = data.extra_metrics(Knowing(True))
    assert (result["legal moves"], result["legal moves sampled"]) == (1, pytest.approx(1))
    assert result["nats per token"] > 1
    result = data.extra_metrics(Knowing(False))
    assert (result["legal moves"], result["legal moves sampled"]) == (0, pytest.approx(0, abs=1e-9))
    assert data.extra_metrics(object()) == {}


def test_prompts(games):
    data = make(games)
    result = data.read_input("f5d6 C3")
    assert [data.class_names[i] for i in result.tolist() if i >= 0] == ["<begin>", "f5", "d6", "c3"]
    assert len(result) == data.context
    assert data.token_texts(result[None]) == [["<begin> ", "f5 ", "d6 ", "c3 "]]
    for text, words in (
        ("", "empty"),
        ("f5 d9", "move 2 is 'd9', not a square"),
        ("f5 d6 a1", "move 3, a1, is not legal after f5 d6"),
        ("d4", "move 1, d4, is not legal after the start"),
        ("f5" * 61, "move 2, f5, is not legal|move 61"),
    ):
        with pytest.raises(ValueError, match=words):
            data.read_input(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("f5 d6\nf5 d6 a1 c3\n", r"mine.txt, line 2: move 3, a1, is not legal after f5 d6"),
        ("f5 d6\nf5 x3\n", r"mine.txt, line 2: move 2 is 'x3', not a square"),
        ("", "mine.txt is empty"),
        ("f5 d6\n\nf5 f6\n", "line 2 has no move"),
        ("f5 d6\nf5 f6\nf5 d6\n", "has 2 different games, but validation and test need 10 and 20"),
    ],
)
def test_wrong_files(tmp_path, text, words):
    file = tmp_path / "mine.txt"
    file.write_text(text)
    with pytest.raises(ValueError, match=words):
        make(file).setup()


def test_wrong_tables_and_arguments(tmp_path):
    file = tmp_path / "mine.npz"
    moves = table([random_game(seed)[0] for seed in range(40)])
    for change, words in (
        ((3, 5, NONE), "game 4 has no move, or continues"),
        ((2, 9, 27), "game 3: move 10, d4, is not"),
    ):
        wrong = moves.copy()
        wrong[change[:2]] = change[2]
        np.savez(file, moves=wrong)
        with pytest.raises(ValueError, match=words):
            make(file).setup()
    np.savez(file, moves=moves.astype(np.int64))
    with pytest.raises(ValueError, match="expected .n, 60. uint8"):
        make(file).setup()
    for args, words in (
        ({"context": 1}, "data.context is 1"),
        ({"n_train": 0}, "data.n_train is 0"),
        ({"division": -1}, "data.division is -1"),
        ({"file": "none.txt"}, "no file of games 'none.txt'"),
    ):
        with pytest.raises(ValueError, match=words):
            make(**{"file": file} | args).setup()


def test_real_games_end_as_recorded():
    path = paths.data() / "othello" / "wthor.npz"
    if not path.is_file():
        pytest.skip(f"{path} is not there; set ZOO_DATA")
    with np.load(path) as file:
        moves, player, score = (file[key][:5000] for key in ("moves", "player", "black_score"))
    assert (first_illegal(moves) == -1).all()
    for ply, now in enumerate(play(moves)):
        if ply < 60:
            real = moves[:, ply] != NONE
            assert (now.player[real] == player[real, ply]).all()
    black, white = squares(now.black).sum(1), squares(now.white).sum(1)
    full = black + white == 64
    assert full.mean() > 0.9
    assert (black[full] == score[full]).mean() > 0.99
