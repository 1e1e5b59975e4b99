"""Games from the command line: train, score what units tell of boards beside random weights, compare seeds."""

import json

import numpy as np
import pytest
from command_line import run_command

from zoo.cli import main
from zoo.data.games._othello_rules import SQUARES, legal, play

CONFIG = """\
model: {name: dense_transformer, width: 16, depth: 1, heads: 2, mlp: relu}
data: {name: othello, file: games.txt, context: 30, batch_size: 16, n_val: 30, n_test: 30}
phases:
  joint: {epochs: 2, lr: {embed: 1e-2, blocks: 1e-2, norm: 1e-2, head: 1e-2}}
seed: 0
"""


def random_games(n, plies=30):
    """Random legal games, all at once; some stop early."""
    g, moves = np.random.default_rng(0), np.full((n, 0), 255, np.uint8)
    for _ in range(plies):
        *_, now = play(moves)
        free = (now.legal[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
        assert (free.sum(1) > 0).all()
        made = (free * g.random(free.shape)).argmax(1).astype(np.uint8)
        moves = np.concatenate([moves, made[:, None]], 1)
    assert legal(now.black, now.white).shape == (n,)
    return [" ".join(SQUARES[s] for s in game[: plies - i % 5]) for i, game in enumerate(moves.tolist())]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("games")
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    patch.chdir(folder)
    (folder / "games.txt").write_text("\n".join(random_games(140)))
    (folder / "board.yaml").write_text(CONFIG)
    for seed in (0, 1):
        assert main(["train", "board.yaml", f"seed={seed}", "--out", f"run{seed}", "trainer.accelerator=cpu"]) == 0
    yield folder
    patch.undo()


def test_what_a_run_leaves(run):
    scores = json.loads((run / "run0" / "checkpoint" / "metrics.json").read_text())["scores"]
    assert scores["legal moves"]["protocol"] == "othello"
    assert 0 < scores["legal moves sampled"]["value"] < 1
    assert scores["detectors"]["protocol"] == "zoo-detectors-v1"
    text = (run / "run0" / "checkpoint" / "config.yaml").read_text()
    assert not any(game in text for game in (run / "games.txt").read_text().splitlines())


def test_boards_beside_random_weights(run, capsys):
    code, result = run_command(
        capsys, "evaluate", "run0", "--suite", "board", "--out", "scored", "trainer.accelerator=cpu"
    )
    assert code == 0, result
    scores = json.loads((run / "scored" / "metrics.json").read_text())["scores"]
    for name in ("board_coverage", "board_reconstruction"):
        assert 0 < scores[name]["value"] < 1
        assert 0 <= scores[f"{name} (random weights)"]["value"] < 1
        assert scores[name]["value"] != scores[f"{name} (random weights)"]["value"]
    more = scores["board_coverage"]["more"]
    assert {"published", "discs unmasked coverage", "corners coverage", "threshold"} <= set(more)
    assert "reconstruction low" in scores["board_reconstruction"]["more"]
    assert 0 <= scores["dead_units"]["value"] < 1
    code, again = run_command(
        capsys, "evaluate", "run0", "--suite", "board", "--out", "scored", "--overwrite", "trainer.accelerator=cpu"
    )
    assert json.loads((run / "scored" / "metrics.json").read_text())["scores"] == scores


def test_dry_run(run, capsys):
    code, result = run_command(capsys, "evaluate", "run0", "--suite", "board", "--dry-run", "trainer.accelerator=cpu")
    assert code == 0, result
    assert "random weights" in result


def test_seeds_have_the_same_test_games(run, capsys):
    code, result = run_command(capsys, "compare", "run0", "run1", "--out", "both", "trainer.accelerator=cpu")
    assert code == 0, result
    assert "chance" in result


def test_explains_a_prompt(run, capsys):
    code, result = run_command(capsys, "explain", "run0", "f5 d6", "--out", "pages")
    assert code == 0, result
    code, result = run_command(capsys, "explain", "run0", "f5 f5")
    assert (code, result.count("\n")) == (2, 1)
    assert "move 2, f5, is not legal after f5" in result
