from itertools import combinations

import pytest
import torch

from zoo.data import create_data
from zoo.data.images.shapes import design


@pytest.fixture(scope="module")
def data():
    return create_data("shapes", n_train=64, n_val=16, n_test=64, size=48)


def test_loader_and_render_agree(data):
    batch = next(iter(data.loader("test", batch_size=64)))
    scene = data.render("test", 11)
    assert torch.equal((data.to_image(batch.x[11:12])[0] * 255).round().byte(), scene.image)
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
        visible = scene.visible
        assert visible.sum() >= 5
        assert scene.masks[torch.arange(len(x))[visible], y[visible], x[visible]].all()


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
    with pytest.raises(ValueError, match="no part 'nose'; expected body"):
        data.render("test", 0, without=["nose"])
    with pytest.raises(ValueError, match="no scene 64 in split 'test'"):
        data.render("test", 64)
    with pytest.raises(ValueError, match="data.classes is 28"):
        create_data("shapes", classes=28)
    with pytest.raises(ValueError, match="data.n_val is 3"):
        create_data("shapes", n_val=3)
    assert len(create_data("shapes", limit=16).splits["train"]) == 16


def test_the_random_background_is_as_it_was():
    """Fingerprints of the scenes before there was a choice of background."""
    args = {"n_train": 40, "n_val": 30, "n_test": 30}
    assert create_data("shapes", **args).fingerprint() == "81d8689050d1"
    assert create_data("shapes", seed=3, classes=27, size=32, **args).fingerprint() == "4a01fb7070b5"
    assert create_data("shapes", background="random", **args).fingerprint() == "81d8689050d1"


@pytest.mark.parametrize("classes", [4, 27])
def test_a_spurious_background(classes):
    """The class read off the background alone, by the colour of the most pixels."""
    n = 270
    data = create_data("shapes", background="spurious", classes=classes, n_train=n, n_val=n, n_test=n, size=24)
    middle = 180 + 50 * torch.cos(2 * torch.pi * (torch.arange(classes)[:, None] / classes + torch.arange(3) / 3))
    share = {}
    for name in ("train", "val", "test"):
        x = (data.to_image(next(iter(data.loader(name, batch_size=n))).x) * 255).round()
        ground = x.flatten(2).mode(2).values
        read = torch.cdist(ground, middle).argmin(1)
        truth = torch.tensor([data.hinted_class(name, i) for i in range(len(x))])
        assert (read == truth).float().mean() > 0.99
        share[name] = (truth == data.splits[name].y).float().mean().item()
    for name in ("train", "val"):
        assert abs(share[name] - 0.95) < 3 * (0.95 * 0.05 / n) ** 0.5
    assert abs(share["test"] - 1 / classes) < 3 * (1 / classes * (1 - 1 / classes) / n) ** 0.5


def test_the_background_tells_nothing_in_test():
    args = {"classes": 4, "n_train": 8, "n_val": 8, "n_test": 4000, "size": 8, "background": "spurious"}
    data = create_data("shapes", **args)
    y = torch.arange(4000) % 4
    table = torch.zeros(4, 4).index_put(
        (y, torch.tensor([data.hinted_class("test", i) for i in range(4000)])), torch.ones(4000), accumulate=True
    )
    assert ((table - 250).square() / 250).sum() < 36.1  # chi-square with 15 - 3 = 12 degrees at most: p > .0003
    off = torch.tensor([data.hinted_class("train", i) for i in range(4000)])
    wrong = torch.bincount((off - y)[off != y] % 4)
    assert wrong[0] == 0
    assert (wrong[1:] - wrong.sum() / 3).abs().max() < 4 * (wrong.sum() / 3) ** 0.5  # any other class alike


def test_a_spurious_scene_is_drawn_again():
    args = {"n_train": 16, "n_val": 8, "n_test": 16, "size": 48}
    data, plain = (create_data("shapes", background=b, **args) for b in ("spurious", "random"))
    batch = next(iter(data.loader("test", batch_size=16)))
    scene = data.render("test", 11)
    assert torch.equal((data.to_image(batch.x[11:12])[0] * 255).round().byte(), scene.image)
    less = data.render("test", 11, without=["tail"])
    changed = (less.image != scene.image).any(0)
    assert changed.any()
    assert not (changed & ~scene.masks[4]).any()
    assert torch.equal(scene.points, plain.render("test", 11).points)
    assert torch.equal(scene.masks, plain.render("test", 11).masks)
    with pytest.raises(ValueError, match="data.background is 'spurios'"):
        create_data("shapes", background="spurios")
