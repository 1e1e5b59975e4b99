"""A language model from the command line: train, resume, score, explain a text, steer, and what goes wrong."""

import json
import re

import pytest
import yaml
from command_line import run_command
from omegaconf import OmegaConf

from zoo.checkpoint import load
from zoo.cli import main

TEXT = "".join(f"{i} times it rained, said the {'dog' if i % 3 else 'cat'}.\n" for i in range(300))
CONFIG = """\
model: {{name: {name}, width: 16, depth: 1, heads: 2{more}}}
data: {{name: text, file: {file}, context: 24, batch_size: 16, limit: 64}}
phases:
  {start}joint: {{epochs: 2, lr: {{embed: 1e-2, blocks: 1e-2, norm: 1e-2, head: 1e-2{part}}}, loss: {{{loss}}}}}
seed: 0
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    patch.chdir(folder)
    (folder / "some.txt").write_text(TEXT)
    common = {"file": folder / "some.txt"}
    dense = {"name": "dense_transformer", "more": "", "start": "", "part": "", "loss": ""}
    codes = {
        "name": "codebook_transformer",
        "more": ", codes: 12, k: 2, sites: [mix, mlp], revive: 3",
        "start": "start: {then: {start_codes: {batches: 1}}}\n  ",
        "part": ", codebooks: 1e-2",
        "loss": "match: 1.0",
    }
    for name, of in (("dense", dense), ("codes", codes)):
        (folder / f"{name}.yaml").write_text(CONFIG.format(**common, **of))
        assert main(["train", f"{name}.yaml", "--out", name, "trainer.accelerator=cpu"]) == 0
    yield folder
    patch.undo()


def test_dry_run(run, capsys):
    code, result = run_command(capsys, "train", "codes.yaml", "--dry-run", "--out", "dry")
    assert code == 0, result
    assert not (run / "dry").exists()


def test_what_a_run_leaves(run):
    config = OmegaConf.load(run / "dense" / "checkpoint" / "config.yaml")
    assert config.model.num_classes == len(set(TEXT)) == len(config.data.vocabulary)
    assert list(config.model.input_shape) == [24]
    scores = json.loads((run / "codes" / "checkpoint" / "metrics.json").read_text())["scores"]
    assert scores["nats per token"]["protocol"] == "text"
    assert scores["completeness_gap"]["value"] < 1e-5
    assert "tokens, padded with -1" in (run / "dense" / "checkpoint" / "README.md").read_text()
    names = yaml.safe_load((run / "codes" / "checkpoint" / "units.yaml").read_text())["units"]
    assert (run / "codes" / "checkpoint" / "explanation.png").is_file()
    assert len(names) == 36
    assert any(re.search(r"L0\.\w+\.\d+, after “.+” \(precision", line) for line in names.values())


def test_scores_again(run, capsys):
    code, result = run_command(capsys, "evaluate", "codes", "--out", "scored", "trainer.accelerator=cpu")
    assert code == 0, result
    one, two = (json.loads((run / p / "metrics.json").read_text())["scores"] for p in ("codes/checkpoint", "scored"))
    assert one["nats per token"]["value"] == two["nats per token"]["value"]


def test_finetuning_keeps_the_vocabulary(run, capsys):
    (run / "shorter.txt").write_text(TEXT.replace("rained", "did") * 2)
    argv = ["finetune", "dense.yaml", "finetune.from=dense", "data.file=shorter.txt", "--out", "tuned"]
    code, result = run_command(capsys, *argv, "trainer.accelerator=cpu")
    assert code == 0, result
    one, two = (OmegaConf.load(run / name / "checkpoint" / "config.yaml").data for name in ("dense", "tuned"))
    assert two.vocabulary == one.vocabulary == "".join(sorted(set(TEXT)))


def test_explains_positions_and_prompts(run, capsys):
    for name, given in (("codes", "3"), ("dense", "it rained, s")):
        code, result = run_command(capsys, "explain", name, given, "--out", "pages")
        assert code == 0, result
        html = (run / result.split("page  ")[1].strip()).read_text()
        assert "Predicted next token" in html
        assert "<mark" in html
        assert "Precision is the share of its activations" in html
        assert ("L1.H2.17 is code 17" in html) == (name == "codes")
        assert bool(re.search(r'class="quiet">selected<', html)) == (name == "codes")


def test_byte_pairs_end_to_end(run, capsys):
    """Train on byte pairs, then take the text away: prompts are still explained, steered and refused."""
    (run / "pairs.txt").write_text(TEXT)
    more = ["data.file=pairs.txt", "data.tokenizer=bytes", "data.size=280", "trainer.accelerator=cpu"]
    code, result = run_command(capsys, "train", "codes.yaml", *more, "--out", "pairs")
    assert code == 0, result
    config = OmegaConf.load(run / "pairs" / "checkpoint" / "config.yaml")
    assert len(config.data.merges) == config.model.num_classes - 256 > 10
    (run / "pairs.txt").unlink()
    for argv in (
        ("explain", "pairs", "the dog", "--out", "pages"),
        ("steer", "pairs", "the ", "L0.H1.3=on", "--new", "9"),
    ):
        code, result = run_command(capsys, *argv)
        assert code == 0, result
    code, result = run_command(capsys, "explain", "pairs", "3")
    assert code == 2
    assert "input 3 is the index of a test sample, and the data are not there" in result
    for name in ("inputs.yaml", "tokenizer.json"):
        assert (run / "pairs" / "checkpoint" / name).is_file()
    model = load("pairs")
    assert model.class_names == tuple(model.inputs.tokenizer.names)
    assert model.inputs.tokenizer.merges == list(config.data.merges)
    assert model.predict("the dog").labels[0] in model.class_names


def test_sets_a_code(run, capsys):
    code, result = run_command(capsys, "intervene", "codes", "said the ", "L0.H1.3=1", "L0.M.0=0", "--out", "pages")
    assert code == 0, result
    assert "L0.H1.3" in result
    assert "Interventions" in (run / result.split("page  ")[1].strip()).read_text()


def test_steers(run, capsys):
    code, result = run_command(
        capsys, "steer", "codes", "said the ", "L0.H1.3=on", "L0.M.0=off", "--new", "9", "--temperature", "0"
    )
    assert code == 0, result
    assert re.match(r"unsteered: said the \|.{9}\nsteered:   said the \|.{9}\n", result, re.DOTALL)
    code, result = run_command(capsys, "steer", "codes", "said", "--new", "3")
    assert "no unit is set" in result


def test_steers_by_neurons(run, capsys):
    """A strength that a neuron is held at changes what is written; the help says what is there to hold."""
    code, result = run_command(capsys, "steer", "dense", "said", "--new", "9", "--temperature", "0")
    assert code == 0, result
    name = re.search(r"neurons such as (\S+): add \1=2.5", result)[1]
    code, result = run_command(capsys, "steer", "dense", "said", f"{name}=1000", "--new", "9", "--temperature", "0")
    assert code == 0, result
    plain, steered = re.findall(r"said\|(.{9})\n", result, re.DOTALL)
    assert plain != steered


def test_steers_by_topic(run, capsys):
    """Codes are listed, held on, and judged; those listed can be stated instead."""
    code, result = run_command(capsys, "steer", "codes", "--topic", "dog", "--codes", "2")
    assert code == 0, result
    matches = re.findall(r"^ *(L0\.\w+\.\d+) ", result, re.MULTILINE)
    assert len(matches) == 2
    code, result = run_command(capsys, "steer", "codes", "said the ", "--topic", "dog", "--codes", "2", "--new", "9")
    assert "steered:   said the |" in result
    argv = ["steer", "codes", "said the ", "--topic", "dog", "--new", "9", "--judge", "dense", "--samples", "6"]
    code, result = run_command(capsys, *argv, "--codes", "2")
    assert code == 0, result
    assert "share of 6 texts with dog" in " ".join(result.split())
    rows = [line.split() for line in result.splitlines() if line.strip()][-2:]
    assert [row[:-3] for row in rows] == [["unsteered"], ["steered"]]
    assert all(0 <= float(row[-3]) <= 1 < float(row[-2]) for row in rows)
    code, stated = run_command(capsys, *argv, *(f"{name}=on" for name in matches))
    assert stated.rstrip().splitlines()[-2:] == result.rstrip().splitlines()[-2:]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("explain", "dense", "x" * 30), "'x' (place 1) is not in the vocabulary"),
        (("explain", "dense", "it rained, it rained, it rained"), "has 31 tokens; the model reads 24 at most"),
        (("explain", "dense", ""), "the prompt is empty"),
        (("steer", "dense", "said", "L0.3=on"), "L0.3=on gives no strength; write L0.3=2.5 or L0.3=off"),
        (("steer", "dense", "said", "L0.3=nan"), "gives no strength"),
        (("steer", "dense", "said", "--topic", "dog"), "only codes are found by --topic"),
        (("steer", "codes", "said", "L0.H1.33=on"), "there is no code 'L0.H1.33', did you mean"),
        (("steer", "codes", "said", "L0.H1.3=maybe"), "is neither on nor off"),
        (("steer", "codes", "said", "L0.H1.3=on", "L0.H1.3=off"), "is given twice"),
        (("steer", "codes", "said", "--new", "40"), "do not fit the context of 24"),
        (("steer", "codes"), "nothing to do: give a prompt"),
        (("steer", "codes", "said", "--samples", "3"), "--samples needs a --topic"),
        (("steer", "codes", "said", "--topic", "do["), "'do[' is no regular expression"),
        (("steer", "codes", "said", "--topic", "d*"), "'d*' matches the empty text"),
        (("steer", "codes", "said", "--topic", "wolf"), "'wolf' is nowhere in "),
        (("steer", "codes", "said", "--topic", "dog", "--codes", "0"), "--codes is 0"),
        (("steer", "codes", "said", "--topic", "dog", "--samples", "-1"), "--samples is -1"),
        (
            ("steer", "codes", "said", "--topic", "dog", "--samples", "2", "--judge", "cbm-digits"),
            "expected a language model",
        ),
        (("explain", "dense", "it", "--out", "some.txt"), "File exists"),
        (("explain", "dense", "²"), "'²' (place 1) is not in the vocabulary"),
        (("steer", "codes", "said", "--temperature", "-1"), "temperature is -1.0"),
        (("evaluate", "dense", "data.file=other.txt"), "other.txt: character 'Z' (place 1)"),
        (("train", "dense.yaml", "model.num_classes=7", "--out", "x"), "set model.num_classes="),
        (("train", "dense.yaml", "data.file=empty.txt", "--out", "x"), "empty.txt is empty"),
    ],
)
def test_mistakes(run, capsys, argv, words):
    (run / "other.txt").write_text("Z" + TEXT)
    (run / "empty.txt").write_text("")
    code, result = run_command(capsys, *argv)
    assert code == 2
    assert words in result
    assert result.count("\n") == 1
