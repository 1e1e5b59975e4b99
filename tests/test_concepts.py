"""The concept schema: what it refuses, and that it survives the way through a config."""

import pytest
import torch

from zoo.concepts import Concept, ConceptSchema

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
        (lambda: ConceptSchema((Concept("a"), Concept("a"))), "'a' stands twice"),
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
