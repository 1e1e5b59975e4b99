"""Edits as they are typed on a command line: ``remove="wing #0" why="..." merge=a into=b``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from zoo.editing.edit_file import NOTES, Edit
from zoo.editing.operation import Operation
from zoo.paths import did_you_mean

YES = "yes"  # value of an operation that is about nothing


def read_statements(statements: Sequence[str], operations: Mapping[str, Operation]) -> tuple[Edit, ...]:
    """Return the edits that ``key=value`` texts say, in order.

    A key that is an operation begins an edit, and its value is the unit; other keys are the arguments and notes of the
    edit before them. A key that is both is an argument of the edit before it, if that has none yet.

    Args:
        statements: texts.
        operations: of the model, by name.

    Raises:
        ValueError: if a text has no ``=``, or a key before any edit is no operation.

    Example:
        >>> apply = lambda state, unit: None
        >>> edits = read_statements(["drop=a=b", "why=wrong", "drop=c"], {"drop": Operation(apply, "")})
        >>> [(edit.unit, edit.why) for edit in edits]
        [('a=b', 'wrong'), ('c', '')]
    """
    rows: list[dict[str, str]] = []
    for statement in statements:
        key, sign, value = statement.partition("=")
        if not sign:
            raise ValueError(f"{statement!r} is not understood; expected operation=unit or argument=value")
        current = operations.get(rows[-1]["operation"]) if rows else None
        is_argument = current is not None and key in current.arguments and key not in rows[-1]
        if key in operations and not is_argument:
            rows.append({"operation": key, **_subject(key, operations[key], value)})
        elif not rows:
            near = did_you_mean(key, sorted(operations)) or ","
            raise ValueError(f"there is no operation {key!r}{near} expected one of {', '.join(sorted(operations))}")
        elif key in rows[-1] or key in ("operation", "unit"):
            raise ValueError(f"{key} is given twice for {rows[-1]['operation']}; give one value")
        elif not is_argument and key not in NOTES:
            known = [*(current.arguments if current else ()), *NOTES]
            near = did_you_mean(key, [*known, *operations]) or ","
            raise ValueError(
                f"{key}={value} is neither an operation nor an argument of {rows[-1]['operation']}{near}"
                f" expected {', '.join(known)}, or one of {', '.join(sorted(operations))}"
            )
        else:
            rows[-1][key] = value
    return tuple(Edit.read(row) for row in rows)


def _subject(name: str, operation: Operation, value: str) -> dict[str, str]:
    """Return what the value of an operation is: its unit, its text, or nothing."""
    if operation.on_unit:
        return {"unit": value}
    if "text" in operation.arguments:
        return {"text": value}
    if value != YES:
        raise ValueError(f"{name}={value} is not understood; expected {name}={YES}")
    return {}
