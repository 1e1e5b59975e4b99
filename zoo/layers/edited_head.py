"""Linear heads under edits: weights of units set to 0 or to numbers, and the exact fit of all that edits leave free."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.batch import Batch
from zoo.editing.operation import Argument, Operation
from zoo.editing.state import EditState
from zoo.layers.sparse_linear import fit_sparse_linear
from zoo.solvers.slopes import Loss

PENALTIES = {"l1": Argument("number", None), "l2": Argument("number", None)}
RESOLVE = "solve the convex head again on the training data, within the limits that edits have set"


class HeadProblem(NamedTuple):
    """The convex problem of a linear head on a whole split; n samples, c outputs, u units.

    Attributes:
        inputs: ``(n, u)`` what the head reads.
        y: ``(n,)`` classes, or targets of ``loss``.
        start: ``(c, u)`` center of the L2 penalty.
        penalized: ``(c, u)`` bool, the weights with L1 penalty.
        l1: strength of the L1 penalty.
        l2: strength of the L2 penalty.
        bias: whether the head has a bias, which has no penalty.
        loss: of outputs ``(n, c)``; None for the cross-entropy.
        sign: ``(c, u)`` sign that the family demands of penalized weights, 0 for either; None for none.
    """

    inputs: Tensor
    y: Tensor
    start: Tensor
    penalized: Tensor
    l1: float
    l2: float
    bias: bool = False
    loss: Loss | None = None
    sign: Tensor | None = None


def solve_head(problem: HeadProblem, weight: Tensor, state: EditState) -> tuple[Tensor, Tensor | None, float]:
    """Return weights ``(c, u)`` and bias ``(c,)`` at the optimum of a problem within the limits of edits.

    Units that are held have the weight 0, those that are locked keep ``weight``, given weights stay, given signs hold.

    Args:
        problem: of all units.
        weight: ``(c, u)`` now.
        state: the limits.

    Returns:
        Weights, bias (None without one), and the KKT residual.

    Raises:
        ValueError: if a penalty is negative.

    Example:
        >>> inputs, y = torch.tensor([[1.0, 1.0], [-1.0, -1.0]]), torch.tensor([0, 1])
        >>> start = torch.zeros(2, 2)
        >>> problem = HeadProblem(inputs, y, start, torch.ones_like(start).bool(), l1=0.0, l2=0.1)
        >>> weight, _, residual = solve_head(problem, start, EditState.start(2).hold(0))
        >>> weight[:, 0].tolist(), bool(weight[0, 1] > 0), residual < 1e-5
        ([0.0, 0.0], True, True)
    """
    given, fixed = fixed_weights(weight, state)
    sign = torch.zeros_like(given, dtype=torch.float64) if problem.sign is None else problem.sign.double().cpu().clone()
    for (unit, c), one in state.signs.items():
        sign[c, unit] = one
    sign[fixed] = torch.nan
    penalized = problem.penalized.cpu() | fixed | (sign != 0)
    inputs = problem.inputs.detach().double().cpu()
    start = problem.start.detach().double().cpu().masked_fill(fixed, 0.0)
    offset = inputs @ given.T
    if problem.bias:
        inputs = torch.cat([inputs, torch.ones_like(inputs[:, :1])], 1)
        start, sign = (torch.cat([t, torch.zeros_like(t[:, :1])], 1) for t in (start, sign))
        penalized = torch.cat([penalized, torch.zeros_like(penalized[:, :1])], 1)
    loss = problem.loss
    if bool(fixed.any()):
        loss = _shifted(problem.loss, problem.y.cpu(), offset)
    found, residual = fit_sparse_linear(
        inputs, problem.y, start, penalized, l1=problem.l1, l2=problem.l2, bias=problem.bias, loss=loss, sign=sign
    )
    units = given.shape[1]
    solved = torch.where(fixed, given, found[:, :units])
    return solved.to(weight), found[:, -1].to(weight) if problem.bias else None, residual


def _shifted(loss: Loss | None, y: Tensor, offset: Tensor) -> Loss:
    """Return the loss of outputs to which ``offset`` ``(n, c)`` is added."""
    if loss is None:
        return lambda output: F.cross_entropy(output + offset, y)
    return lambda output: loss(output + offset)


def fixed_weights(weight: Tensor, state: EditState) -> tuple[Tensor, Tensor]:
    """Return the weights ``(c, u)`` float64 that edits fix, 0 elsewhere, and where they do ``(c, u)`` bool."""
    weight = weight.detach().double().cpu()
    fixed = torch.zeros_like(weight, dtype=torch.bool)
    given = torch.zeros_like(weight)
    locked = sorted(state.locked)
    fixed[:, locked] = True
    given[:, locked] = weight[:, locked]
    for (unit, c), value in state.fixed.items():
        fixed[c, unit] = True
        given[c, unit] = value
    held = sorted(state.held)
    fixed[:, held] = True
    given[:, held] = 0.0
    return given, fixed


class Rows(NamedTuple):
    """What a head is fitted on: a whole split.

    Attributes:
        inputs: ``(n, u)`` what the head reads.
        y: ``(n,)`` classes, or targets of ``loss``.
        loss: of outputs ``(n, c)``; None for the cross-entropy.
    """

    inputs: Tensor
    y: Tensor
    loss: Loss | None = None


class WeightEdits:
    """Operations on the weights ``(c, u)`` from units to outputs of a linear head.

    Args:
        weight: edited in place.
        bias: ``(c,)`` edited in place.
        mean: ``(u,)`` what the head reads of an average training sample; None where that is 0.
        scale: of an output in units of y, by which given weights are divided.
    """

    def __init__(self, weight: Tensor, bias: Tensor, mean: Tensor | None = None, scale: float = 1.0) -> None:
        self.weight = weight
        self.bias = bias
        self.mean = mean
        self.scale = scale

    def operations(
        self,
        rows: Callable[[Iterable[Batch]], Rows] | None = None,
        *,
        l1: float = 0.0,
        l2: float = 1e-3,
        sign: Tensor | None = None,
    ) -> dict[str, Operation]:
        """Return ``drop``, ``weight``, ``sign`` and, with ``rows``, ``resolve``.

        Args:
            rows: returns what the head is fitted on, from the loader of the training split.
            l1: default strength of the L1 penalty.
            l2: default strength of the L2 penalty.
            sign: as in ``HeadProblem``.
        """
        to = {"class": Argument("class")}
        operations = {
            "drop": self.drop_operation(),
            "weight": Operation(self.set_weight, "set its weight for a class", {**to, "value": Argument("number")}),
            "sign": Operation(
                self.set_sign, "make a weight of the other sign 0, for good", {**to, "sign": Argument(("+", "-"))}
            ),
        }
        if rows is None:
            return operations

        def resolve(state: EditState, train: Iterable[Batch], l1: float, l2: float) -> None:
            read = rows(train)
            every = torch.ones_like(self.weight, dtype=torch.bool)
            start = torch.zeros_like(self.weight)
            problem = HeadProblem(read.inputs, read.y, start, every, l1, l2, bias=True, loss=read.loss, sign=sign)
            weight, bias, _ = solve_head(problem, self.weight, state)
            assert bias is not None
            self.weight.copy_(weight)
            self.bias.copy_(bias)

        penalties = {"l1": Argument("number", l1), "l2": Argument("number", l2)}
        operations["resolve"] = Operation(resolve, RESOLVE, penalties, on_unit=False, needs_data=True)
        return operations

    def drop_operation(self) -> Operation:
        """Return ``drop``."""
        mean = {} if self.mean is None else {"mean": Argument(("keep", "base"), "keep")}
        return Operation(self.drop, "let it add 0 to every answer", mean)

    def drop(self, state: EditState, unit: int, mean: str = "base") -> EditState:
        """Set all weights of a unit to 0; with ``keep`` the bias takes what an average sample got from it."""
        if mean == "keep" and self.mean is not None:
            self.bias.add_(self.weight[:, unit] * self.mean[unit])
        self.weight[:, unit] = 0.0
        return state.hold(unit)

    def set_weight(self, state: EditState, unit: int, value: float, **of: int) -> EditState:
        """Set one weight."""
        if unit in state.held:
            raise ValueError("it was dropped; undo that first")
        self.weight[of["class"], unit] = value / self.scale
        return state.fix(unit, of["class"], float(self.weight[of["class"], unit]))

    def set_sign(self, state: EditState, unit: int, sign: str, **of: int) -> EditState:
        """Set one weight to 0 if it has the other sign."""
        c, wanted = of["class"], 1 if sign == "+" else -1
        if float(self.weight[c, unit]) * wanted < 0:
            self.weight[c, unit] = 0.0
        return state.sign(unit, c, wanted)
