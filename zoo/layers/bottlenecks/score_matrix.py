"""Scores of concepts on samples, from a pair of image and text encoders or from a file."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.batch import Batch
from zoo.paths import did_you_mean
from zoo.runtime.gathering import in_order


@torch.no_grad()
def similarity_scores(
    loader: Iterable[Batch],
    names: Sequence[str],
    *,
    image_encoder: Callable[[Tensor], Tensor],
    text_encoder: Callable[[Sequence[str]], Tensor],
) -> Tensor:
    """Return the cosine ``(n, k)`` of n images and k concept names, in the order of the split.

    Any pair of encoders into one space will do; a function adapts theirs, such as ``lambda x:
    clip.encode_image(normalize(x))``. Nothing is loaded from the network.

    Args:
        loader: of a split, see ``Data.loader``.
        names: of the concepts.
        image_encoder: inputs of the data ``(b, ...)`` to vectors ``(b, d)``.
        text_encoder: k texts to vectors ``(k, d)``.

    Raises:
        ValueError: if the vectors have different widths.
    """
    texts = F.normalize(text_encoder(names).float(), dim=1)
    images = in_order((image_encoder(batch.x).float(), batch.index) for batch in loader)[0]
    if images.shape[1] != texts.shape[1]:
        raise ValueError(
            f"images have {images.shape[1]} numbers and texts {texts.shape[1]}; expected two encoders into one space"
        )
    return F.normalize(images, dim=1) @ texts.T


def read_scores(path: str | Path, names: Sequence[str], samples: int) -> Tensor:
    """Return scores ``(n, k)`` from a CSV file with a column for each concept and a row for each training sample.

    Args:
        path: the file; its first line names the columns, in any order; other columns are ignored.
        names: of the k concepts.
        samples: n, the number of rows expected, in the order of the training split.

    Raises:
        ValueError: if the file is missing, a column or row is missing, or a cell is no finite number; it is named.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            header, *rows = list(csv.reader(file)) or [[]]
    except OSError as error:
        raise ValueError(
            f"scores {path}: {error.strerror}; expected a CSV file with a column for each concept"
        ) from error
    for name in names:
        if name not in header:
            raise ValueError(f"scores {path} has no column {name!r}{did_you_mean(name, header)}")
    if len(rows) != samples:
        raise ValueError(f"scores {path} has {len(rows)} rows; expected one for each of the {samples} training samples")
    columns = [header.index(name) for name in names]
    scores = torch.empty(samples, len(names))
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            try:
                scores[i, j] = float(row[column])
            except (ValueError, IndexError) as error:
                cell = row[column] if column < len(row) else ""
                raise ValueError(
                    f"scores {path}, line {i + 2}, column {names[j]!r}: {cell!r} is not a number"
                ) from error
    if not bool(scores.isfinite().all()):
        i, j = (~scores.isfinite()).nonzero()[0].tolist()
        raise ValueError(f"scores {path}, line {i + 2}, column {names[j]!r}: expected a finite number")
    return scores
