"""A model as a graph: from raw inputs to logits, probabilities, strengths, contributions and the map."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from zoo.inputs.image import ImageInputs
from zoo.inputs.table import TableInputs
from zoo.model import SelfExplaining
from zoo.serving.column_graph import TypedColumns
from zoo.serving.pixels import Pixels

Raw = Tensor | Mapping[str, Tensor]

OUTPUTS = {
    "logits": "one for each class or label; of a regression the number",
    "probabilities": "calibrated, one for each class or label",
    "prediction": "number of the predicted class, whether each label applies, or the number",
    "strength": "how strongly each unit is present",
    "contribution": "what each unit adds to the logit of the class that is explained",
    "base": "what no unit accounts for; with the contributions it adds up to that logit",
    "explained": "number of the class that is explained: the predicted one",
    "shown": "ids of the units with the largest contributions, largest first; -1 pads",
    "map": "where in the input each shown unit is present, on the model's own grid",
}


class Graph(nn.Module):
    """The whole way from a raw input to the explanation, as one module without data-dependent control flow.

    Args:
        model: with inputs, in eval mode.
        shown: number of units in ``shown`` and ``map``.

    Raises:
        ValueError: for a model without inputs.

    Example:
        >>> import zoo
        >>> model = zoo.create_model("bilinear_mlp", num_classes=2, input_shape=[1], width=8).eval()
        >>> model.inputs = TableInputs.fit({"age": [30, 41, 52], "state": ["ill", "well", "ill"]}, target="state")
        >>> sorted(Graph(model)({"age": torch.tensor([35.0, 60.0], dtype=torch.float64)}))[:4]
        ['base', 'contribution', 'explained', 'logits']
    """

    def __init__(self, model: SelfExplaining, shown: int = 10) -> None:
        super().__init__()
        if model.inputs is None:
            raise ValueError(
                f"this {model.name} has no inputs (inputs.yaml), so that a graph cannot begin at raw inputs; complete"
                " it with `zoo migrate`"
            )
        self.model = model
        self.shown = shown
        self.raw: nn.Module = nn.Identity()  # token ids
        if isinstance(model.inputs, ImageInputs):
            self.raw = Pixels(model.inputs)
        elif isinstance(model.inputs, TableInputs):
            self.raw = TypedColumns(model.inputs)

    def forward(self, raw: Raw) -> dict[str, Tensor]:
        """Return the ``OUTPUTS`` that there are of raw inputs of b samples."""
        return self.outputs(self.raw(raw))

    def outputs(self, x: Tensor) -> dict[str, Tensor]:
        """Return the ``OUTPUTS`` that there are of inputs ``(b, ...)`` of the model."""
        model = self.model
        explanation = model.explain(x, shown=self.shown)
        answers = model.task.answer(explanation.logits.double())
        outputs = {"logits": explanation.logits}
        if answers.probabilities is not None:
            outputs["probabilities"] = answers.probabilities.float()
        real = answers.prediction.is_floating_point()
        outputs["prediction"] = answers.prediction.to(explanation.logits.dtype) if real else answers.prediction
        if explanation.strength.shape[1]:
            outputs["strength"] = explanation.strength
            outputs["contribution"] = explanation.contribution
            outputs["shown"] = explanation.shown
        outputs["base"] = explanation.base
        outputs["explained"] = explanation.target
        if explanation.where is not None:
            outputs["map"] = explanation.where
        return {name: outputs[name].clone() for name in OUTPUTS if name in outputs}


def traced(graph: Graph, raw: Raw) -> torch.export.ExportedProgram:
    """Return the graph as a program of torch: any number of samples, pictures of any size.

    Args:
        graph: of a model in eval mode.
        raw: two or more samples to trace with.

    Raises:
        ValueError: if the model computes something that depends on values in a way that no graph can hold.
    """
    batch = torch.export.Dim("batch")
    sizes: dict[int, Any] = {0: batch}
    if isinstance(graph.raw, Pixels):
        sizes |= {1: torch.export.Dim("height", min=1), 2: torch.export.Dim("width", min=1)}
    shapes = dict.fromkeys(raw, sizes) if isinstance(raw, Mapping) else sizes
    with torch.no_grad(), constant_properties(graph.model):
        graph(raw)  # fills what is computed from the weights alone
        try:
            return torch.export.export(graph, (raw,), dynamic_shapes=(shapes,), strict=False)
        except (RuntimeError, ValueError, TypeError, AttributeError, NotImplementedError) as error:
            reason = " ".join(str(error).split())[:300]
            raise ValueError(f"this {graph.model.name} cannot be written as a graph: {reason}") from error


@contextmanager
def constant_properties(model: SelfExplaining) -> Iterator[None]:
    """Hold the properties of a model that are computed from its weights alone (``weight_properties``) at their values.

    Inside, the model is of a subclass whose attributes they are, so that tracing does not compute them.
    """
    family = type(model)
    values = {name: getattr(model, name) for name in family.weight_properties}
    model.__class__ = type(family.__name__, (family,), {"__module__": family.__module__, **values})
    try:
        yield
    finally:
        model.__class__ = family
