"""Wine Quality of UCI: 1599 red wines, 11 measurements, and the quality from 3 to 8 as a number."""

from __future__ import annotations

from typing import Any

from zoo import paths
from zoo.data.tables.table import Table
from zoo.registry import register


@register
class WineQuality(Table):
    """The quality of red wines by taste, a regression (Cortez et al., Decision Support Systems, 2009).

    Reads ``wine_quality/winequality-red.csv`` under ``ZOO_DATA``, as UCI publishes it (semicolons), or
    ``tables/wine_quality_red.csv`` with commas. A fifth of the rows is the test split.

    Args:
        batch_size: samples per batch on each rank.
        workers: number of loader processes; 0 loads in the main process.
        val: share of the training rows used for validation.
        seed: random seed of the validation share and the order.
        limit: maximum number of samples of each split; None for all.
    """

    license = "CC BY 4.0"
    user_supplied = False

    def __init__(
        self, *, batch_size: int = 1024, workers: int = 0, val: float = 0.1, seed: int = 0, limit: int | None = None
    ) -> None:
        file = paths.data() / "wine_quality" / "winequality-red.csv"
        separator = ";"
        if not file.is_file():
            file, separator = paths.data() / "tables" / "wine_quality_red.csv", ","
        common: dict[str, Any] = {"workers": workers, "val": val, "seed": seed, "limit": limit}
        text: dict[str, Any] = {"task": "regression", "separator": separator}
        super().__init__(file=str(file), target="quality", batch_size=batch_size, **text, **common)
