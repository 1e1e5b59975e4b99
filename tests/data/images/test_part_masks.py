"""Masks of parts from files: both layouts, what is refused, and the scores that read them."""

import numpy as np
import pytest
import torch
from PIL import Image

from zoo.data import create_data
from zoo.explanation import Explanation, Units
from zoo.metrics import Suite
from zoo.metrics.parts._localization import around, regions

CLASSES = ("cat", "dog")


def values(i):
    """Part 1 in the left i + 1 columns, part 2 in the lower half of the others; 20 wide and 10 high."""
    mask = np.zeros((10, 20), np.uint8)
    mask[5:] = 2
    mask[:, : i + 1] = 1
    return mask


@pytest.fixture
def id_folder(user_folder):
    root, points = user_folder
    masks = root.parent / "masks"
    for name in CLASSES:
        (masks / name).mkdir(parents=True)
        for i in range(10):
            Image.fromarray(values(i)).save(masks / name / f"{i}.png")
    return root, points, masks


@pytest.fixture
def part_folders(user_folder):
    root, points = user_folder
    masks = root.parent / "parts"
    for part, number in (("head", 1), ("wing", 2)):
        for name in CLASSES:
            (masks / part / name).mkdir(parents=True)
            for i in range(10):
                Image.fromarray(values(i) == number).save(masks / part / name / f"{i}.png")
    return root, points, masks


def made(root, masks, **args):
    return create_data("folder", root=str(root), masks=str(masks), size=20, **args)


def served(data):
    """Masks by the name of the image, of all splits."""
    return {
        data.name_of(split, i): mask
        for split in ("train", "val", "test")
        for batch in data.loader(split)
        for i, mask in zip(batch.index.tolist(), batch.masks, strict=True)
    }


def test_part_ids(id_folder):
    root, _, masks = id_folder
    data = made(root, masks, mask_parts=["wing", "head"])  # the order of ids is not that of the names
    assert data.part_names == ("head", "wing")
    assert data.has_masks
    found = served(data)
    assert len(found) == 20
    for name, mask in found.items():
        wanted = torch.from_numpy(values(int(name[4]))).repeat_interleave(2, 0)
        assert torch.equal(mask, torch.stack([wanted == 2, wanted == 1])), name
    assert next(iter(data.loader("train", augment=True))).masks is None
    assert next(iter(data.loader("test"))).points is None


def test_one_folder_for_each_part(part_folders, id_folder):
    root, _, masks = part_folders
    data, same = made(root, masks), made(root, id_folder[2], mask_parts=["head", "wing"])
    found, wanted = served(data), served(same)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    (masks / "wing" / "cat" / "3.png").unlink()  # the part is not in the image
    mask = served(made(root, masks))["cat/3.png"]
    assert not mask[1].any()
    assert torch.equal(mask[0], wanted["cat/3.png"][0])


def test_keypoints_and_masks_are_of_the_parts_together(id_folder):
    root, points, masks = id_folder
    data = made(root, masks, mask_parts=["eye", "wing"], keypoints=str(points))
    assert data.part_names == ("eye", "tail", "wing")
    batch = next(iter(data.loader("train")))
    assert batch.masks.shape == (14, 3, 20, 20)
    assert not batch.masks[:, 1].any()  # the tail has keypoints alone
    assert batch.visible[:, 0].all()
    assert not batch.visible[:, 2].any()
    assert torch.equal(regions(batch), batch.masks)


def test_the_fingerprint_depends_on_the_masks(id_folder):
    root, _, masks = id_folder
    names = ["head", "wing"]
    before = made(root, masks, mask_parts=names).fingerprint()
    assert before == made(root, masks, mask_parts=names).fingerprint()
    assert before != made(root, masks, mask_parts=names[::-1]).fingerprint()
    Image.fromarray(values(9)).save(masks / "cat" / "0.png")
    assert before != made(root, masks, mask_parts=names).fingerprint()


def remove(masks):
    (masks / "dog" / "4.png").unlink()


def large(masks):
    Image.fromarray(values(3)[:, :10]).save(masks / "dog" / "4.png")


def colored(masks):
    Image.new("RGB", (20, 10)).save(masks / "dog" / "4.png")


def third(masks):
    Image.fromarray(values(3) + np.uint8(1)).save(masks / "dog" / "4.png")


def extra(masks):
    Image.fromarray(values(3)).save(masks / "dog" / "77.png")


def other(masks):
    (masks / "dog" / "notes.txt").write_text("")


