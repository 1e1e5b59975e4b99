"""The tasks by what they mean, worked out again; the sizes and shares that the published generators give."""

from collections import Counter
from itertools import product

import pytest
import torch

from zoo.data import create_data
from zoo.data.sequences.rasp import ANSWERS, OTHER, Rasp

TASKS = ("reverse", "hist", "double_hist", "sort", "most_freq", "dyck1", "dyck2", "induction")
SIZES = {"dyck1": {"length": 16}, "dyck2": {"length": 16}, "induction": {"vocabulary": 10, "length": 10}}


@pytest.fixture(scope="module")
def drawn():
    made = {}

    def get(task):
        if task not in made:
            made[task] = create_data("rasp", task=task, size=4000, **SIZES.get(task, {}))
            made[task].setup()
        return made[task]

    return get


BY_HAND = [
    ("reverse", "0 1 4", "4 1 0"),
    ("sort", "3 1 1 0", "0 1 1 3"),
    ("hist", "2 0 2 2", "3 1 3 3"),
    ("double_hist", "0 1 1 2 2 3", "2 2 2 2 2 2"),
    ("double_hist", "5 5 5 1 0", "1 1 1 2 2"),
    ("most_freq", "3 1 1 0 3", "3 1 0 <s> <s>"),
    ("dyck1", "( ) ) ( )", "P T F F F"),
    ("dyck1", "( ( ) ) (", "P P P T P"),
    ("dyck2", "{ ( ) } ( }", "P P P T P F"),
    ("dyck2", "{ )", "P F"),
    ("induction", "a 1 b 0 a 1 b", "<unk> . <unk> . 1 . 0"),
    ("induction", "3 a 1 a", ". <unk> . 1"),
]


@pytest.mark.parametrize(("task", "words", "labels"), BY_HAND)
def test_answers(task, words, labels):
    assert ANSWERS[task](words.split()) == [None if label == "." else label for label in labels.split()]


def test_brackets_by_deleting_pairs():
    for n in range(1, 9):
        for words in product("(){}", repeat=n):
            if n > 4 and hash(words) % 50:
                continue
            text, failed = "", False
            for word, label in zip(words, ANSWERS["dyck2"](list(words)), strict=True):
                text += word
                left = text
                while (less := left.replace("()", "").replace("{}", "")) != left:
                    left = less
                failed |= ")" in left or "}" in left
                assert label == ("F" if failed else "P" if left else "T")


@pytest.mark.parametrize("task", TASKS)
def test_questions_and_labels(task, drawn):
    data = drawn(task)
    split, frame = data.splits["train"], data.sequence
    assert data.input_shape == (frame.length + 1,)
    batch = data.samples("train", range(60))
    result = {}
    for x, y in zip(batch.x.tolist(), batch.y.tolist(), strict=True):
        words = [frame.tokens[c] for c in x[1:] if c >= 0]
        assert tuple(words[: len(frame.before)]) == frame.before
        inner = words[len(frame.before) : len(words) - len(frame.after)]
        place = x[0] - len(frame.before)
        assert data.class_names[y] == data.answers(inner)[place]
        result.setdefault(tuple(inner), []).append(place)
    for words, places in list(result.items())[:-1]:
        assert places == [i for i, a in enumerate(data.answers(list(words))) if a is not None], "each label asked once"
    assert len(split.names) == len(split)
    assert split.names[0].startswith("train/00000, word ")


@pytest.mark.parametrize("task", TASKS)
def test_sequences_are_distinct(task, drawn):
    data = drawn(task)
    rows = [tuple(r) for name in ("train", "val", "test") for r in data._drawn[name]]
    assert len(set(rows)) == len(rows)
    share = {name: len(data._drawn[name]) / len(rows) for name in ("train", "val", "test")}
    assert share["test"] == pytest.approx(0.1, abs=0.01)
    assert share["val"] == pytest.approx(0.09, abs=0.01)


