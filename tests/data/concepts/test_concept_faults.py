"""Missing and wrong concept annotations: their shares, what they depend on, and the models that train on them."""

import math

import pytest
import torch

from zoo import create_model
from zoo.batch import Batch
from zoo.concept_schema import Concept, ConceptSchema
from zoo.data import create_data
from zoo.data.concepts._concept_checks import check_concepts
from zoo.data.concepts._concept_faults import ConceptFaults
from zoo.data.split import Split

HUE = ("red", "tan", "sky")
SCHEMA = ConceptSchema(
    (Concept("flat"), *(Concept(f"hue: {v}", "categorical", "hue") for v in HUE), Concept("thin", group="build"))
)
N = 20_000


def split(known=1.0):
    g = torch.Generator().manual_seed(0)
    flat, thin = ((torch.rand(N, 1, generator=g) < p).float() for p in (0.2, 0.7))
    hue = torch.eye(3)[torch.tensor([0.6, 0.3, 0.1]).multinomial(N, replacement=True, generator=g)]
    concepts = torch.cat([flat, hue, thin], 1)
    concepts[torch.rand(N, generator=g) >= known, 1:4] = math.nan
    return Split([str(i) for i in range(N)], torch.zeros(N).long(), concepts=concepts)


def faulty(seed=0, known=1.0, **faults):
    return ConceptFaults(**faults).apply(split(known), SCHEMA, seed).concepts


@pytest.mark.parametrize("pattern", ["random", "by_value"])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.9])
def test_shares_of_missing_annotations(pattern, share):
    truth, result = split().concepts, faulty(missing=share, pattern=pattern)
    gone = result.isnan()
    check_concepts("train", Split(split().names, split().y, concepts=result), SCHEMA)
    assert torch.equal(result[~gone], truth[~gone])
    for column in range(5):
        assert float(gone[:, column].float().mean()) == pytest.approx(share, abs=0.015)
    for column, rare in ((0, truth[:, 0] == 1), (1, truth[:, 1] == 0), (4, truth[:, 4] == 0)):
        ratio = float(gone[rare, column].float().mean() / gone[~rare, column].float().mean())
        q = float(rare.float().mean())
        highest = 1.0 / ((share - q) / (1 - q)) if share > q else math.inf  # every rare one is missing
        assert ratio == pytest.approx(1.0 if pattern == "random" else min(3.0, highest), rel=0.1)


def test_wrong_annotations_are_other_values_equally_often():
    truth, result = split(0.8).concepts, faulty(wrong=0.2, known=0.8)
    assert torch.equal(truth.isnan(), result.isnan())
    check_concepts("train", Split(split().names, split().y, concepts=result), SCHEMA)
    known = ~truth[:, 1].isnan()
    before, after = truth[known, 1:4].argmax(1), result[known, 1:4].argmax(1)
    assert float((before != after).float().mean()) == pytest.approx(0.2, abs=0.015)
    for value in range(3):
        others = [float((after[before == value] == v).float().mean()) for v in range(3) if v != value]
        assert others == pytest.approx([0.1, 0.1], abs=0.02)
    for column in (0, 4):
        assert float((truth[:, column] != result[:, column]).float().mean()) == pytest.approx(0.2, abs=0.015)


def test_a_larger_share_contains_a_smaller_one_and_seeds_differ():
    few, many = (faulty(missing=share).isnan() for share in (0.1, 0.3))
    assert bool((many | ~few).all())
    assert torch.equal(faulty(missing=0.1).isnan(), few)
    assert not torch.equal(faulty(1, missing=0.1).isnan(), few)
    both, wrong = faulty(missing=0.3, wrong=0.1), faulty(wrong=0.1)
    assert torch.equal(both[~many], wrong[~many])
    assert torch.equal(both.isnan(), many)


@pytest.mark.parametrize("name", ["digits", "shapes"])
def test_only_the_training_split_changes(name):
    small = {"digits": {"size": 8}, "shapes": {"n_train": 40, "n_val": 10, "n_test": 10, "size": 16}}[name]
    clean = create_data(name, **small)
    data = create_data(name, missing_concepts=0.3, wrong_concepts=0.1, **small)
    assert not torch.equal(data.splits["train"].concepts, clean.splits["train"].concepts)
    assert bool(next(iter(data.loader("train"))).concepts.isnan().any())
    for split_name in ("val", "test"):
        assert torch.equal(data.splits[split_name].concepts, clean.splits[split_name].concepts)
    assert data.fingerprint() != clean.fingerprint()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"missing_concepts": 1.0}, "data.missing_concepts is 1.0; expected a share, at least 0 and below 1"),
        ({"wrong_concepts": -0.1}, "data.wrong_concepts is -0.1"),
        ({"missing_pattern": "mar"}, "data.missing_pattern is 'mar'"),
    ],
)
def test_wrong_arguments(args, words):
    with pytest.raises(ValueError, match=words):
        create_data("digits", size=8, **args)


def test_data_without_concepts_and_continuous_concepts():
    with pytest.raises(ValueError, match="data.missing_concepts is set and the data have no concepts"):
        _ = create_data("tokfsm", n_train=40, n_val=10, n_test=10, context=11, missing_concepts=0.1).splits
    schema = ConceptSchema((Concept("size", "continuous"),))
    numbers = Split(list("abcd"), torch.zeros(4).long(), concepts=torch.tensor([[1.0], [2.0], [3.0], [4.0]]))
    with pytest.raises(ValueError, match="concept 'size' is continuous"):
        ConceptFaults(wrong=0.1).apply(numbers, schema, 0)
    gone = ConceptFaults(missing=0.5, pattern="by_value").apply(numbers, schema, 0).concepts.isnan()
    assert gone.shape == (4, 1)


FAMILIES = {"cbm": {}, "cem": {}, "scbm": {"samples": 5}}


@pytest.mark.parametrize("family", FAMILIES)
def test_unknown_annotations_have_no_part_in_the_concept_loss(family):
    """The gradient of an input whose annotations are all unknown is zero; others have one."""
    torch.manual_seed(0)
    schema = {"columns": {c.name: {"kind": c.kind, "group": c.group} for c in SCHEMA.concepts}}
    model = create_model(
        family, num_classes=2, concepts=schema, backbone="mlp", input_shape=[4], **FAMILIES[family]
    ).eval()
    x = torch.randn(3, 4, requires_grad=True)
    concepts = torch.stack([torch.full((5,), math.nan), *split().concepts[:2]])
    concepts[1, 1:4] = math.nan
    torch.manual_seed(1)
    batch = Batch(x, torch.tensor([0, 1, 0]), torch.arange(3), concepts=concepts)
    model.loss(batch, {"task": 0.0, "concept": 1.0})["concept"].backward()
    assert (x.grad[0] == 0).all()
    assert (x.grad[1:] != 0).any(1).all()
