"""ProtoPool: classes share a pool of prototypes; each class learns which of them fill its few slots.

Source: Rymarczyk et al., Interpretable Image Classification with Differentiable Prototypes Assignment, ECCV 2022.

A slot is a distribution over the pool, sampled with Gumbel noise while it is learned and sharpened until it is one
prototype. The score of a prototype is focal: the similarity of its nearest patch minus that of its mean distance to all
patches.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.batch import Batch
from zoo.editing.state import EditState
from zoo.explanation import Units
from zoo.layers.edited_head import HeadProblem, solve_head
from zoo.layers.prototypes.linear_head import exact_fit
from zoo.layers.prototypes.patch_prototypes import PatchPrototypes
from zoo.layers.prototypes.prototype_losses import cluster, separation
from zoo.layers.prototypes.prototype_model import at_least_one
from zoo.layers.prototypes.similarity import addon_layers, similarities
from zoo.registry import register

FIRST_SCALE = 1.3  # of the assignment logits before the Gumbel softmax, at the start
LAST_SCALE = 1000.0  # at the end
TEMPERATURE = 0.5  # of the Gumbel softmax
MAX_CLASSES = 4  # classes that the name of a prototype lists
DESCRIBE = (
    "This model predicts by comparison with characteristic patches of training images, called prototypes, which classes"
    " share: the name of a prototype lists its classes. The strength of a prototype is how much more similar its"
    " nearest patch of the image is than the average patch. Every strength adds to the score of a class or subtracts"
    " from it."
)


@register
class ProtoPool(PatchPrototypes):
    """Backbone, 1 x 1 convolution with sigmoid, a pool of prototypes, slots of classes, linear head without bias.

    Outside of training every slot holds its most probable prototype, so that evaluation is deterministic.

    Args:
        pool: number of prototypes.
        slots: prototypes that each class uses.
        dim: width d of the prototypes.
        mixup: parameter of the Beta distribution by which two training images are mixed; 0 for none, 0.5 as published.
        own_weight: the head's initial weight from a slot to its class; 0 to the others.
        common: the arguments of ``zoo.layers.backbone_model.BackboneModel``.

    Attributes:
        assignment: ``(c, k, u)`` logits of the prototype in each slot.
        head: from c k slots to c logits.

    Example:
        >>> import zoo
        >>> model = zoo.create_model("protopool", num_classes=2, backbone="resnet10t", pool=4, slots=3, dim=8)
        >>> model.assigned().shape, int(model.class_weights().sum())
        (torch.Size([2, 3]), 6)
    """

    terms = ("task", "cluster", "separation", "l1", "orthogonality")
    default_loss = {"cluster": 0.8, "separation": -0.08, "orthogonality": 1.0}
    unit_axes: ClassVar[Mapping[str, int]] = {**PatchPrototypes.unit_axes, "assignment": 2}
    editable_by = ("forbid", "remove", "merge", "resolve")

    def __init__(
        self,
        *,
        pool: int = 202,
        slots: int = 10,
        dim: int = 128,
        mixup: float = 0.0,
        own_weight: float = 1.0,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        at_least_one(pool=pool, slots=slots, dim=dim)
        if slots >= pool or mixup < 0:
            raise ValueError(
                f"slots is {slots}, pool {pool}, mixup {mixup}; expected slots below pool, mixup 0 or more"
            )
        self.similarity = "log_l2"
        self.slots = slots
        self.mixup = mixup
        self.own_weight = own_weight
        self.addon = addon_layers("single", self.backbone.channels, dim, sigmoid=True)
        self.build_prototypes(pool, (dim, 1, 1), initial=torch.rand)
        self.assignment = nn.Parameter(nn.init.xavier_normal_(torch.empty(self.num_classes, slots, pool)))
        self.head = nn.Linear(self.num_classes * slots, self.num_classes, bias=False)
        with torch.no_grad():
            self.head.weight.copy_(self.own_slots() * own_weight)

    def own_slots(self) -> Tensor:
        """Return ``(c, c k)`` bool, whether a slot belongs to a class."""
        return torch.eye(self.num_classes, device=self.assignment.device).bool().repeat_interleave(self.slots, dim=1)

    def assigned(self) -> Tensor:
        """Return the prototype ``(c, k)`` in each slot: the most probable."""
        return self.assignment.argmax(2)

    @property
    def units(self) -> Units:
        """The prototypes, named by number and classes."""
        classes: list[list[str]] = [[] for _ in range(len(self.prototypes))]
        for c, row in enumerate(self.assigned().tolist()):
            for unit in sorted(set(row)):
                classes[unit].append(self.class_names[c] if self.class_names else str(c))
        names = [f"prototype {n}: {_listed(owners)}" for n, owners in enumerate(classes)]
        return Units("prototype", names, describe=DESCRIBE)

    def trainable_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """``backbone``, ``addon``, ``prototypes``, ``assignment``, ``head``."""
        parts = {**self.backbone_parts(), "addon": self.addon, "prototypes": self.prototypes}
        return {**parts, "assignment": self.assignment, "head": self.head}

    def strengths(self, evidence: Tensor) -> Tensor:
        """Return the focal similarity ``(b, u)``: of the nearest patch, minus that of the mean distance."""
        nearest = similarities(evidence.amin((2, 3)), self.similarity)
        return nearest - similarities(evidence.mean((2, 3)), self.similarity)

    def to_maps(self, evidence: Tensor) -> Tensor:
        """Return the similarity ``(b, k, h, w)`` of every patch minus that of the mean distance."""
        mean = similarities(evidence.mean((2, 3), keepdim=True), self.similarity)
        return similarities(evidence, self.similarity) - mean

    def class_weights(self) -> Tensor:
        """Return the weights ``(c, u)``: the sum over the slots that hold a prototype."""
        weight = self.head.weight
        return weight.new_zeros(self.num_classes, len(self.prototypes)).index_add(1, self.assigned().flatten(), weight)

    # Training.

    def sampled_assignment(self) -> Tensor:
        """Return the assignment ``(c, k, u)`` of a training step: with Gumbel noise if the phase trains it, or hard."""
        if not self.training or self.learning_rate("assignment", 1.0) is None:
            return F.one_hot(self.assigned(), len(self.prototypes)).to(self.assignment)
        scale = max(FIRST_SCALE, LAST_SCALE * math.sqrt(self.phase_progress))
        return F.gumbel_softmax(self.assignment * scale, tau=TEMPERATURE, dim=2)

    def loss(self, batch: Batch, weights: Mapping[str, float]) -> dict[str, Tensor]:
        """Cross-entropy, cluster and separation, off-class L1, and the mean cosine between the slots of a class.

        ``separation`` needs a negative weight. With ``mixup`` every term of a mixed image counts both classes.
        """
        x, share, mixed = batch.x, 1.0, batch.targets
        if self.mixup and self.training:
            share = float(torch.distributions.Beta(self.mixup, self.mixup).sample())
            order = torch.randperm(len(x), device=x.device)
            x, mixed = share * x + (1 - share) * x[order], mixed[order]
        evidence = self.evidence(x)
        nearest, mean = evidence.amin((2, 3)), evidence.mean((2, 3))
        q = self.sampled_assignment()
        slot_nearest, slot_mean = (torch.einsum("bu,cku->bck", d, q).flatten(1) for d in (nearest, mean))
        logits = self.head(similarities(slot_nearest, self.similarity) - similarities(slot_mean, self.similarity))
        used = torch.zeros(len(q), q.shape[2], device=q.device)
        used = used.scatter(1, q.sum(1).topk(self.slots, dim=1).indices, 1.0).bool()  # (c, u)
        terms: dict[str, Tensor] = {}
        for part, y in ((share, batch.targets), (1 - share, mixed)):
            if part == 0:
                continue
            own = used[y]
            each = {"task": self.task_loss(logits, replace(batch, y=y))}
            if weights.get("cluster"):
                each["cluster"] = cluster(nearest, own)
            if weights.get("separation"):
                each["separation"] = separation(nearest, own)
            terms = {name: part * value + terms.get(name, 0.0) for name, value in each.items()}
        if weights.get("l1"):
            terms["l1"] = (self.head.weight.abs() * ~self.own_slots()).sum()
        if weights.get("orthogonality"):
            unit = F.normalize(q, dim=2)
            terms["orthogonality"] = (unit @ unit.transpose(1, 2)).sum() / (self.slots * len(q)) - 1
        return terms

    # Methods that a phase can name under ``then``.

    def candidate_classes(self) -> Tensor:
        """Return ``(u, c)`` bool, the classes with the prototype in a slot; all for a prototype in none."""
        held = self.class_counts() > 0
        return held | ~held.any(1, keepdim=True)

    def class_counts(self) -> Tensor:
        """Return ``(u, c)``, in how many slots of a class each prototype is."""
        return F.one_hot(self.assigned(), len(self.prototypes)).sum(1).T

    @torch.no_grad()
    def harden(self, loader: Iterable[Batch]) -> dict[str, float]:
        """Fix every slot on its most probable prototype, and remove the prototypes that are in no slot."""
        self.assignment.copy_(F.one_hot(self.assigned(), len(self.prototypes)).to(self.assignment))
        counts = self.class_counts()
        keep = counts.any(1)
        self.keep(keep)
        shared = (counts[keep] > 0).sum(1).double()
        return {"removed": int((~keep).sum()), "left": int(keep.sum()), "classes of a prototype": float(shared.mean())}

    @torch.no_grad()
    def fit_head(self, loader: Iterable[Batch], *, l1: float = 1e-4, l2: float = 1e-3) -> dict[str, float]:
        """Fit the head exactly: cross-entropy + off-class L1 + L2 distance from the initial own-class weights."""
        scores, y, share = self._weighted_scores(loader)
        slots = scores[:, self.assigned().flatten()]
        weights = {"own_weight": self.own_weight, "l1": l1, "l2": l2}
        return exact_fit(self.head.weight, slots, y, self.own_slots(), **weights, loss=self.head_loss(y, share))

    # Edits.

    @torch.no_grad()
    def forbid(self, unit: int) -> None:
        """Set the weights of all slots that hold a prototype to 0."""
        self.head.weight[:, self.assigned().flatten() == unit] = 0.0

    @torch.no_grad()
    def remove(self, unit: int) -> None:
        """Remove a prototype; its slots hold another one of their class, with the weight 0."""
        self.forbid(unit)
        assigned = self.assigned()
        for c, row in enumerate(assigned.tolist()):
            others = [other for other in row if other != unit]
            other = others[0] if others else int(unit == 0)
            for slot in (k for k, held in enumerate(row) if held == unit):
                self._fill(c, slot, other)
        super().remove(unit)

    @torch.no_grad()
    def merge(self, unit: int, into: int) -> None:
        """Let all slots of a prototype hold another one, with their weights."""
        for c, row in enumerate(self.assigned().tolist()):
            for slot in (k for k, held in enumerate(row) if held == unit):
                self._fill(c, slot, into)

    def _fill(self, c: int, slot: int, unit: int) -> None:
        row = self.assignment[c, slot]
        row.copy_(F.one_hot(torch.tensor(unit), len(self.prototypes)).to(row))

    @torch.no_grad()
    def solve(self, state: EditState, train: Iterable[Batch], l1: float, l2: float) -> None:
        """Solve the problem of ``fit_head`` for all slots that edits leave free."""
        scores, y, share = self._weighted_scores(train)
        assigned = self.assigned().flatten()
        of_slots = EditState.start(len(assigned))
        held, locked = (
            frozenset(i for i, u in enumerate(assigned.tolist()) if u in s) for s in (state.held, state.locked)
        )
        own = self.own_slots()
        start, loss = own.to(scores) * self.own_weight, self.head_loss(y, share)
        problem = HeadProblem(scores[:, assigned], y, start, ~own, l1, l2, loss=loss)
        of_slots = replace(of_slots, held=held, locked=locked)
        self.head.weight.copy_(solve_head(problem, self.head.weight, of_slots)[0])


def _listed(classes: list[str]) -> str:
    more = f" and {len(classes) - MAX_CLASSES} more" if len(classes) > MAX_CLASSES else ""
    return (", ".join(classes[:MAX_CLASSES]) or "no class") + more
