"""ProtoTree: a soft decision tree, each node of which asks whether a prototype is present in the image.

Source: Nauta et al., Neural Prototype Trees for Interpretable Fine-grained Image Recognition, CVPR 2021.

The similarity of the nearest patch to a node's prototype is the probability of going right; the answer is the mixture
of the leaves' class distributions. Leaves are updated without derivatives, prototypes by gradient descent on the
negative log-likelihood.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.batch import Batch
from zoo.capabilities import DecisionPath, PathStep
from zoo.explanation import Units
from zoo.layers.prototypes.binary_tree import classes_below, forced_by_pruning, mean_of_leaves, reach
from zoo.layers.prototypes.patch_prototypes import PatchPrototypes
from zoo.layers.prototypes.prototype_model import at_least_one
from zoo.phase import Phase
from zoo.registry import register

Routing = Literal["soft", "greedy"]
FLOOR = 1e-6  # share of the uniform distribution in every leaf, so that no class has probability 0
DESCRIBE = (
    "This model is a decision tree. Each of its nodes asks whether a characteristic patch, its prototype, is present in"
    " the image. The strength of a prototype is the probability that the node goes right (present) instead of left"
    " (absent). A node adds to a class what its answer changes in the probability of that class, compared with a node"
    " that goes both ways alike, weighted by the probability of reaching it."
)


@register
class ProtoTree(PatchPrototypes):
    """Backbone, 1 x 1 convolution with sigmoid, one prototype for each node of a binary tree.

    A logit is the logarithm of the probability of a class. What the nodes add to the probability is exact and is
    divided by the logarithmic mean of the probability before and after, so that it adds up in the logit.

    Args:
        height: h of the tree, which has 2^h - 1 nodes and 2^h leaves.
        dim: width d of the prototypes.
        routing: of the forward pass outside of training: ``soft``, over all paths, or ``greedy``, right wherever the
            similarity is above 0.5, along one path.
        common: the arguments of ``zoo.layers.backbone_model.BackboneModel``.

    Attributes:
        leaves: ``(2^h, c)``, their softmax is the class distribution. The part ``leaves`` has no gradient; its learning
            rate scales the update without derivatives, 1 as published.
        node: ``(u,)`` heap index of the node of each prototype.
        forced: ``(2^h - 1,)`` 0 or 1 where a pruned node always goes left or right, otherwise -1.

    Example:
        >>> import torch, zoo
        >>> model = zoo.create_model("prototree", num_classes=2, backbone="resnet10t", height=3, dim=8).eval()
        >>> len(model.units), model(torch.zeros(1, 3, 64, 64)).exp().sum().round(decimals=4).item()
        (7, 1.0)
    """

    unit_axes: ClassVar[Mapping[str, int]] = {**PatchPrototypes.unit_axes, "node": 0}
    editable_by = ("remove",)
    node: Tensor
    forced: Tensor
    leaves_before: Tensor

    def __init__(self, *, height: int = 9, dim: int = 256, routing: Routing = "soft", **common: Any) -> None:
        super().__init__(**common)
        at_least_one(height=height, dim=dim)
        if routing not in ("soft", "greedy"):
            raise ValueError(f"routing is {routing!r}; expected soft or greedy")
        self.similarity = "exp_l2"
        self.routing: Routing = routing
        convolution = nn.Conv2d(self.backbone.channels, dim, 1, bias=False)
        nn.init.xavier_normal_(convolution.weight, gain=nn.init.calculate_gain("sigmoid"))
        self.addon = nn.Sequential(convolution, nn.Sigmoid())
        nodes = 2**height - 1
        self.build_prototypes(nodes, (dim, 1, 1), initial=lambda *sizes: 0.5 + 0.1 * torch.randn(*sizes))
        self.leaves = nn.Parameter(torch.zeros(nodes + 1, self.num_classes), requires_grad=False)
        self.register_buffer("leaves_before", torch.zeros_like(self.leaves))
        self.register_buffer("node", torch.arange(nodes))
        self.register_buffer("forced", torch.full((nodes,), -1))
        self._update: Tensor | None = None

    @property
    def units(self) -> Units:
        """The prototypes, named by the heap index of their node; 0 is the root."""
        return Units("prototype", [f"node {v}" for v in self.node.tolist()], describe=DESCRIBE)

    @property
    def capabilities(self) -> frozenset[str]:
        """Names of the capabilities of this instance, see ``zoo.capabilities``."""
        return (super().capabilities - {"affine_head"}) | {"decision_paths", "extra_metrics"}

    def trainable_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """``backbone``, ``addon``, ``prototypes``, ``leaves``."""
        parts = {**self.backbone_parts(), "addon": self.addon}
        return {**parts, "prototypes": self.prototypes, "leaves": self.leaves}

    def part_of(self, key: str) -> str:
        """Return ``prototypes`` for what belongs to nodes, ``leaves`` for what belongs to leaves."""
        return {"forced": "prototypes", "leaves_before": "leaves"}.get(key) or super().part_of(key)

    def leaf_distributions(self) -> Tensor:
        """Return the class distribution ``(2^h, c)`` of each leaf."""
        return (1 - FLOOR) * self.leaves.detach().softmax(1) + FLOOR / self.num_classes

    def right(self, strength: Tensor, routing: Routing) -> Tensor:
        """Return the probability ``(..., n)`` of going right at each inner node, from strengths ``(..., u)``."""
        p = (strength > 0.5).to(strength) if routing == "greedy" else strength
        every = self.forced.to(p).clamp_min(0).expand(*p.shape[:-1], -1).clone()
        every[..., self.node] = p
        return every

    def decide(self, state: Tensor, mask: Tensor | None = None, value: Tensor | None = None) -> Tensor:
        """Return log probabilities ``(..., b, c)`` of the mixture of leaves, with some similarities set."""
        if mask is not None and value is not None:
            state = torch.where(mask, value, state)
        with torch.autocast(state.device.type, enabled=False):
            _, leaf = reach(self.right(state, "soft" if self.training else self.routing))
            classes = self.leaf_distributions()
            return (leaf.to(classes.dtype) @ classes).log()  # of a model in half precision

    def contributions(self, strength: Tensor, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return what each node adds to ``logits[target]`` ``(b, u)``, and the logit of the undecided tree ``(b,)``."""
        right = self.right(strength, "soft" if self.training else self.routing)
        even = torch.where(self.forced < 0, 0.5, self.forced.clamp_min(0)).to(right)
        mean = mean_of_leaves(even, self.leaf_distributions())
        nodes = torch.arange(len(even), device=even.device)
        difference = mean[2 * nodes + 2] - mean[2 * nodes + 1]  # (n, c)
        added = reach(right)[0] * (right - even) * difference.T[target]
        base = mean[0].log()[target]
        ratio = logits.gather(1, target[:, None])[:, 0] - base
        growth = torch.where(ratio.abs() < 1e-8, 1.0, ratio / torch.where(ratio == 0, 1.0, ratio.expm1()))
        return added[:, self.node] * (growth / base.exp())[:, None], base

    @torch.no_grad()
    def decision_paths(self, x: Tensor) -> list[DecisionPath]:
        """Return the greedy path of each image ``(b, 3, s, s)``: right wherever the similarity is above 0.5."""
        strength = self.scores(x)
        _, leaf = reach(self.right(strength, "soft"))
        unit = {node: u for u, node in enumerate(self.node.tolist())}
        forced = self.forced.tolist()
        distributions = self.leaf_distributions().tolist()
        paths = []
        for row, weight in zip(strength.tolist(), leaf.tolist(), strict=True):
            node = 0
            steps = []
            while node < len(forced):
                right = forced[node] == 1
                if node in unit:
                    u = unit[node]
                    right = row[u] > 0.5
                    steps.append(PathStep(u, f"node {node}", row[u], right))
                node = 2 * node + 1 + int(right)
            number = node - len(forced)
            paths.append(DecisionPath(steps, f"leaf {number}", distributions[number], weight[number]))
        return paths

    # Training.

    def configure_phase(self, phase: Phase) -> None:
        """Set the phase; the leaves never have a gradient."""
        super().configure_phase(phase)
        self.leaves.requires_grad_(False)

    def loss(self, batch: Batch, weights: Mapping[str, float]) -> dict[str, Tensor]:
        """``task``: negative log-likelihood of the mixture; in training it also prepares the update of the leaves."""
        strength = self.scores(batch.x)
        logits = self.decide(strength)
        if self.training and self.learning_rate("leaves", 1.0) is not None:
            self._update = self._leaf_update(strength.detach(), logits.detach(), batch.targets)
        return {"task": self.task_loss(logits, batch)}

    def _leaf_update(self, strength: Tensor, logits: Tensor, y: Tensor) -> Tensor:
        """Sum over samples of each leaf's share ``(2^h, c)`` in the probability of the true class."""
        _, leaf = reach(self.right(strength, "soft"))
        truth = F.one_hot(y, self.num_classes).to(leaf) / logits.gather(1, y[:, None]).exp()
        return (leaf.T @ truth) * self.leaf_distributions()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Take note of the leaves at the start of an epoch, then return the loss."""
        if batch_idx == 0:
            self.leaves_before.copy_(self.leaves)
        return super().training_step(batch, batch_idx)

    @torch.no_grad()
    def after_step(self) -> None:
        """Move the leaves: forget the share of one batch of what they had learned before this epoch, and add."""
        if self._update is None:
            return
        added, self._update = self._update * (self.learning_rate("leaves", 1.0) or 0.0), None
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(added)
        share = self.leaves_before / max(1, int(self.trainer.num_training_batches))
        self.leaves.copy_(F.relu(self.leaves - share) + added)

    # Methods that a phase can name under ``then``.

    def candidate_classes(self) -> Tensor:
        """Return ``(u, c)`` bool, the classes that the leaves below each node predict."""
        return classes_below(self.leaves.argmax(1), self.num_classes)[self.node]

    @torch.no_grad()
    def prune(self, loader: Iterable[Batch], *, threshold: float = 0.01) -> dict[str, float]:
        """Cut off subtrees all of whose leaves have no class with a probability above ``threshold``."""
        self.forced.copy_(forced_by_pruning(self.leaves.softmax(1).amax(1) <= threshold))
        even = torch.where(self.forced < 0, 0.5, self.forced.clamp_min(0)).to(self.leaves)
        keep = ((reach(even)[0] > 0) & (self.forced < 0))[self.node]
        self.keep(keep)
        return {"pruned": int((~keep).sum()), "left": int(keep.sum())}

    @torch.no_grad()
    def remove(self, unit: int) -> None:
        """Let the node of a prototype always go left, as if it were absent."""
        self.forced[self.node[unit]] = 0
        super().remove(unit)

    @torch.no_grad()
    def extra_metrics(self, loader: Iterable[Batch]) -> dict[str, float]:
        """Return accuracy and agreement with the soft routing of one path: greedy, or to the most probable leaf."""
        scores, y = self.score_matrix(loader)
        _, leaf = reach(self.right(scores, "soft"))
        _, greedy = reach(self.right(scores, "greedy"))
        soft = (leaf @ self.leaf_distributions()).argmax(1)
        classes = self.leaf_distributions().argmax(1)
        numbers: dict[str, float] = {"nodes": len(self.node), "accuracy of soft routing": _share(soft == y)}
        for name, weight in (("greedy", greedy), ("most probable leaf", leaf)):
            predicted = classes[weight.argmax(1)]
            numbers[f"accuracy of {name}"] = _share(predicted == y)
            numbers[f"agreement of {name} with soft"] = _share(predicted == soft)
        return numbers


def _share(flags: Tensor) -> float:
    return float(flags.double().mean())
