"""A user's own text: a file or a folder of them, as characters or byte pairs, tokenised once and mapped from disk."""

from __future__ import annotations

import gzip
import hashlib
import os
import tempfile
import zlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from torch import Tensor

from zoo import paths
from zoo.data.split import Split
from zoo.data.token_windows import SequenceData
from zoo.data.tokenizers import BytePairs, Characters, Tokens
from zoo.registry import register

Kind = Literal["characters", "bytes"]
CHUNK = 1 << 24  # characters read at a time
SUFFIXES = (".txt", ".txt.gz")


@register
class Text(SequenceData):
    """Windows of UTF-8 text; the last shares of it are for validation and testing.

    What is learnt from the text once, the vocabulary, is kept in the run's config: a checkpoint reads every other text
    with the tokens that it was trained on. The tokens are kept in the user's cache folder and mapped from there.

    Args:
        file: a file (``.txt``, ``.txt.gz``) or a folder of such, taken in the order of their names; relative to the
            working directory or to ``ZOO_DATA``.
        tokenizer: ``characters``, or ``bytes`` for byte pairs learnt from the text (needs ``tokenizers``).
        size: tokens of byte pairs at most, 256 of them single bytes.
        vocabulary: characters that are tokens; None for all that occur.
        merges: of byte pairs; None to learn them.
        context: tokens of a context at most.
        test: share of the text, at its end, for testing; the share ``val`` before it is for validation.
        batch_size: of one rank.
        common: the other arguments of ``Data``.

    Raises:
        ValueError: if an argument is out of range; or, once read, if there is no text, it is empty, too short, not
            UTF-8, or has a character outside the vocabulary.
    """

    license = "the user's own"
    moves = True

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
            raise ValueError(
                f"data.test is {test} and data.val {self.val}; expected shares that leave something to train"
            )
        if size < 256:
            raise ValueError(f"data.size is {size}; expected 256 or more: every byte is a token")
        wrong = (
            "merges"
            if tokenizer == "characters" and merges
            else "vocabulary"
            if tokenizer == "bytes" and vocabulary
            else ""
        )
        if wrong:
            raise ValueError(f"data.{wrong} has no use with data.tokenizer={tokenizer}")
        self.file, self.tokenizer, self.size, self.test = file, tokenizer, size, test
        self._vocabulary, self._merges = vocabulary, merges

    @property
    def is_available(self) -> bool:
        """Whether the texts are here; the vocabulary is known without them once it was learnt."""
        try:
            return bool(self.files)
        except ValueError:
            return False

    @cached_property
    def files(self) -> list[Path]:
        """The files of text.

        Raises:
            ValueError: if there is none.
        """
        asked = Path(self.file).expanduser()
        path = asked if asked.exists() or asked.is_absolute() else paths.data() / asked
        if path.is_dir():
            found = sorted(p for p in path.rglob("*") if p.is_file() and p.name.endswith(SUFFIXES))
            if not found:
                raise ValueError(f"{path} holds no text; expected files that end in {' or '.join(SUFFIXES)}")
            return found
        if not path.is_file():
            raise ValueError(f"no text {self.file!r}, neither here nor under {paths.data()}; set data.file")
        return [path]

    def _texts(self) -> Iterator[tuple[Path, str]]:
        """Pieces of text with the file that each is from, a line end between files."""
        for i, path in enumerate(self.files):
            some, open_ = False, gzip.open if path.name.endswith(".gz") else open
            with open_(path, "rt", encoding="utf-8-sig", newline=None) as file:
                try:
                    while text := file.read(CHUNK):
                        some = True
                        yield path, text
                except UnicodeDecodeError as error:
                    raise ValueError(f"{path} is no UTF-8 text ({error.reason}); convert it") from error
                except (OSError, EOFError, zlib.error) as error:
                    raise ValueError(f"{path} is damaged: {error}") from error
            if not some:
                raise ValueError(f"{path} is empty; expected text")
            if i < len(self.files) - 1:
                yield path, "\n"

    @cached_property
    def tokens(self) -> Tokens:
        """How text becomes tokens."""
        if self.tokenizer == "characters":
            self._vocabulary = self._vocabulary or Characters.learn(text for _, text in self._texts())
            return Characters(self._vocabulary)
        if self._merges is None:
            self._merges = BytePairs.learn((text for _, text in self._texts()), self.size)
        return BytePairs(self._merges)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The text of each token."""
        return self.tokens.names

    def resolved_args(self) -> dict[str, Any]:
        """The vocabulary, as learnt."""
        _ = self.tokens
        return {"vocabulary": self._vocabulary} if self.tokenizer == "characters" else {"merges": self._merges}

    @cached_property
    def _tokens(self) -> np.ndarray:
        key = hashlib.sha256(repr((self.tokenizer, self.tokens.names)).encode())
        for path in self.files:
            about = path.stat()
            key.update(repr((str(path.resolve()), about.st_size, about.st_mtime_ns)).encode())
        kind = np.dtype(np.uint16 if len(self.tokens.names) <= 1 << 16 else np.uint32)
        file = paths.cache() / "tokens" / f"{key.hexdigest()[:24]}.{kind.name}"
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as part:
                try:
                    for path, text in self._texts():
                        part.write(self.tokens.encode(text, str(path)).tobytes())
                except BaseException:
                    os.unlink(part.name)
                    raise
            os.replace(part.name, file)
        return np.memmap(file, dtype=kind, mode="r")

    def _read(self) -> dict[str, Split]:
        n = len(self._tokens)
        ends = [0, int(n * (1 - self.val - self.test)), int(n * (1 - self.test)), n]
        start = [np.arange(a, b - self.context, self.context) for a, b in zip(ends, ends[1:], strict=False)]
        for name, some in zip(("train", "val", "test"), start, strict=True):
            if not len(some) and not (name == "val" and self.val == 0):
                raise ValueError(
                    f"{self.file} has {n} tokens: its {name} share is no more than a context of {self.context}; give"
                    " more text, or a smaller data.context"
                )
        return {
            "train": self._windows("train", start[0]),
            "val": self._windows("val", start[1]),
            "test": self._positions("test", start[2]),
        }

    def extra_metrics(self, model: Any) -> dict[str, float]:
        """Loss and accuracy at every position of the test text."""
        if not hasattr(model, "position_logits"):
            return {}
        loss, right = self.nats(model, self.windows("test"))
        return {"nats per token": float(loss.mean()), "token accuracy": float(right.double().mean())}

    def read_input(self, text: str) -> Tensor:
        """A prompt of the user's own.

        Raises:
            ValueError: if it is empty, too long, or has a character outside the vocabulary.
        """
        return self.padded(self.tokens.encode(text, "the prompt").tolist() if text else [], text)
