"""The concept schema: what it refuses, and that it survives the way through a config."""

import pytest
import torch

from zoo.concept_schema import Concept, ConceptSchema

SCHEMA = ConceptSchema(
    (
        Concept("has_hole"),
        Concept("wing: long", "categorical", "wing"),
        Concept("wing: short", "categorical", "wing"),
        Concept("size", "continuous", mean=3.0, std=2.0),
        Concept("beak::red", group="beak"),
    ),
    provenance="by hand",
)


def test_through_a_config():
    plain = SCHEMA.to_config()
    assert plain["columns"]["size"] == {"kind": "continuous", "group": "size", "mean": 3.0, "std": 2.0}
    assert ConceptSchema.from_config(plain) == SCHEMA


def test_groups_in_order():
    assert SCHEMA.groups == ("has_hole", "wing", "wing", "size", "beak")
    assert SCHEMA.group_names == ("has_hole", "wing", "size", "beak")
    assert torch.equal(SCHEMA.group_ids, torch.tensor([0, 1, 1, 2, 3]))
    assert torch.equal(SCHEMA.columns("categorical"), torch.tensor([False, True, True, False, False]))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ConceptSchema(()), "at least one concept"),
        (lambda: ConceptSchema((Concept("a"), Concept("a"))), "'a' is repeated"),
        (lambda: ConceptSchema((Concept("a", "categorical", "g"),)), "group 'g' is categorical; expected two values"),
        (
            lambda: ConceptSchema((Concept("a", "categorical", "g"), Concept("b", "categorical", "g"), Concept("g"))),
            "no other kind",
        ),
        (lambda: Concept("a", "boolean"), "'a' is of kind 'boolean'"),
        (lambda: Concept("a", "continuous", std=0.0), "std 0.0"),
        (lambda: ConceptSchema.from_config({"columns": {"a": {"sort": "binary"}}}), "'a' is {'sort'"),
        (lambda: ConceptSchema.from_config({"a": {}}), "mapping `columns`"),
    ],
)
def test_refusals(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_concepts_stated_by_name():
    told = SCHEMA.read({"wing": "short", "has_hole": "yes", "size": "2.5"})
    assert told[:4].tolist() == [1, 0, 1, 2.5]
    assert bool(told[4].isnan())
    assert SCHEMA.read({"beak::red": "0"})[4] == 0
    assert bool(SCHEMA.read({}).isnan().all())


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ({"has_whole": "1"}, "no concept 'has_whole', did you mean has_hole?"),
        ({"wings": "long"}, "no concept 'wings', did you mean wing?"),
        ({"wing": "shrt"}, "'wing' has no value 'shrt', did you mean short?"),
        ({"wing": "1"}, r"'wing' has no value '1' \(known: long, short\)"),
        ({"has_hole": "maybe"}, "'has_hole' is 'maybe'; expected 1 or 0"),
        ({"size": "big"}, "'size' is 'big'; expected a number"),
    ],
)
def test_statements_that_are_refused(stated, words):
    with pytest.raises(ValueError, match=words):
        SCHEMA.read(stated)


def test_decided_equals_the_loop():
    share = torch.rand(50, 5, generator=torch.Generator().manual_seed(0))
    expected = [
        [float(a >= 0.5), float(x >= y), float(y >= x), size, float(b >= 0.5)] for a, x, y, size, b in share.tolist()
    ]
    assert torch.equal(SCHEMA.decided(share), torch.tensor(expected))
