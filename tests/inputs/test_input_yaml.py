"""inputs.yaml: any name survives, nothing is interpolated, damaged and hostile files are refused in one line."""

import random
import sys

import pytest

from zoo.config import plain_yaml
from zoo.inputs import base
from zoo.inputs.image import ImageInputs
from zoo.inputs.table import TableInputs
from zoo.inputs.text import TextInputs
from zoo.inputs.texts.tokenizers import Characters, Words
from zoo.inputs.tokens import TokenInputs
from zoo.sequence_spec import Frame

NAMES = [
    "${x}",
    "${oc.env:HOME}",
    "???",
    "{}",
    "{a}",
    "${",
    "$",
    "NO",
    "on",
    "yes",
    "null",
    "~",
    "1e3",
    "0x1F",
    "1_000",
    "2020-01-01",
    "12:30:45",
    "#",
    "a#b",
    "a: b",
    "- a",
    "!!python/object:os.system",
    "&a",
    "*a",
    "|",
    ">",
    "'",
    '"',
    "\\",
    " lead",
    "trail ",
    "a\nb",
    "a\tb",
    "\u2028",
    "\u00a0",
    "\x85",
    "\x1b[31m",
    "\u202e",
    "\U0001f600",
    "[/b]",
    "<script>",
    "%",
    "@",
    "`",
    "=",
    "<<",
    "é",
    "e\u0301",
    "a" * 300,
    "\ufeff",
    "__class__",
    "\x00",
    "\ud800",
    "\r",
    "\r\n",
    "\u2029x",
]


def round_trip(inputs, folder):
    base.save(inputs, folder)
    loaded = base.load(folder)
    assert type(loaded) is type(inputs)
    assert loaded.to_config() == inputs.to_config()
    return loaded


@pytest.mark.parametrize("name", NAMES)
def test_any_name_survives(name, tmp_path):
    assert round_trip(ImageInputs(size=2, class_names=(name, "x" + name)), tmp_path).class_names[0] == name
    assert plain_yaml.from_yaml(plain_yaml.to_yaml({"v": name, "l": [name], "d": [{"name": name}]}), "t") == {
        "v": name,
        "l": [name],
        "d": [{"name": name}],
    }


@pytest.mark.parametrize("name", ["${x}", "???", "{}", "a=b", "NO", "#", "é,;", "[/b]", "\x1b[31m"])
def test_columns_and_levels_with_any_name(name, tmp_path):
    data = {name: ["u", name, "u", name], "v": [1.5, 2, 8, 1], "y": [name, "b", name, "b"]}
    inputs = TableInputs.fit(data, target="y")
    loaded = round_trip(inputs, tmp_path)
    assert name in loaded.schema.names
    assert name in loaded.class_names
    assert name in loaded.schema.columns[0].levels
    assert loaded.read(data).x.equal(inputs.read(data).x)


def test_random_text_survives():
    rng = random.Random(0)
    for _ in range(300):
        points = (
            rng.choice([rng.randrange(128), rng.randrange(0xD800), rng.randrange(0xE000, 0x110000)]) for _ in range(8)
        )
        text = "".join(map(chr, points))
        values = {"v": text, "l": [text, text]}
        assert plain_yaml.from_yaml(plain_yaml.to_yaml(values), "t") == values


def test_every_kind(tmp_path):
    words = ("${HOME}", "???", "{}", "a")
    round_trip(
        TextInputs(Words(words, unknown="???"), 3, class_names=("a", "b"), encoder={"id": "e", "sha256": "f"}), tmp_path
    )
    letters = Characters("".join(map(chr, (0, 9, 10, 36, 0x85, 0x2028, 0xD800, 0x1F600))))
    assert round_trip(TextInputs(letters, 3), tmp_path).tokenizer.names == letters.names
    loaded = round_trip(TokenInputs(Frame(words, 4, before=("{}",)), class_names=("x", "${y}")), tmp_path)
    assert loaded.read("a ${HOME}").x.tolist() == [[2, 3, 0, -1]]


def test_numbers_are_exact(tmp_path):
    values = [0.1, 1e-7, 1e300, 1 / 3, -0.0, 123456789.123456789, 5e-324]
    assert plain_yaml.from_yaml(plain_yaml.to_yaml({"v": values}), "t")["v"] == values


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("format: 2\nkind: table\n", "not an inputs file of format 1; complete the checkpoint with `zoo migrate`"),
        ("[]", "not an inputs file"),
        ("format: 1\nkind: tabel\n", "kind 'tabel', did you mean table"),
        ("format: 1\nkind: table\n", "cannot be built: KeyError 'columns'"),
        ("format: 1\nkind: table\ncolumns: 3\n", "cannot be built"),
        ("format: 1\nkind: image\nsize: big\n", "inputs.yaml"),
        ("a: &x [1]\nb: *x\n", "aliases are not allowed"),
        ("a: !!python/object/apply:os.system ['true']\n", "not valid YAML"),
        ("format: 1\nformat: 1\n", "a key is given twice"),
        ("a: [", "not valid YAML"),
        ("[" * 5000, "nested too deeply|not valid YAML"),
        ("{a: " * 3000, "nested too deeply|not valid YAML"),
    ],
)
def test_damaged_and_hostile_files(tmp_path, text, message):
    (tmp_path / base.FILE).write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        base.load(tmp_path)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


def test_files_that_cannot_be_read(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="cannot be read .*the checkpoint is not complete"):
        base.load(tmp_path)
    (tmp_path / base.FILE).write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="cannot be read"):
        base.load(tmp_path)
    monkeypatch.setattr(base, "MAX_BYTES", 1)
    with pytest.raises(ValueError, match="has 2 bytes; expected at most 1"):
        base.load(tmp_path)


def test_readable_by_others(tmp_path):
    path = base.save(ImageInputs(size=2), tmp_path)
    assert path.stat().st_mode & 0o044 == 0o044 & ~current_umask()
    assert [p.name for p in tmp_path.iterdir()] == [base.FILE]


def current_umask():
    import os

    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_kind_of_ones_own():
    class Mine(ImageInputs):
        kind = "mine"

    try:
        assert isinstance(base.from_config({"kind": "mine", "size": 3}), Mine)
    finally:
        del base.Inputs._kinds["mine"]


def test_recursion_limit_is_left_alone():
    before = sys.getrecursionlimit()
    with pytest.raises(ValueError, match="t is"):
        plain_yaml.from_yaml("[" * 100_000, "t")
    assert sys.getrecursionlimit() == before
