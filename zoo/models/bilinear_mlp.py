"""Bilinear MLP: the logit of each class is a quadratic form of the input, explained by its eigenvectors.

Source: Pearce, Dooms, Rigg, Oramas, Sharkey, Bilinear MLPs enable weight-based mechanistic interpretability, ICLR 2025.

An embedding, a product of two linear maps and a linear head: the logit of a class is ``sum_i lambda_i (v_i . x)^2``
over eigenvalues and eigenvectors of the weights; no data are needed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from zoo.batch import Batch
from zoo.capabilities import Directions
from zoo.editing.operation import Operation
from zoo.explanation import Explanation, Units, gather
from zoo.layers.bilinear import bilinear
from zoo.layers.bilinear.adversarial_masks import accuracy_beside, masks, shuffled
from zoo.layers.bilinear.bilinear import Bilinear, Forms, Spectrum
from zoo.layers.bilinear.eigen_units import EigenUnits, eigen_units
from zoo.layers.bilinear.eigenvectors import Truncated, effective_rank, project, truncate
from zoo.layers.bilinear.tensor_gram import cosine
from zoo.layers.feature_space import space_of
from zoo.model import SelfExplaining
from zoo.registry import register
from zoo.what_if import AffineHead

TOP = (1, 2, 5, 10)  # eigenvectors per class, for the accuracies in extra_metrics
MASK = 0.5  # std of an adversarial mask, in stds of the inputs
SHUFFLES = 5  # random orders of the control of a mask
DESCRIBE = (
    "The logit of each class is a weighted sum of squared projections on patterns (eigenvectors). The strength of a"
    " pattern is the squared projection of the input, so a pattern and its negative match equally well. Every pattern"
    " adds to the score of a class or subtracts from it."
)


@register
class BilinearMLP(SelfExplaining):
    """Embedding, ``depth`` bilinear layers, linear head; no norm, no residual path.

    Units are eigenvectors v of the classes' interaction matrices: strength ``(v . x)^2``, contribution ``lambda (v .
    x)^2`` to the class that owns them. ``x`` is the input of the last bilinear layer. With ``depth`` 1 that is the
    embedded input, and ``where`` and ``unit_templates`` are in the coordinates of the input. A deeper model explains
    its last layer exactly, by the outputs of the layers before it: those units have no location in the input and no
    template; ``interaction`` gives the matrices of each earlier layer.

    Args:
        num_classes: c.
        input_shape: of one input, such as [1, 28, 28] or [12]; filled in from the data.
        width: of the embedding and of every layer.
        depth: number of bilinear layers.
        bias: add biases to layers and head; a constant coordinate of x explains them too.
        patterns: eigenvectors of each class that are units, largest absolute eigenvalue first; the rest of the spectrum
            is ``base``.
        noise: std of Gaussian noise added to inputs in training.

    Example:
        >>> import zoo
        >>> model = zoo.create_model("bilinear_mlp", num_classes=2, input_shape=[4], width=8, patterns=3).eval()
        >>> model.unit_templates(torch.tensor([0, 5])).shape
        torch.Size([2, 4])
    """

    tasks = ("classification", "regression", "multilabel")
    owner: Tensor

    def __init__(
        self,
        *,
        num_classes: int | None = None,
        input_shape: list[int] | None = None,
        width: int = 256,
        depth: int = 1,
        bias: bool = False,
        patterns: int = 20,
        noise: float = 0.0,
    ) -> None:
        super().__init__()
        for key, value in {"num_classes": num_classes, "width": width, "depth": depth, "patterns": patterns}.items():
            if value is None or value < 1:
                raise ValueError(f"{key} is {value}; expected at least 1")
        assert num_classes is not None
        if not input_shape or min(input_shape) < 1:
            raise ValueError(f"input_shape is {input_shape}; expected the shape of one input, such as [1, 28, 28]")
        if noise < 0:
            raise ValueError(f"noise is {noise}; expected a standard deviation, 0 or more")
        self.save_hyperparameters()
        self.input_shape = tuple(input_shape)
        self.noise = noise
        self.embed = nn.Linear(math.prod(input_shape), width, bias=False)
        self.layers = nn.ModuleList(Bilinear(width, width, bias=bias) for _ in range(depth))
        self.head = nn.Linear(width, num_classes, bias=bias)
        self.patterns = min(patterns, width + bias)
        self.register_buffer("owner", torch.arange(num_classes).repeat_interleave(self.patterns), persistent=False)
        self._cache: EigenUnits | None = None

    @property
    def units(self) -> Units:
        """The eigenvectors, named by class, and by sign and rank of their eigenvalue."""
        positive = self._decomposed().values.unflatten(0, (-1, self.patterns)) > 0
        rank = torch.where(positive, positive.cumsum(1), -(~positive).cumsum(1)).tolist()
        of = [""] if self.task.kind == "regression" else [f"{self.owner_name(c)} " for c in range(len(rank))]
        names = [f"{of[c]}{r:+d}" for c, row in enumerate(rank) for r in row]
        return Units("eigenvector", names, self.owner, describe=DESCRIBE, signed=True)

    @property
    def capabilities(self) -> frozenset[str]:
        """Names of the capabilities of this instance, see ``zoo.capabilities``."""
        over_input = {"unit_templates"} if len(self.layers) == 1 else set()
        of_classes = {"extra_metrics"} if self.task.kind == "classification" else set()
        return frozenset({"affine_head", "directions", "editable", "features"} | over_input | of_classes)

    def trainable_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """``embed``, ``layers``, ``head``."""
        return {"embed": self.embed, "layers": self.layers, "head": self.head}

    # The contract.

    def encode(self, x: Tensor) -> Tensor:
        """Return the input ``(b, width)`` of the last bilinear layer, from inputs ``(b, *input_shape)``."""
        state = self.embed(x.flatten(1))
        for layer in list(self.layers)[:-1]:
            state = layer(state)
        return state

    def decide(self, state: Tensor, mask: Tensor | None = None, value: Tensor | None = None) -> Tensor:
        """Apply last layer and head; a unit that is set changes the logit of its class by lambda times its change."""
        output = self.head(self.layers[-1](state))
        if self.held:
            off = self._off()
            value = torch.zeros_like(off, dtype=output.dtype) if value is None else value.masked_fill(off, 0.0)
            mask = off if mask is None else mask | off
        if mask is not None and value is not None:
            units = self._decomposed()
            change = torch.where(mask, value - project(state, units.vectors).square(), 0) * units.values
            output = output + change.unflatten(-1, (-1, self.patterns)).sum(-1)
        return self.in_units_of_y(output)

    def _off(self) -> Tensor:
        """``(u,)`` bool, eigenvectors that edits hold off."""
        return torch.isin(torch.arange(len(self.owner), device=self.owner.device), self.owner.new_tensor(self.held))

    def edit_operations(self) -> dict[str, Operation]:
        """Return ``hold``, which subtracts what an eigenvector adds in every pass; tensors stay as they are."""
        return {"hold": Operation(lambda state, unit: state.hold(unit), "hold it off: it adds 0 in every later pass")}

    def explain(self, x: Tensor, target: Tensor | None = None, shown: int | Tensor = 10) -> Explanation:
        """Explain by eigenvalue times squared projection, exact.

        ``where`` has the grid of the input (channels summed): each entry's share of ``v . x``, times ``v . x``, so that
        it sums to the strength, except for the constant coordinate. It is negative where the input lowers the strength.
        """
        state = self.encode(x)
        units = self._decomposed()
        projection = project(state, units.vectors)
        strength = projection.square()
        output = self.head(self.layers[-1](state))
        if self.held:
            strength = strength.masked_fill(self._off(), 0.0)
            change = (strength - projection.square()) * units.values
            projection = projection.masked_fill(self._off(), 0.0)
            output = output + change.unflatten(-1, (-1, self.patterns)).sum(-1)
        target = self.resolve_target(self.in_units_of_y(output), target)
        contribution = strength * units.values * (self.owner == target[:, None])
        base = output.gather(1, target[:, None])[:, 0] - contribution.sum(1)
        shown = self.resolve_shown(contribution, shown)
        where = None
        if len(self.layers) == 1:
            where = units.patterns[shown.clamp_min(0)] * x.flatten(1)[:, None] * gather(projection, shown)[..., None]
            where = where.unflatten(2, (-1, *self.input_shape[-2:])).sum(2)
        explanation = Explanation(self.units, output, target, strength, contribution, base, shown, where)
        return self.explained_in_units_of_y(explanation)

    def affine_head(self, x: Tensor) -> AffineHead:
        """Return the eigenvalues, each at the class of its eigenvector; one that is switched off is projected on 0."""
        units = self._decomposed()
        own = self.owner == torch.arange(self.head.out_features, device=self.owner.device)[:, None]
        weight = own * units.values * self.task.scale
        return AffineHead(weight, torch.zeros_like(weight), torch.zeros_like(weight[0]))

    def unit_templates(self, units: Tensor) -> Tensor | None:
        """Return eigenvectors as inputs ``(n, *input_shape)``, of arbitrary sign; None for a deeper model."""
        return self._decomposed().patterns[units].unflatten(1, self.input_shape) if len(self.layers) == 1 else None

    def directions(self) -> Directions:
        """Return the eigenvectors, of arbitrary sign: as inputs, or as states of a deeper model."""
        if len(self.layers) == 1:
            return Directions(self._decomposed().patterns, f"inputs {self.input_shape}", signed=False)
        return Directions(self._decomposed().vectors, space_of(self.embed, *list(self.layers)[:-1]), signed=False)

    def features(self, x: Tensor) -> Tensor:
        """Return what is projected on the eigenvectors, ``(b, width)``."""
        return self.encode(x)

    def loss(self, batch: Batch, weights: Mapping[str, float]) -> dict[str, Tensor]:
        """``task``: the loss of the task on noisy inputs."""
        x = batch.x + self.noise * torch.randn_like(batch.x) if self.noise and self.training else batch.x
        return {"task": self.task_loss(self(x), batch)}

    # Analysis of the weights.

    def forms(self) -> Forms:
        """Return the classes as quadratic forms of the input (flattened, then a constant 1).

        Raises:
            ValueError: for a deeper model, whose logits are no quadratic forms of its input.
        """
        layer = self._only_layer()
        shift = self.head.weight.new_zeros(len(self.head.weight)) if self.head.bias is None else self.head.bias
        return bilinear.forms(layer, self.head.weight, shift=shift, embed=self.embed.weight)

    def decompose(self) -> Spectrum:
        """Return eigenvalues and eigenvectors of every class, over the embedded input (then a constant 1 with biases).

        Raises:
            ValueError: for a deeper model, whose logits are no quadratic forms of its input.
        """
        self._only_layer()
        return self._decomposed().spectrum

    def interaction(self, layer: int, direction: Tensor) -> Tensor:
        """Return symmetric matrices ``(n, d, d)`` of one layer along directions ``(n, width)`` of its output.

        They multiply the layer's input, followed by a constant 1 if there are biases, from both sides.

        Raises:
            ValueError: if there is no such layer, or the directions have another width.
        """
        if not 0 <= layer < len(self.layers):
            raise ValueError(f"layer is {layer}; expected 0 to {len(self.layers) - 1}")
        if direction.ndim != 2 or direction.shape[1] != self.head.in_features:
            raise ValueError(f"direction is {tuple(direction.shape)}; expected (n, {self.head.in_features})")
        return bilinear.interactions(bilinear.forms(self._layers()[layer], direction))

    def similarity(self, other: BilinearMLP) -> float:
        """Return the cosine of two models as functions of the input, class by class; widths may differ.

        Raises:
            ValueError: if their inputs or classes differ, or either is deeper than one layer.
        """
        one, two = self.forms(), other.forms()
        for what, a, b in (("inputs", self.input_shape, other.input_shape), ("classes", len(one.out), len(two.out))):
            if a != b:
                raise ValueError(f"{what} are {a} and {b}; expected models of the same {what}")
        return float(cosine(one, two))

    @torch.no_grad()
    def truncated(self, x: Tensor, n: int) -> Truncated:
        """Return logits from the ``n`` eigenvectors per class of largest absolute eigenvalue, with an error bound.

        Raises:
            ValueError: if ``n`` is negative.
        """
        if n < 0:
            raise ValueError(f"n is {n}; expected a number of eigenvectors of each class, 0 or more")
        return truncate(self.encode(x), self._kept_spectrum(), n)

    @torch.no_grad()
    def extra_metrics(self, loader: Iterable[Batch]) -> dict[str, float]:
        """Return accuracy from few eigenvectors, mean effective rank, and accuracy under adversarial masks.

        A mask activates the first positive eigenvector of one class and almost none of the first ten of other classes.
        One mask at a time, of std ``MASK`` times that of the inputs, is added to every input, with the sign of the mean
        input's projection; the result is the mean over masks. The control shuffles the entries of the masks.
        """
        self.eval()
        x, y = (torch.cat(t).to(self.device) for t in zip(*((b.x.flatten(1), b.targets) for b in loader), strict=True))
        state = self.encode(x)
        spectrum = self._kept_spectrum()
        predictions = {n: truncate(state, spectrum, n).outputs.argmax(1) for n in TOP}
        metrics = {f"top {n} accuracy": float((p == y).double().mean()) for n, p in predictions.items()}
        metrics["effective rank"] = float(effective_rank(spectrum.values).mean())
        if len(self.layers) == 1 and self.embed.in_features > 1:
            strength = MASK * float(x.std(correction=0))
            adversarial = masks(spectrum, self.embed.weight, state.mean(0), strength=strength).to(state)
            for name, added in (("masked", adversarial), ("shuffled mask", shuffled(adversarial, SHUFFLES))):
                metrics[f"{name} accuracy"] = accuracy_beside(self.embed(added), self.decide, state, y)
        return metrics

    def _layers(self) -> list[Bilinear]:
        return [layer for layer in self.layers if isinstance(layer, Bilinear)]

    def _only_layer(self) -> Bilinear:
        if len(self.layers) > 1:
            raise ValueError(
                f"depth is {len(self.layers)}; expected 1, because the logits of a deeper model are no quadratic forms"
                " of its input: analyze its layers with interaction(layer, direction)"
            )
        return self._layers()[0]

    def _kept_spectrum(self) -> Spectrum:
        """Eigenvectors of the current weights, with the eigenvalue 0 where edits hold one off."""
        spectrum = self._decomposed().spectrum
        if not self.held:
            return spectrum
        values = spectrum.values.clone()
        values[:, : self.patterns] = values[:, : self.patterns].masked_fill(
            self._off().unflatten(0, (-1, self.patterns)), 0
        )
        return spectrum._replace(values=values)

    def _decomposed(self) -> EigenUnits:
        """Eigenvectors of the current weights."""
        self._cache = eigen_units(
            self.embed, self._layers()[-1], self.head, per_class=self.patterns, cached=self._cache
        )
        return self._cache