def damaged(masks):
    (masks / "dog" / "4.png").write_bytes(b"PNG")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (remove, r"dog/4.png has no mask; expected .*masks/dog/4.png, which is 0 where there is no part"),
        (large, r"masks/dog/4.png is \(10, 10\) pixels; expected \(20, 10\), as .*mine/dog/4.png is, upright"),
        (colored, r"masks/dog/4.png has the bands R, G, B; expected one number a pixel"),
        (third, r"masks/dog/4.png holds part 3; expected 0 to 2, the parts that data.mask_parts names"),
        (extra, r"masks/dog/77.png is the mask of no image; expected an image of that name in .*mine"),
        (other, r"notes.txt is no PNG file; expected masks alone in .*masks"),
        (damaged, r"masks/dog/4.png cannot be read as an image"),
    ],
)
def test_what_is_refused(id_folder, change, words):
    root, _, masks = id_folder
    change(masks)
    with pytest.raises(ValueError, match=words):
        served(made(root, masks, mask_parts=["head", "wing"]))


@pytest.mark.parametrize(
    ("folder", "parts", "words"),
    [
        ("nowhere", None, "nowhere is no folder; set data.masks"),
        ("mine", None, "is inside data.root, whose folders are classes; expected a folder beside it"),
        ("empty", None, "empty has no folders; expected one for each part, or names of part ids in data.mask_parts"),
        ("empty", ["head"], "empty has no masks; expected files such as .*empty/cat/0.png"),
        ("masks", ["head", "head"], "expected a different name for each part"),
    ],
)
def test_folders_that_are_refused(id_folder, folder, parts, words):
    root, _, masks = id_folder
    (masks.parent / "empty").mkdir()
    with pytest.raises(ValueError, match=words):
        made(root, masks.parent / folder, mask_parts=parts).setup()
    with pytest.raises(ValueError, match="data.mask_parts is given without data.masks"):
        create_data("folder", root=str(root), mask_parts=["head"])


class Left(torch.nn.Module):
    """One unit whose evidence lies in the left half of every image."""

    units = Units("prototype", ["left"])

    def explain(self, x, target=None, shown=1):
        b, ones = len(x), torch.ones(len(x), 1)
        where = torch.zeros(b, 1, 2, 2)
        where[..., 0] = 1
        logits = torch.cat([ones, 0 * ones], 1)
        return Explanation(
            self.units, logits, target, ones, ones, torch.zeros(b), torch.zeros(b, 1, dtype=torch.int64), where
        )


def test_scores_of_maps_read_the_masks(id_folder):
    """Evidence in the left half: the share inside the masks is their area there, and not that of the keypoints."""
    root, points, masks = id_folder
    data = made(root, masks, mask_parts=["eye", "wing"], keypoints=str(points))
    without = create_data("folder", root=str(root), keypoints=str(points), size=20)
    results = {}
    for name, source in (("masks", data), ("keypoints", without)):
        suite = Suite(
            ["map_localization", "dissection", "consistency"], Left.units, source.part_names, masks=source.has_masks
        )
        for batch in source.loader("train"):
            suite.update(Left(), batch)
        results[name] = suite.compute()
    (batch,) = data.loader("train")
    share = Left().explain(batch.x, batch.y).where
    weight = torch.nn.functional.interpolate(share, (20, 20), mode="bicubic")[:, 0].clamp_min(0)
    for name, truth in (("masks", batch.masks), ("keypoints", around(batch.points, batch.visible, (20, 20)))):
        inside = (weight * truth.any(1)).flatten(1).sum(1) / weight.flatten(1).sum(1)
        area = truth.any(1).double().mean()
        assert results[name]["map_localization"].more["area"] == pytest.approx(float(area)), name
        assert results[name]["map_localization"].value == pytest.approx(float(inside.mean()), abs=0.05), name
    protocols = {name: [result.protocol for result in row.values()] for name, row in results.items()}
    assert protocols["masks"][:2] == [f"{protocol}/masks" for protocol in protocols["keypoints"][:2]]
    assert protocols["masks"][2] == protocols["keypoints"][2]


def test_scores_of_keypoints_say_that_there_are_masks_alone(id_folder):
    root, _, masks = id_folder
    data = made(root, masks, mask_parts=["eye", "wing"])
    suite = Suite(["map_localization", "consistency"], Left.units, data.part_names, masks=True)
    for batch in data.loader("test"):
        suite.update(Left(), batch)
    results = suite.compute()
    assert results["map_localization"].value is not None
    assert results["consistency"].note == "n/a: the data have masks of parts, but no keypoints"
