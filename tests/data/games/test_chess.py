"""Chess: tokens, files of every kind, boards against the rules of the package, what can be wrong."""

import gzip
import lzma
import sys

import numpy as np
import pytest
import torch

from zoo import paths
from zoo.data import create_data
from zoo.data.games._chess_tokens import CHARACTERS, MOVES, notation

chess = pytest.importorskip("chess")
pytestmark = pytest.mark.filterwarnings("error")


def random_games(n=40, plies=30):
    """Moves (UCI) and moves (SAN) of random games."""
    results = []
    for seed in range(n):
        g, board, game = np.random.default_rng(seed), chess.Board(), []
        for _ in range(plies - seed % 7):
            free = sorted(board.legal_moves, key=chess.Move.uci)
            if not free:
                break
            move = free[g.integers(len(free))]
            game.append((move.uci(), board.san(move)))
            board.push(move)
        results.append(tuple(zip(*game, strict=True)))
    return results


GAMES = random_games()
UCI = "".join(" ".join(uci) + "\n" for uci, _ in GAMES)


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "mine.txt"
    path.write_text(UCI)
    return path


def make(path, **args):
    return create_data("chess", **{"file": str(path), "n_val": 5, "n_test": 10, "context": 40, "batch_size": 8} | args)


def text(data, row):
    return "".join(data.class_names[i] + " " * (not data.by_character) for i in row.tolist() if i >= 0)


def test_every_move_has_a_token():
    assert len(MOVES) == len(set(MOVES)) == 1968
    for square in chess.SQUARES:
        for kind in (chess.QUEEN, chess.KNIGHT):
            board = chess.Board(None)
            board.set_piece_at(square, chess.Piece(kind, chess.WHITE))
            assert {m.uci() for m in board.pseudo_legal_moves} <= set(MOVES)
    for fen in ("8/PPPPPPPP/8/8/8/8/8/4K3 w - - 0 1", "4k3/8/8/8/8/8/pppppppp/4K3 b - - 0 1"):
        assert {m.uci() for m in chess.Board(fen).pseudo_legal_moves} <= set(MOVES)
    assert set(UCI.split()) <= set(MOVES)


def test_moves_and_characters(file):
    moves, characters = make(file), make(file, tokens="characters", context=300)
    result = {s: [text(moves, row) for row in moves.windows(s)] for s in ("train", "val", "test")}
    assert sorted(sum(result.values(), [])) == sorted("<begin> " + line + " " for line in UCI.splitlines())
    assert moves.num_classes == 1969
    of = {notation(san): " ".join(uci) for uci, san in GAMES}
    for row in characters.windows("test"):
        game = text(characters, row).removeprefix("<begin>")
        assert game in of
        assert " ".join(characters.games(row[None])[0]) == of[game].rpartition(" ")[0]  # the last may not be whole
    assert notation(["e4", "e5", "Nf3"]) == "1.e4 e5 2.Nf3"
    assert "".join(characters.token_texts(characters.windows("val")[:1])[0]) == text(
        characters, characters.windows("val")[0]
    )


def test_files_of_every_kind(file, tmp_path):
    sans, pgn = tmp_path / "san.txt.xz", tmp_path / "games.pgn.gz"
    with lzma.open(sans, "wt") as out:
        for _, san in GAMES:
            out.write(notation(san).replace(".", ". ") + " 1-0\n")
    with gzip.open(pgn, "wt") as out:
        for i, (_, san) in enumerate(GAMES):
            words = notation(san).split()
            words.insert(3, "{a comment} (2. a4 $1 (2. a3)) 2...")
            out.write(f'[Event "{i}"]\n[Result "*"]\n\n{" ".join(words)} *\n\n')
    for tokens, context in (("moves", 40), ("characters", 300)):
        first = make(file, tokens=tokens, context=context)
        for other in (sans, pgn):
            data = make(other, tokens=tokens, context=context)
            assert torch.equal(data.windows("test"), first.windows("test"))


def test_a_file_is_played_once(file, monkeypatch):
    from zoo.data.games import _chess_files

    first = make(file).windows("train")
    monkeypatch.setattr(_chess_files, "convert_moves", None)
    assert torch.equal(make(file).windows("train"), first)
    file.write_text(UCI.replace("\n", " \n"))
    with pytest.raises(TypeError):
        make(file).windows("train")


