"""Changes of texts: against rules written out again, places of tokens, and the score through a suite."""

import random
import unicodedata
from dataclasses import replace

import pytest
import torch

import zoo
from zoo.inputs.sentences import SentenceInputs
from zoo.inputs.texts.word_spans import SEPARATOR, word_spans
from zoo.metrics import Suite
from zoo.metrics.perturbations._synonyms import synonym_groups
from zoo.metrics.perturbations._text_edits import Edit, edited, moved_offset
from zoo.metrics.perturbations.perturbation_list import label, perturbation, perturbed
from zoo.metrics.perturbations.text_changes import CLAUSES, Casing, Clause, Punctuation, Synonyms, Typos
from zoo.sequence_spec import Frame

TEXTS = [
    "The film was dull, wasn't it?!",
    "a well-made MOVIE",
    "Straße nach 東京, très drôle …",
    "what is funny ? [SEP] a loud room .",
    "ok",
    "?!",
    "  the soup 🍜 was cold.  ",
]


class Reader:
    """The inputs of a model of sentences; words are its only tokens."""

    frame = Frame(("[UNK]", "film", "dull"), 24, unknown="[UNK]", lower=True)
    inputs = SentenceInputs(class_names=("a", "b"), length=24, sequence=frame)


def changed(change, texts=TEXTS, draw=0):
    return change.texts(texts, torch.arange(len(texts)), draw, Reader.inputs)


def parts(text):
    return [text[start:end] for start, end in word_spans(text)]


def is_typo(old, new):
    """Whether one word is another one with two neighbors exchanged, a letter left out, or a letter doubled inside."""
    inner = range(1, len(old) - 1)
    swaps = {old[:i] + old[i + 1] + old[i] + old[i + 2 :] for i in inner if i + 1 < len(old) - 1}
    return new in swaps | {old[:i] + old[i + 1 :] for i in inner} | {old[:i] + old[i] + old[i:] for i in inner}


@pytest.mark.parametrize("number", [1, 3])
def test_typos_are_in_long_words_alone(number):
    seen = set()
    for draw in range(30):
        for old, new in zip(TEXTS, changed(Typos(number=number), draw=draw), strict=True):
            one, two = parts(old), parts(new)
            assert len(one) == len(two)
            differ = [(a, b) for a, b in zip(one, two, strict=True) if a != b]
            able = [word for word in one if word.isalpha() and len(word) >= 4]
            assert len(differ) == min(number, len(able))
            for a, b in differ:
                assert a in able
                assert a[0] == b[0]
                assert a[-1] == b[-1]
                assert is_typo(a, b)
                seen.add(len(b) - len(a))
    assert seen == {-1, 0, 1}


def test_typos_depend_on_text_sample_and_draw_alone():
    one = changed(Typos())
    assert [Typos().texts([t], torch.tensor([i]), 0, Reader.inputs)[0] for i, t in enumerate(TEXTS)] == one
    assert changed(Typos(), draw=1) != one
    assert len({Typos().texts([TEXTS[0]], torch.tensor([i]), 0, Reader.inputs)[0] for i in range(40)}) == 6


def test_casing():
    one_for_one = lambda text, f: "".join(f(c) if len(f(c)) == 1 else c for c in text)  # noqa: E731
    assert changed(Casing()) == [one_for_one(text, str.upper) for text in TEXTS]
    lower = [SEPARATOR.join(part.lower() for part in text.split(SEPARATOR)) for text in TEXTS]
    assert changed(Casing(to="lower")) == lower
    title = changed(Casing(to="title"))
    assert title[0] == "The Film Was Dull, Wasn't It?!"
    assert title[3] == "What Is Funny ? [SEP] A Loud Room ."


def test_casing_keeps_marks_and_letters_without_another_case():
    text = unicodedata.normalize("NFC", "ǰ x̌ i̇ ŉ")
    assert all(unicodedata.is_normalized("NFC", new) for new in changed(Casing(), [text]))


def test_punctuation():
    out = changed(Punctuation())
    assert out[0] == "The film was dull wasn't it"
    assert out[1] == "a well made MOVIE"
    assert out[3] == "what is funny  [SEP] a loud room "
    assert out[4] == "ok"
    assert out[5] == "?!"  # nothing would be left
    final = changed(Punctuation(marks="final"))
    assert final[0] == "The film was dull, wasn't it"
    assert final[1] == "a well-made MOVIE."
    assert final[6] == "  the soup 🍜 was cold  "


