"""What every model shares: the contract, and a training step that a phase configures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR, StepLR

from zoo.batch import Batch
from zoo.capabilities import Directions, Sources
from zoo.explanation import Explanation, Units
from zoo.paths import did_you_mean
from zoo.phase import Phase

if TYPE_CHECKING:
    from zoo.inputs.base import Inputs

OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}


class SelfExplaining(pl.LightningModule, ABC):
    """A model that is its own explanation.

    Five promises, tested for every registered model: ``explain(x).logits`` is ``forward(x)``; exact contributions and
    ``base`` sum to ``logits[target]``; ``explain(x, target=y)`` explains y; eval mode is deterministic, independent of
    the rest of the batch and changes no state; shapes are checked at construction.

    A family says what it senses (``encode``) and how units decide (``decide``); the answer and every intervention on it
    follow from these two.

    Attributes:
        name: under which the class is registered.
        terms: names of the loss terms that ``loss`` may return; ``task`` has weight 1 unless a phase says otherwise.
        input_kind: ``numbers``, or ``tokens``: contexts ``(b, t)`` of integers, -1 behind their end.
        inputs: what turns raw things into inputs and back, fixed when the model was trained; None for none.
    """

    registered_as: ClassVar[str] = "model"
    name: ClassVar[str]
    input_kind: ClassVar[Literal["numbers", "tokens"]] = "numbers"
    terms: ClassVar[tuple[str, ...]] = ("task",)
    inputs: Inputs | None = None

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes in the order of the logits; empty where the model has no inputs of its own."""
        return () if self.inputs is None else self.inputs.class_names

    def __init__(self) -> None:
        super().__init__()
        self.phase = Phase()

    # The contract.

    @property
    @abstractmethod
    def units(self) -> Units:
        """The vocabulary."""

    @abstractmethod
    def encode(self, x: Tensor) -> Any:
        """Everything that the answer depends on, up to where units can be set: a tensor or a tuple of them, b first."""

    @abstractmethod
    def decide(self, state: Any, mask: Tensor | None = None, value: Tensor | None = None) -> Tensor:
        """Logits from what ``encode`` found.

        Args:
            state: of b inputs.
            mask: ``(..., b, u)`` bool, units whose strength is set instead of sensed; None for none.
            value: ``(..., b, u)`` their strengths; read only where ``mask`` is true, and may be NaN elsewhere.

        Returns:
            ``(..., b, c)``
        """

    @property
    def capabilities(self) -> frozenset[str]:
        """Names of the capabilities of this instance, see ``zoo.capabilities``."""
        return frozenset()

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``(b, c)`` of inputs ``x``."""
        return self.decide(self.encode(x))

    @abstractmethod
    def explain(self, x: Tensor, target: Tensor | None = None, shown: int | Tensor = 10) -> Explanation:
        """Explain the pass over ``x``.

        Args:
            x: ``(b, ...)`` inputs.
            target: ``(b,)`` classes to explain; None for the predicted ones.
            shown: how many units to show, or ``(b, k)`` ids of them (-1 pads).
        """

    @abstractmethod
    def trainable_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """What a phase may train, by name; together all parameters."""

    def part_of(self, key: str) -> str:
        """The part that a tensor of the state belongs to."""
        return key.split(".", 1)[0]

    def resize_for(self, state: Mapping[str, Tensor], prefix: str = "") -> None:
        """Take over the size of a vocabulary that training can change, before ``state`` is loaded."""

    def convert_state(self, state: Mapping[str, Tensor], source: SelfExplaining) -> Mapping[str, Tensor]:
        """Tensors taken over from a ``source`` of another family, as this family has them.

        Raises:
            ValueError: if what they compute could not be kept.
        """
        return state

    @abstractmethod
    def loss(self, batch: Batch, weights: Mapping[str, float]) -> dict[str, Tensor]:
        """Unweighted loss terms by name, ``task`` first; terms of weight 0 may be left out."""

    def intervene(self, x: Tensor, values: Mapping[int, float] | Tensor, mask: Tensor | None = None) -> Tensor:
        """Logits ``(b, c)`` with the strength of some units set.

        Args:
            x: ``(b, ...)`` inputs.
            values: ``{unit id: strength}`` for all inputs alike, or strengths ``(b, u)``.
            mask: ``(b, u)`` bool, which strengths of a tensor of ``values`` are set; each input has its own row.

        Raises:
            ValueError: if an id is not in the vocabulary, or shape or type of ``values`` and ``mask`` do not fit.
        """
        shape = (len(x), len(self.units))
        if isinstance(values, Mapping):
            if mask is not None:
                raise ValueError("mask goes with a tensor of values; a mapping already says which units are set")
            self.check_values(values)
            ids = torch.tensor(list(values), dtype=torch.int64, device=x.device)
            kind = x.dtype if x.is_floating_point() else self.dtype  # tokens are no measure of strength
            one = torch.tensor(list(values.values()), dtype=kind, device=x.device)
            mask, values = x.new_zeros(shape, dtype=torch.bool), x.new_zeros(shape, dtype=kind)
            mask[:, ids], values[:, ids] = True, one
        if mask is None or mask.dtype != torch.bool or mask.shape != shape or values.shape != shape:
            found = "none" if mask is None else f"{tuple(mask.shape)} {mask.dtype}"
            raise ValueError(f"values are {tuple(values.shape)}, mask is {found}; expected {shape} both, mask bool")
        return self.decide(self.encode(x), mask, values)

    # What a family may have beyond that.

    def encode_concepts(self, concepts: Tensor) -> Tensor | None:
        """The strengths ``(b, u)`` that say "the concepts are these" ``(b, m)``: the family's encoding of a truth.

        NaN stays NaN. None for families whose units are not the concepts of the data.
        """
        return None

    def decode_concepts(self, strengths: Tensor) -> Tensor:
        """The concepts ``(b, m)`` that strengths ``(b, u)`` speak of, as probabilities, numbers in their own unit."""
        return strengths

    def features(self, x: Tensor) -> Tensor | None:
        """What the units are computed from, ``(b, d)``; None where that is no vector."""
        return None

    def unit_templates(self, units: Tensor) -> Tensor | None:
        """What each of these units ``(n,)`` looks for, signed, in the input's own coordinates ``(n, *input)``."""
        return None

    def directions(self) -> Directions | None:
        """The units as directions of a space; None where a unit is more, or something else, than one direction."""
        return None

    def extra_metrics(self, loader: Iterable[Batch]) -> dict[str, float]:
        """Figures that only this family can give, measured on the samples of ``loader``, printed with the scores."""
        return {}

    def trace(self, x: Tensor) -> list[list[tuple[str, list[str]]]]:
        """What was computed on the way, in words: for each input names and values along it; empty for nothing."""
        return []

    def class_sums(self, x: Tensor) -> list[list[tuple[str, list[float]]]]:
        """What each unit that is there adds to each class: names and c numbers, the last row their sum; or nothing."""
        return []

    def sources(self) -> Sources | None:
        """The training sample that each unit was taken from; None for families whose units are not taken from data."""
        return None

    # Helpers for families.

    def resolve_target(self, logits: Tensor, target: Tensor | None) -> Tensor:
        """The classes to explain, checked: ``target``, or the predicted ones."""
        if target is None:
            return logits.argmax(1)
        target = torch.as_tensor(target, device=logits.device)
        if target.shape != logits.shape[:1] or target.is_floating_point():
            raise ValueError(
                f"target is {tuple(target.shape)} {target.dtype}; expected ({len(logits)},) integer classes"
            )
        if bool(((target < 0) | (target >= logits.shape[1])).any()):
            raise ValueError(f"target has class {target.min()} to {target.max()}; expected 0 to {logits.shape[1] - 1}")
        return target.long()

    def resolve_shown(self, contribution: Tensor, shown: int | Tensor) -> Tensor:
        """Ids ``(b, k)`` of the units to show: as given, or the largest by absolute contribution."""
        if isinstance(shown, int):
            if shown < 0:
                raise ValueError(f"shown is {shown}; expected how many units to show, 0 or more")
            return contribution.abs().topk(min(shown, contribution.shape[1]), dim=1).indices
        shown = torch.as_tensor(shown, device=contribution.device)
        whole = not shown.is_floating_point() and shown.dtype != torch.bool
        if shown.ndim != 2 or len(shown) != len(contribution) or not whole:
            raise ValueError(
                f"shown is {tuple(shown.shape)} {shown.dtype}; expected ({len(contribution)}, k) integer unit ids"
            )
        if shown.numel() and int(shown.min()) < -1:
            raise ValueError(f"shown asks for unit {int(shown.min())}; ids begin at 0, and -1 pads")
        if shown.numel() and int(shown.max()) >= contribution.shape[1]:
            raise ValueError(
                f"shown asks for unit {int(shown.max())}; the vocabulary has {contribution.shape[1]} units"
            )
        return shown.long()

    def check_values(self, values: Mapping[int, float]) -> None:
        """Refuse interventions on units outside the vocabulary."""
        for unit in values:
            if not 0 <= unit < len(self.units):
                raise ValueError(f"unit {unit} is not in the vocabulary; expected 0 to {len(self.units) - 1}")

    # Training: one phase at a time, one Trainer.fit each.

    def configure_phase(self, phase: Phase) -> None:
        """Set the phase: which parts learn, how fast, and with which loss weights.

        Raises:
            ValueError: if the phase names an unknown part or term; the message names the nearest.
        """
        for asked, known, what in (
            (phase.lr, list(self.trainable_parts()), "part"),
            (phase.loss, list(self.terms), "loss term"),
        ):
            for name in asked:
                if name not in known:
                    raise ValueError(
                        f"{self.name} has no {what} {name!r}{did_you_mean(name, known)} (has: {', '.join(known)})"
                    )
        self.phase = phase
        for name, part in self.trainable_parts().items():
            for parameter in _parameters(part):
                parameter.requires_grad_(name in phase.lr)
        self.train(self.training)

    def train(self, mode: bool = True) -> SelfExplaining:
        """Training mode, but frozen parts stay in eval mode: their running statistics are frozen too."""
        super().train(mode)
        for name, part in self.trainable_parts().items() if mode else ():
            if isinstance(part, nn.Module) and self.phase.lr and name not in self.phase.lr:
                part.eval()
        return self

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Weighted sum of the loss terms; every term is logged."""
        weights = {t: float(t == "task") for t in self.terms} | dict(self.phase.loss)
        terms = self.loss(batch, weights)
        total = torch.stack([weights[t] * v for t, v in terms.items() if weights[t] != 0]).sum()
        size = len(batch)
        self.log_dict(
            {f"train/{t}": v.detach() for t, v in terms.items()}, on_step=True, on_epoch=False, batch_size=size
        )
        self.log("train/loss", total.detach(), prog_bar=True, batch_size=size)
        return total

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the task accuracy."""
        right = (self(batch.x).argmax(1) == batch.y).float().mean()
        self.log("val/accuracy", right, prog_bar=True, batch_size=len(batch), sync_dist=True)

    def configure_optimizers(self) -> Any:
        """One parameter group per part of the phase."""
        p = self.phase
        groups = [
            {"params": _parameters(part), "lr": p.lr[name], "name": name}
            for name, part in self.trainable_parts().items()
            if name in p.lr
        ]
        extra = {"momentum": 0.9} if p.optimizer == "sgd" else {}
        optimizer = OPTIMIZERS[p.optimizer](groups, weight_decay=p.weight_decay, **extra)
        if p.schedule == "constant":
            return optimizer
        if p.schedule == "step":
            return [optimizer], [StepLR(optimizer, p.every, p.gamma)]
        steps = max(1, int(self.trainer.estimated_stepping_batches))
        return [optimizer], [{"scheduler": CosineAnnealingLR(optimizer, steps), "interval": "step"}]


def in_order(rows: Iterable[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """Columns of a whole split in its order, gathered over ranks, from rows whose last entry is ``Batch.index``."""
    columns = [torch.cat(column) for column in zip(*rows, strict=True)]
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        columns = [_gather_rows(column) for column in columns]
    order = columns[-1].argsort(stable=True)
    return tuple(column[order] for column in columns[:-1])


def _gather_rows(mine: Tensor) -> Tensor:
    """Concatenate rows of all ranks, which may hold different numbers of them."""
    size = torch.tensor([len(mine)], device=mine.device)
    sizes = [torch.zeros_like(size) for _ in range(dist.get_world_size())]
    dist.all_gather(sizes, size)
    most = int(max(sizes))
    padded = torch.cat([mine, mine.new_zeros(most - len(mine), *mine.shape[1:])]).contiguous()
    parts = [torch.empty_like(padded) for _ in sizes]
    dist.all_gather(parts, padded)
    return torch.cat([p[: int(n)] for p, n in zip(parts, sizes, strict=True)])


def _parameters(part: nn.Module | nn.Parameter) -> list[nn.Parameter]:
    return [part] if isinstance(part, nn.Parameter) else list(part.parameters())
