"""Rationale: a few words of a text are selected, and the answer is computed from these words alone.

Source: Jain, Wiegreffe, Pinter, Wallace, Learning to Faithfully Rationalize by Construction, ACL 2020 (FRESH); measures
of Jacovi, Goldberg, Aligning Faithful Interpretations with their Social Attribution, TACL 2021, and of DeYoung et al.,
ERASER, ACL 2020.

There two language models are trained, one after the other. Here one encoder reads the text and then the extract, and
both heads are fitted exactly. The words left out are removed before the encoder reads the extract.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from zoo.batch import Batch
from zoo.explanation import Explanation, Units
from zoo.layers.text.extracts import extract, keep_words, most_passages, passages_of, words_of
from zoo.layers.text.sentence_encoder import token_shares
from zoo.layers.text.sparse_path import best_ridge
from zoo.layers.text.text_model import TextModel
from zoo.registry import register
from zoo.runtime.gathering import in_order

RIDGES = (1e-2, 1e-3, 1e-4, 1e-5)
BINS = 10  # of the places of kept words, for the head that reads places alone
DESCRIBE = (
    "This model first selects a few words of a text, and then answers from these words alone: it has not read the"
    " others when it answers. Each passage of neighboring selected words adds to the score of a class or subtracts from"
    " it. Which words are selected does depend on the whole text."
)


@register
class Rationale(TextModel):
    """Select the words that matter most for the answer to the whole text, and answer from them alone.

    ``selector`` reads the whole text; a word's score is the norm over the classes of what its tokens add there, less
    the mean of the classes. (Words that speak for the predicted class alone would give that class away by being
    selected.) The extract is encoded anew, without the other words, and ``head`` reads its vector. A unit is a passage,
    a run of selected words in the order of the text; its contribution is what its tokens add to the logit, exact for
    the norm of the extract's vector as it is. The strength is 1, or 0 where a text has fewer passages; a strength that
    is set scales the contribution and does not encode the extract again.

    Args:
        share: of the words that is kept, above 0 and at most 1.
        contiguous: keep one run of words.
        common: the arguments of ``zoo.layers.text.text_model.TextModel``.

    Attributes:
        special: ``(v,)`` bool, codes that are in no text, such as ``[CLS]``; they are kept and are one unit, the last.
        joined: ``(v,)`` bool, codes of pieces that continue a word.
        controls: ``(2, c, d + 1)`` heads on the words left out and on words drawn at random, for ``extra_metrics``.

    Raises:
        ValueError: if ``share`` is out of range.

    Example:
        >>> import zoo
        >>> words = {"tokens": ["[UNK]", "good", "bad", "film"], "length": 4, "unknown": "[UNK]"}
        >>> model = zoo.create_model("rationale", num_classes=2, sequence=words, width=8, share=0.5).eval()
        >>> explanation = model.explain(torch.tensor([[1, 3, 2, 3]]))
        >>> explanation.where.amax(1).sum(1).tolist()  # two of four words are kept
        [2.0]
    """

    special: Tensor
    joined: Tensor
    controls: Tensor

    def __init__(self, *, share: float = 0.2, contiguous: bool = False, **common: Any) -> None:
        super().__init__(**common)
        if not 0 < share <= 1:
            raise ValueError(f"model.share is {share}; expected a share of the words, above 0 and at most 1")
        self.share = share
        self.contiguous = contiguous
        d, c = self.encoder.width, self.num_classes
        self.passages = most_passages(self.encoder.length, share, contiguous=contiguous)
        self.selector = nn.Linear(d, c)
        self.head = nn.Linear(d, c)
        marks = torch.zeros(0, dtype=torch.bool)
        if self.frame is not None:
            around = {self.frame.codes[token] for token in (*self.frame.before, *self.frame.after)}
            marks = torch.tensor([code in around for code in range(len(self.frame.tokens))])
        self.has_marks = self.is_pretrained or bool(marks.any())
        self.register_buffer("special", marks)
        self.register_buffer("joined", torch.zeros(0, dtype=torch.bool))
        self.register_buffer("controls", torch.zeros(2, c, d + 1))
        self.register_load_state_dict_pre_hook(_resize)

    @property
    def head_dtype(self) -> torch.dtype:
        """Type of the numbers of the head."""
        return self.head.weight.dtype

    @property
    def units(self) -> Units:
        """The passages in the order of the text, and the tokens around it, if there are any."""
        names = [f"passage {i + 1}" for i in range(self.passages)]
        return Units("passage", names + ["tokens around the text"] * self.has_marks, describe=DESCRIBE)

    @property
    def capabilities(self) -> frozenset[str]:
        """Names of the capabilities of this instance, see ``zoo.capabilities``."""
        fitted = bool(self.controls.any())
        return frozenset({"extra_metrics", "selection"} if fitted else {"extra_metrics"})

    def trainable_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """``selector`` and ``head``; of an encoder trained here also ``encoder`` and ``probe``."""
        return {**self.encoder_parts(), "selector": self.selector, "head": self.head}

    def select(self, x: Tensor) -> Tensor:
        """Return which tokens ``(b, t)`` of texts ``(b, t)`` are kept, those around the text among them."""
        states = self.encoder.states(x).to(self.head_dtype)
        weight = self.selector.weight - self.selector.weight.mean(0)
        scores = token_shares(states, x, weight).transpose(1, 2)
        words = words_of(x, self.special, self.joined)
        return keep_words(scores, words, self.share, contiguous=self.contiguous) | self._around(x)

    def _around(self, x: Tensor) -> Tensor:
        return self.special[x.clamp_min(0)] & (x >= 0) if len(self.special) else torch.zeros_like(x, dtype=torch.bool)

    def _units_at(self, x: Tensor, kept: Tensor) -> Tensor:
        """Return the unit ``(b, t)`` of each kept token of texts; -1 for the others."""
        around = self._around(x)
        return torch.where(around, len(self.units) - 1, passages_of(kept & ~around))

    def _read(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Strength ``(b, u)``, effect ``(b, u, c)`` of each unit, and the unit ``(b, t)`` of each token of texts."""
        kept = self.select(x)
        unit = self._units_at(x, kept)
        codes, order = extract(x, kept)
        states = self.encoder.states(codes).to(self.head_dtype)
        shares = token_shares(states, codes, self.head.weight).transpose(1, 2)  # (b, t, c)
        u = len(self.units)
        of_token = torch.where(codes >= 0, unit.gather(1, order), u)
        empty = shares.new_zeros(x.shape[0], u + 1, shares.shape[2])
        effect = empty.scatter_add(1, of_token[..., None].expand_as(shares), shares)[:, :u]
        strength = shares.new_zeros(x.shape[0], u + 1).scatter(1, of_token, 1.0)[:, :u]
        return strength, effect, unit

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return strengths ``(b, u)`` and what each passage adds to each class ``(b, u, c)``."""
        strength, effect, _ = self._read(x)
        return strength, effect

    def decide(self, state: tuple[Tensor, Tensor], mask: Tensor | None = None, value: Tensor | None = None) -> Tensor:
        """Add the passages up, some of them scaled."""
        strength, effect = state
        if mask is not None and value is not None:
            strength = torch.where(mask, value.to(strength), strength)
        return (strength[..., None] * effect).sum(-2) + self.head.bias

    def explain(self, x: Tensor, target: Tensor | None = None, shown: int | Tensor = 10) -> Explanation:
        """Explain by what each passage adds, exact; ``where`` is 1 at the tokens of a passage."""
        strength, effect, unit = self._read(x)
        logits = self.decide((strength, effect))
        target = self.resolve_target(logits, target)
        index = target[:, None, None].expand(-1, effect.shape[1], 1)
        contribution = strength * effect.gather(2, index)[..., 0]
        shown = self.resolve_shown(contribution, shown)
        where = (unit[:, None] == shown[..., None]) & (shown >= 0)[..., None]
        base = self.head.bias[target]
        return Explanation(self.units, logits, target, strength, contribution, base, shown, where.to(strength))

    def loss(self, batch: Batch, weights: Mapping[str, float]) -> dict[str, Tensor]:
        """``task``: the loss of the head where a phase trains it; otherwise of the probe, which trains the encoder."""
        return {"task": self.task_loss(self(batch.x), batch) if "head" in self.phase.lr else self.probe_loss(batch)}

    # Fitting.

    @torch.no_grad()
    def fit_rationale(self, loader: Iterable[Batch], *, val: Any = None) -> dict[str, float]:
        """Fit the selector on whole texts, then the head on the extracts; ridges are chosen on the validation texts.

        Args:
            loader: all training texts.
            val: true in a config: the validation texts.

        Returns:
            Validation accuracy of the whole text and of the extract, and of three heads that should be worse: on the
            words left out, on as many words drawn at random, and on the places of the selected words alone, which know
            of the text only what the selection gives away.

        Raises:
            ValueError: if there are no validation texts.
        """
        if not val:
            raise ValueError("fit_rationale chooses on validation texts; expected val: true, and data.val above 0")
        marks = self.marks_of_pieces()
        if marks is not None:
            self.special, self.joined = (t.to(self.head.bias.device) for t in marks)
        x, z, y, _ = self.split_vectors(loader)
        val_x, val_z, val_y, _ = self.split_vectors(val)
        weight, bias, whole = self._fitted((z, y), (val_z, val_y))
        self.selector.weight.copy_(weight)
        self.selector.bias.copy_(bias)
        views, val_views = self._views(x), self._views(val_x)
        accuracy = {"whole text": whole["validation accuracy"]}
        heads = []
        for name in views:
            *head, figures = self._fitted((views[name], y), (val_views[name], val_y))
            heads.append(head)
            accuracy[name] = figures["validation accuracy"]
        self.head.weight.copy_(heads[0][0])
        self.head.bias.copy_(heads[0][1])
        for control, (weight, bias) in zip(self.controls, heads[1:3], strict=True):
            control.copy_(torch.cat([weight, bias[:, None]], 1))
        return {f"validation accuracy of the {name}": value for name, value in accuracy.items()}

    def _fitted(
        self, train: tuple[Tensor, Tensor], val: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, dict[str, float]]:
        return best_ridge(train, val, classes=self.num_classes, ridges=RIDGES)

    def _views(self, x: Tensor) -> dict[str, Tensor]:
        """Return what heads read of texts ``(n, t)``, on the CPU: the extract, the rest, random words, places."""
        generator = torch.Generator().manual_seed(0)
        parts: dict[str, list[Tensor]] = {
            "extract": [],
            "words left out": [],
            "words drawn at random": [],
            "places": [],
        }
        for rows in x.split(256):
            noise = torch.rand(rows.shape, generator=generator).to(self.device)
            rows = rows.to(self.device)
            kept, around = self.select(rows), self._around(rows)
            words = words_of(rows, self.special, self.joined)
            drawn = keep_words(noise[..., None], words, self.share, contiguous=self.contiguous) | around
            views = kept, (~kept & (rows >= 0)) | around, drawn
            for name, view in zip(list(parts)[:3], views, strict=True):
                parts[name].append(self.unit_vectors(extract(rows, view)[0]).cpu())
            parts["places"].append(_places(kept & ~around, words).cpu())
        return {name: torch.cat(pieces) for name, pieces in parts.items()}

    @torch.no_grad()
    def control_logits(self, x: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """Return logits of heads on other words than those selected, see ``zoo.capabilities.HasSelection``."""
        around = self._around(x)
        words = words_of(x, self.special, self.joined)
        drawn = keep_words(noise[..., None], words, self.share, contiguous=self.contiguous)
        left_out = (~self.select(x) & (x >= 0)) | around
        logits = {}
        for name, view, head in zip(("left_out", "random"), (left_out, drawn | around), self.controls, strict=True):
            vectors = self.unit_vectors(extract(x, view)[0])
            logits[name] = vectors @ head[:, :-1].T + head[:, -1]
        return logits | {"whole": self.selector(self.unit_vectors(x))}

    @torch.no_grad()
    def extra_metrics(self, loader: Iterable[Batch]) -> dict[str, float]:
        """Return the accuracy of the whole text, of the words left out and of random words, and the measures of ERASER.

        Comprehensiveness is how much the probability of the answer falls when the extract is removed from the text,
        sufficiency how much it falls when everything else is; both by the head of the extracts.
        """
        rows = in_order((b.x, b.targets, b.index) for b in loader)
        x, y = (t.cpu() for t in rows[:2])
        if not len(x) or not bool(self.controls.any()):
            return {}
        whole = torch.cat([self.unit_vectors(part.to(self.device)).cpu() for part in x.split(256)])
        views = self._views(x)
        heads: dict[str, tuple[Tensor, Tensor]] = {
            "extract": (self.head.weight, self.head.bias),
            "whole text": (self.selector.weight, self.selector.bias),
        }
        for name, head in zip(("words left out", "words drawn at random"), self.controls, strict=True):
            heads[name] = (head[:, :-1], head[:, -1])
        read = {**views, "whole text": whole}
        logits = {name: read[name].to(weight) @ weight.T + bias for name, (weight, bias) in heads.items()}
        figures = {
            f"accuracy of the {name}": float((one.argmax(1).cpu() == y).double().mean())
            for name, one in logits.items()
            if name != "extract"
        }
        answer = logits["extract"].argmax(1, keepdim=True)
        p = {
            name: (read[name].to(self.head.weight) @ self.head.weight.T + self.head.bias).softmax(1).gather(1, answer)
            for name in ("whole text", "extract", "words left out")
        }
        figures["comprehensiveness"] = float((p["whole text"] - p["words left out"]).mean())
        figures["sufficiency"] = float((p["whole text"] - p["extract"]).mean())
        return figures

    def resize_for(self, state: Mapping[str, Tensor], prefix: str = "") -> None:
        """Take the number of pieces of the tokenizer from a state about to be loaded."""
        for name in ("special", "joined"):
            if f"{prefix}{name}" in state:
                setattr(self, name, torch.zeros_like(state[f"{prefix}{name}"], device=self.head.bias.device))


def _places(kept: Tensor, words: Tensor) -> Tensor:
    """Return shares ``(b, BINS + 1)`` of kept words by their relative place, and the number of passages."""
    count = (words.amax(1, keepdim=True) + 1).clamp_min(1)
    place = (words.clamp_min(0) * BINS // count).clamp(0, BINS - 1)
    shares = torch.zeros(len(kept), BINS, device=kept.device).scatter_add(1, place, kept.float())
    number = passages_of(kept).amax(1, keepdim=True) + 1
    return torch.cat([shares / kept.sum(1, keepdim=True).clamp_min(1), number / count], 1)


def _resize(module: Rationale, state: Mapping[str, Any], prefix: str, *_: Any) -> None:
    module.resize_for(state, prefix)
