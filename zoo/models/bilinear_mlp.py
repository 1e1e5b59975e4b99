"""Bilinear MLP: each class is a quadratic form of the input, and its eigenvectors are the reasons.

Pearce, Dooms, Rigg, Oramas, Sharkey, Bilinear MLPs enable weight-based mechanistic interpretability, ICLR 2025. An
embedding, a product of two linear maps, a linear head, nothing else: the logit of a class is ``sum_i lambda_i (v_i .
x)^2`` over eigenvalues and eigenvectors that are read off the weights, no data needed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.batch import Batch
from zoo.capabilities import Directions
from zoo.explanation import Explanation, Units, gather
from zoo.layers import bilinear
from zoo.layers.bilinear import Bilinear, Forms, Spectrum, Truncated, project
from zoo.layers.directions import space_of
from zoo.layers.tensor_gram import cosine
from zoo.model import SelfExplaining
from zoo.registry import register

TOP = (1, 2, 5, 10)  # eigenvectors per class whose accuracy is a finding
MASK, SHUFFLES = 0.5, 5  # std of the adversarial mask, in stds of the inputs; random orders of its control


class _Known(NamedTuple):
    """What was read off ``weights`` (a copy): the spectrum in float64; eigenvalue, eigenvector, input pattern of units.

    The last three are ``(u,)``, ``(u, d)`` and ``(u, e)``, in the type of the weights.
    """

    weights: Tensor
    spectrum: Spectrum
    values: Tensor
    vectors: Tensor
    patterns: Tensor


@register
class BilinearMLP(SelfExplaining):
    """Embedding, ``depth`` bilinear layers, linear head; no norm, no residual path.

    Units are eigenvectors v of the classes' interaction matrices: strength ``(v . x)^2``, contribution ``lambda (v .
    x)^2`` to the class that owns them. ``x`` is the input of the last bilinear layer: the embedded input where
    ``depth`` is 1, and ``where`` and ``unit_templates`` lead back to the input. A deeper model explains its last layer
    exactly, in terms of what the layers before it computed: those units have no place in the input and no portrait,
    and each earlier layer is open to ``interaction``.

    Args:
        num_classes: c.
        input_shape: of one input, such as [1, 28, 28] or [12]; filled in from the data.
        width: of the embedding and of every layer.
        depth: bilinear layers.
        bias: give layers and head biases; they are explained too, through a constant coordinate of x.
        patterns: eigenvectors of each class that are units, largest absolute eigenvalue first; the rest of the spectrum
            is ``base``.
        noise: std of Gaussian noise added to inputs in training.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        input_shape: list[int] | None = None,
        width: int = 256,
        depth: int = 1,
        bias: bool = False,
        patterns: int = 20,
        noise: float = 0.0,
    ) -> None:
        super().__init__()
        for key, value in {"num_classes": num_classes, "width": width, "depth": depth, "patterns": patterns}.items():
            if value < 1:
                raise ValueError(f"{key} is {value}; expected at least 1")
        if not input_shape or min(input_shape) < 1:
            raise ValueError(f"input_shape is {input_shape}; expected the shape of one input, such as [1, 28, 28]")
        if noise < 0:
            raise ValueError(f"noise is {noise}; expected a standard deviation, 0 or more")
        self.save_hyperparameters()
        self.input_shape, self.noise = tuple(input_shape), noise
        self.embed = nn.Linear(math.prod(input_shape), width, bias=False)
        self.layers = nn.ModuleList(Bilinear(width, width, bias=bias) for _ in range(depth))
        self.head = nn.Linear(width, num_classes, bias=bias)
        self.patterns = min(patterns, width + bias)
        self.register_buffer("owner", torch.arange(num_classes).repeat_interleave(self.patterns), persistent=False)
        self._known: _Known | None = None

    @property
    def units(self) -> Units:
        """The eigenvectors, named by class, and by sign and rank of their eigenvalue."""
        positive = self._read().values.unflatten(0, (-1, self.patterns)) > 0
        rank = torch.where(positive, positive.cumsum(1), -(~positive).cumsum(1)).tolist()
        return Units("eigenvector", [f"class {c} {r:+d}" for c, row in enumerate(rank) for r in row], self.owner)

    @property
    def capabilities(self) -> frozenset[str]:
        """Names of the capabilities of this instance, see ``zoo.capabilities``."""
        over_input = {"unit_templates"} if len(self.layers) == 1 else set()
        return frozenset({"directions", "features", "extra_metrics"} | over_input)

    def trainable_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """``embed``, ``layers``, ``head``."""
        return {"embed": self.embed, "layers": self.layers, "head": self.head}

    # The contract.

    def encode(self, x: Tensor) -> Tensor:
        """The input ``(b, width)`` of the last bilinear layer, from inputs ``(b, *input_shape)``."""
        state = self.embed(x.flatten(1))
        for layer in self.layers[:-1]:
            state = layer(state)
        return state

    def decide(self, state: Tensor, mask: Tensor | None = None, value: Tensor | None = None) -> Tensor:
        """Last layer and head; a unit that is set moves the logit of its class by lambda times the change."""
        logits = self.head(self.layers[-1](state))
        if mask is None:
            return logits
        known = self._read()
        change = torch.where(mask, value - project(state, known.vectors).square(), 0) * known.values
        return logits + change.unflatten(-1, (-1, self.patterns)).sum(-1)

    def explain(self, x: Tensor, target: Tensor | None = None, shown: int | Tensor = 10) -> Explanation:
        """Eigenvalue times squared projection, exact.

        ``where`` has the input's own grid (channels summed): each entry's share of ``v . x``, times ``v . x``, so that
        it sums to the strength, less the share of the constant coordinate. Negative where the input speaks against the
        unit.
        """
        state, known = self.encode(x), self._read()
        logits = self.decide(state)
        target = self.resolve_target(logits, target)
        projection = project(state, known.vectors)
        strength = projection.square()
        contribution = strength * known.values * (self.owner == target[:, None])
        base = logits.gather(1, target[:, None])[:, 0] - contribution.sum(1)
        shown, where = self.resolve_shown(contribution, shown), None
        if len(self.layers) == 1:
            where = known.patterns[shown.clamp_min(0)] * x.flatten(1)[:, None] * gather(projection, shown)[..., None]
            where = where.unflatten(2, (-1, *self.input_shape[-2:])).sum(2)
        return Explanation(self.units, logits, target, strength, contribution, base, shown, where)

    def unit_templates(self, units: Tensor) -> Tensor | None:
        """Eigenvectors as inputs ``(n, *input_shape)``; the sign is arbitrary. None for a deeper model."""
        return self._read().patterns[units].unflatten(1, self.input_shape) if len(self.layers) == 1 else None

    def directions(self) -> Directions:
        """The eigenvectors, of either sign: as inputs, which all runs share, or as states of a deeper model."""
        if len(self.layers) == 1:
            return Directions(self._read().patterns, f"inputs {self.input_shape}", signed=False)
        return Directions(self._read().vectors, space_of(self.embed, *self.layers[:-1]), signed=False)

    def features(self, x: Tensor) -> Tensor:
        """What is projected on the eigenvectors, ``(b, width)``."""
        return self.encode(x)

    def loss(self, batch: Batch, weights: Mapping[str, float]) -> dict[str, Tensor]:
        """Cross-entropy of noisy inputs."""
        x = batch.x + self.noise * torch.randn_like(batch.x) if self.noise and self.training else batch.x
        return {"task": F.cross_entropy(self(x), batch.y)}

    # What the weights say.

    def forms(self) -> Forms:
        """The classes as quadratic forms of the input (flattened, then a constant 1).

        Raises:
            ValueError: for a deeper model, whose logits are no quadratic forms of its input.
        """
        self._whole()
        shift = self.head.weight.new_zeros(len(self.head.weight)) if self.head.bias is None else self.head.bias
        return bilinear.forms(self.layers[0], self.head.weight, shift=shift, embed=self.embed.weight)

    def decompose(self) -> Spectrum:
        """Eigenvalues and eigenvectors of every class, over the embedded input (then a constant 1 with biases).

        Raises:
            ValueError: for a deeper model, whose logits are no quadratic forms of its input.
        """
        self._whole()
        return self._read().spectrum

    def interaction(self, layer: int, direction: Tensor) -> Tensor:
        """Symmetric matrices ``(n, d, d)`` of one layer along directions ``(n, width)`` of its output.

        They multiply the layer's input, followed by a constant 1 if there are biases, from both sides.

        Raises:
            ValueError: no such layer, or directions of another width.
        """
        if not 0 <= layer < len(self.layers):
            raise ValueError(f"layer is {layer}; expected 0 to {len(self.layers) - 1}")
        if direction.ndim != 2 or direction.shape[1] != self.head.in_features:
            raise ValueError(f"direction is {tuple(direction.shape)}; expected (n, {self.head.in_features})")
        return bilinear.interactions(bilinear.forms(self.layers[layer], direction))

    def similarity(self, other: BilinearMLP) -> float:
        """Cosine of two models as functions of the input, class by class; their widths may differ.

        Raises:
            ValueError: if their inputs or classes differ, or either is deeper than one layer.
        """
        one, two = self.forms(), other.forms()
        for what, a, b in (("inputs", self.input_shape, other.input_shape), ("classes", len(one.out), len(two.out))):
            if a != b:
                raise ValueError(f"models of different {what} cannot be compared: {a} here, {b} there")
        return float(cosine(one, two))

    @torch.no_grad()
    def truncated(self, x: Tensor, n: int) -> Truncated:
        """Logits from the ``n`` eigenvectors per class of largest absolute eigenvalue, and how far off they can be.

        The rest of class c is at most the largest eigenvalue left out times the squared norm of what of x is left.
        """
        if n < 0:
            raise ValueError(f"n is {n}; expected how many eigenvectors of each class to keep, 0 or more")
        return bilinear.truncate(self.encode(x), self._read().spectrum, n)

    @torch.no_grad()
    def extra_metrics(self, loader: Iterable[Batch]) -> dict[str, float]:
        """Accuracy from few eigenvectors, mean effective rank, and accuracy under masks made of eigenvectors.

        A mask excites the first positive eigenvector of one class and, nearly, none of the ten first of any class
        beside it. One mask at a time, its std ``MASK`` times that of the inputs, is added to every input, with the sign
        that adds to what the mean input excites; the figure is the mean over the classes' masks. The control adds the
        same masks with their entries shuffled, mean over ``SHUFFLES`` fixed shuffles.
        """
        self.eval()
        x, y = (torch.cat(t).to(self.device) for t in zip(*((b.x.flatten(1), b.y) for b in loader), strict=True))
        state, whole = self.encode(x), self._read().spectrum
        answers = {n: bilinear.truncate(state, whole, n).outputs.argmax(1) for n in TOP}
        told = {f"top {n} accuracy": float((a == y).double().mean()) for n, a in answers.items()}
        told["effective rank"] = float(bilinear.effective_rank(whole.values).mean())
        if len(self.layers) == 1 and self.embed.in_features > 1:
            spread = float(x.std(correction=0))
            masks = bilinear.masks(whole, self.embed.weight, state.mean(0), strength=MASK * spread).to(state)
            for name, some in (("masked", masks), ("shuffled mask", bilinear.shuffled(masks, SHUFFLES))):
                told[f"{name} accuracy"] = bilinear.accuracy_beside(self.embed(some), self.decide, state, y)
        return told

    def _whole(self) -> None:
        if len(self.layers) > 1:
            raise ValueError(
                f"a bilinear_mlp of depth {len(self.layers)} cannot be decomposed as a whole: its logits are no"
                " quadratic forms of its input; take it layer by layer with interaction(layer, direction)"
            )

    def _read(self) -> _Known:
        """The decomposition of the present weights: found once, found anew when they have moved."""
        read = [self.embed.weight, *self.layers[-1].parameters(), *self.head.parameters()]
        now = torch.cat([p.detach().flatten() for p in read])
        was = None if self._known is None else self._known.weights
        if was is None or (was.dtype, was.device) != (now.dtype, now.device) or not torch.equal(was, now):
            with torch.inference_mode(False), torch.no_grad():
                told = bilinear.spectrum(bilinear.forms(self.layers[-1], self.head.weight, shift=self.head.bias))
                values, vectors = (t[:, : self.patterns].flatten(0, 1) for t in told)
                patterns = vectors[:, : self.embed.out_features] @ self.embed.weight.double()
                self._known = _Known(now, told, *(t.to(now.dtype) for t in (values, vectors, patterns)))
        return self._known
