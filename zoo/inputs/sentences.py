"""Labeled sentences as inputs: words of a vocabulary, or the word pieces of an encoder that is named by its hash."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from zoo.inputs.base import Flag, Inputs, Reading
from zoo.inputs.labels import compare_names, label_key
from zoo.inputs.tables.cells import Cells, as_text
from zoo.inputs.texts.sentence_files import joined_texts, read_sentences, text_columns
from zoo.inputs.texts.text_encoders import EncoderSpec
from zoo.inputs.texts.word_spans import SEPARATOR, word_spans
from zoo.sequence_spec import NOTHING, Frame

MAX_KEPT = 1 << 17  # texts that are shown as they were written; earlier ones are shown by their tokens
NO_SPAN = (0, 0)  # of a token that is not in the text
Token = tuple[int, tuple[int, int]]  # code, and characters


class SentenceInputs(Inputs):
    """Texts as rows of codes ``(n, length)`` int64, padded with -1 behind their end.

    Either words of a vocabulary fitted on the training split (``sequence``), or the pieces of the tokenizer of an
    encoder, which is found by its id and hash on this machine (``encoder``). Long texts are cut and flagged.

    Args:
        class_names: names of the classes.
        length: tokens of a text at most.
        sequence: vocabulary of words; None with an encoder.
        encoder: the text encoder; None with a vocabulary.
        text: columns of the text in files; empty for a usual name.
        label: column of the label.

    Raises:
        ValueError: if there is neither a vocabulary nor an encoder, or both.

    Example:
        >>> frame = Frame(("[UNK]", "a", "good", "film"), 4, unknown="[UNK]", lower=True)
        >>> inputs = SentenceInputs(class_names=("bad", "good"), length=4, sequence=frame)
        >>> x = inputs.read("A good  play").x
        >>> x.tolist(), inputs.show(x)
        ([[1, 2, 0, -1]], [['A ', 'good  ', 'play']])
    """

    kind = "sentences"

    def __init__(
        self,
        *,
        class_names: Sequence[str],
        length: int,
        sequence: Frame | None = None,
        encoder: EncoderSpec | None = None,
        text: Sequence[str] = (),
        label: str | None = None,
    ) -> None:
        if (sequence is None) == (encoder is None):
            raise ValueError("sentences need a vocabulary of words or a text encoder, and not both")
        self.class_names = tuple(class_names)
        self.length = int(length)
        self.sequence = sequence
        self.encoder = encoder
        self.text = tuple(text)
        self.label = label
        self._kept: OrderedDict[bytes, str] = OrderedDict()

    @classmethod
    def fit(cls, train: Any, **arguments: Any) -> SentenceInputs:
        """Return the inputs of a source that has read its training split; the arguments are those of the class."""
        return cls(**arguments)

    @property
    def shape(self) -> tuple[int, ...]:
        """``(length,)``."""
        return (self.length,)

    @cached_property
    def _pieces(self) -> Any:
        """The tokenizer of the encoder."""
        assert self.encoder is not None
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise ValueError(
                "a text encoder of others needs the package tokenizers: pip install 'zoo-interpretable[text]'"
            ) from error
        tokenizer = Tokenizer.from_file(str(self.encoder.folder() / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return tokenizer

    def frame_of_pieces(self) -> tuple[list[int], int]:
        """Return the codes that the tokenizer of the encoder puts around a text, and the number of its codes."""
        return [code for code, _ in self.tokens([""])[0]], int(self._pieces.get_vocab_size())

    def marks_of_pieces(self) -> tuple[Tensor, Tensor]:
        """Return which codes ``(v,)`` of the encoder's tokenizer are around a text, and which continue a word.

        A piece continues the word before it if it begins with ``##``; in a vocabulary that marks the beginning of words
        (``Ġ`` or ``▁``), if it has no such mark.
        """
        around, count = self.frame_of_pieces()
        names = [self._name(code) for code in range(count)]
        special = torch.zeros(count, dtype=torch.bool)
        special[around] = True
        if any(name.startswith("##") for name in names):
            joined = [name.startswith("##") for name in names]
        else:
            begins = any(name.startswith(("Ġ", "▁")) for name in names)
            joined = [begins and not name.startswith(("Ġ", "▁")) for name in names]
        return special, torch.tensor(joined) & ~special

    def tokens(self, texts: Sequence[str]) -> list[list[Token]]:
        """Return the code and the span of characters of each token of each text, before anything is cut.

        Args:
            texts: in Unicode form NFC.
        """
        if self.encoder is not None:
            encoded = self._pieces.encode_batch(list(texts))
            return [list(zip(one.ids, one.offsets, strict=True)) for one in encoded]
        assert self.sequence is not None
        frame = self.sequence
        unknown = frame.codes[frame.unknown or ""]
        before = [(frame.codes[token], NO_SPAN) for token in frame.before]
        after = [(frame.codes[token], NO_SPAN) for token in frame.after]
        rows = []
        for text in texts:
            spans = word_spans(text)
            codes = [frame.codes.get(frame.spelt(text[start:end]), unknown) for start, end in spans]
            rows.append([*before, *zip(codes, spans, strict=True), *after])
        return rows

    def encode(self, texts: Sequence[str]) -> tuple[Tensor, list[int]]:
        """Return the codes ``(n, length)`` of texts, and the number of tokens of each before it was cut.

        The tokens that end every text stay at its end where it is cut.
        """
        x = torch.full((len(texts), self.length), NOTHING, dtype=torch.int64)
        counts = []
        for row, text, tokens in zip(x, texts, self.tokens(texts), strict=True):
            counts.append(len(tokens))
            codes = [code for code, _ in self._cut(tokens)]
            row[: len(codes)] = torch.tensor(codes, dtype=torch.int64)
            key = row.numpy().tobytes()
            self._kept[key] = text
            self._kept.move_to_end(key)
            if len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return x, counts

    def _cut(self, tokens: list[Token]) -> list[Token]:
        if len(tokens) <= self.length:
            return tokens
        ending = 0
        while ending < len(tokens) and tokens[-1 - ending][1][0] == tokens[-1 - ending][1][1]:
            ending += 1
        return [*tokens[: self.length - ending], *tokens[len(tokens) - ending :]]

    def scan(
        self, raw: Any, *, labels: bool | None = None, strict: bool = False, skip: bool = False
    ) -> Iterator[Reading]:
        """Read texts piece by piece.

        Args:
            raw: see ``zoo.inputs.texts.sentence_files.read_sentences``.
            labels: True to require labels, False to ignore them, None to read them where there are some.
            strict: whether a text that is cut or has no known word is an error.
            skip: whether texts that cannot be read are skipped and listed instead of being an error.

        Raises:
            ValueError: if a file cannot be read, or a text is empty.
        """
        start = 0
        for cells in read_sentences(raw, skip=skip):
            yield self._reading(cells, start, labels, strict, skip)
            start += len(cells)

    def _reading(self, cells: Cells, start: int, labels: bool | None, strict: bool, skip: bool) -> Reading:
        columns = text_columns(cells, [] if list(cells.columns) == ["text"] else self.text, self.label)
        texts = joined_texts(cells, columns)
        skipped = list(cells.skipped)
        for i, text in enumerate(texts):
            if not text.strip():
                flag = Flag(cells.name_of(i), columns[0], "the text is empty; give at least one word")
                if not skip:
                    raise ValueError(f"{cells.source}, {flag}")
                skipped.append(flag)
        kept = [i for i, text in enumerate(texts) if text.strip()]
        x, counts = self.encode([texts[i] for i in kept])
        flags = []
        for i, row, count in zip(kept, x, counts, strict=True):
            message = ""
            if count > self.length:
                message = f"the text has {count} tokens and was cut to {self.length}"
            elif self.sequence is not None and bool(
                (row[row >= 0] == self.sequence.codes[self.sequence.unknown or ""]).all()
            ):
                message = "no word of the text was in the training texts"
            if message:
                flags.append(Flag(cells.name_of(i), columns[0], message))
        if flags and strict:
            raise ValueError(f"{cells.source}, {flags[0]}")
        return Reading(
            x,
            tuple(cells.name_of(i) for i in kept),
            self._labels(cells, kept, labels),
            tuple(flags),
            tuple(skipped),
            (),
            torch.tensor(kept, dtype=torch.int64) + start,
        )

    def _labels(self, cells: Cells, kept: Sequence[int], labels: bool | None) -> Tensor | None:
        if labels is False or self.label is None or self.label not in cells.columns:
            if labels:
                raise ValueError(f"{cells.source} has no column of labels; name it in data.label")
            return None
        place = {label_key(name): i for i, name in enumerate(self.class_names)}
        given = as_text(cells.columns[self.label])
        y = []
        for i in kept:
            if not given[i]:
                raise ValueError(f"{cells.at(i, self.label)}: the label is missing")
            y.append(place.get(label_key(str(given[i])), -1))
        if -1 in y:
            compare_names(self.class_names, sorted({str(given[i]) for i in kept}), "classes", partial=True)
        return torch.tensor(y, dtype=torch.int64)

    def check(self, other: Any) -> None:
        """Refuse other names of classes.

        Raises:
            ValueError: listing classes that are missing, additional or renamed.
        """
        compare_names(self.class_names, list(other), "classes", partial=True)

    def show(self, x: Tensor, texts: Sequence[str] | None = None) -> list[list[str]]:
        """Return for each of the inputs the texts of its tokens; joined they are the text as it was written.

        A text that was not read by these inputs is shown by the names of its tokens. Tokens that are not in the text,
        such as ``[CLS]``, are shown by their name.

        Args:
            x: ``(b, length)``.
            texts: b texts as they were written, if that is known.
        """
        rows = x.detach().cpu().to(torch.int64).contiguous()
        known = self.known_texts(x) if texts is None else texts
        return [self._shown(row, text) for row, text in zip(rows, known, strict=True)]

    def known_texts(self, x: Tensor) -> list[str | None]:
        """Return inputs ``(b, length)`` as they were written, cut ones whole; None for one that was not read here."""
        rows = x.detach().cpu().to(torch.int64).contiguous()
        return [self._kept.get(row.numpy().tobytes()) for row in rows]

    def texts(self, x: Tensor) -> list[str]:
        """Return inputs ``(b, length)`` as they were written, cut ones whole; unknown ones by their tokens."""
        rows = x.detach().cpu().to(torch.int64).contiguous()
        known = self.known_texts(x)
        return [
            "".join(self._shown(row, None)).strip() if text is None else text
            for row, text in zip(rows, known, strict=True)
        ]

    def _shown(self, row: Tensor, text: str | None) -> list[str]:
        codes = row[row != NOTHING].tolist()
        if text is None:
            return [f"{self._name(code)} " for code in codes]
        tokens = self.tokens([text])[0]
        end = len(text)
        if len(tokens) > self.length:
            tokens = self._cut(tokens)
            end = max(stop for _, (_, stop) in tokens)
        out = []
        first = next((i for i, (_, (start, stop)) in enumerate(tokens) if stop > start), len(tokens))
        for i in reversed(range(len(tokens))):  # a piece ends where the next one begins
            code, (start, stop) = tokens[i]
            if stop > start:
                start = 0 if i == first else start
                out.append(text[start:end])
                end = start
            else:
                out.append(f"{self._name(code)} " if i < first else f" {self._name(code)}")
        return out[::-1]

    def _name(self, code: int) -> str:
        if self.sequence is not None:
            return self.sequence.tokens[code]
        return str(self._pieces.id_to_token(code))

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return the characters of each token of a text ``(start, end)``; equal ends for a token not in the text."""
        return [span for _, span in self._cut(self.tokens([text])[0])]

    def words(self, text: str) -> list[tuple[int, int]]:
        """Return the characters of each word and punctuation mark of a text; none for the separator of a pair."""
        return [span for span in word_spans(text) if text[slice(*span)] != SEPARATOR]

    def special_codes(self) -> Tensor:
        """Return which codes ``(v,)`` stand around texts or between those of a pair, bool; they are in no text."""
        if self.encoder is not None:
            around, count = self.frame_of_pieces()
            return torch.zeros(count, dtype=torch.bool).index_fill(0, torch.tensor(around), True)
        assert self.sequence is not None
        around = {*self.sequence.before, *self.sequence.after, SEPARATOR}
        return torch.tensor([token in around for token in self.sequence.tokens])

    def describe(self) -> list[str]:
        """Return the preprocessing in words."""
        if self.encoder is not None:
            line = f"texts are at most {self.length} word pieces of the text encoder {self.encoder.id}"
            return [f"{line} (sha256 {self.encoder.sha256[:12]})"]
        assert self.sequence is not None
        case = ", in lower case" if self.sequence.lower else ""
        return [f"texts are at most {self.length} words of a vocabulary of {len(self.sequence.tokens)}{case}"]

    def to_config(self) -> dict[str, Any]:
        """Return plain values for YAML."""
        return {
            "class_names": list(self.class_names),
            "length": self.length,
            "sequence": None if self.sequence is None else self.sequence.to_config(),
            "encoder": None if self.encoder is None else self.encoder.to_config(),
            "text": list(self.text),
            "label": self.label,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> SentenceInputs:
        """Return the inputs from plain values.

        Raises:
            ValueError: if a key or a value is not understood.
        """
        config = dict(config)
        sequence, encoder = config.pop("sequence"), config.pop("encoder")
        return cls(
            sequence=None if sequence is None else Frame.from_config(sequence),
            encoder=None if encoder is None else EncoderSpec.from_config(encoder),
            **config,
        )