@pytest.mark.slow
def test_published_sizes():
    """Counts and the majority's share that the published generators are recorded to give."""
    for task, train, majority in (
        ("reverse", 11_439, 0.211),
        ("sort", 11_439, 0.211),
        ("hist", 16_200, 0.406),
        ("double_hist", 16_200, 0.355),
        ("most_freq", 16_200, 0.334),
        ("dyck1", 16_200, 0.694),
        ("dyck2", 16_200, 0.496),
    ):
        data = create_data("rasp", task=task, **SIZES.get(task, {}))
        assert len(data._drawn["train"]) == pytest.approx(train, rel=0.01)
        most = torch.bincount(data.splits["train"].y).argmax()
        assert float((data.splits["test"].y == most).float().mean()) == pytest.approx(majority, abs=0.015)


def test_dyck_draws_balanced_strings(drawn):
    data = drawn("dyck2")  # of one kind there are only 1430
    ends = Counter(data.answers(words)[-1] for rows in data._drawn.values() for words in rows)
    assert ends["P"] / sum(ends.values()) > 0.3, "half of them are cut from balanced strings, which are prefixes"


def test_drawn_from_the_seed():
    one, again, other = (create_data("rasp", task="sort", size=300, seed=s).fingerprint() for s in (1, 1, 2))
    assert one == again != other


def test_whole_sequences_are_served(drawn):
    data = drawn("hist")
    loader = data.loader("train", shuffle=True, batch_size=10)
    loader.batch_sampler.set_epoch(3)
    counts = Counter()
    for batch in loader:
        groups = [tuple(x[1:]) for x in batch.x.tolist()]
        assert len(set(groups)) <= 10
        counted = Counter(groups)
        assert all(counted[g] == sum(c >= 0 for c in g) - 1 for g in counted)
        counts.update(batch.index.tolist())
    assert set(counts.values()) == {1}
    assert len(counts) == len(data.splits["train"])


def test_even_lengths():
    data = create_data("rasp", task="hist", size=2000, even=1.0)
    lengths = Counter()
    for batch in data.train_dataloader():
        for x in {tuple(row[1:]) for row in batch.x.tolist()}:
            lengths[sum(c >= 0 for c in x)] += 1
    plain = Counter(len(words) + 1 for words in data._drawn["train"])
    assert lengths[3] > 2 * plain[3]


def test_a_label_that_training_never_had():
    class Rare(Rasp):
        @property
        def _labels(self):
            rows = {name: [["x"] * len(w) for w in words] for name, words in self._drawn.items()}
            rows["test"][0][0] = "y"
            return rows

    data = Rare(task="hist", size=60)
    assert data.class_names == ("x", OTHER)
    assert data.splits["test"].y[0] == 1
    assert not data.splits["train"].y.any()


def test_an_input_of_ones_own(drawn):
    data = drawn("reverse")
    x = data.read_input("3 1")
    assert x.tolist() == [[1, 5, 3, 1, 6, -1, -1, -1, -1], [2, 5, 3, 1, 6, -1, -1, -1, -1]]
    assert data.feature_values(x)[1] == [("sequence", "<s> 3 [1] </s>")]
    for text, reason in (("", "empty"), ("0 " * 7, "7 words; there is room for 6"), ("3 7", "word 2 is '7'")):
        with pytest.raises(ValueError, match=reason):
            data.read_input(text)


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        ({"task": "add"}, "data.task is 'add'"),
        ({"vocabulary": 3}, "data.vocabulary is 3"),
        ({"even": 1.5}, "data.even is 1.5"),
        ({"task": "induction", "length": 9}, "even one"),
        ({"size": 3}, "data.size is 3"),
        ({"length": 1}, "expected room for a word"),
    ],
)
def test_wrong_arguments(args, reason):
    with pytest.raises(ValueError, match=reason):
        create_data("rasp", **args)


def test_a_model_of_another_task_is_refused():
    own = create_data("rasp", task="hist", vocabulary=5, length=5, size=200)
    result = {**own.sequence.to_config(), "classes": list(own.class_names)}
    own.check_compatible_with(result)
    other = create_data("rasp", task="sort", vocabulary=5, length=5, size=200)
    with pytest.raises(ValueError, match="sequences whose tokens is .*with these data it would be .*train again"):
        other.check_compatible_with(result)
