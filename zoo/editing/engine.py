"""The engine of edits: it applies the operations that a model declares, keeps what undoes them, and undoes them."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from zoo.capabilities import Editable, capability
from zoo.editing.edit_file import Edit, read_edits
from zoo.editing.history import History, Step, changed_values, restored, without_last
from zoo.editing.operation import Argument, Operation, find_operation, find_unit, read_arguments
from zoo.editing.state import EditState
from zoo.weights.integrity import tensor_hash
from zoo.weights.tensors import non_finite

if TYPE_CHECKING:
    from zoo.batch import Batch
    from zoo.model import SelfExplaining

    M = TypeVar("M", bound=SelfExplaining)


def operations_of(model: SelfExplaining) -> dict[str, Operation]:
    """Return the operations of a model by name: those that it declares, and those of every model with units.

    Raises:
        ValueError: if the model cannot be edited.
    """
    editable = capability(model, Editable)
    if editable is None:
        raise ValueError(f"{model.name} cannot be edited: it declares no operations")
    return {**editable.edit_operations(), **COMMON}


def apply_edits(
    model: M,
    edits: Iterable[Edit | Mapping[str, Any]],
    *,
    name: str = "",
    train: Iterable[Batch] | None = None,
) -> M:
    """Return a copy of a model with edits applied in order; ``history`` of the copy undoes them.

    Args:
        model: stays as it is.
        edits: in order, as mappings such as ``{"operation": "remove", "unit": "wing #0"}``.
        name: of its checkpoint, for the history.
        train: loader of the training split; needed by ``resolve`` alone.

    Raises:
        ValueError: if the model has no such operation or unit, or an argument does not fit; the edit is named.
    """
    edits = read_edits(list(edits))
    operations_of(model)
    edited = copy.deepcopy(model).eval()
    for n, edit in enumerate(edits, 1):
        try:
            edited.history = _step(edited, edit, name, train)
        except ValueError as error:
            place = f"edit {n} ({edit})" if len(edits) > 1 else str(edit)
            raise ValueError(f"{place}: {error}") from error
    return edited


@torch.no_grad()
def _step(model: SelfExplaining, edit: Edit, name: str, train: Iterable[Batch] | None) -> History:
    """Apply one edit to the model and return the history after it."""
    operation = find_operation(operations_of(model), edit.operation, model.name)
    units = model.units
    names, kind = list(units.names), units.kind
    before = {key: value.clone() for key, value in model.state_dict().items()}
    history = model.history or History(name or model.name, tensor_hash(before), EditState.start(len(names)))
    arguments = read_arguments(operation, edit.arguments, names=names, classes=_classes(model), kind=kind)
    if operation.on_unit:
        if edit.unit is None:
            raise ValueError(f"unit is missing; expected a {kind}")
        unit = find_unit(names, edit.unit, kind)
        _check_locks(operation, history.state, unit, arguments, names, edit.operation)
        edit = replace(edit, unit=names[unit] if names.count(names[unit]) == 1 else f"#{unit}")
        arguments["unit"] = unit
    elif edit.unit is not None:
        raise ValueError(f"unit is {edit.unit!r}; this operation is about no unit")
    if operation.needs_data:
        if train is None:
            raise ValueError("it needs the training data, and there are none")
        arguments["train"] = train
    state = replace(history.state, names=dict(enumerate(names)))
    after = operation.apply(state, **arguments) or state
    model.eval()
    tensors = model.state_dict()
    if broken := non_finite(tensors):
        raise ValueError(f"tensor {broken} would have a value that is not finite")
    model.history = replace(history, state=replace(after, names={}))  # what the names now follow from
    computed = list(model.units.names)
    if len(computed) != len(after.origin):
        raise RuntimeError(f"{edit.operation} says {len(after.origin)} units are left; there are {len(computed)}")
    wanted = _distinct(after.names, computed)
    state = replace(after, names={i: wanted[i] for i in range(len(computed)) if wanted[i] != computed[i]})
    step = Step(edit, tensor_hash(tensors), history.state, changed_values(before, tensors))
    return replace(history, steps=(*history.steps, step), state=state)


def _classes(model: SelfExplaining) -> list[str]:
    return list(model.class_names) or [str(c) for c in range(model.task.outputs)]


def _check_locks(
    operation: Operation,
    state: EditState,
    unit: int,
    arguments: Mapping[str, Any],
    names: Sequence[str],
    name: str,
) -> None:
    others = [arguments[key] for key, argument in operation.arguments.items() if argument.kind == "unit"]
    if name in COMMON:
        return
    for one in (unit, *others):
        if one in state.locked:
            raise ValueError(f"{names[one]!r} is locked; unlock it first")
    if unit in others:
        raise ValueError(f"{names[unit]!r} is given twice; expected another unit")


def _distinct(wanted: Mapping[int, str], computed: Sequence[str]) -> list[str]:
    """Return the wanted name of each unit, for a new one the computed name, changed where it is taken."""
    taken = set(wanted.values())
    names = []
    for i, name in enumerate(computed):
        if i in wanted:
            names.append(wanted[i])
            continue
        free, n = name, 1
        while free in taken:
            n += 1
            free = f"{name} ({n})"
        taken.add(free)
        names.append(free)
    return names


def undo_edits(model: M, count: int | None = None) -> M:
    """Return a copy of a model without its last edits; its tensors are bit-identical to those before them.

    Args:
        model: stays as it is.
        count: number of edits; None for all.

    Raises:
        ValueError: if there are not so many, or the values before them are damaged.
    """
    history = model.history
    if history is None:
        raise ValueError("the model has no edits to undo")
    count = len(history) if count is None else count
    if not 1 <= count <= len(history):
        raise ValueError(f"undo is {count}; expected 1 to {len(history)}, the number of edits, or all")
    state = dict(model.state_dict())
    for step in reversed(history.steps[len(history) - count :]):
        state = restored(state, step.values)
    rest = without_last(history, count)
    weights = rest.steps[-1].weights if rest else history.weights
    if tensor_hash(state) != weights:
        raise ValueError("the values before the edits do not give the tensors that were edited; restore the files")
    undone = copy.deepcopy(model).eval()
    undone.history = rest
    undone.load_state_dict(state)
    return undone


# Operations of every model with units.


def _rename(state: EditState, unit: int, to: str) -> EditState:
    if to in (name for i, name in state.names.items() if i != unit):
        raise ValueError(f"to is {to!r}, the name of another unit; expected a name of its own")
    return replace(state, names={**state.names, unit: to})


def _lock(state: EditState, unit: int) -> EditState:
    return replace(state, locked=state.locked | {unit})


def _unlock(state: EditState, unit: int) -> EditState:
    return replace(state, locked=state.locked - {unit})


COMMON = {
    "rename": Operation(_rename, "give it another name; no number changes", {"to": Argument("text")}),
    "lock": Operation(_lock, "refuse later edits of it, and keep its weights when a head is solved again"),
    "unlock": Operation(_unlock, "allow edits of it again"),
}
