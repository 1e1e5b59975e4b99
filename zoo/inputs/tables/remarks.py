"""Warnings about the training data of a table, printed before training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zoo.inputs.tables.cells import Cells
from zoo.inputs.tables.column_fitting import MANY
from zoo.inputs.tables.columns import Column
from zoo.inputs.tables.target import Target


def remarks_on(columns: Sequence[Column], target: Target | None, markers: frozenset[str], cells: Cells) -> list[str]:
    """Return warnings: identifiers, columns of codes, equal columns, a column that determines the class."""
    remarks = []
    same: dict[bytes, str] = {}
    classes = target is not None and target.kind == "classes"
    y = target.read(cells, markers).numpy() if target is not None and classes else None
    for column in columns:
        values, _ = column.parse(cells.columns[column.name], markers)
        if (twin := same.setdefault(values.tobytes(), column.name)) != column.name:
            remarks.append(f"{column.name} has the same values as {twin} in every training row; leave one out")
        known = values[~np.isnan(values)]
        different, place = np.unique(known, return_inverse=True)
        whole = bool((different % 1 == 0).all())
        if column.kind == "number" and whole and 2 < len(different) <= 10 and len(known) >= 5 * len(different):
            codes = ", ".join(column.show(value) for value in different[:5])
            remarks.append(
                f"{column.name} holds {len(different)} different whole numbers ({codes}, ...); if they are codes,"
                f" declare data.kinds={{{column.name}: category}}"
            )
        if column.kind == "number" and whole and len(values) >= MANY and _counts(values):
            low, high = column.show(values.min()), column.show(values.max())
            remarks.append(
                f"{column.name} may be an identifier: whole numbers from {low} to {high} in the order of the rows;"
                " leave it out by naming the others in data.features"
            )
        if y is not None and 2 <= len(different) <= len(known) / 5:
            table = np.zeros((len(different), int(y.max()) + 1), int)
            np.add.at(table, (place, y[~np.isnan(values)]), 1)
            if int(((table > 0).sum(1) > 1).sum()) == 0 and int((table.sum(0) > 0).sum()) > 1:
                remarks.append(
                    f"{column.name} determines the class in every training row; check that it is known before"
                )
    return remarks


def _counts(values: np.ndarray) -> bool:
    """Whether values rise or fall from row to row with few gaps, as a counter of which some rows were held out."""
    steps = np.diff(values)
    monotone = bool((steps > 0).all() or (steps < 0).all())
    return monotone and float(np.ptp(values)) + 1 <= 2 * len(values)
