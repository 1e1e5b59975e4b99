"""The encoding of tables as a part of a graph: one tensor for each column becomes the inputs of a model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from zoo.inputs.table import TableInputs
from zoo.inputs.tables.columns import Column
from zoo.inputs.tables.encoding import DenseEncoding, Encoding
from zoo.inputs.tables.value_encoding import ValueEncoding

MISSING_CODE = -1  # of a missing cell in a column of levels


class TypedColumns(nn.Module):
    """Encodes columns as the inputs of a model do: float64 numbers, NaN where missing, and int64 codes of levels.

    The code of a level is its place, -1 for a missing cell, and the number of levels for any other level.

    Args:
        inputs: columns and encoding.

    Raises:
        ValueError: for an encoding that does not come with zoo.

    Example:
        >>> data = {"age": [30, 41, 52], "sex": ["F", "M", "F"], "state": ["ill", "well", "ill"]}
        >>> inputs = TableInputs.fit(data, target="state")
        >>> columns = TypedColumns(inputs)
        >>> columns({"age": torch.tensor([41.0], dtype=torch.float64), "sex": torch.tensor([1])})
        tensor([[0., 0., 1.]])
    """

    def __init__(self, inputs: TableInputs) -> None:
        super().__init__()
        if not isinstance(inputs.encoding, DenseEncoding | ValueEncoding):
            raise ValueError(f"the encoding {inputs.encoding.name!r} has no graph; expected dense or values")
        self.columns = inputs.schema.columns
        self.dense = isinstance(inputs.encoding, DenseEncoding)
        for j, column in enumerate(self.columns):
            if column.has_levels:
                self.register_buffer(f"table{j}", _table(inputs.encoding, j, column))

    def forward(self, rows: Mapping[str, Tensor]) -> Tensor:
        """Return inputs ``(b, D)`` of columns ``(b,)`` by name."""
        parts = []
        for j, column in enumerate(self.columns):
            cells = rows[column.name]
            if column.has_levels:
                parts.append(self.get_buffer(f"table{j}")[cells + 1])
            elif not self.dense:
                parts.append(cells[:, None])
            else:
                missing = cells.isnan()
                parts.append(((torch.where(missing, column.median, cells) - column.mean) / column.std)[:, None])
                if column.missing:
                    parts.append(missing[:, None].double())
        x = torch.cat(parts, 1)
        return x.float() if self.dense else x


def _table(encoding: Encoding, j: int, column: Column) -> Tensor:
    """Return the features ``(2 + levels, f)`` float64 of a missing cell, of each level and of any other level."""
    values = np.full((len(column.levels) + 2, len(encoding.columns)), np.nan)
    values[1:, j] = np.arange(len(column.levels) + 1)
    features = torch.tensor([owner == j for owner in encoding.owner])
    return encoding.encode(values)[:, features].double()


def columns_of(inputs: TableInputs, values: np.ndarray) -> dict[str, Tensor]:
    """Return the columns by name of values ``(n, d)``, see ``zoo.inputs.tables.columns.Column``."""
    columns = {}
    for j, column in enumerate(inputs.schema.columns):
        cells = torch.from_numpy(np.array(values[:, j], np.float64))
        if column.has_levels:
            cells = torch.where(cells.isnan(), float(MISSING_CODE), cells).long().clamp_max(len(column.levels))
        columns[column.name] = cells
    return columns
