"""Changes of texts as they were written that should not change what they say."""

from __future__ import annotations

import unicodedata
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from zoo.batch import Batch
from zoo.metrics.base import count
from zoo.metrics.perturbations._synonyms import synonym_groups
from zoo.metrics.perturbations._text_edits import Edit, edited, is_punctuation, letters_in_case, moved_offset
from zoo.metrics.perturbations.noise import Change, random_bits

STREAM = 7 << 32  # draw numbers of texts, apart from those of other perturbations
NUMBERS = 64  # random numbers for each text
SHORTEST = 4  # letters of a word that gets a typo, whose first and last letter stay
CLAUSES = (
    "I am writing this on a Tuesday.",
    "This is my own opinion.",
    "A friend asked me about it.",
    "It took a few minutes to write this.",
    "I wrote this on the train.",
)


class TextReader(Protocol):
    """What scores of texts need of the inputs of a model of sentences (``zoo.inputs.sentences.SentenceInputs``)."""

    def known_texts(self, x: Tensor) -> list[str | None]:
        """Return inputs ``(b, t)`` as they were written, None for a text that these inputs have not read."""
        ...

    def encode(self, texts: Sequence[str]) -> tuple[Tensor, list[int]]:
        """Return the codes ``(n, t)`` of texts, and the number of tokens of each before it was cut."""
        ...

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return the characters of each token of a text; equal ends for a token that is not in the text."""
        ...

    def special_codes(self) -> Tensor:
        """Return which codes ``(v,)`` stand around texts and are in none, bool."""
        ...

    def words(self, text: str) -> list[tuple[int, int]]:
        """Return the characters of each word and punctuation mark of a text."""
        ...


def text_reader(model: Any) -> TextReader | None:
    """Return the inputs of a model of sentences; None for any other model."""
    inputs = getattr(model, "inputs", None)
    return inputs if inputs is not None and inputs.kind == "sentences" else None


class Word(NamedTuple):
    """A word or a punctuation mark of a text: its characters, and where they begin."""

    text: str
    start: int

    @property
    def end(self) -> int:
        """Where the characters end."""
        return self.start + len(self.text)


@dataclass(frozen=True)
class TextChange(Change):
    """A change of texts as they were written, as a pure function of (text, sample id, draw).

    A subclass returns edits of the characters. A text that nothing would be left of, or that has nothing to change,
    stays as it is. The separator of a pair is never changed.
    """

    takes: ClassVar[str] = "texts"
    moves: ClassVar[bool] = True

    def unread_by(self, model: Any) -> str:
        """Return why it cannot change the inputs of a model; empty if it can."""
        return "" if text_reader(model) is not None else f"{self._name} changes texts, and the model reads none"

    @property
    def _name(self) -> str:
        return type(self).__name__.lower()

    @abstractmethod
    def edits(self, text: str, words: Sequence[Word], numbers: Sequence[int]) -> list[Edit]:
        """Return the edits of a text, in the order of its characters and without overlap.

        Args:
            text: as it was written.
            words: its words and punctuation marks, without the separator of a pair.
            numbers: ``NUMBERS`` random whole numbers from 0.
        """

    def _edits(self, texts: Sequence[str | None], ids: Tensor, draw: int, reader: TextReader) -> list[list[Edit]]:
        numbers = (random_bits(ids.cpu(), draw=draw + STREAM, count=NUMBERS) & (2**62 - 1)).tolist()
        out = []
        for i, (text, row) in enumerate(zip(texts, numbers, strict=True)):
            if text is None:
                raise ValueError(
                    f"the text of input {i} as it was written is not known, so {self._name} cannot change it; read it"
                    " with the inputs of the model: data.use_inputs(model.inputs)"
                )
            words = [Word(text[start:end], start) for start, end in reader.words(text)]
            edits = [edit for edit in self.edits(text, words, row) if not unicodedata.combining((text + " ")[edit.end])]
            out.append(edits if edited(text, edits).strip() else [])
        return out

    def texts(self, texts: Sequence[str | None], ids: Tensor, draw: int, reader: TextReader) -> list[str]:
        """Return the changed texts of samples ``ids`` ``(b,)``.

        Raises:
            ValueError: if a text is None, since it is not known as it was written.
        """
        edits = self._edits(texts, ids, draw, reader)
        return [_composed(text or "", some) for text, some in zip(texts, edits, strict=True)]

    def __call__(self, batch: Batch, draw: int, model: Any = None) -> Batch:
        """The same samples with their texts changed, as the inputs of ``model`` read them.

        Raises:
            ValueError: if the model reads no sentences, or a text as it was written is not known.
        """
        reader = text_reader(model)
        if reader is None:
            raise ValueError(f"{self._name} changes texts as they were written; expected the model of sentences")
        changed = self.texts(reader.known_texts(batch.x), batch.index, draw, reader)
        return replace(batch, x=reader.encode(changed)[0].to(batch.x.device))

    def token_places(self, points: Tensor, batch: Batch, draw: int, model: Any) -> Tensor:
        """Return where tokens ``(b, n)`` of a batch are in its changed texts; at the nearest token if they are gone."""
        reader = text_reader(model)
        assert reader is not None
        known = reader.known_texts(batch.x)
        all_edits = self._edits(known, batch.index, draw, reader)
        out = points.clone()
        for row, text, edits in zip(out, known, all_edits, strict=True):
            assert text is not None
            old = reader.spans(text)
            new = reader.spans(_composed(text, edits))
            row.copy_(torch.tensor([_place(int(i), old, new, edits) for i in row.tolist()]))
        return out


def _composed(text: str, edits: Sequence[Edit]) -> str:
    return unicodedata.normalize("NFC", edited(text, edits))


def _place(i: int, old: list[tuple[int, int]], new: list[tuple[int, int]], edits: Sequence[Edit]) -> int:
    """Return the token of a changed text at the place of token i; of one around the text, its counterpart."""
    if not 0 <= i < len(old):
        return i
    start, end = old[i]
    if start == end:
        before = not any(stop > begin for begin, stop in old[:i])
        return i if before else max(0, i + len(new) - len(old))
    at = moved_offset(start, edits)
    real = [j for j, (begin, stop) in enumerate(new) if stop > begin]
    return min(real, key=lambda j: max(new[j][0] - at, at - new[j][1] + 1, 0), default=i)


@dataclass(frozen=True)
class Typos(TextChange):
    """Words with a typo: two inner letters exchanged, one left out or one doubled; the first and last letter stay.

    Words of fewer than four letters, or with other characters than letters, have none.

    Attributes:
        number: of words at most.

    Example:
        >>> from zoo.inputs.sentences import SentenceInputs
        >>> from zoo.sequence_spec import Frame
        >>> frame = Frame(("[UNK]", "dull"), 4, unknown="[UNK]", lower=True)
        >>> reader = SentenceInputs(class_names=("bad", "good"), length=4, sequence=frame)
        >>> Typos().texts(["a dull film"], torch.tensor([0]), 0, reader)
        ['a dull fiilm']
    """

    random: ClassVar[bool] = True
    number: int = 1

    def __post_init__(self) -> None:
        count("number", self.number)

    def edits(self, text: str, words: Sequence[Word], numbers: Sequence[int]) -> list[Edit]:
        """Return one edit for each of the words chosen."""
        able = [word for word in words if len(word.text) >= SHORTEST and word.text.isalpha()]
        chosen = _choose(able, self.number, numbers)
        return [Edit(w.start, w.end, _misspelt(w.text, n)) for w, n in zip(chosen, numbers[32:], strict=False)]


@dataclass(frozen=True)
class Casing(TextChange):
    """Letters in another case; letters whose other case is several characters stay.

    Attributes:
        to: ``upper``, ``lower`` or ``title``.
    """

    to: Literal["upper", "lower", "title"] = "upper"

    def __post_init__(self) -> None:
        if self.to not in ("upper", "lower", "title"):
            raise ValueError(f"to is {self.to!r}; expected upper, lower or title")

    def edits(self, text: str, words: Sequence[Word], numbers: Sequence[int]) -> list[Edit]:
        """Return an edit for each word that changes."""
        pairs = [(word, letters_in_case(word.text, self.to)) for word in words]
        return [Edit(word.start, word.end, new) for word, new in pairs if new != word.text]


@dataclass(frozen=True)
class Punctuation(TextChange):
    """Punctuation marks left out; a mark between two letters becomes a space.

    Attributes:
        marks: ``all``, or ``final`` for those at the end; a text that has none there gets a full stop.
    """

    marks: Literal["all", "final"] = "all"

    def __post_init__(self) -> None:
        if self.marks not in ("all", "final"):
            raise ValueError(f"marks is {self.marks!r}; expected all or final")

    def edits(self, text: str, words: Sequence[Word], numbers: Sequence[int]) -> list[Edit]:
        """Return an edit for each mark."""
        marks = [word for word in words if is_punctuation(word.text)]
        if self.marks == "final":
            end = len(text.rstrip())
            marks = _run_before(end, marks)
            if not marks:
                return [Edit(end, end, ".")]
        padded = f" {text} "
        inside = [padded[word.start].isalnum() and padded[word.end + 1].isalnum() for word in marks]
        return [Edit(word.start, word.end, " " if space else "") for word, space in zip(marks, inside, strict=True)]


@dataclass(frozen=True)
class Clause(TextChange):
    """A sentence added that says nothing of the matter.

    Attributes:
        clauses: one of which is added; empty for five English ones of our own.
        at: ``end`` or ``start``.
    """

    random: ClassVar[bool] = True
    clauses: tuple[str, ...] = ()
    at: Literal["end", "start"] = "end"

    def __post_init__(self) -> None:
        object.__setattr__(self, "clauses", tuple(self.clauses))
        if not all(isinstance(clause, str) and clause.strip() for clause in self.clauses):
            raise ValueError(f"clauses is {self.clauses!r}; expected a list of texts, none of them empty")
        if self.at not in ("end", "start"):
            raise ValueError(f"at is {self.at!r}; expected end or start")

    def edits(self, text: str, words: Sequence[Word], numbers: Sequence[int]) -> list[Edit]:
        """Return one edit, at the end or the start."""
        clauses = self.clauses or CLAUSES
        clause = clauses[numbers[0] % len(clauses)].strip()
        if self.at == "start":
            return [Edit(0, 0, f"{clause} ")]
        end = len(text.rstrip())
        return [Edit(end, end, f" {clause}")]


@dataclass(frozen=True)
class Synonyms(TextChange):
    """Words replaced by others of their group in a list, in the case of the word.

    Attributes:
        number: of words at most.
        groups: lists of words that can stand for each other; empty for a short English list of our own.
    """

    random: ClassVar[bool] = True
    number: int = 1
    groups: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        count("number", self.number)
        if any(isinstance(group, str) for group in self.groups):
            raise ValueError(f"groups is {self.groups!r}; expected a list of lists of words")
        groups = tuple(tuple(str(word).lower() for word in group) for group in self.groups)
        object.__setattr__(self, "groups", groups)
        words = [word for group in groups for word in group]
        twice = next((word for word in words if words.count(word) > 1), None)
        if twice is not None:
            raise ValueError(f"groups has {twice!r} twice; expected each word in one group, once")
        alone = next((group for group in groups if len(group) < 2), None)
        if alone is not None:
            raise ValueError(f"groups has the group {list(alone)}; expected two words or more")

    def edits(self, text: str, words: Sequence[Word], numbers: Sequence[int]) -> list[Edit]:
        """Return one edit for each of the words chosen."""
        group_of = {word: group for group in self.groups or synonym_groups() for word in group}
        able = [word for word in words if word.text.lower() in group_of]
        edits = []
        for word, number in zip(_choose(able, self.number, numbers), numbers[32:], strict=False):
            old = word.text.lower()
            others = [other for other in group_of[old] if other != old]
            edits.append(Edit(word.start, word.end, _in_case_of(others[number % len(others)], word.text)))
        return edits


def _choose(words: Sequence[Word], number: int, numbers: Sequence[int]) -> list[Word]:
    """Return at most ``number`` of the words, and at most 32, drawn without replacement, in the order of the text."""
    left = list(words)
    chosen = [left.pop(n % len(left)) for n in numbers[: min(number, len(left), 32)]]
    return sorted(chosen, key=lambda word: word.start)


def _misspelt(word: str, number: int) -> str:
    kind, place = number % 3, number // 3
    at = 1 + place % (len(word) - 3)  # a letter that, like the one behind it, is neither first nor last
    if kind == 0 and word[at] != word[at + 1]:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return word[:at] + word[at + 1 :] if kind == 1 else word[: at + 1] + word[at:]


def _in_case_of(word: str, model: str) -> str:
    if model.isupper() and len(model) > 1:
        return word.upper()
    return word[:1].upper() + word[1:] if model[:1].isupper() else word


def _run_before(end: int, marks: Sequence[Word]) -> list[Word]:
    """Return the marks that stand one behind the other up to a character."""
    run: list[Word] = []
    for mark in reversed(marks):
        if mark.end != end:
            break
        run.insert(0, mark)
        end = mark.start
    return run
