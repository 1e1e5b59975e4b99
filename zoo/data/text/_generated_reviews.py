"""Generated restaurant reviews: one clause for each aspect that is mentioned, so that its place is known."""

from __future__ import annotations

import random
from collections.abc import Sequence

CLAUSES: dict[str, dict[str, Sequence[str]]] = {
    "food": {
        "Positive": (
            "the soup was delicious",
            "every dish tasted fresh",
            "I loved the pasta",
            "the fish was cooked well",
        ),
        "Negative": ("the soup was cold", "every dish tasted stale", "I sent the pasta back", "the fish was burnt"),
    },
    "service": {
        "Positive": (
            "the waiter was friendly",
            "we were served at once",
            "the staff were helpful",
            "they smiled at us",
        ),
        "Negative": ("the waiter was rude", "we waited for an hour", "the staff were careless", "they ignored us"),
    },
    "noise": {
        "Positive": ("the room was quiet", "we could talk in peace", "the music was soft", "it was calm inside"),
        "Negative": ("the room was loud", "we had to shout", "the music was deafening", "it was noisy inside"),
    },
}
OPENINGS = (
    "We came on a Monday",
    "My friends booked a table",
    "It was my birthday",
    "We were hungry",
    "I had read about it",
)
WORTH = {"Positive": 1, "Negative": -1, "unknown": 0}
NAMES = ("bad", "mixed", "good")
COUNTS = {"train": 900, "val": 200, "test": 400}
LABEL_NOISE = 0.05  # share of the reviews whose class is drawn at random


def generated_reviews(seed: int = 0) -> dict[str, list[str]]:
    """Return columns of reviews: text, label, the three aspects, and the split; the same for every run.

    The class is the sign of the sum of the aspects, one of which is worth 1, -1 or, where it is not mentioned, 0.

    Example:
        >>> reviews = generated_reviews()
        >>> len(reviews["text"]), sorted(set(reviews["label"]))
        (1500, ['bad', 'good', 'mixed'])
    """
    draw = random.Random(seed)
    columns: dict[str, list[str]] = {name: [] for name in ("text", "label", *CLAUSES, "_part")}
    for split, count in COUNTS.items():
        for _ in range(count):
            values = {aspect: draw.choice(("Positive", "Negative", "unknown")) for aspect in CLAUSES}
            clauses = [draw.choice(CLAUSES[aspect][value]) for aspect, value in values.items() if value != "unknown"]
            draw.shuffle(clauses)
            total = sum(WORTH[value] for value in values.values())
            label = NAMES[(total > 0) - (total < 0) + 1]
            if draw.random() < LABEL_NOISE:
                label = draw.choice(NAMES)
            text = ", ".join([draw.choice(OPENINGS), *clauses])
            row = {"text": f"{text}.", "label": label, **values, "_part": split}
            for name, cell in row.items():
                columns[name].append(cell)
    return columns
