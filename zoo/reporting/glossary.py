"""What the units are called, for a reader who has never met them."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.explanation import Kind


@dataclass(frozen=True)
class Word:
    """How a page speaks of one kind of unit.

    Attributes:
        one: the noun.
        many: its plural.
        what: how a model of this kind comes to its answer.
        here: over the picture of where the unit was found in the input.
        piece: over the piece of a training sample that the unit came from.
        origin: over the training sample itself.
        signed: whether evidence in the input speaks for and against; else it is only more or less.
        portrait: under a picture of the unit itself, where it is no training sample.
    """

    one: str
    many: str
    what: str
    here: str = "Found here"
    piece: str = "It stands for this"
    origin: str = "in this training example"
    signed: bool = False
    portrait: str = "what it stands for"


GLOSSARY: dict[Kind, Word] = {
    "prototype": Word(
        "prototype",
        "prototypes",
        "This model answers by comparing. While it learned, it collected telling pieces of training pictures; each "
        "such piece is called a prototype. In a new picture it looks for places that resemble those pieces. Every "
        "resemblance adds points to a class or takes points away.",
        here="This place",
        piece="looks like this piece",
        origin="of this training picture",
    ),
    "concept": Word(
        "concept",
        "concepts",
        "This model answers by way of concepts: properties with a name, which a person can check. It first judges "
        "how far each one is present. Every concept then adds points to a class or takes points away.",
    ),
    "code": Word(
        "code",
        "codes",
        "This model describes everything it sees with entries of one fixed list, called codes. Every code that it "
        "picks adds points to a class or takes points away.",
    ),
    "eigenvector": Word(
        "pattern",
        "patterns",
        "This model's arithmetic can be taken apart into patterns (in mathematics, eigenvectors). The better the "
        "input matches a pattern, the more points that pattern adds to a class or takes away. A pattern and its "
        "exact opposite match equally well.",
        here="The input under it",
        signed=True,
        portrait="The pattern",
    ),
    "neuron": Word(
        "neuron",
        "neurons",
        "This model is a network whose inner cells are called neurons. Every neuron that is active adds points to a "
        "class or takes points away.",
    ),
    "variable": Word(
        "variable",
        "variables",
        "This model is a small program. It fills in variables, each with one value out of a list. Every value adds "
        "points to a class or takes points away.",
    ),
    "none": Word(
        "unit",
        "units",
        "This model is a black box. It gives an answer and has no parts that could be named and shown, so this page"
        " can say what it answered and how often it is right, and not why.",
    ),
}

SIGNS = str.maketrans({"\n": "⏎", " ": "␣", "\t": "⇥"})


def visible(text: str) -> str:
    """A token's text with spaces, tabs and line ends as signs."""
    return text.translate(SIGNS)
