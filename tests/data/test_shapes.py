from itertools import combinations

import pytest
import torch

from zoo.data import create_data
from zoo.data.shapes import design


@pytest.fixture(scope="module")
def data():
    return create_data("shapes", n_train=64, n_val=16, n_test=64, size=48)


def test_loader_and_render_agree(data):
    batch = next(iter(data.loader("test", batch_size=64)))
    scene = data.render("test", 11)
    assert torch.equal((data.picture(batch.x[11:12])[0] * 255).round().byte(), scene.image)
    assert torch.equal(batch.points[11], scene.points)
    assert torch.equal(batch.visible[11], scene.visible)
    assert torch.equal(batch.concepts[11], scene.concepts)


@pytest.mark.parametrize("index", [0, 3, 10])
def test_leaving_a_part_out_changes_nothing_else(data, index):
    whole = data.render("test", index)
    for p, name in enumerate(data.part_names):
        less = data.render("test", index, without=[name])
        changed = (less.image != whole.image).any(0)
        assert changed.any()
        assert not (changed & ~whole.masks[p]).any()
        assert not less.visible[p]
        assert not less.masks[p].any()
        gone = [name in concept for concept in data.concept_names]
        assert less.concepts[torch.tensor(gone)].sum() == 0
        assert less.concepts.sum() == whole.concepts.sum() - 1
    nothing = data.render("test", index, without=data.part_names)
    assert not nothing.masks.any()


def test_keypoints_are_on_their_parts(data):
    for i in range(30):
        scene = data.render("test", i)
        x, y = scene.points.long().unbind(-1)
        seen = scene.visible
        assert seen.sum() >= 5
        assert scene.masks[torch.arange(len(x))[seen], y[seen], x[seen]].all()


def test_scenes_are_a_function_of_seed_split_and_index(data):
    same = create_data("shapes", n_train=32, n_val=16, n_test=32, size=48)
    assert torch.equal(same.render("val", 3).image, data.render("val", 3).image)
    other = create_data("shapes", n_train=32, n_val=16, n_test=32, size=48, seed=1)
    assert not torch.equal(other.render("val", 3).image, data.render("val", 3).image)
    assert not torch.equal(data.render("train", 3).image, data.render("test", 3).image)


def test_classes_share_parts_but_differ_in_three():
    words = [tuple(design(c).values()) for c in range(27)]
    assert min(sum(a != b for a, b in zip(*two, strict=True)) for two in combinations(words, 2)) == 3
    for p in range(6):
        assert len({w[p] for w in words[:8]}) < 8


def test_errors(data):
    with pytest.raises(ValueError, match="no part 'nose'; expected any of body"):
        data.render("test", 0, without=["nose"])
    with pytest.raises(ValueError, match="no scene 64 in split 'test'"):
        data.render("test", 64)
    with pytest.raises(ValueError, match="data.classes is 28"):
        create_data("shapes", classes=28)
    with pytest.raises(ValueError, match="data.n_val is 3"):
        create_data("shapes", n_val=3)
    assert len(create_data("shapes", limit=16).splits["train"]) == 16
