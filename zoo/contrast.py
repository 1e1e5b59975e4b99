"""Why a model prefers one class to another: the difference of two explanations of one input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from zoo.explanation import Explanation, Units

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Contrast:
    """Why ``first.target`` rather than ``second.target``, for b inputs; u units.

    The sums of two explanations with one starting value say little about the choice between the classes: what counts
    is by how much more a unit adds to one class than to the other. If both explanations are exact,
    ``contribution.sum(1) + base`` is the difference of the two logits.

    Attributes:
        first: explanation of the class in question.
        second: explanation of the other class, of the same inputs.
        shown: ``(b, k)`` ids of the units with the largest differences, largest first.

    Raises:
        ValueError: if the explanations are not of the same inputs and units.
    """

    first: Explanation
    second: Explanation
    shown: Tensor

    def __post_init__(self) -> None:
        if self.first.contribution.shape != self.second.contribution.shape:
            one, two = (tuple(e.contribution.shape) for e in (self.first, self.second))
            raise ValueError(f"contributions are {one} and {two}; expected two explanations of the same inputs")

    def __len__(self) -> int:
        return len(self.first)

    @classmethod
    def of(cls, first: Explanation, second: Explanation, shown: int) -> Contrast:
        """Return the contrast of two explanations with the ``shown`` units of the largest differences.

        Raises:
            ValueError: if both explain the same class of an input.
        """
        if bool((same := first.target == second.target).any()):
            i = int(same.nonzero()[0, 0])
            raise ValueError(f"input {i} is compared with its own class {int(first.target[i])}; expected another class")
        difference = (first.contribution - second.contribution).abs()
        return cls(first, second, difference.topk(min(shown, difference.shape[1]), dim=1).indices)

    @property
    def units(self) -> Units:
        """The vocabulary."""
        return self.first.units

    @property
    def target(self) -> Tensor:
        """Class ``(b,)`` in question."""
        return self.first.target

    @property
    def against(self) -> Tensor:
        """Class ``(b,)`` that it is compared with."""
        return self.second.target

    @property
    def contribution(self) -> Tensor:
        """By how much more each unit adds to the first class ``(b, u)``."""
        return self.first.contribution - self.second.contribution

    @property
    def base(self) -> Tensor:
        """Difference ``(b,)`` of the parts that no unit accounts for."""
        return self.first.base - self.second.base

    @property
    def difference(self) -> Tensor:
        """Difference ``(b,)`` of the two logits."""
        logits = self.first.logits
        return (logits.gather(1, self.target[:, None]) - logits.gather(1, self.against[:, None]))[:, 0]

    @property
    def is_exact(self) -> bool:
        """Whether contributions and base sum to the difference of the logits."""
        return self.first.method == "exact" and self.second.method == "exact"

    def to_pandas(self) -> pd.DataFrame:
        """Return one row for each shown unit of each input."""
        import pandas as pd

        contribution, rows = self.contribution, []
        for i, ids in enumerate(self.shown.tolist()):
            for unit in ids:
                rows.append(
                    {
                        "input": i,
                        "class": int(self.target[i]),
                        "against": int(self.against[i]),
                        "unit": self.units.names[unit],
                        "difference": float(contribution[i, unit]),
                        "for the class": float(self.first.contribution[i, unit]),
                        "for the other": float(self.second.contribution[i, unit]),
                    }
                )
        return pd.DataFrame(rows)
