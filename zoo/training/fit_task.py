"""What is chosen on validation samples after training: temperature, threshold of least cost, abstention."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from zoo.batch import Batch
from zoo.capabilities import LanguageModel, capability
from zoo.data.base import Data
from zoo.model import SelfExplaining, in_order
from zoo.task import TaskOptions


def fit_task(model: SelfExplaining, data: Data, options: TaskOptions) -> list[str]:
    """Fit the task of a trained model on the validation split, in place; return lines on what was chosen.

    A model without inputs, such as a language model, keeps its task; so does any model without validation samples.

    Args:
        model: trained, in eval mode.
        data: where the validation split is from.
        options: what the user declared.

    Raises:
        ValueError: if costs or abstention are declared and there are no validation samples, or no share of the answers
            has an error rate low enough.
    """
    if not len(data.splits["val"]):
        if options.cost is not None or options.max_risk is not None:
            raise ValueError("task.cost and task.max_risk need validation samples; hold out a share with data.val=0.1")
        return []
    if model.inputs is None or capability(model, LanguageModel) is not None:
        return []
    logits, y, weight = split_logits(model, data.loader("val"))
    model.task = model.task.fitted(logits, y, weight, options, data.output_names)
    return [f"chosen on {len(y)} validation samples: {line}" for line in model.task.describe_fit(data.output_names)]


@torch.no_grad()
def split_logits(model: SelfExplaining, loader: Iterable[Batch]) -> tuple[Tensor, Tensor, Tensor]:
    """Return logits ``(n, c)``, targets ``(n, ...)`` and weights ``(n,)`` of a whole split in its order, on the CPU.

    Args:
        model: in eval mode.
        loader: of the split.
    """
    moved = (batch.to(model.device) for batch in loader)
    logits, y, weight = in_order((model(b.x).cpu(), b.targets.cpu(), b.weights.cpu(), b.index.cpu()) for b in moved)
    return logits, y, weight
