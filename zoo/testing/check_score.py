"""``check_score``: what holds for every score, for our tests and for those of other packages."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_sum

from zoo.metrics.base import Score

UNITS = ("", "%", "units", "nats")
NOT_FINITE = (math.nan, math.inf, -math.inf)
WRONG = {  # numbers that are refused, by kind; -2 stays an integer
    "finite": NOT_FINITE,
    "finite or nan": NOT_FINITE[1:],
    "binary": (0.3, 2.0, math.nan),
    "share": (-0.5, 3.0, *NOT_FINITE),
    "share or nan": (-0.5, 3.0, *NOT_FINITE[1:]),
    "class": (-2,),
    "count": (-2,),
    "unit": (-2,),
    "ids": (),
    "any": (),
}
Rows = Mapping[str, Any]
Update = Callable[[Score, dict[str, Any]], object]


def check_score(
    make: Callable[[], Score],
    rows: Rows,
    *,
    update: Update | None = None,
    exact: tuple[str, ...] = (),
    refuses: str = "",
) -> None:
    """Check that a score depends on the set of samples alone, refuses wrong shapes and has its words.

    Checked are: title, meaning, unit and protocol id; axes of all curves and the names of per-unit read-outs; batch
    size and order; merging in any order, and two processes with unequal shares; an empty batch; ``reset``; arguments
    left as they are; states that are sums or rows; that the scale of other samples does not change what one sample
    adds; an argument with one dimension too many; numbers that are not of the kind that ``Score.inputs`` declares (not
    finite, out of range, not a class, an identity that occurs twice), which are refused by an error that names score,
    argument and input.

    Args:
        make: returns a fresh score: a class without required arguments, or a function.
        rows: arguments of ``update``, tensors with one row for each sample, eight samples or more.
        update: passes rows to a score; None for ``score.update(**rows)``.
        exact: floating-point read-outs that have to agree to the last bit; the others to 1e-12.
        refuses: argument that is refused with one dimension too many; empty for the first.

    Raises:
        AssertionError: saying what does not hold.

    Example:
        >>> from zoo.metrics import Accuracy
        >>> g = torch.Generator().manual_seed(0)
        >>> check_score(Accuracy, {"logits": torch.randn(9, 3, generator=g), "y": torch.arange(9) % 3})
    """
    checks = _Checks(make, dict(rows), update or (lambda score, batch: score.update(**batch)), exact)
    checks.words()
    checks.states()
    checks.arguments()
    checks.empty()
    checks.batches()
    checks.merging()
    checks.scale()
    checks.shapes(refuses)
    checks.inputs()


class _Checks:
    """The checks of one score on one set of samples."""

    def __init__(self, make: Callable[[], Score], rows: dict[str, Any], update: Update, exact: tuple[str, ...]) -> None:
        self.make, self.rows, self.update, self.exact = make, rows, update, exact
        self.number = len(next(iter(rows.values())))
        assert self.number >= 8, f"rows has {self.number} samples; expected 8 or more"
        self.whole = self.updated(torch.arange(self.number)).compute()

    def updated(self, *parts: Any, rows: Rows | None = None) -> Score:
        """Return a fresh score updated with these rows, batch by batch."""
        score = self.make()
        for part in parts:
            self.update(score, {name: value[part] for name, value in (rows or self.rows).items()})
        return score

    def agree(self, values: Mapping[str, Tensor], what: str, expected: Mapping[str, Tensor] | None = None) -> None:
        """Compare read-outs with those of all samples at once."""
        expected = self.whole if expected is None else expected
        assert list(values) == list(expected), f"{what}: read-outs {list(values)}; expected {list(expected)}"
        for key, value in expected.items():
            rtol = 0 if not value.is_floating_point() or key in self.exact else 1e-12
            close = torch.allclose(value.double(), values[key].double(), rtol=rtol, atol=0, equal_nan=True)
            assert close, f"{what}: {key} is {values[key]}; expected {value}"

    def words(self) -> None:
        """Title, meaning, unit, protocol, axes and columns."""
        score = self.make()
        name = type(score).__name__
        for word in ("title", "meaning", "protocol"):
            assert getattr(score, word), f"{name}.{word} is empty"
        short = "\n" not in score.meaning and len(score.meaning) <= 110
        assert short, f"{name}.meaning is not one short line"
        assert score.unit in UNITS, f"{name}.unit is {score.unit!r}; expected one of {UNITS}"
        curves = [key.removeprefix("curve/") for key in self.whole if key.startswith("curve/")]
        missing = [curve for curve in curves if curve not in score.axes and "*" not in score.axes]
        assert not missing, f"{name}.axes has no (x label, y label) for {missing}"
        vectors = {key.removeprefix("unit/") for key in self.whole if key.startswith("unit/")}
        unknown = set(score.unit_readouts) - vectors
        assert not unknown, f"{name}.unit_readouts names {sorted(unknown)}; compute returns {sorted(vectors)}"
        unknown = set(score.chance_readouts) - set(self.whole)
        assert not unknown, f"{name}.chance_readouts names {sorted(unknown)}; compute returns {list(self.whole)}"

    def states(self) -> None:
        """Sums in int64 or float64 that survive ``half``, or rows of samples."""
        score = self.make().half()
        assert score.full_state_update is False
        for name, start in score._defaults.items():
            state = getattr(score, name)
            kept = state == [] if isinstance(start, list) else state.dtype in (torch.int64, torch.float64)
            assert kept, f"state {name} is {state}; expected a sum in int64 or float64, or a list of rows"

    def batches(self) -> None:
        """Batches of any size, in any order."""
        order = torch.randperm(self.number, generator=torch.Generator().manual_seed(1))
        for size in (1, 5, self.number - 1):
            self.agree(self.updated(*order.split(size)).compute(), f"batches of {size} in another order")

    def merging(self) -> None:
        """Scores of parts of the samples, merged in any order; one of them may have no samples."""
        third = self.number // 3
        sizes = (third, third, self.number - 2 * third)
        for order in ((0, 1, 2), (2, 0, 1), (1, 2, 0)):
            parts = [self.updated(part) for part in torch.arange(self.number).split(sizes)]
            total = self.make()
            for i in order:
                total.merge_state(parts[i])
            self.agree(total.compute(), f"three scores merged in the order {order}")
        for split in (0, self.number // 4):
            first, second = (
                self.updated(part) for part in torch.arange(self.number).split([split, self.number - split])
            )
            first.merge_state(second)
            self.agree(first.compute(), f"{split} samples merged with the others")

    def empty(self) -> None:
        """An empty batch adds nothing; without samples the headline is NaN or 0."""
        self.agree(self.updated(slice(None), torch.arange(0)).compute(), "an empty batch after all samples")
        values = self.make().compute()
        headline = next(iter(values.values()))
        assert int(values["support"]) == 0, f"support without samples is {values['support']}; expected 0"
        assert bool(headline.isnan()) or float(headline) == 0, f"without samples the value is {headline}"

    def arguments(self) -> None:
        """Arguments stay as they are; ``reset`` forgets."""
        kept = {name: value.clone() for name, value in self.rows.items()}
        score = self.updated(slice(None))
        for name, value in self.rows.items():
            same = torch.equal(value.nan_to_num(0.5), kept[name].nan_to_num(0.5))
            assert same, f"update changed its argument {name}"
        score.reset()
        self.update(score, self.rows)
        self.agree(score.compute(), "the same samples after reset")

    def scale(self) -> None:
        """What the first sample adds to each sum does not depend on the scale of the others."""
        bounded = [name for name, kind in self.make().inputs.items() if kind.startswith("share")]
        for factor in (1.0, 1e-6, 1e6):
            rows = {
                name: torch.cat([value[:1], value[1:] * factor])
                if value.is_floating_point() and name not in bounded
                else value
                for name, value in self.rows.items()
            }
            alone, others, both = (
                self.updated(part, rows=rows) for part in (torch.arange(1), torch.arange(1, self.number), slice(None))
            )
            for name in (name for name, how in alone._reductions.items() if how is dim_zero_sum):
                one, rest, total = (getattr(score, name).double() for score in (alone, others, both))
                size = max(1.0, float(rest.abs().nan_to_num(posinf=0).amax())) if rest.numel() else 0.0
                close = torch.allclose(total, one + rest, rtol=1e-9, atol=1e-9 * size, equal_nan=True)
                assert close, f"what a sample adds to {name} changes where others are scaled by {factor:g}"

    def shapes(self, name: str) -> None:
        """An argument with one dimension too many is refused."""
        name = name or next(iter(self.rows))
        try:
            self.update(self.make(), self.rows | {name: self.rows[name][..., None]})
        except ValueError:
            return
        raise AssertionError(f"{name} with one dimension too many is accepted; expected a ValueError")

    def inputs(self) -> None:
        """Numbers that are not of the declared kind are refused by an error that names score, argument and input."""
        score = self.make()
        own = inspect.signature(type(score).update).parameters
        undeclared = [name for name in self.rows if name in own and name not in score.inputs]
        assert not undeclared, f"{type(score).__name__}.inputs has no kind of {undeclared}; see Score.inputs"
        for name in self.rows:
            for number in WRONG[score.inputs[name]] if name in score.inputs else ():
                self._refused(name, number)
            if score.inputs.get(name) == "ids":
                wrong = self.rows[name].clone()
                wrong[2] = wrong[0]
                self._error(name, wrong, f"{int(wrong[0])} twice")

    def _refused(self, name: str, number: float) -> None:
        """Check the error about ``number`` in the third sample of an argument."""
        wrong = self.rows[name].clone()
        if wrong.dtype == torch.bool or (not wrong.is_floating_point() and number != -2):
            wrong = wrong.double()
        wrong[2] = number
        self._error(name, wrong.long() if number == -2 else wrong, "of input 2")

    def _error(self, name: str, wrong: Tensor, words: str) -> None:
        """Check that an argument is refused by an error with these words, and the names of score and argument."""
        score = self.make()
        message = ""
        try:
            self.update(score, self.rows | {name: wrong})
        except ValueError as error:
            message = str(error)
        assert message, f"{name} with {wrong[2].flatten()[0]:g} is accepted; expected a ValueError"
        for expected in (f"{getattr(score, 'name', type(score).__name__)}.{name}", words):
            assert expected in message, f"the error about a wrong {name} is {message!r}; expected {expected!r} in it"
