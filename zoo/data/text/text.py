"""Text of the user: files as characters or byte pairs, tokenized once and memory-mapped."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from zoo import paths
from zoo.capabilities import LanguageModel, capability
from zoo.data.file_readers import not_utf8, open_text
from zoo.data.mapped_tensors import long_row
from zoo.data.split import Split
from zoo.data.token_windows import TokenWindowData
from zoo.inputs.packed_files import DAMAGED
from zoo.inputs.texts.byte_pairs import BytePairs
from zoo.inputs.texts.tokenizers import Characters, Tokenizer, token_dtype
from zoo.registry import register

Kind = Literal["characters", "bytes"]
CHUNK = 1 << 24  # characters read at a time
SUFFIXES = (".txt", ".txt.gz")
TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".pq")


@register
class Text(TokenWindowData):
    """Windows of UTF-8 text; the last parts of the text are the validation and test splits.

    The vocabulary is learned from the text once and saved in the config of the run: a checkpoint reads every other text
    with the tokens of its training. The tokens are kept in the user's cache folder and memory-mapped.

    Args:
        file: a file (``.txt``, ``.txt.gz``) or a folder of such files, read in the order of their names; relative to
            the working directory or to ``ZOO_DATA``.
        tokenizer: ``characters``, or ``bytes`` for byte pairs learned from the text (needs ``tokenizers``).
        size: maximum number of byte pair tokens, 256 of which are single bytes.
        vocabulary: characters that are tokens; None for all characters that occur.
        merges: merges of byte pairs; None to learn them.
        context: maximum number of tokens of a context.
        test: share of the text, at its end, that is the test split; the share ``val`` before it is for validation.
        batch_size: samples per batch on each rank.
        common: other arguments of ``zoo.data.base.Data``.

    Raises:
        ValueError: if an argument is out of range; or, once read, if the text is missing, empty, too short, not UTF-8,
            or has a character outside the vocabulary.
    """

    license = "the user's own"
    random_shift = True

    def __init__(
        self,
        *,
        file: str,
        tokenizer: Kind = "characters",
        size: int = 1024,
        vocabulary: str | None = None,
        merges: list[str] | None = None,
        context: int = 128,
        test: float = 0.05,
        batch_size: int = 64,
        **common: Any,
    ) -> None:
        super().__init__(context=context, batch_size=batch_size, **common)
        if tokenizer not in get_args(Kind):
            raise ValueError(f"data.tokenizer is {tokenizer!r}; expected one of {', '.join(get_args(Kind))}")
        if not 0 < test < 1 or self.val + test >= 1:
            raise ValueError(f"data.test is {test} and data.val {self.val}; expected shares with a sum below 1")
        if size < 256:
            raise ValueError(f"data.size is {size}; expected 256 or more: every byte is a token")
        unused = ("merges", merges) if tokenizer == "characters" else ("vocabulary", vocabulary)
        if unused[1]:
            raise ValueError(f"data.{unused[0]} has no use with data.tokenizer={tokenizer}; remove it")
        self.file = file
        self.tokenizer = tokenizer
        self.size = size
        self.test = test
        self._vocabulary = vocabulary
        self._merges = merges

    @property
    def is_available(self) -> bool:
        """Whether the text files exist; the vocabulary is known without them once it has been learned."""
        try:
            return bool(self.files)
        except ValueError:
            return False

    @cached_property
    def files(self) -> list[Path]:
        """Paths of the text files.

        Raises:
            ValueError: if there are none.
        """
        requested = Path(self.file).expanduser()
        path = requested if requested.exists() or requested.is_absolute() else paths.data() / requested
        if path.is_dir():
            files = sorted(p for p in path.rglob("*") if p.is_file() and p.name.endswith(SUFFIXES))
            if not files:
                raise ValueError(f"{path} has no text files; expected files that end in {' or '.join(SUFFIXES)}")
            return files
        if not path.is_file():
            raise ValueError(
                f"no text {self.file!r}, neither in the working directory nor under {paths.data()}; set data.file"
            )
        if path.name.lower().removesuffix(".gz").endswith(TABLES):
            raise ValueError(
                f"{path} is a table; data.name=text reads running text (.txt) and its classes are the next tokens, not"
                " labels: for texts with labels use data.name=sentences data.text=COLUMN data.label=COLUMN; otherwise"
                " write the texts alone to a .txt file"
            )
        return [path]

    def _texts(self) -> Iterator[tuple[Path, str]]:
        """Yield pieces of text with the file of each, and a line end between files."""
        for i, path in enumerate(self.files):
            empty = True
            with open_text(path) as file:
                try:
                    while text := file.read(CHUNK):
                        empty = False
                        yield path, text
                except UnicodeDecodeError as error:
                    raise not_utf8(path, error) from error
                except DAMAGED as error:
                    raise ValueError(f"{path} is damaged: {error}") from error
            if empty:
                raise ValueError(f"{path} is empty; expected text")
            if i < len(self.files) - 1:
                yield path, "\n"

    def input_tokenizer(self) -> Tokenizer:
        """Return the tokenizer."""
        return self.tokens

    def use_tokenizer(self, tokenizer: Tokenizer) -> None:
        """Read with the tokenizer of a trained model; the vocabulary is not learned again.

        Raises:
            ValueError: if it is neither of characters nor of byte pairs.
        """
        if isinstance(tokenizer, Characters):
            self.tokenizer = "characters"
            self._vocabulary, self._merges = tokenizer.letters, None
        elif isinstance(tokenizer, BytePairs):
            self.tokenizer = "bytes"
            self._vocabulary, self._merges = None, list(tokenizer.merges)
        else:
            raise ValueError(f"the model reads {tokenizer.name}, not text of characters or bytes; name other data")
        vars(self)["tokens"] = tokenizer

    @cached_property
    def tokens(self) -> Tokenizer:
        """The tokenizer, learned from the text if its vocabulary is not given."""
        if self.tokenizer == "characters":
            self._vocabulary = self._vocabulary or Characters.learn(text for _, text in self._texts())
            return Characters(self._vocabulary)
        if self._merges is None:
            self._merges = BytePairs.learn((text for _, text in self._texts()), self.size)
        return BytePairs(self._merges)

    @property
    def class_names(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Text of each token."""
        return self.tokens.names

    def resolved_args(self) -> dict[str, Any]:
        """Return the vocabulary or merges as learned."""
        _ = self.tokens
        return {"vocabulary": self._vocabulary} if self.tokenizer == "characters" else {"merges": self._merges}

    @cached_property
    def _tokens(self) -> np.ndarray:  # pyright: ignore[reportIncompatibleMethodOverride]
        key = hashlib.sha256(repr((self.tokenizer, self.tokens.names)).encode())
        for path in self.files:
            stat = path.stat()
            key.update(repr((str(path.resolve()), stat.st_size, stat.st_mtime_ns)).encode())
        dtype = np.dtype(token_dtype(len(self.tokens.names)))
        file = paths.cache() / "tokens" / f"{key.hexdigest()[:24]}.{dtype.name}"
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as part:
                try:
                    for path, text in self._texts():
                        part.write(self.tokens.encode(text, str(path)).astype(dtype).tobytes())
                except BaseException:
                    os.unlink(part.name)
                    raise
            os.replace(part.name, file)
        return np.memmap(file, dtype=dtype, mode="r")

    def _read(self) -> dict[str, Split]:
        n = len(self._tokens)
        ends = [0, int(n * (1 - self.val - self.test)), int(n * (1 - self.test)), n]
        start = [_starts(a, b - self.context, self.context) for a, b in zip(ends, ends[1:], strict=False)]
        for name, first in zip(("train", "val", "test"), start, strict=True):
            if not len(first) and not (name == "val" and self.val == 0):
                raise ValueError(
                    f"{self.file} has {n} tokens: its {name} share is not longer than a context of {self.context};"
                    " provide more text, or a smaller data.context"
                )
        return {
            "train": self._windows("train", start[0]),
            "val": self._windows("val", start[1]),
            "test": self._positions("test", start[2]),
        }

    def extra_metrics(self, model: Any) -> dict[str, float]:
        """Return loss and accuracy of a language model over all positions of the test text."""
        if capability(model, LanguageModel) is None:
            return {}
        return self.next_token_metrics(model, self.window_parts("test"))

    def read_input(self, text: str) -> Tensor:
        """Return a prompt as a context ``(context,)``.

        Raises:
            ValueError: if the prompt is empty, too long, or has a character outside the vocabulary.
        """
        return self.padded(self.tokens.encode(text, "the prompt").tolist() if text else [], text)


def _starts(first: int, end: int, step: int) -> np.ndarray:
    """First tokens ``(n,)`` of windows."""
    n = len(range(first, end, step))
    return torch.arange(first, first + n * step, step, out=long_row(n)).numpy()