def test_games_that_start_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = tmp_path / "games.pgn"
    other = '[FEN "8/8/8/8/8/4k3/8/4K2r w - - 0 1"]\n[SetUp "1"]\n\n1. Kxh8 *\n\n'
    empty = '[Event "forfeit"]\n\n1-0\n\n'
    file.write_text(other + empty + "".join(f"{notation(san)} *\n\n" for _, san in GAMES))
    data = make(file)
    with pytest.warns(UserWarning, match="1 games with another start position or other rules"):
        data.setup()
    assert sum(map(len, data.splits.values())) == len(GAMES)


@pytest.mark.parametrize("tokens", ["moves", "characters"])
def test_properties_are_the_boards(file, tokens):
    data = make(file, tokens=tokens, context=40 if tokens == "moves" else 120)
    result, of = data.position_labels("test", 6), {" ".join(uci): san for uci, san in GAMES}
    pieces, facts = result.families
    compared = 0
    for i, game in enumerate(data.games(data.windows("test")[:6])):
        (whole,) = [uci.split() for uci in of if uci.startswith(" ".join(game))]
        places = result.look[i].nonzero()[:, 0].tolist()
        first = 0 if tokens == "characters" else 1
        for nth, place in enumerate(places):
            board = chess.Board()
            for move in whole[: 2 * (nth + first)]:
                board.push_uci(move)
            compared += 1
            assert board.turn == chess.WHITE
            for square in chess.SQUARES:
                piece = board.piece_at(square)
                name = (
                    "none"
                    if piece is None
                    else f"{chess.COLOR_NAMES[piece.color]} {chess.piece_name(piece.piece_type)}"
                )
                assert pieces.answers[pieces.codes[i, place, square]] == name
                start = chess.Board().piece_at(square)
                telling = pieces.telling[square, int(pieces.codes[i, place, square])]
                assert bool(telling) == (piece is not None and piece != start)
            rights = [
                f(c)
                for c in (True, False)
                for f in (board.has_kingside_castling_rights, board.has_queenside_castling_rights)
            ]
            pair = [len(board.pieces(chess.BISHOP, c)) > 1 for c in (True, False)]
            queen = [bool(board.pieces(chess.QUEEN, c)) for c in (True, False)]
            wanted = [board.is_check(), *rights, board.has_legal_en_passant(), *pair, *queen]
            assert (facts.codes[i, place] >= 0).tolist() == wanted
        if tokens == "moves":
            assert places == list(range(2, min(len(whole) + 1, 40), 2))
        else:
            assert [data.class_names[j] for j in result.x[i][places].tolist()] == ["."] * len(places)
    assert compared > 40


class Knowing:
    """Says the moves that are legal (by a table made beforehand), or others."""

    device = "cpu"
    capabilities = frozenset({"language_model"})

    def __init__(self, data, right):
        self.data, self.right = data, right

    def position_logits(self, x):
        out = torch.zeros(*x.shape, self.data.num_classes)
        for i, game in enumerate(self.data.games(x)):
            board = chess.Board()
            for ply in range(len(game) + 1):
                legal = [self.data.code[m.uci()] for m in board.legal_moves]
                out[i, ply, legal if self.right else list({0, 1, 2} - set(legal))] = 50
                if ply < len(game):
                    board.push_uci(game[ply])
        return out

    def generate(self, x, new, *, top_k=None):
        """The first legal move that there is, or one that never is."""
        rows = []
        for row in x:
            words = text(self.data, row).removeprefix("<begin>").rpartition(" ")[0]
            board = chess.Board()
            for word in words.split():
                board.push_san(word.partition(".")[2] or word)
            move = board.san(next(iter(board.legal_moves))) if self.right else "Ka8"
            rows.append([self.data.code[c] for c in f"{move} e5 2.e4"[:new].ljust(new)])
        return torch.tensor(rows)


