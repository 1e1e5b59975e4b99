"""Properties of words: names of values, words that are forgotten, word lists, normalization of words."""

import random

import pytest
import torch
from exported_files import exported

from zoo import create_model
from zoo.programs.codegen.printer import print_program
from zoo.programs.codegen.vocabulary import by_value, forget_words, with_names, words_of_their_own
from zoo.programs.codegen.word_lists import word_lists
from zoo.programs.ir.interpreter import logits
from zoo.programs.ir.nodes import Input, Select
from zoo.programs.ir.program import Program
from zoo.programs.label_positions import LabeledPositions
from zoo.programs.learn.linear_readout import fit
from zoo.sequence_spec import Frame

TOKENS = ("<s>", "<unk>", "who", "where", "is", "she", "#", "it's", 'a"b', "back\\slash")


def program(unknown="<unk>", **frame):
    """Return a pooled program: ``person`` if a word is similar to who, ``place`` if one is similar to where."""
    kind = (0, 0, 1, 2, 0, 1, 0, 3, 3, 3)
    frame_ = Frame(TOKENS, 5, ("<s>",), (), unknown, **frame)
    nodes = (
        Input("word", 4, kind),
        Input("position", 5),
        Select("next", "position", "position", "word", (1, 2, 3, 4, 4)),
    )
    weight = torch.tensor([[0.0, 1, 0, 0, 0, 0.5, 0, 0], [0, 0, 1, 0, 0, 0, 0.5, 0.25]], dtype=torch.float64)
    bias = torch.zeros(2, dtype=torch.float64)
    return Program(frame_, nodes, ("word", "next"), ("person", "place"), weight, bias, pooled=True)


def sequences(p, n=300, seed=0):
    draw = random.Random(seed)
    odd = ["Who", "WHERE", "12", "it's", "new", "3rd"]
    return [[draw.choice([*TOKENS, *odd]) for _ in range(draw.randint(1, p.frame.room))] for _ in range(n)]


@pytest.mark.parametrize("frame", [{}, {"lower": True}, {"digits": "#"}, {"lower": True, "digits": "#"}])
@pytest.mark.parametrize("named", [False, True])
def test_the_file_computes_the_same(tmp_path, frame, named):
    p = program(**frame)
    words = sequences(p)
    codes = p.frame.pad(map(p.frame.encode, words))
    p = with_names(p, codes) if named else p
    assert by_value(p)
    text = print_program(p, name="p", codes=codes)
    assert "TOKENS" not in text
    file = tmp_path / "p.py"
    file.write_text(text)
    ((rows,),) = [exported([[str(file), words]], tmp_path)]
    expected = [p.classes[c] for c in logits(p, codes).argmax(1).tolist()]
    assert [row[0] for row in rows] == expected
    torch.testing.assert_close(
        torch.tensor([row[1] for row in rows], dtype=torch.float64), logits(p, codes), rtol=0, atol=1e-9
    )


def test_a_vocabulary_without_unknown_words_is_a_table_of_tokens():
    assert not by_value(program(unknown=None))
    text = print_program(program(unknown=None), name="p")
    assert "TOKENS" in text
    assert "by_word" not in text


def test_words_are_normalized():
    frame = Frame(("<unk>", "the", "@s"), 4, unknown="<unk>", lower=True, digits="@")
    assert frame.encode(["The", "1990s", "12"]) == [1, 2, 0]
    assert Frame.from_config(frame.to_config()) == frame
    with pytest.raises(ValueError, match="expected a text without digits"):
        Frame(("a",), 3, digits="0")


def test_names():
    p = program()
    codes = p.frame.pad(map(p.frame.encode, [["she", "is"], ["who", "is", "she"], ["it's"]]))
    node = with_names(p, codes).nodes[0]
    assert node.values == ("is|#", "she|who", "where", "it's|a\"b")
    assert with_names(with_names(p, codes), codes[:1]).nodes[0].values == node.values  # names are kept
    assert with_names(p, codes).unit_names[:2] == ["word = is|#", "word = she|who"]
    assert with_names(p, codes).unit_names[4] == "next = is|#"  # a head copies names too
    text = "".join(word_lists(with_names(p, codes)))
    assert "'is|#' for all other words" in text
    assert "'she|who': 'who she'," in text


def test_words_that_do_not_matter_are_forgotten():
    p = program()
    words = [["who", "is"], ["where", "is"], ["she", "she", "who"], ["it's", "who"], ['a"b', "where"]]
    codes = p.frame.pad(map(p.frame.encode, words))
    given = LabeledPositions(codes, None, logits(p, codes).argmax(1))
    reduced = forget_words(p, given, given, least=1)
    assert given.accuracy(reduced) == 1
    assert words_of_their_own(p) == 6
    table = reduced.nodes[0].table
    assert table[TOKENS.index("it's")] == table[TOKENS.index("back\\slash")] == table[1] == 0
    assert table[TOKENS.index("where")] == 2  # without it two answers change
    assert words_of_their_own(reduced) < 6
    assert forget_words(program(unknown=None), given, given) == program(unknown=None)


def test_the_fit_of_many_samples(monkeypatch):
    """The sparse solver and the one that joins equal samples have the same optimum."""
    g = torch.Generator().manual_seed(0)
    codes = torch.randint(0, 7, (400, 6), generator=g)
    features = torch.nn.functional.one_hot(codes, 7).flatten(1).float()
    y = torch.where(torch.rand(400, generator=g) < 0.8, codes[:, 0] % 3, codes[:, 1] % 3)
    start = torch.zeros(3, 42), torch.zeros(3)
    dense = fit(features, y, *start, l2=1e-3)
    monkeypatch.setattr("zoo.programs.learn.linear_readout.LARGE", 100)
    sparse = fit(features, y, *start, l2=1e-3)
    torch.testing.assert_close(sparse[0], dense[0], rtol=0, atol=1e-4)
    torch.testing.assert_close(sparse[1] - sparse[1].mean(), dense[1] - dense[1].mean(), rtol=0, atol=1e-4)


def test_a_network_reads_short_batches_as_long_ones():
    """Padding behind the longest sequence is cut off in training; variables do not change."""
    model = create_model(
        "transformer_program",
        num_classes=3,
        sequence={"tokens": list("abcd"), "length": 9},
        variables=2,
        width=9,
        layers=2,
        heads=2,
        counters=1,
        restarts=2,
    )
    codes = torch.randint(0, 4, (5, 9))
    codes[:, 6:] = -1
    codes[0, 3:] = -1
    stream, numbers = model.network(codes, 0.01, hard=True)
    short, fewer = model.network(codes[:, :6], 0.01, hard=True)
    real = codes != -1
    keep = lambda t, c: t.unflatten(-1, c.shape)[..., c != -1]  # noqa: E731
    assert real[:, :6].sum() == real.sum()
    torch.testing.assert_close(keep(short, codes[:, :6]), keep(stream, codes))
    torch.testing.assert_close(keep(fewer, codes[:, :6]), keep(numbers, codes))
