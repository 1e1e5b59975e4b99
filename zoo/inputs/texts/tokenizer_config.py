"""Tokenizers from the plain values that a checkpoint or a config holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.inputs.texts.byte_pairs import BytePairs
from zoo.inputs.texts.tokenizers import Characters, Tokenizer


def tokenizer_from(config: Mapping[str, Any]) -> Tokenizer:
    """Return the tokenizer of plain values ``{name: words, ...}``.

    Raises:
        ValueError: if the name is not known or an argument is not understood.
    """
    config = dict(config)
    kinds = Tokenizer.kinds | {BytePairs.name: BytePairs}
    name = config.pop("name", None)
    if name not in kinds:
        raise ValueError(f"a tokenizer is named {name!r}; expected one of {', '.join(sorted(kinds))}")
    if name == Characters.name:
        return Characters.from_points(config["points"])
    try:
        return kinds[name](**config)
    except TypeError as error:
        raise ValueError(f"the tokenizer {name!r} cannot be built: {error}") from error
