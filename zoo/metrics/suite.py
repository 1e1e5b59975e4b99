"""All scores of a model in one pass: every explanation is made once per batch and shared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from zoo.batch import Batch
from zoo.concept_schema import ConceptSchema
from zoo.explanation import Units
from zoo.metrics._applicable import applicable, evaluate_positions
from zoo.metrics._shared_pass import SharedPass
from zoo.metrics._suite_entries import Entry, read_suite, rows_of
from zoo.metrics._suite_results import result_of
from zoo.metrics._suite_rows import Facts, Row
from zoo.metrics.base import Score, count
from zoo.metrics.parts._counterfactual_scenes import Scenes
from zoo.metrics.perturbations.perturbation_list import perturbed
from zoo.metrics.positions._evaluator import PositionLabels
from zoo.metrics.record_batch import (
    evaluating,
    explained_target,
    record_batch,
    with_interventions,
    with_random_locations,
)
from zoo.metrics.score_result import Result
from zoo.paths import suite_file
from zoo.task import Task


class Suite:
    """Scores updated from one explanation per batch, and one more for each perturbation that any score uses.

    The true class is explained, and of other tasks what the model itself explains. Where every unit belongs to a
    class, the units read are those of the true class,
    whatever was predicted (the published part protocols). Otherwise they are the model's own top ``shown`` that
    contribute more than 0, and the protocol id records it.

    Args:
        scores: entries: the name of a score, a ``Score`` class or object, or a mapping with ``score``, perhaps
            ``name``, and the score's own arguments; ``interval: true`` adds bootstrap intervals
            (``BootstrapInterval``), ``chance: permute`` (or a list) the score above that null (``ChanceAdjusted``), as
            a row of its own. Or the name of such a list under ``configs/evaluate``, or the path of a YAML file.
        units: the vocabulary of the model.
        part_names: names of the annotated parts; None if the data have none.
        concepts: schema of the annotated concepts; None if the data have none.
        control: whether to add, for each part score, the same score of units at random locations.
        shown: units read for each input if they do not belong to classes.
        scenes: the scored split as scenes that can be rendered again without parts (``Shapes.scenes``); None if they
            cannot.
        position_labels: labels of positions of sequences (``Data.position_labels``); None if there are none.
        task: what the model answers; None where it is unknown, or the classes are tokens: the scores of a task do not
            apply then.
        output_names: of the classes, labels or the number.
        masks: whether the parts have masks (``Batch.masks``), which scores of maps use instead of keypoints.

    Raises:
        ValueError: if a score, an argument or its value is not known, or a name is used twice; names file and entry.

    Example:
        >>> from zoo.metrics import Accuracy
        >>> suite = Suite(["completeness", Accuracy, {"score": "effective_units", "share": 0.5}], Units("none", []))
        >>> {name: result.note for name, result in suite.compute().items() if name != "accuracy"}
        {'completeness': 'n/a: the model has no units', 'effective_units': 'n/a: the model has no units'}
    """

    def __init__(
        self,
        scores: str | Sequence[Entry],
        units: Units,
        part_names: Sequence[str] | None = None,
        *,
        concepts: ConceptSchema | None = None,
        control: bool = False,
        shown: int = 10,
        scenes: Scenes | None = None,
        position_labels: PositionLabels | None = None,
        task: Task | None = None,
        output_names: Sequence[str] = (),
        masks: bool = False,
    ) -> None:
        self.position_labels = position_labels
        self.facts = Facts(
            units,
            tuple(part_names or ()),
            concepts,
            scenes,
            count("shown", shown),
            control,
            task,
            tuple(output_names),
            masks,
        )
        self.rows: dict[str, Row] = {}
        origin = suite_file(scores) if isinstance(scores, str) else "the list"
        entries = read_suite(scores) if isinstance(scores, str) else scores
        for number, entry in enumerate(entries, 1):
            try:
                rows = rows_of(entry, self.facts)
                if rows[0].name in self.rows:
                    raise ValueError(f"two scores are called {rows[0].name!r}; give one of them a `name` of its own")
            except ValueError as error:
                raise ValueError(f"entry {number} of {origin}: {error}") from error
            self.rows |= {row.name: row for row in rows}

    @property
    def scores(self) -> dict[str, Score]:
        """The scores that apply as far as is known before the first batch, by the name of their row."""
        return {name: row.score for name, row in self.rows.items() if row.applies}

    @property
    def fit_splits(self) -> tuple[str, ...]:
        """Splits on which any score must be fitted, through ``fit``, before the samples that are scored."""
        return tuple(dict.fromkeys(split for score in self.scores.values() for split in score.fit_splits))

    @torch.no_grad()
    def fit(self, model: Any, batch: Batch, split: str) -> bool:
        """Pass a batch of one of ``fit_splits`` to the scores that learn from it; every process reads the whole split.

        Args:
            model: as for ``update``.
            batch: samples of that split, on the model's device.
            split: ``train`` or ``val``.

        Returns:
            Whether any score learned from it; if not, the rest of the split is not needed.
        """
        with evaluating(model):
            shared = SharedPass.of(model)
            record = with_interventions(record_batch(shared, batch, 0, owned=False))
        rows = [
            row
            for row in applicable(self.rows.values(), record, self.facts.units)
            if split in row.score.fit_splits and not row.is_control
        ]
        for row in rows:
            row.score.fit(record, split)
            row.fitted.add(split)
        return bool(rows)

    @torch.no_grad()
    def update(self, model: Any, batch: Batch) -> None:
        """Explain a batch and update every score.

        Args:
            model: offers ``explain(x, target, shown)``; put in eval mode for the call and back.
            batch: samples on the model's device.

        Raises:
            ValueError: if the model has another vocabulary than the suite was made for.
        """
        for score in self.scores.values():
            if score.device != batch.x.device:
                score.to(batch.x.device)
        facts = self.facts
        with evaluating(model):
            shared = SharedPass.of(model)
            shown = facts.shown
            if facts.owned:
                target = explained_target(batch)
                shown = facts.units.of_class(shared.task.explained(shared(batch.x)) if target is None else target)
            record = record_batch(shared, batch, shown, owned=facts.owned)
            number = len(record.explanation.units)
            if number != len(facts.units):
                raise ValueError(f"the model explains with {number} units; the suite was made for {len(facts.units)}")
            if any(score.requires & {"concepts", "labels"} for score in self.scores.values()):
                record = with_interventions(record)
            rows = applicable(self.rows.values(), record, facts.units)
            for row in rows:
                if not row.score.perturbations:
                    row.score.update_from(with_random_locations(record, 0) if row.is_control else record)
            for change, draw in dict.fromkeys(p for row in rows for p in row.score.perturbations):
                other = perturbed(change, batch, draw, shared)
                changed = record_batch(shared, other, record.explanation.shown, owned=facts.owned)
                for row in (row for row in rows if (change, draw) in row.score.perturbations):
                    before, after = record, changed
                    if row.is_control:
                        before, after = with_random_locations(record, 0), with_random_locations(changed, draw + 1)
                    row.score.update_from(before, after, draw)

    @torch.no_grad()
    def evaluate_positions(self, model: Any, fresh: Callable[[], Any] | None = None, *, sequences: int = 500) -> None:
        """Update the scores of labeled positions on whole sequences.

        Args:
            model: as for ``update``.
            fresh: makes the same model with random weights, for the rows beside theirs; None for no such rows.
            sequences: of each split.
        """
        evaluate_positions(self.rows.values(), model, fresh, self.position_labels, sequences)

    def compute(self) -> dict[str, Result]:
        """Return results by name, in the order of the list; each control follows its score. Synchronizes processes."""
        return {name: result_of(row) for name, row in self.rows.items()}

    def reset(self) -> None:
        """Forget all samples."""
        for row in self.rows.values():
            row.fitted.clear()
            row.score.reset()


def check(name: str) -> None:
    """Check a suite before there is a model: every score, argument and value.

    Args:
        name: of a suite under ``configs/evaluate``, or the path of a YAML file.

    Raises:
        ValueError: naming the file, the entry and the score.
    """
    Suite(name, Units("none", []))