@pytest.mark.parametrize("right", [True, False])
def test_legal_moves_of_models(file, right):
    data = make(file)
    result = data.extra_metrics(Knowing(data, right))
    assert (result["legal moves"], result["legal moves sampled"]) == (right, pytest.approx(float(right), abs=1e-9))
    characters = make(file, tokens="characters", context=120)
    model = Knowing(characters, right)
    model.position_logits = lambda x: torch.zeros(*x.shape, characters.num_classes)
    result = characters.extra_metrics(model)
    assert (result["legal moves"], result["legal moves sampled"]) == (right, right)
    assert result["nats per token"] == pytest.approx(np.log(32), rel=1e-6)
    assert data.extra_metrics(object()) == {}


def test_prompts(file):
    data, characters = make(file), make(file, tokens="characters")
    result = data.read_input("e2e4 e7e5")
    assert text(data, result) == "<begin> e2e4 e7e5 "
    assert text(characters, characters.read_input("1.e4 e5 2.")) == "<begin>1.e4 e5 2."
    for source, given, words in (
        (data, "", "empty"),
        (data, "e2e4 e7e9", "'e7e9' .move 2 of the prompt. is not in the .*, did you mean"),
        (data, "e2e4 e2e4", "the prompt: move 2, e2e4, is not legal after e2e4"),
        (characters, "1.e4 z", "'z' .place 6 of the prompt. is not in the vocabulary"),
        (data, "e2e4 " * 50, "not legal"),
        (characters, "e" * 41, "reads 40 at most"),
    ):
        with pytest.raises(ValueError, match=words):
            source.read_input(given)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", "e2e4 e7e5\ne2e4 e7e5 e4e5\n", "a.txt, line 2: move 3, e4e5, is not legal after e2e4 e7e5"),
        ("a.txt", "1.e4 e5 2.Ke3 1-0\n", "a.txt, line 1: move 3, Ke3, is not legal after e4 e5"),
        ("a.txt", "1.e4 e5 2.hello\n", "line 1: move 3, hello, is not legal"),
        ("a.txt", "\n\n", "has no game with a move"),
        ("a.txt", '[Event "x"]\n\n1. e4 *\n', "line 1 looks like PGN"),
        ("a.pgn", '[Event "x"]\n\n1. e4 e5\n2. Ke3 *\n', "a.pgn, line 4: move 3 is wrong .illegal san: 'Ke3'"),
        ("a.pgn", '[Event "x"]\n\n1. e4 --\n2. d4 *\n', "a.pgn, line 3: move 2 is wrong"),
        ("a.pgn", "", "has no game with a move"),
        ("a.txt", "e2e4\n", "has 1 different games, but validation and test need 5 and 10"),
        ("a.txt.xz", "e2e4\n", "is damaged"),
    ],
)
def test_wrong_files(file, tmp_path, name, content, words):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=words):
        make(tmp_path / name).setup()
    assert not list((tmp_path / "cache").rglob("tmp*"))


def test_wrong_arguments_and_a_missing_package(file, monkeypatch):
    with pytest.raises(ValueError, match="data.tokens"):
        make(file, tokens="letters")
    with pytest.raises(ValueError, match="data.context is 15; expected 16"):
        make(file, tokens="characters", context=15)
    with pytest.raises(ValueError, match="no file of games 'none.pgn'"):
        make("none.pgn").setup()
    for name in (
        "chess",
        "chess.pgn",
        "zoo.data.games._chess_files",
        "zoo.data.games._chess_boards",
        "zoo.data.games._chess_legal",
    ):
        monkeypatch.setitem(sys.modules, name, None) if name == "chess" else monkeypatch.delitem(
            sys.modules, name, raising=False
        )
    with pytest.raises(ValueError, match="pip install"):
        make(file).setup()


def test_real_games():
    if not (paths.data() / "chess" / "games_uci.txt.xz").is_file():
        pytest.skip("no chess games; set ZOO_DATA")
    moves = create_data("chess", n_train=50, n_val=5, n_test=5)
    assert [len(moves.splits[s]) for s in ("train", "val", "test")] == [50, 5, 5]
    characters = create_data("chess", n_train=5, n_val=5, n_test=5, tokens="characters", context=200)
    assert set(characters.class_names[:-1]) == set(CHARACTERS)
    for data in (moves, characters):
        result = data.position_labels("test", 5)
        assert result.look.sum() > 40
        codes = result.families[0].codes[result.look].long()
        assert 0.1 < torch.eye(13)[codes].bool().logical_and(result.families[0].telling).float().sum(2).mean() < 0.6
