"""The counts behind every consistency, and what can be read off them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Counts:
    """How often units made claims, and matched parts, over a set of instances.

    Attributes:
        hit: ``(u, p)`` int64 H, claims whose place met the part, or whose instance bears the label.
        shown: ``(u, p)`` int64 n, claims on instances where the part is visible, or the label known.
        fired: ``(u, 1)`` int64 F, claims; ``(u, p)`` where some do not count for a part.
        present: ``(p,)`` int64 V, instances that show the part, or bear the label.
    """

    hit: Tensor
    shown: Tensor
    fired: Tensor
    present: Tensor

    def rate(self, support: int = 1) -> Tensor:
        """``(u, p)`` float64 r = H / n, 0 where n is below ``support``."""
        return (self.hit.double() / self.shown.clamp_min(1)).masked_fill(self.shown < support, 0)

    @property
    def purity(self) -> Tensor:
        """``(u, p)`` float64 H / F."""
        return self.hit.double() / self.fired.clamp_min(1)

    @property
    def recall(self) -> Tensor:
        """``(u, p)`` float64 H / V."""
        return self.hit.double() / self.present.clamp_min(1)

    @property
    def f1(self) -> Tensor:
        """``(u, p)`` float64 2 H / (F + V)."""
        return 2 * self.hit.double() / (self.fired + self.present).clamp_min(1)

    @property
    def iou(self) -> Tensor:
        """``(u, p)`` float64 H / (F + V - H)."""
        return self.hit.double() / (self.fired + self.present - self.hit).clamp_min(1)

    @property
    def claimed(self) -> Tensor:
        """``(u,)`` bool, whether the unit made any claim that counts."""
        return (self.fired > 0).any(1)

    def over_claiming(self, values: Tensor) -> Tensor:
        """Mean of ``(u,)`` values over the units that made a claim; 0 if none did."""
        return (values * self.claimed).sum() / self.claimed.sum().clamp_min(1)

    def labels(self, support: int = 1) -> Tensor:
        """``(u, p)`` bool, parts by which a unit can be named: r >= 0.95 and H >= 10."""
        return (self.rate(support) >= 0.95) & (self.hit >= 10)
