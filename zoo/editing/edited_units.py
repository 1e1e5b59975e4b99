"""What edits add to every model: ``edit``, ``undo`` and the names that edits gave to units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, Any

from zoo.explanation import Units

if TYPE_CHECKING:
    from typing import Self

    from zoo.batch import Batch
    from zoo.editing.history import History


class EditedUnits:
    """The part of ``SelfExplaining`` that edits it.

    Attributes:
        history: the edits since the model was trained; None for none.
    """

    history: History | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Give the units of a family the names that edits gave them."""
        super().__init_subclass__(**kwargs)
        computed = cls.__dict__.get("units")
        if isinstance(computed, property) and computed.fget is not None:
            cls.units = _renamed(computed)  # pyright: ignore[reportAttributeAccessIssue]

    def edit(self, edits: Iterable[Mapping[str, Any]], *, train: Iterable[Batch] | None = None) -> Self:
        """Return a copy with edits applied in order; no data are needed but for ``resolve``.

        Args:
            edits: such as ``{"operation": "rename", "unit": "x0", "to": "age"}``, see ``zoo.editing.edit_file``.
            train: loader of the training split, for ``resolve``.

        Raises:
            ValueError: if the model has no such operation or unit, or an argument does not fit.

        Example:
            >>> import zoo
            >>> model = zoo.create_model("additive", num_classes=2, input_shape=[2]).eval()
            >>> edited = model.edit([{"operation": "rename", "unit": "x0", "to": "age", "why": "its name"}])
            >>> edited.units.names, edited.undo().units.names
            (['age', 'x1'], ['x0', 'x1'])
        """
        from zoo.editing.engine import apply_edits

        return apply_edits(self, edits, train=train)  # pyright: ignore[reportArgumentType, reportReturnType]

    def undo(self, count: int | None = None) -> Self:
        """Return a copy without its last ``count`` edits, None for all; tensors are bit-identical to those before.

        Raises:
            ValueError: if there are not so many edits.
        """
        from zoo.editing.engine import undo_edits

        return undo_edits(self, count)  # pyright: ignore[reportArgumentType, reportReturnType]

    @property
    def held(self) -> list[int]:
        """Ids of the units that edits hold off, which then add 0 in every pass."""
        return [] if self.history is None else sorted(self.history.state.held)


def _renamed(computed: property) -> property:
    """Return the property ``units`` with the names that edits gave; a unit's group of its own is renamed with it."""
    assert computed.fget is not None

    @wraps(computed.fget)
    def units(self: EditedUnits) -> Units:
        units: Units = computed.__get__(self)
        given = {} if self.history is None else self.history.state.names
        if not given:
            return units
        names, group = list(units.names), None if units.group is None else list(units.group)
        for i, name in given.items():
            if group is not None and group[i] == names[i]:
                group[i] = name
            names[i] = name
        return replace(units, names=names, group=group)

    return property(units)