def test_clauses_are_added_at_one_end():
    for draw in range(5):
        for old, new in zip(TEXTS, changed(Clause(), draw=draw), strict=True):
            assert new[len(old.rstrip()) :].strip() in CLAUSES
            assert new.startswith(old.rstrip())
    start = changed(Clause(clauses=["Well."], at="start"))
    assert start == [f"Well. {text}" for text in TEXTS]
    assert len({new for draw in range(60) for new in changed(Clause(), TEXTS[:1], draw)}) == len(CLAUSES)


def test_synonyms_come_from_the_group_and_keep_the_case():
    group_of = {word: group for group in synonym_groups() for word in group}
    seen = set()
    for draw in range(20):
        for old, new in zip(TEXTS, changed(Synonyms(number=9), draw=draw), strict=True):
            for a, b in zip(parts(old), parts(new), strict=True):
                group = group_of.get(a.lower())
                if group is None:
                    assert a == b
                else:
                    assert b.lower() in group
                    assert a.lower() != b.lower()
                    assert (a.isupper(), a[0].isupper()) == (b.isupper(), b[0].isupper())
                    seen.add(a)
    assert {"film", "dull", "MOVIE", "loud", "soup", "cold"} <= seen
    own = Synonyms(groups=[["Film", "Streifen"]])
    assert changed(own)[0].startswith("The streifen was")
    assert label(own).startswith("synonyms/groups")


def test_the_word_list_has_each_word_once_and_as_one_word():
    words = [word for group in synonym_groups() for word in group]
    assert len(words) == len(set(words))
    assert all(len(group) > 1 for group in synonym_groups())
    assert all(len(word_spans(word)) == 1 and word == word.lower() for word in words)
    assert Synonyms(groups=synonym_groups()).number == 1


def test_offsets_equal_those_of_labeled_characters():
    draw = random.Random(0)
    for _ in range(300):
        text = "".join(draw.choice("abcd ") for _ in range(draw.randint(1, 12)))
        edits, at = [], 0
        while at <= len(text) and draw.random() < 0.7:
            start = draw.randint(at, len(text))
            end = draw.randint(start, min(len(text), start + 3))
            edits.append(Edit(start, end, "xyzw"[: draw.randint(0, 4)]))
            at = end + 1
        labeled = list(enumerate(text))  # characters that know where they were
        for start, end, new in reversed(edits):
            inside = [start + i if start + i < end else None for i in range(len(new))]
            labeled[start:end] = list(zip(inside, new, strict=True))
        assert edited(text, edits) == "".join(c for _, c in labeled)
        where = {old: i for i, (old, _) in enumerate(labeled) if old is not None}
        for offset in range(len(text)):
            moved = moved_offset(offset, edits)
            edit = next((e for e in edits if e.start <= offset < e.end), None)
            if edit is None or offset - edit.start < len(edit.new):
                assert moved == where[offset]
            else:  # gone: at the last character of what replaced it, or where it was cut out
                shift = sum(len(e.new) - (e.end - e.start) for e in edits if e.end <= edit.start and e != edit)
                assert moved == edit.start + shift + max(len(edit.new) - 1, 0)


@pytest.fixture(scope="module")
def reviews():
    data = zoo.create_data("sentences", set="generated_reviews", length=40, ends=True)
    model = zoo.create_model("bag_of_concepts", num_classes=3, sequence=data.sequence.to_config()).eval()
    model.fit_words(data.loader("train"), val=data.loader("val"), max_units=60)
    model.inputs = data.inputs
    return model, data.samples("test", range(24))


def test_tokens_are_followed_by_their_words(reviews):
    """Words that occur once before and after are where they are found; tokens at the ends stay at the ends."""
    model, batch = reviews
    assert set(model.inputs.show(batch.x)[0]) & {"[BEGIN] ", " [END]"}
    places = torch.arange(batch.x.shape[1]).expand(len(batch.x), -1)
    for change in map(perturbation, ("clause", {"name": "clause", "at": "start"}, "punctuation", "casing")):
        after = perturbed(change, batch, 0, model)
        moved = change.token_places(places, batch, 0, model)
        if change.label.startswith("clause/atstart"):
            assert int((after.x != -1).sum()) > int((batch.x != -1).sum())
        checked = 0
        for old, new, to in zip(batch.x.tolist(), after.x.tolist(), moved.tolist(), strict=True):
            for i, code in enumerate(old):
                if code >= 0 and old.count(code) == new.count(code) == 1:
                    assert new[to[i]] == code
                    checked += 1
        assert checked > 100


