"""One input that a user names: an index of the test split, a file, a row of a table, or a text."""

from __future__ import annotations

from torch import Tensor

from zoo.batch import Batch
from zoo.data.base import Data


def read_input(text: str, data: Data) -> tuple[Tensor, Batch | None, str]:
    """Read one input.

    Args:
        text: a number is an index of the test split; the data source reads anything else.
        data: where the input is from, or whose kind it has.

    Returns:
        The input ``(1, ...)``, the test sample with its annotations if it is one, and a name.

    Raises:
        ValueError: if there is no such sample, or the data source cannot read the text.
    """
    if text.isdecimal():
        count = len(data.splits["test"])
        if int(text) >= count:
            raise ValueError(f"the test split has samples 0 to {count - 1}; there is no {text}")
        batch = data.samples("test", [int(text)])
        return batch.x, batch, data.name_of("test", int(text))
    x = data.read_input(text)
    return x if x.ndim > len(data.input_shape) else x[None], None, text


def file_name(name: str) -> str:
    """Return the name of an input as part of a file name: no slashes or line ends, at most 80 characters.

    Example:
        >>> file_name("scans/12.png")
        'scans-12.png'
    """
    return "_".join(name.replace("/", "-").splitlines())[:80]
