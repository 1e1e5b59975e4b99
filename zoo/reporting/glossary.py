"""What units are called: nouns by kind. How to read them is ``Units.describe``, which the model states."""

from __future__ import annotations

from typing import NamedTuple


class Noun(NamedTuple):
    """What units of one kind are called.

    Attributes:
        one: the singular.
        many: the plural.
    """

    one: str
    many: str


GLOSSARY: dict[str, Noun] = {
    "prototype": Noun("prototype", "prototypes"),
    "concept": Noun("concept", "concepts"),
    "code": Noun("code", "codes"),
    "eigenvector": Noun("eigenvector", "eigenvectors"),
    "neuron": Noun("neuron", "neurons"),
    "variable": Noun("variable", "variables"),
    "term": Noun("term", "terms"),
    "passage": Noun("passage", "passages"),
    "latent": Noun("latent feature", "latent features"),
    "none": Noun("unit", "units"),
}

SIGNS = str.maketrans({"\n": "⏎", " ": "␣", "\t": "⇥"})


def noun(kind: str) -> Noun:
    """Return what units of a kind are called.

    Example:
        >>> noun("eigenvector").many
        'eigenvectors'
    """
    return GLOSSARY[kind]


def visible(text: str) -> str:
    """Return a token's text with spaces, tabs and line ends as visible signs.

    Example:
        >>> visible(" cat")
        '␣cat'
    """
    return text.translate(SIGNS)
