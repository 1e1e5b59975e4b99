"""What edits fix about a model beside its tensors: names, units that are off or locked, weights that are given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class EditState:
    """Names and limits that edits have set; u units.

    Attributes:
        origin: for each unit its id in the model before all edits, -1 for one that was added.
        names: by id, of units whose name is not the one that the model computes.
        held: ids of units that add 0 to every answer.
        locked: ids of units that must not be edited.
        fixed: weight by unit and class that ``resolve`` keeps.
        signs: sign (1 or -1) by unit and class that ``resolve`` keeps.

    Example:
        >>> state = EditState.start(3).hold(2)
        >>> state.kept([2, 0]).held, state.kept([2, 0]).origin
        (frozenset({0}), (2, 0))
    """

    origin: tuple[int, ...]
    names: Mapping[int, str] = field(default_factory=dict)
    held: frozenset[int] = frozenset()
    locked: frozenset[int] = frozenset()
    fixed: Mapping[tuple[int, int], float] = field(default_factory=dict)
    signs: Mapping[tuple[int, int], int] = field(default_factory=dict)

    @classmethod
    def start(cls, units: int) -> EditState:
        """Return the state of a model that was never edited."""
        return cls(tuple(range(units)))

    def hold(self, unit: int) -> EditState:
        """Return the state with a unit that adds 0."""
        return replace(self, held=self.held | {unit})

    def fix(self, unit: int, cls: int, value: float) -> EditState:
        """Return the state with a given weight."""
        return replace(self, fixed={**self.fixed, (unit, cls): value})

    def sign(self, unit: int, cls: int, sign: int) -> EditState:
        """Return the state with a given sign of a weight."""
        return replace(self, signs={**self.signs, (unit, cls): sign})

    def new_text(self, unit: int) -> EditState:
        """Return the state after a unit became another one: its name is computed anew."""
        origin = [-1 if i == unit else before for i, before in enumerate(self.origin)]
        return replace(self, origin=tuple(origin), names={i: name for i, name in self.names.items() if i != unit})

    def kept(self, old: Sequence[int]) -> EditState:
        """Return the state after the vocabulary changed.

        Args:
            old: for each unit its id before, -1 for a new one.
        """
        new = {before: now for now, before in enumerate(old) if before >= 0}
        return EditState(
            tuple(self.origin[before] if before >= 0 else -1 for before in old),
            {new[unit]: name for unit, name in self.names.items() if unit in new},
            frozenset(new[unit] for unit in self.held if unit in new),
            frozenset(new[unit] for unit in self.locked if unit in new),
            {(new[unit], c): value for (unit, c), value in self.fixed.items() if unit in new},
            {(new[unit], c): value for (unit, c), value in self.signs.items() if unit in new},
        )

    def to_config(self) -> dict[str, Any]:
        """Return plain values for YAML; what is empty is left out."""
        origin = list(self.origin)
        values = {
            "units": len(origin),
            "origin": [] if origin == list(range(len(origin))) else origin,
            "names": dict(sorted(self.names.items())),
            "held": sorted(self.held),
            "locked": sorted(self.locked),
            "fixed": [[*place, value] for place, value in sorted(self.fixed.items())],
            "signs": [[*place, value] for place, value in sorted(self.signs.items())],
        }
        return {key: value for key, value in values.items() if value}

    @classmethod
    def from_config(cls, config: Any) -> EditState:
        """Return the state that ``to_config`` described.

        Raises:
            ValueError: if a value is not understood.
        """
        known = {"units", "origin", "names", "held", "locked", "fixed", "signs"}
        if not isinstance(config, Mapping) or set(config) - known:
            raise ValueError("the state of the edits is not understood; expected what zoo wrote")
        units = _integers([config.get("units", 0)])[0]
        origin = _integers(config.get("origin") or range(units))
        names = config.get("names", {})
        if not isinstance(names, Mapping) or not all(isinstance(name, str) for name in names.values()):
            raise ValueError("the names of units are not understood; expected texts by unit")
        ids = _integers(list(names))
        state = cls(
            tuple(origin),
            dict(zip(ids, names.values(), strict=True)),
            frozenset(_integers(config.get("held", []))),
            frozenset(_integers(config.get("locked", []))),
            {(unit, c): float(value) for unit, c, value in _places(config.get("fixed", []), float)},
            {(unit, c): int(value) for unit, c, value in _places(config.get("signs", []), int)},
        )
        named = {*state.names, *state.held, *state.locked, *(u for u, _ in (*state.fixed, *state.signs))}
        if len(origin) != units or any(not 0 <= unit < units for unit in named):
            raise ValueError(f"the state of the edits names units outside 0 to {units - 1}; restore the file")
        return state


def _integers(values: Any) -> list[int]:
    values = list(values) if isinstance(values, list | tuple | range) else [None]
    if any(isinstance(value, bool) or not isinstance(value, int) for value in values):
        raise ValueError("the state of the edits holds other values than unit numbers; restore the file")
    return values


def _places(rows: Any, number: Callable[[Any], Any]) -> list[tuple[int, int, Any]]:
    try:
        return [(*_integers([unit, c]), number(value)) for unit, c, value in rows]  # pyright: ignore[reportReturnType]
    except TypeError as error:
        raise ValueError("the weights that edits gave are not understood; restore the file") from error
