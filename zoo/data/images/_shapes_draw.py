"""Geometry and drawing of the birds of ``shapes``.

A bird faces right around (0, 0) in coordinates whose unit is the side of the image, y down. Each part has three
variants, each a list of (color, outline). Parts are drawn in the order of ``ORDER``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

Outline = tuple[tuple[int, int, int], np.ndarray]
FINE = 4  # supersampling factor for antialiasing


def _oval(x: float, y: float, rx: float, ry: float) -> np.ndarray:
    turn = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    return np.stack([x + rx * np.cos(turn), y + ry * np.sin(turn)], 1)


def _flat(*numbers: float) -> np.ndarray:
    return np.array(numbers, float).reshape(-1, 2)


BLACK = (25, 25, 30)
WHITE = (240, 240, 235)
ORANGE = (235, 130, 40)
YELLOW = (240, 205, 70)
RED = (205, 60, 50)
GRAY = (120, 120, 130)
RUST = (170, 85, 50)
SLATE = (70, 95, 150)
OLIVE = (105, 135, 65)
CREAM = (235, 220, 185)
BODY = _oval(0, 0, 0.22, 0.15)
HEAD = _oval(0.2, -0.17, 0.095, 0.09)
WING = _oval(-0.05, -0.03, 0.135, 0.08)
EYE: list[Outline] = [(WHITE, _oval(0.225, -0.185, 0.03, 0.03)), (BLACK, _oval(0.23, -0.185, 0.016, 0.016))]
STRIPES = [(CREAM, _flat(x, -0.09, x + 0.03, -0.09, x, 0.025, x - 0.03, 0.025)) for x in (-0.11, -0.04, 0.03)]
SPOTS = [(YELLOW, _oval(x, y, 0.02, 0.02)) for x, y in ((-0.12, -0.03), (-0.05, -0.07), (-0.04, 0.01), (0.02, -0.04))]
STEMS = (-0.03, 0.05)


def _legs(color: tuple[int, int, int], foot: float, toes: np.ndarray) -> list[Outline]:
    stems = [_flat(x - 0.013, 0.1, x + 0.013, 0.1, x + 0.013, foot, x - 0.013, foot) for x in STEMS]
    return [(color, stem) for stem in stems] + [(color, toes + (x, foot)) for x in STEMS]


VARIANTS: dict[str, dict[str, list[Outline]]] = {
    "body": {"rust": [(RUST, BODY)], "slate": [(SLATE, BODY)], "olive": [(OLIVE, BODY)]},
    "head": {
        "plain": [(CREAM, HEAD), *EYE],
        "crested": [(RED, _flat(0.13, -0.22, 0.1, -0.35, 0.19, -0.29, 0.22, -0.36, 0.25, -0.22)), (GRAY, HEAD), *EYE],
        "banded": [(GRAY, HEAD), (BLACK, _flat(0.112, -0.215, 0.288, -0.215, 0.288, -0.155, 0.112, -0.155)), *EYE],
    },
    "beak": {
        "short": [(ORANGE, _flat(0.275, -0.205, 0.355, -0.16, 0.275, -0.125))],
        "long": [(GRAY, _flat(0.275, -0.185, 0.46, -0.155, 0.275, -0.135))],
        "hooked": [(YELLOW, _flat(0.27, -0.21, 0.35, -0.2, 0.385, -0.15, 0.365, -0.08, 0.335, -0.14, 0.275, -0.13))],
    },
    "wing": {
        "plain": [(BLACK, WING)],
        "striped": [((95, 60, 110), WING), *STRIPES],
        "spotted": [((40, 105, 110), WING), *SPOTS],
    },
    "tail": {
        "fan": [(RED, _flat(-0.18, -0.03, -0.4, -0.17, -0.44, -0.03, -0.4, 0.1, -0.18, 0.05))],
        "forked": [(SLATE, _flat(-0.18, -0.04, -0.44, -0.14, -0.34, -0.015, -0.44, 0.09, -0.18, 0.04))],
        "pointed": [(BLACK, _flat(-0.18, -0.04, -0.46, -0.02, -0.18, 0.04))],
    },
    "leg": {
        "short": _legs(ORANGE, 0.22, _flat(-0.01, -0.02, 0.04, 0.005, -0.01, 0.01)),
        "long": _legs(BLACK, 0.32, _flat(-0.01, -0.02, 0.04, 0.005, -0.01, 0.01)),
        "webbed": _legs(YELLOW, 0.23, _flat(0, -0.05, 0.065, 0.03, -0.04, 0.03)),
    },
}
ORDER = ("leg", "tail", "body", "wing", "head", "beak")
# Keypoint of each part: on the part in all its variants, and not covered by another part.
ANCHOR = np.array([(0, 0.095), (0.165, -0.155), (0.315, -0.16), (-0.05, -0.03), (-0.29, -0.025), (-0.03, 0.185)])
NAMES = tuple(VARIANTS)
KINDS = {"disc": _oval(0, 0, 1, 1), "box": _flat(-1, -1, 1, -1, 1, 1, -1, 1), "wedge": _flat(-1, 1, 0, -1, 1, 1)}


@dataclass(frozen=True)
class Pose:
    """The random parameters of one scene.

    Attributes:
        turn: ``(2, 2)`` rotation, scale and flip of the bird.
        center: ``(2,)`` position of the bird, 0 to 1.
        tint: ``(3,)`` factor of each color channel.
        ground: ``(3,)`` color of the background.
        others: background objects: (color, outline in 0 to 1).
    """

    turn: np.ndarray
    center: np.ndarray
    tint: np.ndarray
    ground: np.ndarray
    others: list[Outline]


def pose(rng: np.random.Generator) -> Pose:
    """Return a random pose."""
    angle = rng.uniform(-0.35, 0.35)
    scale = rng.uniform(0.7, 0.95)
    mirror = rng.choice([-1.0, 1.0])
    others: list[Outline] = []
    for kind in rng.choice(list(KINDS), rng.integers(3, 7)):
        outline = KINDS[kind] @ _rotation(rng.uniform(0, 2 * np.pi)).T * rng.uniform(0.03, 0.1) + rng.uniform(0, 1, 2)
        others.append((tuple(rng.integers(60, 220, 3).tolist()), outline))
    return Pose(
        turn=_rotation(angle) @ np.diag([mirror * scale, scale]),
        center=rng.uniform(0.44, 0.56, 2),
        tint=rng.uniform(0.85, 1.1, 3),
        ground=rng.integers(130, 230, 3),
        others=others,
    )


def hue(number: int, total: int, rng: np.random.Generator) -> np.ndarray:
    """Return the background color ``(3,)`` of class ``number`` of ``total``; the colors are maximally distinct.

    Hues are spread evenly over the circle of radius 50 around a gray of 180, with noise of at most 3 per channel: even
    with 27 colors the nearest hue is that of the class.
    """
    wheel = 2 * np.pi * (number / total + np.arange(3) / 3)
    return (180 + 50 * np.cos(wheel)).round().astype(int) + rng.integers(-3, 4, 3)


def _rotation(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s], [s, c]])


def draw(scene: Pose, variants: dict[str, str], size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the picture, keypoints and part map of a scene.

    Args:
        scene: pose of the scene.
        variants: the variant of each part to draw.
        size: side of the image, in pixels.

    Returns:
        Image ``(s, s, 3)`` uint8; keypoints ``(p, 2)`` in pixels; and the uppermost part at each supersampled pixel,
        ``(FINE s, FINE s)`` uint8: 0 for none, otherwise 1 + its index in ``NAMES``.
    """
    fine = size * FINE
    picture = Image.new("RGB", (fine, fine), tuple(scene.ground.tolist()))
    upper = Image.new("L", (fine, fine), 0)
    brush = ImageDraw.Draw(picture)
    marker = ImageDraw.Draw(upper)
    for color, outline in scene.others:
        brush.polygon((outline * fine).ravel().tolist(), fill=color)
    for part in (name for name in ORDER if name in variants):
        for color, outline in VARIANTS[part][variants[part]]:
            where = ((outline @ scene.turn.T + scene.center) * fine).ravel().tolist()
            brush.polygon(where, fill=tuple(np.minimum(color * scene.tint, 255).astype(int).tolist()))
            marker.polygon(where, fill=1 + NAMES.index(part))
    points = (ANCHOR @ scene.turn.T + scene.center) * size
    return np.asarray(picture.reduce(FINE)), points, np.asarray(upper)
