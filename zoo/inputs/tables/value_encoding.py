"""The values of a table as they are: one number for each column, for models that bin their columns themselves."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from zoo.inputs.tables.encoding import Encoding


class ValueEncoding(Encoding):
    """One float64 number for each column, see ``Column``: NaN is missing, the number of levels is *other*.

    >>> from zoo.inputs.table import TableInputs
    >>> data = {"age": [30, None, 52], "sex": ["F", "M", "F"], "state": ["ill", "well", "ill"]}
    >>> inputs = TableInputs.fit(data, target="state", encoding="values")
    >>> inputs.read({"age": [30, None], "sex": ["M", "F"]}).x.tolist()
    [[30.0, 1.0], [nan, 0.0]]
    """

    name = "values"
    fills_missing = False

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(column.name for column in self.columns)

    @property
    def owner(self) -> tuple[int, ...]:
        """The column itself, for each of the numbers."""
        return tuple(range(len(self.columns)))

    def encode(self, values: np.ndarray) -> Tensor:
        """Return the values ``(n, d)`` as float64 inputs."""
        return torch.from_numpy(np.array(values, dtype=np.float64))

    def decode(self, x: Tensor) -> np.ndarray:
        """Return the inputs ``(n, d)`` as float64 values."""
        return np.array(x.detach().double().cpu().numpy())
