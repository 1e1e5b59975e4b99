"""Spans of tags against an extractor that walks along each sentence, and against seqeval where that is installed."""

import random

import pytest
import torch

from zoo.data.sequences._spans import as_iob2, compare, find_spans, kinds_of

TAGS = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]


def walk(tags):
    """The spans of one sentence, strictly: ``{(first, behind, kind)}``."""
    results, i = set(), 0
    while i < len(tags):
        if tags[i].startswith("B-"):
            j = i + 1
            while j < len(tags) and tags[j] == f"I-{tags[i][2:]}":
                j += 1
            results.add((i, j, tags[i][2:]))
            i = j
        else:
            i += 1
    return results


def sentences(seed, n=60):
    draw = random.Random(seed)
    truth = [[draw.choice(TAGS) for _ in range(draw.randint(1, 9))] for _ in range(n)]
    predicted = [[t if draw.random() < 0.7 else draw.choice(TAGS) for t in row] for row in truth]
    return [as_iob2(row) for row in truth], predicted


def flat(rows):
    return torch.tensor([TAGS.index(t) for row in rows for t in row])


def begins(rows):
    return torch.tensor([i == 0 for row in rows for i in range(len(row))])


def measured(truth, predicted, **how):
    first = begins(truth)
    return compare(find_spans(flat(truth), TAGS, first), find_spans(flat(predicted), TAGS, first), **how)


@pytest.mark.parametrize("seed", range(20))
def test_as_one_walks_along(seed):
    truth, predicted = sentences(seed)
    at, first = 0, begins(predicted)
    actual = find_spans(flat(predicted), TAGS, first)
    for row in predicted:
        spans = {
            (i, i + int(actual.size[at + i]), ["LOC", "PER"][int(actual.kind[at + i]) - 1])
            for i in range(len(row))
            if actual.kind[at + i]
        }
        assert spans == walk(row)
        at += len(row)
    for kind, name in ((None, None), (1, "LOC"), (2, "PER")):
        true, given = (
            {(n, *s) for n, row in enumerate(rows) for s in walk(row) if name in (None, s[2])}
            for rows in (truth, predicted)
        )
        right = len(true & given)
        result = measured(truth, predicted, kind=kind)
        assert result.precision == pytest.approx(right / len(given))
        assert result.recall == pytest.approx(right / len(true))
        assert result.f1 == pytest.approx(2 * right / (len(given) + len(true)))


@pytest.mark.parametrize("seed", range(5))
def test_as_seqeval(seed):
    metrics = pytest.importorskip("seqeval.metrics", reason="seqeval is not installed")
    scheme = pytest.importorskip("seqeval.scheme")
    truth, predicted = sentences(seed)
    strict = {"mode": "strict", "scheme": scheme.IOB2}
    result = measured(truth, predicted)
    assert result.precision == pytest.approx(metrics.precision_score(truth, predicted, **strict))
    assert result.recall == pytest.approx(metrics.recall_score(truth, predicted, **strict))
    assert result.f1 == pytest.approx(metrics.f1_score(truth, predicted, **strict))


def test_what_is_no_span():
    truth = [["B-LOC", "I-LOC", "O"], ["I-LOC", "B-PER", "B-PER"]]
    first = begins(truth)
    result = find_spans(flat(truth), TAGS, first)
    assert result.size.tolist() == [2, 0, 0, 0, 1, 1]  # an I- at the beginning of a sentence goes on with nothing
    assert result.kind.tolist() == [1, 0, 0, 0, 2, 2]
    assert find_spans(flat([["B-LOC", "I-PER", "I-PER"]]), TAGS, torch.tensor([True, False, False])).size.tolist() == [
        1,
        0,
        0,
    ]
    nothing = find_spans(torch.tensor([0, 0]), TAGS, torch.tensor([True, False]))
    assert compare(nothing, nothing) == (0, 0, 0)
    assert find_spans(torch.zeros(0, dtype=torch.int64), TAGS, torch.zeros(0, dtype=torch.bool)).size.shape == (0,)
    assert find_spans(torch.tensor([1, 5]), [*TAGS, "<other>"], torch.tensor([True, False])).size.tolist() == [1, 0]


def test_some_sentences_only():
    truth, predicted = [["B-LOC"], ["B-PER"]], [["B-LOC"], ["O"]]
    assert measured(truth, predicted).recall == 0.5
    assert measured(truth, predicted, among=torch.tensor([True, False])).recall == 1


def test_iob1_becomes_iob2():
    assert as_iob2(["I-LOC", "I-LOC", "B-LOC", "O", "I-PER", "I-LOC"]) == [
        "B-LOC",
        "I-LOC",
        "B-LOC",
        "O",
        "B-PER",
        "B-LOC",
    ]
    proper = ["O", "B-PER", "I-PER", "B-PER", "B-LOC", "I-LOC"]
    assert as_iob2(proper) == proper
    assert kinds_of([*proper, "I-ORG"]) == ["LOC", "ORG", "PER"]
