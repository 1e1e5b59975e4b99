"""Training samples nearest to an input in the space that a model decides in, and a confidence that rests on them.

Schmaltz, Similarity-Distance-Magnitude Activations, arXiv 2509.12760, 2025. A probability is high only if the logit is
large, the nearest training samples are of the predicted class and predicted so, and they are near.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.batch import Batch
from zoo.metrics.record_batch import evaluating
from zoo.model import SelfExplaining

CHUNK = 1 << 24  # distances computed at a time


@dataclass(frozen=True)
class Neighbors:
    """The k nearest training samples of b inputs, the nearest first.

    Attributes:
        index: ``(b, k)`` positions in the training split.
        distance: ``(b, k)`` Euclidean distances of the states.
        y: ``(b, k)`` classes.
        predicted: ``(b, k)`` classes that the model predicts for them.
    """

    index: Tensor
    distance: Tensor
    y: Tensor
    predicted: Tensor


class Exemplars:
    """The states of all training samples, with their classes; states are what ``model.encode`` returns.

    Args:
        model: a classifier of any family.
        loader: the training samples, without augmentation.

    Attributes:
        states: ``(n, d)`` float32; the tensors of a state are flattened and put side by side.
        index: ``(n,)`` positions in the training split.
        y: ``(n,)`` classes.
        predicted: ``(n,)`` predicted classes.

    Raises:
        ValueError: if the loader is empty, or the model is no classifier.

    Example:
        >>> import zoo
        >>> data = zoo.create_data("toys", kind="xor", batch_size=64)
        >>> model = zoo.create_model("blackbox", num_classes=2, backbone="mlp", input_shape=[2])
        >>> exemplars = Exemplars(model, data.loader("train"))
        >>> exemplars.neighbors(data.samples("train", [3, 4]).x, k=2).index[:, 0].tolist()
        [3, 4]
    """

    def __init__(self, model: SelfExplaining, loader: Iterable[Batch]) -> None:
        if model.task.kind != "classification":
            raise ValueError(f"the task is {model.task.kind}; expected a classifier")
        self.model = model
        batches = [(*self._encode(batch.x), batch.index, batch.targets) for batch in loader]
        if not batches:
            raise ValueError("the loader is empty; expected the training samples")
        states, logits, index, y = (torch.cat(parts) for parts in zip(*batches, strict=True))
        self.states = states
        self.index = index
        self.y = y
        self.predicted = logits.argmax(1)

    def neighbors(self, x: Tensor, k: int = 10) -> Neighbors:
        """Return the ``k`` nearest training samples of inputs ``(b, ...)``; of ties, the first in the data set."""
        if not 1 <= k <= len(self.y):
            raise ValueError(f"k is {k}; expected 1 to {len(self.y)}, the number of training samples")
        states, _ = self._encode(x)
        order, distance = self._nearest(states, k)
        return Neighbors(self.index[order], distance, self.y[order], self.predicted[order])

    @torch.no_grad()
    def _encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """States ``(b, d)`` and logits ``(b, c)`` on the CPU."""
        with evaluating(self.model):
            state = self.model.encode(x.to(self.model.device))
            logits = self.model.decide(state)
        tensors = state if isinstance(state, tuple) else (state,)
        return torch.cat([t.flatten(1).float().cpu() for t in tensors], dim=1), logits.float().cpu()

    def _nearest(self, states: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Rows ``(b, k)`` of the nearest training samples, and their distances."""
        orders = []
        distances = []
        for chunk in states.split(max(1, CHUNK // len(self.states))):
            each = torch.cdist(chunk, self.states, compute_mode="donot_use_mm_for_euclid_dist")  # 0 for an equal state
            sorted_ = each.sort(dim=1, stable=True)
            orders.append(sorted_.indices[:, :k])
            distances.append(sorted_.values[:, :k])
        return torch.cat(orders), torch.cat(distances)


@dataclass(frozen=True)
class Confidence:
    """What a confidence rests on, for b inputs.

    Attributes:
        probabilities: ``(b, c)``, the SDM activation of the logits.
        matches: ``(b,)`` similarity q, how many of the nearest training samples in a row are of the predicted class and
            are predicted so.
        quantile: ``(b,)`` distance d in 0..1, the smallest share over classes of held-out samples that are farther from
            the training samples; 0 without matches.
    """

    probabilities: Tensor
    matches: Tensor
    quantile: Tensor


class ExemplarConfidence:
    """Probabilities that fall with the distance from the training samples and rise with matches among them.

    With q matches and distance quantile d, the probability of class c is proportional to (2 + q) to the power of d
    times its logit. Without a match it is the same for all classes. This is the activation alone, of the logits of a
    trained model; the paper also trains a layer before it.

    Args:
        exemplars: of the training samples.
        loader: held-out samples, such as the validation split, for the distribution of distances within each class.

    Raises:
        ValueError: if there are no held-out samples.

    Example:
        >>> import zoo
        >>> data = zoo.create_data("toys", kind="xor", batch_size=64)
        >>> model = zoo.create_model("blackbox", num_classes=2, backbone="mlp", input_shape=[2])
        >>> confidence = ExemplarConfidence(Exemplars(model, data.loader("train")), data.loader("val"))
        >>> far = confidence(torch.full((1, 2), 1e6))
        >>> far.quantile.tolist(), far.probabilities.tolist()
        ([0.0], [[0.5, 0.5]])
    """

    def __init__(self, exemplars: Exemplars, loader: Iterable[Batch]) -> None:
        self.exemplars = exemplars
        distances: list[Tensor] = []
        classes: list[Tensor] = []
        for batch in loader:
            states, _ = exemplars._encode(batch.x)
            distances.append(exemplars._nearest(states, 1)[1][:, 0])
            classes.append(batch.targets)
        if not distances:
            raise ValueError("there are no held-out samples; expected some of each class (data.val above 0)")
        distance, y = torch.cat(distances), torch.cat(classes)
        self.held_out = [distance[y == c].sort().values for c in y.unique().tolist()]

    def __call__(self, x: Tensor) -> Confidence:
        """Return the confidence in the answers to inputs ``(b, ...)``."""
        exemplars = self.exemplars
        states, logits = exemplars._encode(x)
        order, distance = exemplars._nearest(states, len(exemplars.y))
        answer = logits.argmax(1, keepdim=True)
        match = (exemplars.y[order] == answer) & (exemplars.predicted[order] == answer)
        matches = match.long().cumprod(1).sum(1)
        nearest = distance[:, 0].contiguous()
        farther = [1 - torch.searchsorted(d, nearest, right=True).double() / len(d) for d in self.held_out]
        quantile = torch.stack(farther).amin(0).masked_fill(matches == 0, 0.0)
        scaled = (2.0 + matches.double()).log()[:, None] * quantile[:, None] * logits.double()
        return Confidence(scaled.softmax(1), matches, quantile)
