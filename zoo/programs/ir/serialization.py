"""Programs as JSON text: every value that is read has the type that its field declares.

Program text comes from checkpoints, which may come from anybody. The types matter because values become Python
source when a program is exported: a number that is really a string would be written as code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from zoo.programs.ir.nodes import KINDS, Node
from zoo.sequence_spec import Frame


@dataclass(frozen=True)
class Structure:
    """Everything of a ``Program`` except the numbers of its read-out; fields as there."""

    frame: Frame
    nodes: tuple[Node, ...]
    reads: tuple[str, ...]
    classes: tuple[str, ...]
    causal: bool = False
    pooled: bool = False


def write_structure(structure: Structure) -> str:
    """Return a structure as JSON text."""
    kinds = {cls: kind for kind, cls in KINDS.items()}
    nodes = [{"kind": kinds[type(node)], **asdict(node)} for node in structure.nodes]
    rest = {key: getattr(structure, key) for key in ("reads", "classes", "causal", "pooled")}
    return json.dumps({"frame": asdict(structure.frame), "nodes": nodes, **rest}, separators=(",", ":"))


def read_structure(text: str) -> Structure:
    """Return the structure that ``write_structure`` wrote.

    Raises:
        ValueError: if the text is not JSON, a field is missing, unknown or of another type, or values do not fit.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not a program: {error}") from error
    if not isinstance(data, dict) or not isinstance(data.get("nodes"), list):
        raise ValueError("not a program: expected an object with a list of nodes")
    nodes = []
    for row in data["nodes"]:
        kind = row.get("kind") if isinstance(row, dict) else None
        if not isinstance(kind, str) or kind not in KINDS:
            raise ValueError(f"not a program: a node is of kind {kind!r}; expected one of {', '.join(KINDS)}")
        nodes.append(_read(KINDS[kind], {key: value for key, value in row.items() if key != "kind"}))
    data["nodes"] = tuple(nodes)
    data["frame"] = _read(Frame, data.get("frame"))
    return _read(Structure, data)


def _read(cls: type[Any], row: Any) -> Any:
    """Return an instance of a dataclass, each field checked against its annotation."""
    if not isinstance(row, Mapping):
        raise ValueError(f"not a program: a {cls.__name__} is {type(row).__name__}; expected an object")
    types = {field.name: str(field.type) for field in fields(cls)}
    values = {}
    for key, value in row.items():
        if key not in types:
            raise ValueError(f"not a program: a {cls.__name__} has {key!r}; expected {', '.join(types)}")
        values[key] = _convert(value, types[key], f"{key} of a {cls.__name__}")
    try:
        return cls(**values)
    except TypeError as error:  # a field is missing
        raise ValueError(f"not a program: {error}") from error


def _convert(value: Any, declared: str, what: str) -> Any:
    """Return a JSON value as the declared type; a bool is not an integer, and a string is not a list."""
    if declared in ("Frame", "tuple[Node, ...]"):  # already built by ``read_structure``
        return value
    if declared.startswith("tuple["):
        element = {"tuple[str, ...]": str, "tuple[int, ...]": int}[declared]
        if isinstance(value, list) and all(type(v) is element for v in value):
            return tuple(value)
    elif declared == "str | None":
        if value is None or type(value) is str:
            return value
    elif type(value) is {"str": str, "int": int, "bool": bool}[declared]:
        return value
    raise ValueError(f"not a program: {what} is {str(value)[:40]!r}; expected {declared}")
