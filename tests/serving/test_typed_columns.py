"""The encoding of columns in a graph gives what the reader of tables gives."""

import numpy as np
import pytest
import torch

from zoo.inputs.table import TableInputs
from zoo.serving.column_graph import TypedColumns, columns_of

TABLE = {
    "age": [30, None, 52, 41, 38, 60],
    "sex": ["F", "M", "F", None, "M", "F"],
    "smokes": ["yes", "no", "yes", "no", "no", "yes"],
    "since": ["2020-01-01", "2021-05-05", "2020-02-02", "2022-01-01", "2020-03-03", "2021-01-01"],
    "pain": ["low", "high", "low", "middle", "high", "low"],
    "ill": ["a", "b", "a", "b", "a", "b"],
}
NEW = {
    "age": [None, 35.5, 70],
    "sex": ["M", "X", None],
    "smokes": ["no", "", "Yes"],
    "since": ["2021-01-01", None, "1999-12-31"],
    "pain": ["high", "low", "unbearable"],
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("encoding", ["dense", "values"])
def test_typed_columns_become_what_the_reader_makes_of_cells(encoding):
    levels = {"pain": ["low", "middle", "high"]}
    inputs = TableInputs.fit(TABLE, target="ill", encoding=encoding, levels=levels, kinds={"pain": "ordinal"})
    assert [column.kind for column in inputs.schema.columns] == ["number", "category", "boolean", "date", "ordinal"]
    cells = next(inputs._cells(NEW, skip=False))
    values = inputs.schema.read(cells).values
    got = TypedColumns(inputs)(columns_of(inputs, values))
    expected = inputs.read(NEW).x
    assert got.dtype == expected.dtype
    assert torch.allclose(got, expected, rtol=1e-6, equal_nan=True)
    assert np.isnan(values[0, 0])
    assert columns_of(inputs, values)["sex"].tolist()[1:] == [2, -1], "another level, a missing cell"
