"""Samples on which an exported file is run before it is kept: raw inputs, and the same as the model's reader reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from zoo.inputs.image import ImageInputs
from zoo.inputs.images.class_folders import list_pictures
from zoo.inputs.images.picture import read_picture
from zoo.inputs.sentences import SentenceInputs
from zoo.inputs.table import TableInputs
from zoo.inputs.text import TextInputs
from zoo.inputs.tokens import TokenInputs
from zoo.model import SelfExplaining
from zoo.serving.column_graph import columns_of
from zoo.serving.graph import Raw

BATCH = 64
GENERATED = 128  # samples where there are no data


@dataclass(frozen=True)
class Samples:
    """b samples.

    Attributes:
        raw: as the graph takes them.
        x: ``(b, ...)`` as the inputs of the model read them.
    """

    raw: Raw
    x: Tensor


def from_inputs(model: SelfExplaining, batches: Iterable[Tensor], limit: int) -> Iterator[Samples]:
    """Yield samples of a data source, at most ``limit``.

    Of pictures the source holds inputs of the model's size: every second batch is enlarged, one side more than the
    other, so that the resizing in the graph is tried too.

    Args:
        model: with inputs.
        batches: inputs ``(b, ...)``.
        limit: largest number of samples.
    """
    left = limit
    number = 0
    for batch in batches:
        for x in batch.split(BATCH):
            x = x[:left]
            left -= len(x)
            if len(x):
                yield _raw(model, x, enlarge=number % 2 == 1)
            number += 1
        if not left:
            return


def _raw(model: SelfExplaining, x: Tensor, *, enlarge: bool) -> Samples:
    inputs = model.inputs
    if isinstance(inputs, ImageInputs):
        pixels = (inputs.show(x) * 255).round().byte()
        if enlarge:
            size = [3 * inputs.size // 2 + 1, 2 * inputs.size]
            pixels = torch.nn.functional.interpolate(pixels, size=size, mode="nearest")
        pixels = pixels.permute(0, 2, 3, 1).contiguous()
        return Samples(pixels, inputs.read(list(pixels.numpy())).x)
    if isinstance(inputs, TableInputs):
        return Samples(columns_of(inputs, inputs.encoding.decode(x)), x)
    return Samples(x, x)


def from_files(model: SelfExplaining, path: Path) -> Iterator[Samples]:
    """Yield samples of files that the model reads; pictures one by one, decoded at their whole size.

    Raises:
        ValueError: if something cannot be read.
    """
    inputs = model.inputs
    assert inputs is not None
    if isinstance(inputs, ImageInputs):
        background = inputs.background[0], inputs.background[1], inputs.background[2]
        for file in list_pictures(path)[0] if path.is_dir() else [path]:
            pixels = read_picture(file, background=background, value_range=inputs.value_range)
            pixels = np.repeat(pixels[..., None], 3, 2) if pixels.ndim == 2 else pixels
            yield Samples(torch.from_numpy(np.array(pixels))[None], inputs.read(file).x)
        return
    for reading in inputs.scan(str(path), labels=False):
        for x in reading.x.split(BATCH):
            yield _raw(model, x, enlarge=False)


def generated(model: SelfExplaining, count: int = GENERATED, seed: int = 0) -> Iterator[Samples]:
    """Yield random samples: noise as pictures, cells drawn from what is known of each column, tokens.

    Raises:
        ValueError: for inputs of a kind that does not come with zoo.
    """
    inputs = model.inputs
    random = np.random.default_rng(seed)
    if isinstance(inputs, ImageInputs):
        for height, width in ((inputs.size, inputs.size), (inputs.size + 7, 2 * inputs.size)):
            pixels = random.integers(0, 256, (count // 2, height, width, 3), dtype=np.uint8)
            yield Samples(torch.from_numpy(pixels), inputs.read(list(pixels)).x)
    elif isinstance(inputs, TableInputs):
        drawn = [
            random.integers(0, len(column.levels), count)
            if column.has_levels
            else random.choice(column.quantiles or (column.mean,), count)
            for column in inputs.schema.columns
        ]
        values = np.stack(drawn, 1).astype(np.float64)
        yield Samples(columns_of(inputs, values), inputs.encoding.encode(values))
    elif isinstance(inputs, TokenInputs | TextInputs | SentenceInputs):
        x = _tokens(inputs, count, random)
        yield Samples(x, x)
    else:
        raise ValueError(
            f"inputs of {type(inputs).__name__} have no graph; expected images, a table, or tokens of the model's own"
        )


def _tokens(inputs: TokenInputs | TextInputs | SentenceInputs, count: int, random: np.random.Generator) -> Tensor:
    """Return random sequences ``(count, ...)`` of different lengths, between the tokens that stand around every one."""
    words, start, end, length = _vocabulary(inputs)
    whole = not isinstance(inputs, TokenInputs) or inputs.whole
    rows = torch.full((count, length), -1)
    asked = torch.zeros(count, 1, dtype=torch.int64)
    for i in range(count):
        room = int(random.integers(1, length - len(start) - len(end) + 1))
        row = [*start, *random.choice(words, room).tolist(), *end]
        rows[i, : len(row)] = torch.tensor(row)
        asked[i] = len(start) + int(random.integers(room))
    return rows if whole else torch.cat([asked, rows], 1)


def _vocabulary(inputs: TokenInputs | TextInputs | SentenceInputs) -> tuple[np.ndarray, list[int], list[int], int]:
    """Return codes to draw from, those at the start and at the end of every sequence, and the length."""
    before: Sequence[str]
    after: Sequence[str] = ()
    if isinstance(inputs, SentenceInputs) and inputs.encoder is not None:
        around, pieces = inputs.frame_of_pieces()
        words = np.setdiff1d(np.arange(pieces), around)
        return words, around[:1], around[1:], inputs.length
    if isinstance(inputs, TextInputs):
        names, length, before = inputs.tokenizer.names, inputs.length, inputs.before
    else:
        frame = inputs.sequence
        assert frame is not None
        names, length, before, after = frame.tokens, frame.length, frame.before, frame.after
    start, end = ([names.index(name) for name in part] for part in (before, after))
    return np.setdiff1d(np.arange(len(names)), start + end), start, end, length
