"""Class names and labels: one rule for what a label is, and the comparison of names with those of a model."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher

from zoo.inputs.tables.notation import PLAIN

TRUE = frozenset({"true", "yes", "t", "y", "1"})
FALSE = frozenset({"false", "no", "f", "n", "0"})
RULE = (
    "a label that is a whole number is its value ('01', '1' and '1.0' are one class), a truth word is read in any case"
    " ('TRUE' and 'True' are one class), every other label is its exact text"
)
_WHOLE = re.compile(r"[+-]?\d+(\.0*)?", re.ASCII)


def label_key(label: str) -> str:
    """Return what two spellings of one label have in common.

    A whole number is its value, ``true`` and ``false`` are read in any case, and every other label is its text without
    the space around it, in Unicode form NFC.

    >>> label_key("01"), label_key("1.0"), label_key("TRUE"), label_key("Ill")
    ('1', '1', 'true', 'Ill')
    """
    text = unicodedata.normalize("NFC", label.strip())
    if _WHOLE.fullmatch(text):
        return str(int(text.partition(".")[0]))
    return text.lower() if text.lower() in ("true", "false") else text


def order_labels(labels: Iterable[str]) -> list[str]:
    """Return labels sorted: numbers by size, then words by the alphabet."""
    return sorted(labels, key=lambda label: (PLAIN.parse(label) != PLAIN.parse(label), _value(label), label))


def _value(label: str) -> float:
    value = PLAIN.parse(label)
    return value if value == value else 0.0


def class_names_of(labels: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """Return the class names of different labels, and remarks about spellings that were read as one.

    Args:
        labels: different labels, the most frequent spelling first.

    >>> class_names_of(["10", "9", "09"])
    (('9', '10'), ["labels '9', '09' are one class"])
    """
    spelling: dict[str, list[str]] = {}
    for label in labels:
        spelling.setdefault(label_key(label), []).append(label)
    numbers = all(_WHOLE.fullmatch(key) for key in spelling)
    names = [key if numbers else spellings[0].strip() for key, spellings in spelling.items()]
    notes = [
        f"labels {', '.join(map(repr, spellings))} are one class" for spellings in spelling.values() if spellings[1:]
    ]
    return tuple(order_labels(names)), notes


def compare_names(
    model: Sequence[str], given: Sequence[str], what: str, *, partial: bool = False, exact: bool = False
) -> list[str]:
    """Compare names of other data with those of a model, in any order, and return remarks.

    Args:
        model: names that the model knows.
        given: names in the other data.
        what: what is compared, in the plural, such as ``classes``.
        partial: whether the other data may lack some.
        exact: whether names are compared as they are and not as labels are.

    Raises:
        ValueError: listing names that are missing, additional and probably renamed.
    """
    key = (lambda name: unicodedata.normalize("NFC", name)) if exact else label_key
    known, others = {key(name): name for name in model}, {key(name): name for name in given}
    missing = [known[k] for k in known if k not in others]
    extra = [others[k] for k in others if k not in known]
    if not extra and (not missing or partial):
        return [f"{what} without a sample: {_listed(missing)}"] if missing else []
    parts = []
    if missing:
        parts.append(f"missing {_listed(missing)}")
    if extra:
        parts.append(f"additional {_listed(extra)}")
    pairs = _renamed(missing, extra)
    if pairs:
        parts.append("perhaps renamed: " + ", ".join(f"{old!r} to {new!r}" for old, new in pairs))
    raise ValueError(f"the {what} are not the model's ({'; '.join(parts)}); the model's are {_listed(list(model))}")


def order_by_name(model: Sequence[str], given: Sequence[str], what: str) -> list[int]:
    """Return for each name of a model its place among the names of other data: concepts, parts or columns.

    Raises:
        ValueError: listing names that are missing, additional and probably renamed.

    >>> order_by_name(["fever", "cough"], ["cough", "fever"], "concepts")
    [1, 0]
    """
    compare_names(model, given, what, exact=True)
    place = {unicodedata.normalize("NFC", name): i for i, name in enumerate(given)}
    return [place[unicodedata.normalize("NFC", name)] for name in model]


def _renamed(missing: list[str], extra: list[str]) -> list[tuple[str, str]]:
    """Pairs of names that are alike; the only missing name and the only additional one are a pair."""
    if len(missing) == len(extra) == 1:
        return [(missing[0], extra[0])]
    scored = sorted(
        ((SequenceMatcher(None, old.casefold(), new.casefold()).ratio(), old, new) for old in missing for new in extra),
        key=lambda pair: -pair[0],
    )
    pairs: list[tuple[str, str]] = []
    for ratio, old, new in scored:
        if ratio >= 0.6 and not any(old == a or new == b for a, b in pairs):
            pairs.append((old, new))
    return pairs


def _listed(names: Sequence[str], limit: int = 12) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(map(repr, names[:limit])) + more
