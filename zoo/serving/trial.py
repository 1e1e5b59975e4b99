"""The trial of an exported file: run on samples, beside the model in torch and beside the model's own reader."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.serving.files import Run
from zoo.serving.graph import Graph
from zoo.serving.samples import Samples

LARGEST_DIFFERENCE = 1e-4  # of the logits, relative to the largest where that is above 1


@dataclass(frozen=True)
class Trial:
    """What the file computed.

    Attributes:
        samples: number of samples.
        differences: by output, the largest difference to the same graph in torch; of ``map`` where the same units are
            shown.
        logit_difference: the largest difference of the logits, relative to the largest logit where that is above 1.
        other_answers: samples that the model answers in another way when its own reader reads them.
        reader_difference: largest difference of the logits to those.
    """

    samples: int
    differences: Mapping[str, float]
    logit_difference: float
    other_answers: int
    reader_difference: float


@torch.no_grad()
def trial(graph: Graph, run: Run, samples: Iterable[Samples]) -> Trial:
    """Run a file on samples.

    Args:
        graph: that the file holds.
        run: the file as a function.
        samples: one or more.

    Raises:
        ValueError: if there is no sample, or the file has other outputs than the graph.
    """
    count = other = 0
    largest: dict[str, float] = {}
    logit = reader = 0.0
    for sample in samples:
        answer = run(sample.raw)
        expected = graph(sample.raw)
        read = graph.outputs(sample.x)
        if answer.keys() != expected.keys():
            raise ValueError(f"the file has the outputs {', '.join(answer)}; expected {', '.join(expected)}")
        for name, value in _differences(answer, expected).items():
            largest[name] = max(largest.get(name, 0.0), value)
        size = max(1.0, float(expected["logits"].abs().max()))
        logit = max(logit, _distance(answer["logits"], expected["logits"]) / size)
        reader = max(reader, _distance(answer["logits"], read["logits"]))
        if not answer["prediction"].is_floating_point():
            same = answer["prediction"] == read["prediction"]
            other += int((~same.flatten(1).all(1) if same.ndim > 1 else ~same).sum())
        count += len(sample.x)
    if not count:
        raise ValueError("there is no sample to run the file on")
    return Trial(count, largest, logit, other, reader)


def _differences(answer: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, float]:
    differences = {
        name: _distance(answer[name], value)
        for name, value in expected.items()
        if name in ("logits", "probabilities", "strength", "contribution", "base") and value.numel()
    }
    if "map" in expected:
        same = answer["shown"] == expected["shown"]
        differences["map"] = _distance(answer["map"][same], expected["map"][same])
    return differences


def _distance(a: Tensor, b: Tensor) -> float:
    return float((a.double() - b.double()).abs().max()) if a.numel() else 0.0
