"""What an exported file tells about itself: names, classes, preprocessing, and the meaning of inputs and outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zoo._version import __version__
from zoo.inputs.image import ImageInputs
from zoo.inputs.table import TableInputs
from zoo.model import SelfExplaining
from zoo.serving.column_graph import MISSING_CODE
from zoo.serving.graph import OUTPUTS

RESERVED = frozenset(OUTPUTS)


def input_names(model: SelfExplaining) -> list[str]:
    """Return the name of each input of the graph: ``pixels``, ``tokens``, or the columns of a table.

    A column that is named like an output has an underscore behind its name.
    """
    if isinstance(model.inputs, ImageInputs):
        return ["pixels"]
    if not isinstance(model.inputs, TableInputs):
        return ["tokens"]
    names: list[str] = []
    for name in model.inputs.schema.names:
        while name in RESERVED or name in names:
            name += "_"
        names.append(name)
    return names


def describe(model: SelfExplaining, title: str, outputs: Sequence[str]) -> dict[str, Any]:
    """Return everything that is needed to use the file, as plain values for JSON.

    Args:
        model: that is exported.
        title: name of its checkpoint.
        outputs: names of the outputs of the graph.
    """
    inputs = model.inputs
    assert inputs is not None
    units = model.units
    return {
        "zoo": __version__,
        "checkpoint": title,
        "model": model.name,
        "task": model.task.kind,
        "classes": list(model.class_names),
        "inputs": _inputs(model),
        "preprocessing": inputs.describe() if not isinstance(inputs, TableInputs) else [],
        "outputs": {name: OUTPUTS[name] for name in outputs},
        "units": {"kind": units.kind, "describe": units.describe, "names": list(units.names)},
    }


def _inputs(model: SelfExplaining) -> list[dict[str, Any]]:
    """Return name, type, shape and meaning of each input."""
    inputs = model.inputs
    names = input_names(model)
    if isinstance(inputs, ImageInputs):
        meaning = "decoded pixels, red green blue, of any height and width; resized and normalized in the graph"
        return [{"name": names[0], "type": "uint8", "shape": ["batch", "height", "width", 3], "meaning": meaning}]
    if not isinstance(inputs, TableInputs):
        assert inputs is not None
        meaning = "ids of tokens, -1 behind the end"
        config = {key: value for key, value in inputs.to_config().items() if key not in ("class_names", "encoder")}
        shape = ["batch", *inputs.shape]
        return [{"name": names[0], "type": "int64", "shape": shape, "meaning": meaning, "reader": config}]
    columns = []
    for name, column in zip(names, inputs.schema.columns, strict=True):
        known = {"name": name, "column": column.name, "kind": column.kind, "shape": ["batch"]}
        if column.has_levels:
            codes = f"place of the level, {MISSING_CODE} missing, {len(column.levels)} any other level"
            columns.append(known | {"type": "level", "levels": list(column.levels), "codes": codes})
        else:
            meaning = "days from 1970-01-01" if column.kind == "date" else "the number"
            columns.append(known | {"type": "float64", "meaning": f"{meaning}; NaN is missing"})
    return columns
