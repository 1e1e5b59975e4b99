import numpy as np
import torch
from scipy import ndimage
from sklearn.datasets import load_digits

from zoo.data import create_data
from zoo.data.images.digits import INK, landmarks


def test_landmarks_of_a_known_scan():
    scan = np.zeros((8, 8))
    scan[1:7, 2:6] = 10
    scan[2, 3:5] = 0  # upper hole: row 2, columns 3 and 4
    scan[4:6, 3:5] = 0  # lower hole: rows 4 and 5
    scan[1, 4] = scan[6, 3] = scan[3, 2] = scan[3, 5] = 16
    points, visible = (each[0] for each in landmarks(scan[None]))
    assert visible.all()
    assert points[[0, 1, 2, 3, 5, 6]].tolist() == [[4.5, 1.5], [3.5, 6.5], [2.5, 3.5], [5.5, 3.5], [4, 2.5], [4, 5]]
    ink = np.argwhere(scan >= INK)
    assert abs(points[4] - 0.5 - np.average(ink[:, ::-1], axis=0, weights=scan[scan >= INK])).max() < 1e-9


def test_no_hole():
    scan = np.zeros((8, 8))
    scan[:, 3] = 12
    points, visible = (each[0] for each in landmarks(scan[None]))
    assert visible.tolist() == [True] * 5 + [False] * 2
    assert points[5:].tolist() == [[0, 0], [0, 0]]


def landmarks_of_one(scan):
    """The definition, one scan and one hole at a time."""
    ink = np.where(scan >= INK, scan, 0)
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    sides = [(ink[r].argmax(), r) for r in rows[[0, -1]]] + [(c, ink[:, c].argmax()) for c in columns[[0, -1]]]
    center = ndimage.center_of_mass(ink)[::-1]
    areas, n = ndimage.label(np.pad(ink == 0, 1, constant_values=True))
    inside = [k for k in range(1, n + 1) if k != areas[0, 0]]
    largest = sorted(inside, key=lambda k: -(areas == k).sum())[:2]
    holes = [(x - 1, y - 1) for y, x in sorted(ndimage.center_of_mass(areas == k) for k in largest)]
    points = np.zeros((7, 2))
    points[: 5 + len(holes)] = np.array([*sides, center, *holes], float) + 0.5
    return points, np.arange(7) < 5 + len(holes)


def test_landmarks_of_all_scans_are_those_of_each():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 17, (200, 9, 7)) * (rng.random((200, 9, 7)) < 0.85)  # up to five holes, ties in every place
    noise[:, 4, 3] = 16
    for scans in (load_digits().images, noise.astype(float)):
        points, visible = landmarks(scans)
        each = [landmarks_of_one(scan) for scan in scans]
        assert np.array_equal(points, np.stack([p for p, _ in each]))
        assert np.array_equal(visible, np.stack([v for _, v in each]))
    assert visible[:, 6].mean() > 0.3


def test_digits_know_their_shape():
    data = create_data("digits", size=64)
    assert (data.num_classes, len(data.splits["test"])) == (10, 359)
    every = [data.splits[s] for s in ("train", "val", "test")]
    y, visible, facts = (torch.cat([getattr(s, f) for s in every]) for f in ("y", "visible", "concepts"))
    share = {d: visible[y == d][:, 5].float().mean().item() for d in range(10)}
    assert share[0] > 0.9
    assert share[1] < 0.05
    assert torch.equal(facts[:, data.concept_names.index("has_hole")], visible[:, 5].float())
    assert torch.equal(facts[:, data.concept_names.index("is_even")], (y % 2 == 0).float())
    known = facts[:, :9].unique(dim=0)
    assert len(known) == 10  # the numeral's concepts tell all digits apart


def test_landmarks_are_on_the_ink_of_the_enlarged_image():
    data = create_data("digits", size=64, limit=100, augment="none")
    batch = next(iter(data.loader("test", batch_size=100)))
    x, y = batch.points[:, :4].long().unbind(-1)
    bright = data.to_image(batch.x)[:, 0][torch.arange(100)[:, None], y, x]
    assert (bright > 0.2).all()
