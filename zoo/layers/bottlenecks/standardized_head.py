"""A sparse linear head on standardized strengths."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.solvers.elastic_net import ElasticNet
from zoo.solvers.slopes import Loss


class StandardizedHead(nn.Module):
    """A linear head that reads strengths minus their training mean, divided by their training standard deviation.

    So a unit of average strength adds 0 to every output, and the penalty of a fit means the same for all units. All
    weights are 0 until the head is fitted.

    Args:
        units: u.
        outputs: c.

    Example:
        >>> head = StandardizedHead(2, 3)
        >>> head(torch.ones(4, 2)).shape
        torch.Size([4, 3])
    """

    mean: Tensor
    std: Tensor

    def __init__(self, units: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(units, outputs)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        self.register_buffer("mean", torch.zeros(units))
        self.register_buffer("std", torch.ones(units))

    def standard(self, strength: Tensor) -> Tensor:
        """Return strengths ``(..., u)`` standardized."""
        return (strength - self.mean) / self.std

    def forward(self, strength: Tensor) -> Tensor:
        """Return the output ``(..., c)`` of strengths ``(..., u)``."""
        return self.linear(self.standard(strength))

    def contribution(self, strength: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return what each unit adds to an output and its bias, ``(b, u)`` and ``(b,)``.

        Args:
            strength: ``(b, u)``.
            target: ``(b,)`` numbers of outputs.
        """
        return self.standard(strength) * self.linear.weight[target], self.linear.bias[target]

    @torch.no_grad()
    def measure(self, strength: Tensor) -> None:
        """Set mean and standard deviation to those of strengths ``(n, u)``; a constant unit has deviation 1."""
        mean, std = strength.double().mean(0), strength.double().std(0, correction=0)
        self.mean.copy_(mean)
        self.std.copy_(torch.where(std > 1e-6 * mean.abs().clamp_min(1e-6), std, 1.0))

    @torch.no_grad()
    def fit(
        self,
        strength: Tensor,
        y: Tensor,
        *,
        penalty: float | None = None,
        nonzeros: float | None = None,
        alpha: float = 0.99,
        loss: Loss | None = None,
    ) -> dict[str, float]:
        """Standardize and fit the head to the optimum of the elastic net, see ``zoo.solvers.elastic_net``.

        Args:
            strength: ``(n, u)``.
            y: ``(n,)`` classes, or targets of ``loss``.
            penalty: lambda.
            nonzeros: mean number of weights of a class that are not 0, instead of ``penalty``.
            alpha: share of the L1 penalty.
            loss: of outputs ``(n, c)``, instead of the cross-entropy.

        Returns:
            The penalty, the KKT residual and the mean number of non-zeros of a class.

        Raises:
            ValueError: if not exactly one of ``penalty`` and ``nonzeros`` is given.
        """
        if (penalty is None) == (nonzeros is None):
            raise ValueError(f"penalty is {penalty} and nonzeros {nonzeros}; expected exactly one of them")
        self.measure(strength)
        problem = ElasticNet(self.standard(strength), y, outputs=self.linear.out_features, alpha=alpha, loss=loss)
        if nonzeros is not None:
            point = problem.fit_with_nonzeros(nonzeros)
        else:
            assert penalty is not None
            point = problem.fit(penalty)
        self.linear.weight.copy_(point.weight)
        self.linear.bias.copy_(point.bias)
        return {
            "penalty": point.penalty,
            "kkt residual": point.residual,
            "non-zeros per class": point.nonzeros_per_class,
        }