def test_one_score_through_a_suite_equals_explanations_of_each_text(reviews):
    model, batch = reviews
    names = ("typos", "casing", "punctuation", "clause", "synonyms")
    entries = [{"score": "explanation_stability", "name": name, "perturbation": name, "top": 3} for name in names]
    results = []
    for size in (24, 7):
        suite = Suite(entries, model.units)
        for rows in torch.arange(24).split(size):
            suite.update(
                model, replace(batch, x=batch.x[rows], y=batch.y[rows], concepts=None, index=batch.index[rows])
            )
        results.append(suite.compute())
    for name in names:
        result = results[0][name]
        assert result.protocol == f"zoo-explanation-stability-v1/{name}/top3"
        assert result.more == pytest.approx(results[1][name].more, rel=1e-9, nan_ok=True)
        change = perturbation(name)
        overlaps, same, differ = [], [], []
        for i in range(24):
            text = model.inputs.known_texts(batch.x[i : i + 1])[0]
            new = change.texts([text], batch.index[i : i + 1], 0, model.inputs)[0]
            shown = []
            for one in (text, new):
                x = model.inputs.encode([one])[0]
                e = model.explain(x, target=batch.y[i : i + 1])
                order = sorted(range(len(e.units)), key=lambda u, e=e: (-float(e.contribution[0, u].detach()), u))[:3]
                shown.append(({u for u in order if float(e.contribution[0, u].detach()) > 0}, int(e.logits.argmax())))
            (a, answer), (b, other) = shown
            overlaps.append(len(a & b) / len(a | b) if a | b else 1.0)
            same.append(answer == other)
            differ.append(model.inputs.encode([text])[0].tolist() != model.inputs.encode([new])[0].tolist())
        assert result.value == pytest.approx(sum(overlaps) / 24)
        assert result.more["same answer"] == pytest.approx(sum(same) / 24)
        assert result.more["changed"] == pytest.approx(sum(differ) / 24)
        alone = [o for o, d in zip(overlaps, differ, strict=True) if d]
        if alone:
            assert result.more["overlap of changed"] == pytest.approx(sum(alone) / len(alone))
    assert results[0]["casing"].more["changed"] == 0  # this vocabulary is in lower case
    assert results[0]["casing"].value == 1
    assert results[0]["typos"].value < 1


def test_models_of_images_do_not_apply_and_unknown_texts_are_refused(reviews):
    model, batch = reviews
    from worlds import Toy
    from worlds import batch as images

    suite = Suite([{"score": "explanation_stability", "perturbation": "typos"}], Toy(owned=False).units)
    suite.update(Toy(owned=False), images())
    note = suite.compute()["explanation_stability"].note
    assert note == "n/a: typos changes texts, and the model reads none"
    strange = replace(batch, x=batch.x.flip(1).contiguous())
    with pytest.raises(ValueError, match="the text of input 0 as it was written is not known"):
        perturbed(Typos(), strange, 0, model)
    with pytest.raises(ValueError, match="expected the model of sentences"):
        Typos()(batch, 0)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"name": "typos", "number": 0}, "number is 0; expected a whole number"),
        ({"name": "casing", "to": "big"}, "to is 'big'; expected upper, lower or title"),
        ({"name": "punctuation", "marks": "some"}, "marks is 'some'; expected all or final"),
        ({"name": "clause", "at": "middle"}, "at is 'middle'; expected end or start"),
        ({"name": "clause", "clauses": [""]}, "none of them empty"),
        ({"name": "synonyms", "groups": ["good"]}, "a list of lists of words"),
        ({"name": "synonyms", "groups": [["good"]]}, "expected two words or more"),
        ({"name": "synonyms", "groups": [["good", "fine"], ["Fine", "thin"]]}, "'fine' twice"),
    ],
)
def test_refuses_arguments_that_mean_nothing(wrong, words):
    with pytest.raises(ValueError, match=words):
        perturbation(wrong)
