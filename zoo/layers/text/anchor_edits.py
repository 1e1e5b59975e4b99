"""The operations on the texts that a model compares with: add, reword, remove, weights, and the head solved again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from zoo.batch import Batch
from zoo.editing.operation import Argument, Operation
from zoo.editing.state import EditState
from zoo.layers.edited_head import HeadProblem, WeightEdits, solve_head
from zoo.layers.text.anchor_choice import standardized

RIDGE = 1e-3


class AnchorEdits:
    """The operations of one model of similarities with texts.

    Args:
        model: a ``SimilarityModel``, edited in place.
    """

    def __init__(self, model: Any) -> None:
        self.model = model

    def operations(self) -> dict[str, Operation]:
        """Return the operations by name."""
        new = {"text": Argument("text"), "class": Argument("class"), "weight": Argument("number", None)}
        weights = WeightEdits(self.model.head.weight, self.model.head.bias).operations()
        return {
            **weights,
            "add": Operation(self.add, "compare with a further text, which argues for a class", new, on_unit=False),
            "reword": Operation(self.reword, "compare with another text in its place", {"text": Argument("text")}),
            "remove": Operation(self.remove, "remove it from the vocabulary"),
            "resolve": Operation(
                self.resolve,
                "measure mean similarities and solve the convex head again on the training data",
                {"l2": Argument("number", RIDGE)},
                on_unit=False,
                needs_data=True,
            ),
        }

    def add(self, state: EditState, text: str, weight: float | None, **of: int) -> EditState:
        """Add a text: its weights are the mean of those of the other texts of its class, or one given weight."""
        model, c, units = self.model, of["class"], len(state.origin)
        codes, vectors = self._encoded(text)
        like = model.owner == c
        column = model.head.weight.new_zeros(len(model.head.bias))
        if weight is not None:
            column[c] = weight
        elif bool(like.any()):
            column = model.head.weight[:, like].mean(1)
        else:
            raise ValueError("weight is missing: no other text belongs to the class whose weights it could have")
        owner = c if bool((model.owner >= 0).any()) else -1
        texts = [*model.unit_texts(), text]
        joined = [
            torch.cat([old.cpu(), new.cpu().to(old.dtype)])
            for old, new in ((model.codes, codes), (model.anchors, vectors), (model.owner, torch.tensor([owner])))
        ]
        weights = torch.cat([model.head.weight, column[:, None]], 1)
        mean, std = (torch.cat([old, old.mean()[None]]) for old in (model.mean, model.std))
        model.set_texts(texts, *joined)
        model.set_head(weights, model.head.bias.clone(), mean, std)
        model.take_sources(list(range(units)), joined[0][units:])
        return state.kept([*range(units), -1])

    def reword(self, state: EditState, unit: int, text: str) -> EditState:
        """Replace a text; weights, mean and standard deviation stay."""
        model = self.model
        codes, vectors = self._encoded(text)
        texts = model.unit_texts()
        texts[unit] = text
        x, z = model.codes.clone(), model.anchors.clone()
        x[unit], z[unit] = codes[0].to(x), vectors[0].to(z)
        model.set_texts(texts, x, z, model.owner)
        units = len(texts)
        model.take_sources([i if i != unit else -1 for i in range(units)], codes)
        return state.new_text(unit)

    def remove(self, state: EditState, unit: int) -> EditState:
        """Remove a text."""
        model = self.model
        left = [i for i in range(len(state.origin)) if i != unit]
        if not left:
            raise ValueError("it is the last text; expected to leave one or more")
        texts = model.unit_texts()
        x, z, owner, mean, std = (
            t[left].clone() for t in (model.codes, model.anchors, model.owner, model.mean, model.std)
        )
        weight = model.head.weight[:, left].clone()
        model.set_texts([texts[i] for i in left], x, z, owner)
        model.set_head(weight, model.head.bias.clone(), mean, std)
        model.take_sources(left, x[:0])
        return state.kept(left)

    def resolve(self, state: EditState, train: Iterable[Batch], l2: float) -> None:
        """Standardize and solve the head again; of locked texts mean, deviation and weights stay."""
        if l2 <= 0:
            raise ValueError(f"l2 is {l2}; expected a number above 0")
        model = self.model
        x, z, y, _ = model.split_vectors(train)
        place = {tuple(row): i for i, row in enumerate(x.tolist())}
        own = torch.tensor([place.get(tuple(row), -1) for row in model.codes.tolist()])
        _, mean, std = standardized(z, model.anchors.cpu(), own)
        locked = sorted(state.locked)
        mean[locked], std[locked] = (t[locked].double().cpu() for t in (model.mean, model.std))
        scores = (z.double() @ model.anchors.cpu().double().T - mean) / std
        rows, columns = own[own >= 0], (own >= 0).nonzero()[:, 0]
        scores[rows, columns] = 0.0  # a text is not compared with itself
        start = torch.zeros_like(model.head.weight)
        every = torch.ones_like(start, dtype=torch.bool)
        problem = HeadProblem(scores, y, start, every, 0.0, l2, bias=True, sign=model.head_signs())
        weight, bias, _ = solve_head(problem, model.head.weight, state)
        assert bias is not None
        model.set_head(weight, bias, mean, std)

    def _encoded(self, text: str) -> tuple[Tensor, Tensor]:
        """Return the codes ``(1, t)`` and the vector ``(1, d)`` of a text."""
        inputs: Any = self.model.inputs
        if inputs is None:
            raise ValueError("the model has no inputs to read texts with; train it on sentences")
        codes, _ = inputs.encode([text])
        if not bool((codes >= 0).any()):
            raise ValueError(f"text is {text!r}; expected one with a word")
        return codes, self.model.unit_vectors(codes.to(self.model.device)).cpu()


def taken(values: Tensor, units: Sequence[int], new: Tensor) -> Tensor:
    """Return entries of ``values`` ``(u,)`` by old unit ids, -1 and what is behind them from ``new`` ``(n,)`` in order.

    Example:
        >>> taken(torch.tensor([5, 6, 7]), [0, -1, 2], torch.tensor([9])).tolist()
        [5, 9, 7]
    """
    ids = torch.tensor(list(units))
    out = values[ids.clamp_min(0)].clone()
    inside = int((ids < 0).sum())
    out[ids < 0] = new[:inside]
    return torch.cat([out, new[inside:]])
