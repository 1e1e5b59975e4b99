"""Programs for tests: two written by hand, and random ones with the networks that they were compiled from."""

import random

import torch

from zoo.programs.ir.nodes import Count, Input, Select, Table
from zoo.programs.ir.program import Program
from zoo.programs.learn.compilation import compile_network
from zoo.programs.learn.network import Network
from zoo.programs.learn.sizes import Sizes
from zoo.sequence_spec import Frame

LETTERS = "abcdefg"


def token(frame):
    return Input("token", len(frame.tokens), tuple(range(len(frame.tokens))), frame.tokens)


def hist(length=5):
    """Return a program that counts how often the token occurs: logits 2jn - j^2 of the count n are largest at j = n."""
    frame = Frame(("a", "b", "<s>"), length, ("<s>",))
    count = Count("count", "token", "token", None, (0, 1, 2))
    j = torch.arange(1, length, dtype=torch.float64)
    return Program(frame, (token(frame), count), ("count",), tuple(str(int(v)) for v in j), 2 * j[:, None], -j.square())


def flip(length=5):
    """Return a program that copies the token from the mirrored position of a sequence of full length."""
    frame = Frame(("a", "b"), length)
    nodes = (
        token(frame),
        Input("position", length),
        Select("other", "position", "position", "token", tuple(length - 1 - i for i in range(length))),
        Table("upper", ("other", "token"), 2, (0, 0, 0, 1)),
    )
    return Program(
        frame,
        nodes,
        ("other", "upper"),
        ("A", "B", "BB"),
        torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 5]], dtype=torch.float64),
        torch.zeros(3, dtype=torch.float64),
    )


def random_model(seed):
    """Return a network, its read-out, its program and 40 sequences of words, with any sizes that a config allows."""
    draw = random.Random(seed)
    torch.manual_seed(seed)
    tokens = draw.randint(1, 6)
    before = ("a",) if tokens > 1 and draw.random() < 0.4 else ()
    after = ("b",) if before and tokens > 2 and draw.random() < 0.5 else ()
    unknown = "a" if draw.random() < 0.2 else None
    length = draw.randint(2, 6) + len(before + after)
    variables, chained = draw.choice([0, 0, 1, 3]), draw.random() < 0.4
    shape = Sizes(
        tokens,
        length,
        draw.randint(2, 4),
        max(length, 0 if variables else tokens) + draw.randint(0, 2),
        variables,
        draw.randint(0, 2 if chained else 3),
        draw.randint(0, 3),
        draw.randint(0, 2),
        draw.randint(0, 2),
        draw.randint(0, 2),
        chained,
        draw.random() < 0.5,
        8,
        draw.random() < 0.5,
        draw.random() < 0.3,
    )
    network = Network(shape, identity=draw.choice([0.0, 4.0])).double()
    weight = torch.randn(shape.classes, shape.units).double()
    bias = torch.randn(shape.classes).double()
    frame = Frame(tuple(LETTERS[:tokens]), length, before, after, unknown)
    program = compile_network(network, 0, frame, tuple("WXYZ"[: shape.classes]), weight, bias)
    known = [*frame.tokens, "?"] if unknown else [t for t in frame.tokens if t not in before + after]
    words = [[draw.choice(known) for _ in range(draw.randint(1, frame.room))] for _ in range(40)]
    return network, weight, bias, program, words
