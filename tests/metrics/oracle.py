"""The published part protocols as a plain loop over images, prototypes and parts, written from the definition alone."""

import cv2
import numpy as np


def region(activation, side, dtype=np.float64):
    """Inclusive (left, right, top, bottom) around the first highest pixel of the enlarged map."""
    big = cv2.resize(activation.astype(dtype), (side, side), interpolation=cv2.INTER_CUBIC)
    row, column = divmod(int(big.argmax()), side)
    half = 36 * side / 224
    return max(0, column - half), min(side, column + half), max(0, row - half), min(side, row + half)


def meets(point, box):
    """Whether a keypoint, cut to whole pixels, lies in the box."""
    x, y = int(point[0]), int(point[1])
    return box[0] <= x <= box[1] and box[2] <= y <= box[3]


def parts_met(activation, points, visible, side, dtype=np.float64):
    """Zero or one for each part, of one prototype on one image."""
    box = region(activation, side, dtype)
    return [int(bool(v) and meets(p, box)) for p, v in zip(points.tolist(), visible.tolist(), strict=True)]


def consistency(maps, points, visible, labels, owner, side, tau=0.8, dtype=np.float64):
    """Per cent of prototypes with a part that is met in a share of at least tau of its visible occurrences."""
    verdicts = []
    for unit, cls in enumerate(owner):
        times_hit, times_visible = [0] * visible.shape[1], [0] * visible.shape[1]
        for image, label in enumerate(labels):
            if label != cls:
                continue
            part_hits = parts_met(maps[image][unit], points[image], visible[image], side, dtype)
            times_hit = [m + f for m, f in zip(times_hit, part_hits, strict=True)]
            times_visible = [s + int(v) for s, v in zip(times_visible, visible[image], strict=True)]
        verdicts.append(any(s > 0 and m / s >= tau for m, s in zip(times_hit, times_visible, strict=True)))
    return 100 * sum(verdicts) / len(verdicts)


def stability(maps, noisy, points, visible, labels, owner, side, first_release=False):
    """Per cent of images of its class with the same parts; mean over the prototypes that have any."""
    shares = []
    for unit, cls in enumerate(owner):
        same = []
        for image, label in enumerate(labels):
            if label != cls:
                continue
            one = parts_met(maps[image][unit], points[image], visible[image], side)
            two = parts_met(noisy[image][unit], points[image], visible[image], side)
            same.append(sum(one) == sum(two) if first_release else one == two)
        if same:
            shares.append(sum(same) / len(same))
    return 100 * sum(shares) / len(shares)
