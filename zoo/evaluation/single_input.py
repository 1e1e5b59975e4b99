"""One input that a user names: an index of the test split, a file, a row of a table, or a text."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import torch
from torch import Tensor

from zoo.batch import Batch
from zoo.data.base import Data
from zoo.inputs.base import Inputs
from zoo.inputs.image import ImageInputs

MAX_CHARACTERS = 80  # of an input in a file name
MAX_BYTES = 120  # as UTF-8: a file name has at most 255, and the name of the checkpoint is before it


def read_input(text: str, data: Data, inputs: Inputs | None = None) -> tuple[Tensor, Batch | None, str]:
    """Read one input.

    Args:
        text: a number is an index of the test split; the data source reads anything else.
        data: where the input is from, or whose kind it has; nothing is read from it but a sample by its index.
        inputs: of the model; they read a file that holds one input.

    Returns:
        The input ``(1, ...)``, the test sample with its annotations if it is one, and a name.

    Raises:
        ValueError: if there is no such sample, or the data source cannot read the text.
    """
    if text.isdecimal():
        if not data.is_available:
            raise ValueError(
                f"input {text} is the index of a test sample, and the data are not there; name them, such as"
                " data.file=..., or give the input itself"
            )
        count = len(data.splits["test"])
        if int(text) >= count:
            raise ValueError(f"the test split has samples 0 to {count - 1}; there is no {text}")
        batch = data.samples("test", [int(text)])
        return batch.x, batch, data.name_of("test", int(text))
    if inputs is not None and not isinstance(inputs, ImageInputs) and _is_file(text):
        batch = inputs.read(Path(text), labels=False)
        if len(torch.unique(batch.index)) != 1:
            raise ValueError(f"{text} holds {len(batch)} inputs; give one, or `zoo predict` for all of them")
        return batch.x, None, text
    x = data.read_input(text)
    return x if x.ndim > len(data.input_shape) else x[None], None, text


def _is_file(text: str) -> bool:
    try:
        return len(text) < 1024 and Path(text).is_file()
    except (OSError, ValueError):
        return False


def file_name(name: str) -> str:
    """Return the name of an input as part of a file name that every file system and shell takes as it is.

    Letters, digits, dots, dashes and underscores stay; a slash or an equals sign becomes a dash, and anything else an
    underscore. Of a name that is longer than 80 characters or 120 bytes the beginning stays. Where something other than
    commas and blanks was left out, eight digits of a hash keep the names of two inputs apart.

    Example:
        >>> file_name("scans/12.png"), file_name("age=50, sex=male")
        ('scans-12.png', 'age-50_sex-male')
        >>> file_name("Really good?")
        'Really_good-897cc85e'
    """
    plain = re.sub(r"[/=]", "-", name.lstrip("./"))
    words = re.sub(r"[^\w.-]+", "_", plain).strip("_.")
    short = words[:MAX_CHARACTERS].encode()[:MAX_BYTES].decode(errors="ignore")
    if short and short == words and not re.search(r"[^\w., -]", plain):
        return short
    return "-".join([*([short] if short else []), hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:8]])
