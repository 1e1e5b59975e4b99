"""The operations on prototypes: forbid, remove, merge, and the head solved again."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from zoo.batch import Batch
from zoo.editing.operation import Argument, Operation
from zoo.editing.state import EditState
from zoo.layers.edited_head import PENALTIES, RESOLVE

OFF = -1e4  # logit of a softmax whose share is exactly 0


class PrototypeEdits:
    """The part of a prototype model that edits it.

    A family names its operations in ``editable_by`` and defines the methods ``forbid``, ``remove``, ``merge`` and
    ``solve`` that they need.

    Attributes:
        editable_by: some of ``forbid``, ``remove``, ``merge``, ``resolve``.
        leaves_when_merged: whether a merged prototype leaves the vocabulary, or stays in it and adds 0.
        penalties: strengths of L1 and L2 of a head that is solved again, unless others are given.
    """

    editable_by: tuple[str, ...] = ()
    leaves_when_merged = True
    penalties = (1e-4, 1e-3)

    def edit_operations(self) -> dict[str, Operation]:
        """Return the operations on prototypes by name."""
        every = {
            "forbid": Operation(self._forbid, "let it add 0 to every answer; it stays in the vocabulary"),
            "remove": Operation(self._remove, "remove it from the vocabulary"),
            "merge": Operation(self._merge, "give its weights to another one", {"into": Argument("unit")}),
            "resolve": Operation(self._resolve, RESOLVE, PENALTIES, on_unit=False, needs_data=True),
        }
        return {name: every[name] for name in self.editable_by}

    def _forbid(self, state: EditState, unit: int) -> EditState:
        self.forbid(unit)
        return state.hold(unit)

    def _remove(self, state: EditState, unit: int) -> EditState:
        left = [i for i in range(len(state.origin)) if i != unit]
        if not left:
            raise ValueError("it is the last prototype; expected to leave one or more")
        self.remove(unit)
        return state.kept(left)

    def _merge(self, state: EditState, unit: int, into: int) -> EditState:
        for one in (unit, into):
            if one in state.held:
                raise ValueError(f"{state.names[one]!r} is forbidden; expected two prototypes that are not")
        self.merge(unit, into)
        return self._remove(state, unit) if self.leaves_when_merged else state.hold(unit)

    def _resolve(self, state: EditState, train: Iterable[Batch], l1: float | None, l2: float | None) -> None:
        own = self.penalties
        l1, l2 = own[0] if l1 is None else l1, own[1] if l2 is None else l2
        if min(l1, l2) < 0:
            raise ValueError(f"l1 is {l1}, l2 {l2}; expected 0 or more")
        self.solve(state, train, l1, l2)

    def forbid(self, unit: int) -> None:
        """Set what a prototype adds to every logit to 0."""
        raise NotImplementedError

    def remove(self, unit: int) -> None:
        """Take a prototype out of the vocabulary."""
        raise NotImplementedError

    def merge(self, unit: int, into: int) -> None:
        """Add the weights of a prototype to those of another one, and set its own to 0."""
        raise NotImplementedError

    def solve(self, state: EditState, train: Iterable[Batch], l1: float, l2: float) -> None:
        """Solve the head on the training split, within the limits of ``state``."""
        raise NotImplementedError


def check_same_class(owner: Tensor, unit: int, into: int) -> None:
    """Raise ValueError if two prototypes belong to different classes."""
    if int(owner[unit]) != int(owner[into]):
        raise ValueError("the two prototypes belong to different classes; expected two of one class")


def all_but(unit: int, count: int, device: torch.device) -> Tensor:
    """Return ``(count,)`` bool, false for one unit.

    Example:
        >>> all_but(1, 3, torch.device("cpu")).tolist()
        [True, False, True]
    """
    return torch.arange(count, device=device) != unit
