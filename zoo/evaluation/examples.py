"""Explained inputs: test samples, one of each class, or inputs of a user, with all that a page shows of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.batch import Batch
from zoo.capabilities import (
    HasClassSums,
    HasDecisionPaths,
    HasPointsCard,
    HasSourceTexts,
    HasTrace,
    LanguageModel,
    SourceText,
    capability,
)
from zoo.data.base import Data
from zoo.evaluation.page.controls import counterfactual_sentences, recomputation
from zoo.evaluation.page.edited import edit_history
from zoo.evaluation.page.mean_strengths import from_mean, mean_strengths
from zoo.evaluation.page.occlusion import occlusion
from zoo.evaluation.page.strength_words import strength_words
from zoo.evaluation.units import gallery, notes
from zoo.explanation import Contrast, Explanation
from zoo.model import SelfExplaining
from zoo.reporting.context import PageContext
from zoo.reporting.glossary import noun

LABELS = 3  # labels of an input that are explained


@dataclass(frozen=True)
class Examples:
    """b inputs with their explanations.

    Attributes:
        x: ``(b, ...)`` the inputs.
        explanations: of the predicted class; then, where it is known, of the true class.
        truth: ``(b,)`` true classes or numbers, ``(b, l)`` true labels; None if unknown.
        concepts: ``(b, m)`` true concepts, NaN where unknown; None if there are none.
        inputs: b names of the inputs as on the command line, such as the index of a test sample; empty if unknown.
        contrast: the predicted class beside the runner-up, or a class of choice; None where classes do not exclude each
            other or the model has no units.
    """

    x: Tensor
    explanations: tuple[Explanation, ...]
    truth: Tensor | None = None
    concepts: Tensor | None = None
    contrast: Contrast | None = None
    inputs: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.x)

    @property
    def shown(self) -> set[int]:
        """Ids of all shown units."""
        return {int(u) for e in self.explanations for u in e.shown.flatten() if u >= 0}


@torch.no_grad()
def explain(
    model: SelfExplaining, x: Tensor, batch: Batch | None = None, *, shown: int = 6, against: Tensor | None = None
) -> Examples:
    """Explain inputs: the predicted class and, where it is known, the true class; of other tasks the predictions.

    Args:
        model: in eval mode.
        x: ``(b, ...)`` the inputs.
        batch: the inputs with their annotations, if they are samples of the data.
        shown: number of units to show.
        against: ``(b,)`` classes that the predicted ones are compared with; None for the runners-up.

    Raises:
        ValueError: if ``against`` is the predicted class, or classes do not exclude each other.
    """
    if against is not None or (model.task.kind == "classification" and model.task.outputs > 1 and len(model.units)):
        compared = model.contrast(x, against=against, shown=shown)
        first = compared.first
    else:
        compared, first = None, model.explain(x, shown=shown)
    if model.task.kind == "multilabel":  # the most probable labels, one after another
        order = first.logits.argsort(1, descending=True)[:, :LABELS].T
        others = tuple(model.explain(x, target=target, shown=shown) for target in order[1:])
        truth, concepts = (None, None) if batch is None else (batch.y, batch.concepts)
        return Examples(x, (first, *others), truth, concepts)
    if batch is None:
        return Examples(x, (first,), contrast=compared)
    if model.task.kind == "regression":
        return Examples(x, (first,), batch.y, batch.concepts)
    of_truth = model.explain(x, target=batch.targets, shown=shown)
    return Examples(x, (first, of_truth), batch.y, batch.concepts, compared)


def first_of_each_class(model: SelfExplaining, data: Data, *, count: int = 8, shown: int = 6) -> Examples:
    """Explain the first test sample of each of the first ``count`` classes or labels, or a range of the numbers."""
    y = data.splits["test"].y
    if not y.is_floating_point():
        first = [int((y == c).nonzero()[0, 0]) for c in range(data.num_classes) if bool((y == c).any())][:count]
    elif y.ndim == 1:  # from the smallest number to the largest
        order = y.argsort(stable=True)
        first = order[torch.linspace(0, len(y) - 1, min(count, len(y))).round().long()].tolist()
    else:
        present = [int((column == 1).nonzero()[0, 0]) for column in y.T if bool((column == 1).any())]
        first = list(dict.fromkeys(present or [0]))[:count]
    batch = data.samples("test", first)
    return replace(explain(model, batch.x, batch, shown=shown), inputs=tuple(map(str, first)))


@torch.no_grad()
def page_context(
    model: SelfExplaining,
    data: Data,
    examples: Examples,
    *,
    title: str,
    stored: Path | None = None,
    checkpoint: str = "",
    metrics: Mapping[str, Any] | None = None,
) -> PageContext:
    """Return all that a page shows of explained inputs; every page of inputs begins with this.

    Args:
        model: in eval mode.
        data: what the inputs are from.
        examples: the explained inputs.
        title: heading of the page.
        stored: folder of the checkpoint whose pictures of units are shown, so that no data are read; None to read the
            samples that units were taken from.
        checkpoint: as on the command line, for the commands of the page; empty if the model is not stored.
        metrics: of the checkpoint, which may hold the mean strengths of the units; None for none.

    Returns:
        A context without scores, facts and interventions; add them with ``dataclasses.replace``.
    """
    mean = mean_strengths(model, examples.x, data, metrics, read=stored is None)
    if mean is not None:
        told, contrast = from_mean(model, examples.x, examples.explanations, examples.contrast, mean)
        examples = replace(examples, explanations=told, contrast=contrast)
    traced, summed = capability(model, HasTrace), capability(model, HasClassSums)
    card = capability(model, HasPointsCard)
    tree = capability(model, HasDecisionPaths)
    paths = tree.decision_paths(examples.x) if tree else []
    on_paths = {step.unit for path in paths for step in path.steps}
    tokens = data.token_texts(examples.x)
    labeled_texts = tokens is not None and capability(model, LanguageModel) is None
    target = examples.explanations[0].target.tolist()
    rows = zip(examples.x, tokens or [], target, strict=False)
    return PageContext(
        title=title,
        explanations=examples.explanations,
        class_names=data.output_names,
        task=model.task,
        pictures=data.to_image(examples.x),
        tokens=tokens,
        labeled_texts=labeled_texts,
        source_texts=_source_texts(model, examples),
        contrast=examples.contrast,
        occlusions=[occlusion(model, x, pieces, c) for x, pieces, c in rows] if labeled_texts else (),
        feature_values=data.feature_values(examples.x),
        truth=examples.truth,
        sources=gallery.sources(model, data, examples.shown | on_paths, stored=stored),
        notes=notes.unit_notes(model, data, examples.concepts, examples.explanations, x=examples.x, stored=stored),
        mean_strengths=mean,
        strength_words=strength_words(model, examples.explanations[0], mean),
        shapes=gallery.shapes(model),
        card=card.card() if card else (),
        risks=card.risks() if card else {},
        traces=traced.trace(examples.x) if traced else (),
        class_sums=summed.class_sums(examples.x) if summed else (),
        decision_paths=paths,
        history=edit_history(model, metrics, checkpoint),
        counterfactuals=counterfactual_sentences(model, examples.x, data.output_names),
        recomputation=recomputation(
            model,
            examples.x,
            examples.explanations,
            checkpoint=checkpoint,
            inputs=examples.inputs,
            many=noun(model.units.kind).many,
            mean=mean,
        ),
    )


def _source_texts(model: SelfExplaining, examples: Examples) -> list[dict[int, SourceText]]:
    """For each input the training texts of its shown units, by unit id; empty for units that are no texts."""
    written = capability(model, HasSourceTexts)
    if written is None:
        return []
    shown = torch.cat([explanation.shown for explanation in examples.explanations], 1)
    rows = written.source_texts(examples.x, shown)
    return [dict(zip(ids, row, strict=True)) for ids, row in zip(shown.tolist(), rows, strict=True)]
