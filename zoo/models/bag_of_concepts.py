"""Bag of concepts: a linear model of the words and word pairs of a text, each alone or in groups of like meaning.

Source: defined here for groups; without groups it is the standard definition of TF-IDF (Salton, Buckley, Term-weighting
approaches in automatic text retrieval, 1988) with logistic regression, the exact lexical baseline.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from zoo.batch import Batch
from zoo.editing.operation import Argument, Operation
from zoo.editing.state import EditState
from zoo.explanation import Explanation, Units
from zoo.layers.edited_head import WeightEdits
from zoo.layers.text.ngram_clusters import clusters as k_means
from zoo.layers.text.ngram_clusters import encoder_vectors, text_vectors
from zoo.layers.text.ngram_heads import ridge_head, sparse_head
from zoo.layers.text.ngrams import NGrams
from zoo.model import SelfExplaining
from zoo.paths import did_you_mean
from zoo.registry import register
from zoo.runtime.gathering import in_order
from zoo.sequence_spec import Frame
from zoo.what_if import AffineHead

NAMED = 3  # n-grams in the name of a group
DESCRIBE = (
    "This model adds up the words and pairs of neighboring words of a text, without their order. The strength of a word"
    " or group of words is 0 where it is absent, and grows with how often and how rare it is (TF-IDF). Each adds to the"
    " score of a class or subtracts from it; what is absent adds nothing."
)


@register
class BagOfConcepts(SelfExplaining):
    """TF-IDF of words and word pairs, summed over the members of each unit, and a linear head.

    ``fit_words`` takes the vocabulary from the training texts and fits the head; a unit is an n-gram, or with
    ``clusters`` a group of n-grams of like meaning. An unknown word is in no unit, but counts in no norm either.

    Args:
        num_classes: c; filled in from the data.
        sequence: vocabulary of words; filled in from the data.
        longest: 1 for words alone, 2 for word pairs too.

    Attributes:
        ngrams: the f n-grams.
        unit_of: ``(f,)`` the unit of each n-gram; -1 for one without a weight.
        frequency: ``(f,)`` number of training texts with each n-gram.

    Example:
        >>> import zoo
        >>> words = {"tokens": ["[UNK]", "good", "bad", "film"], "length": 4, "unknown": "[UNK]"}
        >>> model = zoo.create_model("bag_of_concepts", num_classes=2, sequence=words).eval()
        >>> x = torch.tensor([[1, 3, -1, -1], [2, 3, -1, -1]])
        >>> batch = Batch(x, torch.tensor([1, 0]), torch.arange(2))
        >>> _ = model.fit_words([batch], val=[batch], min_count=1)
        >>> model.units.names
        ['good', 'good film', 'bad', 'bad film', 'film']
    """

    input_kind = "tokens"
    unit_of: Tensor
    frequency: Tensor

    def __init__(
        self, *, num_classes: int | None = None, sequence: dict[str, Any] | None = None, longest: int = 2
    ) -> None:
        super().__init__()
        if num_classes is None or num_classes < 1:
            raise ValueError(f"num_classes is {num_classes}; expected at least 1")
        if not sequence:
            raise ValueError("the data have no words; expected sentences without data.encoder: data.name=sentences")
        if longest not in (1, 2):
            raise ValueError(f"longest is {longest}; expected 1 for words alone, or 2 for word pairs too")
        self.save_hyperparameters()
        self.frame = Frame.from_config({key: value for key, value in sequence.items() if key != "classes"})
        self.hparams["input_shape"] = [self.frame.length]
        self.longest = longest
        self.pooled = True  # one answer for a text
        self.ngrams = NGrams(len(self.frame.tokens))
        self.register_buffer("unit_of", torch.zeros(0, dtype=torch.int64))
        self.register_buffer("frequency", torch.zeros(0, dtype=torch.int64))
        self.head = nn.Linear(len(self.frame.tokens), num_classes)
        self._set_vocabulary(torch.arange(len(self.frame.tokens)) * (len(self.frame.tokens) + 1))
        self.register_load_state_dict_pre_hook(_resize)

    def _set_vocabulary(self, keys: Tensor) -> None:
        """Begin with every word as a unit."""
        self.ngrams.keys, self.ngrams.idf = keys, torch.ones(len(keys))
        self.unit_of, self.frequency = torch.arange(len(keys)), torch.ones(len(keys), dtype=torch.int64)

    @property
    def units(self) -> Units:
        """The n-grams or groups, named by their most frequent members."""
        names: list[list[str]] = [[] for _ in range(self.head.in_features)]
        order = self.frequency.argsort(descending=True, stable=True)
        unit_of, codes = self.unit_of.tolist(), self.ngrams.codes().tolist()
        for f in order.tolist():
            if unit_of[f] >= 0 and len(names[unit_of[f]]) < NAMED:
                names[unit_of[f]].append(" ".join(self.frame.tokens[code] for code in codes[f] if code >= 0))
        return Units("term", [", ".join(members) for members in names], describe=DESCRIBE)

    @property
    def capabilities(self) -> frozenset[str]:
        """Names of the capabilities of this instance, see ``zoo.capabilities``."""
        return frozenset({"affine_head", "editable"})

    def trainable_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """``head``."""
        return {"head": self.head}

    def part_of(self, key: str) -> str:
        """Return ``head``: everything is fitted together."""
        return "head"

    def encode(self, x: Tensor) -> Tensor:
        """Return the strengths ``(b, u)`` of texts ``(b, t)``."""
        places = self.ngrams.places(x)
        return self._strengths(places, self.ngrams.shares(places))

    def _strengths(self, places: Tensor, shares: Tensor) -> Tensor:
        """Return the strengths ``(b, u)``, the sums of the shares ``(b, 2, t)`` of the places of each unit."""
        unit = self._unit_at(places).flatten(1)
        u = self.head.in_features
        row = torch.arange(unit.shape[0], device=unit.device)[:, None].expand_as(unit)
        place = row, torch.where(unit >= 0, unit, u)
        out = shares.new_zeros(unit.shape[0], u + 1).index_put(place, shares.flatten(1), accumulate=True)
        return out[:, :u].to(self.head.weight.dtype)

    def _unit_at(self, places: Tensor) -> Tensor:
        """Return the unit ``(b, 2, t)`` of the n-gram at each place, -1 for none."""
        return torch.where(places >= 0, self.unit_of[places.clamp_min(0)], -1)

    def decide(self, state: Tensor, mask: Tensor | None = None, value: Tensor | None = None) -> Tensor:
        """Apply the head to the strengths, some of them set."""
        if mask is not None and value is not None:
            state = torch.where(mask, value.to(state), state)
        return self.head(state)

    def explain(self, x: Tensor, target: Tensor | None = None, shown: int | Tensor = 10) -> Explanation:
        """Explain by weight times strength, exact; ``where`` spreads a strength over the places of its n-grams."""
        places = self.ngrams.places(x)
        shares = self.ngrams.shares(places)
        strength = self._strengths(places, shares)
        logits = self.decide(strength)
        target = self.resolve_target(logits, target)
        contribution = strength * self.head.weight[target]
        shown = self.resolve_shown(contribution, shown)
        hits = (self._unit_at(places)[:, None] == shown[:, :, None, None]) & (shown >= 0)[:, :, None, None]
        word, pair = (shares[:, None] * hits).unbind(2)
        where = word + pair / 2 + F.pad(pair[..., :-1] / 2, (1, 0))
        base = self.head.bias[target]
        return Explanation(self.units, logits, target, strength, contribution, base, shown, where.to(strength))

    def affine_head(self, x: Tensor) -> AffineHead:
        """Return the head; a word that is switched off is absent."""
        weight = self.head.weight
        return AffineHead(weight, torch.zeros_like(weight), torch.zeros_like(weight[0]))

    def loss(self, batch: Batch, weights: Mapping[str, float]) -> dict[str, Tensor]:
        """``task``: the loss of the task."""
        return {"task": self.task_loss(self(batch.x), batch)}

    @torch.no_grad()
    def fit_words(
        self,
        loader: Iterable[Batch],
        *,
        val: Any = None,
        min_count: int = 2,
        max_features: int = 20_000,
        max_units: int = 0,
        clusters: int = 0,
        encoder: str = "",
    ) -> dict[str, float]:
        """Take the n-grams of the training texts and fit the head; its penalty is chosen on the validation texts.

        Args:
            loader: all training texts.
            val: true in a config: the validation texts.
            min_count: number of texts that an n-gram must be in.
            max_features: n-grams at most, the most frequent ones.
            max_units: units with a weight at most, chosen on an L1 path; 0 for all, with a ridge.
            clusters: number of groups of n-grams; 0 for each n-gram alone.
            encoder: text encoder whose vectors of n-grams are grouped, used here alone; empty to group n-grams by the
                texts that they occur in.

        Raises:
            ValueError: if there are no validation texts, or no n-gram is left.
        """
        if not val:
            raise ValueError("fit_words chooses its penalty on validation texts; expected val: true, and data.val > 0")
        self.eval()
        x, y = (t.cpu() for t in in_order((b.x, b.targets, b.index) for b in loader))
        val_x, val_y = (t.cpu() for t in in_order((b.x, b.targets, b.index) for b in val))
        marks = {self.frame.unknown, *self.frame.before, *self.frame.after}
        left_out = tuple(self.frame.codes[token] for token in marks if token is not None)
        self.to("cpu")
        self.ngrams.fit(x, min_count=min_count, max_features=max_features, longest=self.longest, left_out=left_out)
        if not len(self.ngrams):
            raise ValueError(f"no word is in {min_count} training texts; expected a smaller min_count")
        values, val_values = self._matrix(x), self._matrix(val_x)
        self.frequency = torch.from_numpy(values.getnnz(0).astype(np.int64))
        unit_of = torch.arange(len(self.ngrams))
        if clusters:
            texts = [" ".join(self.frame.tokens[c] for c in row if c >= 0) for row in self.ngrams.codes().tolist()]
            unit_of = k_means(encoder_vectors(texts, encoder) if encoder else text_vectors(values), clusters)
            members = csr_matrix((np.ones(len(unit_of)), (np.arange(len(unit_of)), unit_of.numpy())))
            values, val_values = csr_matrix(values @ members), csr_matrix(val_values @ members)
        sets, classes = ((values, y), (val_values, val_y)), int(self.hparams["num_classes"])
        fitted = sparse_head(*sets, classes=classes, max_units=max_units) if max_units else ridge_head(*sets)
        kept, weight, bias, figures = fitted
        number = torch.full((int(unit_of.max()) + 1,), -1)
        number[kept] = torch.arange(len(kept))
        self.unit_of = number[unit_of]
        self._set_head(weight, bias)
        return {"n-grams": float(len(self.ngrams)), "units": float(len(kept)), **figures}

    def _matrix(self, x: Tensor) -> csr_matrix:
        text, ngram, value = self.ngrams.double().values(x)
        self.ngrams.float()
        return csr_matrix((value.numpy(), (text.numpy(), ngram.numpy())), shape=(len(x), len(self.ngrams)))

    def _set_head(self, weight: Tensor, bias: Tensor) -> None:
        like = self.head.bias
        self.head.in_features = weight.shape[1]
        self.head.weight = nn.Parameter(weight.to(like).clone())
        self.head.bias.copy_(bias.to(like))

    # Edits.

    def edit_operations(self) -> dict[str, Operation]:
        """Return the operations on words: weights as in ``zoo.layers.edited_head``, ``add`` and ``remove``."""
        new = {"text": Argument("text"), "class": Argument("class"), "weight": Argument("number")}
        return {
            **WeightEdits(self.head.weight, self.head.bias).operations(),
            "add": Operation(
                self._add, "give a word or a pair of words that has no weight yet one", new, on_unit=False
            ),
            "remove": Operation(self._remove, "remove it from the vocabulary"),
        }

    def _add(self, state: EditState, text: str, weight: float, **of: int) -> EditState:
        words = text.split()
        unknown = [word for word in words if word not in self.frame.codes]
        if unknown or not 1 <= len(words) <= self.longest:
            near = did_you_mean(unknown[0], list(self.frame.codes)) if unknown else ""
            raise ValueError(f"text is {text!r}; expected 1 to {self.longest} known words{near}")
        codes = [self.frame.codes[word] for word in words]
        key = codes[0] * (self.ngrams.tokens + 1) + (codes[1] + 1 if len(codes) == 2 else 0)
        place = int(torch.searchsorted(self.ngrams.keys, key))
        known = place < len(self.ngrams) and int(self.ngrams.keys[place]) == key
        if not known:
            raise ValueError(f"text is {text!r}, which the training texts had too rarely; expected one that they had")
        if int(self.unit_of[place]) >= 0:
            raise ValueError(f"{text!r} has a weight, in the unit {state.names[int(self.unit_of[place])]!r}")
        units = len(state.origin)
        self.unit_of[place] = units
        column = self.head.weight.new_zeros(len(self.head.bias), 1)
        column[of["class"]] = weight
        self._set_head(torch.cat([self.head.weight, column], 1), self.head.bias.clone())
        return state.kept([*range(units), -1])

    def _remove(self, state: EditState, unit: int) -> EditState:
        left = [i for i in range(len(state.origin)) if i != unit]
        if not left:
            raise ValueError("it is the last unit; expected to leave one or more")
        number = torch.full((len(state.origin) + 1,), -1)  # the last entry is that of -1
        number[left] = torch.arange(len(left))
        self.unit_of = number[self.unit_of]
        self._set_head(self.head.weight[:, left], self.head.bias.clone())
        return state.kept(left)

    def resize_for(self, state: Mapping[str, Tensor], prefix: str = "") -> None:
        """Take the number of n-grams and units from a state about to be loaded."""
        if f"{prefix}head.weight" not in state:
            return
        f, u = len(state[f"{prefix}unit_of"]), state[f"{prefix}head.weight"].shape[1]
        self.ngrams.keys, self.ngrams.idf = torch.zeros(f, dtype=torch.int64), torch.zeros(f)
        self.unit_of, self.frequency = torch.zeros(f, dtype=torch.int64), torch.zeros(f, dtype=torch.int64)
        self.head.in_features = u
        self.head.weight = nn.Parameter(torch.zeros(len(self.head.bias), u))


def _resize(module: BagOfConcepts, state: Mapping[str, Any], prefix: str, *_: Any) -> None:
    module.resize_for(state, prefix)
