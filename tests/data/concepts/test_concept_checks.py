"""Checks of the concepts of every source, and the warning about label leakage."""

import itertools
import math
import warnings
from dataclasses import replace

import pytest
import torch

from zoo.concept_schema import Concept, ConceptSchema
from zoo.data import create_data
from zoo.data.concepts._concept_checks import check_concepts, leaking_concepts
from zoo.data.split import Split

SCHEMA = ConceptSchema(
    (
        Concept("flat"),
        Concept("size", "continuous"),
        *(Concept(f"hue: {v}", "categorical", "hue") for v in ("red", "tan", "sky")),
    )
)
GOOD = torch.tensor([[1.0, 7, 0, 1, 0], [0, -3, 1, 0, 0], [math.nan] * 5])
SPLIT = Split(["a", "b", "c"], torch.tensor([0, 1, 1]), concepts=GOOD)


def altered(row, columns, value):
    concepts = GOOD.clone()
    concepts[row, columns] = value
    return replace(SPLIT, concepts=concepts)


def test_what_fits():
    check_concepts("train", SPLIT, SCHEMA)
    check_concepts("train", replace(SPLIT, concepts=None), None)
    check_concepts("train", replace(SPLIT, concepts=GOOD[:, :2]), ConceptSchema(SCHEMA.concepts[:2]))


@pytest.mark.parametrize(
    ("split", "schema", "words"),
    [
        (SPLIT, None, "train has concepts but no concept schema"),
        (replace(SPLIT, concepts=None), SCHEMA, "train has a concept schema but no concepts"),
        (replace(SPLIT, concepts=GOOD[:, :4]), SCHEMA, r"train has concepts \(3, 4\); expected \(3, 5\)"),
        (altered(1, 0, 0.5), SCHEMA, "train: b has 0.5 for concept 'flat'; expected 0 or 1, or NaN"),
        (altered(0, 3, 2), SCHEMA, "train: a has 2 for concept 'hue: tan'; expected 0 or 1"),
        (altered(0, 1, math.inf), SCHEMA, "train: a has inf for concept 'size'; expected a finite number"),
        (altered(0, 4, 1), SCHEMA, "train: a has 2 values of the group 'hue'; expected exactly one"),
        (altered(0, 3, 0), SCHEMA, "train: a has 0 values of the group 'hue'"),
        (altered(1, 4, math.nan), SCHEMA, "train: b has 1 values of the group 'hue'"),
    ],
)
def test_what_does_not(split, schema, words):
    with pytest.raises(ValueError, match=words):
        check_concepts("train", split, schema)


def test_every_source_is_checked(monkeypatch):
    from zoo.data.tables.toys import Toys

    draw = Toys._draw

    def wrong(self, name):
        split = draw(self, name)
        return replace(split, concepts=split.concepts + (name == "test"))

    monkeypatch.setattr(Toys, "_draw", wrong)
    with pytest.raises(ValueError, match="test: test/0000. has 2 for concept"):
        create_data("toys").setup()


def result(y, concepts, schema):
    """By the definition, sample by sample: an oracle."""
    leaking = set()
    for group in schema.group_names:
        own = [j for j, c in enumerate(schema.concepts) if c.group == group]
        kind = schema.concepts[own[0]].kind
        for columns in [own] if kind == "categorical" else [[j] for j in own]:
            if kind == "continuous":
                continue
            name = group if kind == "categorical" else schema.names[columns[0]]
            pairs = [
                (c, tuple(r[columns].tolist()))
                for c, r in zip(y.tolist(), concepts, strict=True)
                if not r[columns].isnan().any()
            ]
            often = {v for _, v in pairs if sum(v == w for _, w in pairs) >= 2}
            pairs = [(c, v) for c, v in pairs if v in often]
            for c in set(y.tolist()):
                inside, outside = ([v for k, v in pairs if (k == c) is same_class] for same_class in (True, False))
                if min(len(inside), len(outside)) >= 2 and not set(inside) & set(outside):
                    leaking.add((name, c))
    return leaking


def test_disguises_against_the_definition():
    g, hits = torch.Generator().manual_seed(0), 0
    for trial, (n, classes) in enumerate(itertools.product([6, 9, 14] * 15, (2, 3, 4))):
        g.manual_seed(trial)
        y = torch.randint(0, classes, (n,), generator=g)
        flat = torch.where(torch.rand(n, generator=g) < 0.1, 1 - (y == 1).long(), (y == 1).long())
        hue = torch.where(torch.rand(n, generator=g) < 0.3, torch.randint(0, 3, (n,), generator=g), y % 3)
        concepts = torch.cat(
            [flat[:, None], torch.randn(n, 1, generator=g), torch.nn.functional.one_hot(hue, 3)], 1
        ).float()
        concepts[torch.rand(n, generator=g) < 0.2, 0] = math.nan
        concepts[torch.rand(n, generator=g) < 0.2, 2:] = math.nan
        expected = result(y, concepts, SCHEMA)
        actual = leaking_concepts(y, concepts, SCHEMA)
        assert len(actual) == len(set(actual))
        assert set(actual) == expected
        hits += len(expected)
    assert hits > 50


def test_disguises_of_the_built_in_sets():
    data = create_data("digits")
    train = data.splits["train"]
    assert leaking_concepts(train.y, train.concepts, data.concepts) == [("one_big_loop", 0), ("flat_base", 2)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        create_data("digits").setup()  # only a user is warned


def test_the_user_is_warned(tmp_path):
    lines = [f"{i},{'abc'[i % 3]},{int(i % 3 == 1)},{'xy'[i % 2]},{int(i % 3 != 2)}" for i in range(30)]
    file = tmp_path / "t.csv"
    file.write_text("\n".join(["x,y,is_b,other,not_c", *lines]) + "\n")
    args = {"file": str(file), "target": "y"}
    with pytest.warns(
        UserWarning, match="label leakage.*'is_b' alone determines class 'b'; 'not_c' alone determines class 'c'"
    ):
        create_data("table", **args, concept_columns=["is_b", "other", "not_c"]).setup()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        create_data("table", **args, features=["x"], concept_columns=["other"]).setup()
    ids = "\n".join(f"{i},{'ab'[i % 2]},word{i // 2}{i % 2}" for i in range(30))
    (tmp_path / "ids.csv").write_text(f"x,y,own\n{ids}\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        create_data("table", file=str(tmp_path / "ids.csv"), target="y", concept_columns=["own"]).setup()
        create_data("table", **args, concept_columns=["is_b"], limit=9).setup()  # would agree by chance
    many = tmp_path / "many.csv"
    head = ",".join(f"c{j}" for j in range(7))
    lines = [f"{i},{'ab'[i % 2]}," + ",".join("" if i == j else str(i % 2) for j in range(7)) for i in range(30)]
    many.write_text("\n".join([f"x,y,{head}", *lines]) + "\n")
    with pytest.warns(UserWarning, match="'c2' alone determines class 'a'; and 9 more"):
        create_data("table", file=str(many), target="y", concept_columns=head.split(",")).setup()
