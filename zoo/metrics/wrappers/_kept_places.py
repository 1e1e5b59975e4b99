"""Places of units, or the labels on which they are active, kept sample by sample for a null."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zoo.metrics._argument_checks import check_kind
from zoo.metrics._value_checks import check_distinct
from zoo.metrics.base import Record, Score, claims, expect
from zoo.metrics.parts.label_consistency import LabelConsistency
from zoo.metrics.parts.stability import Stability
from zoo.metrics.wrappers._null_rows import PartScore, ordered


class KeptPlaces(Score):
    """A score that keeps the samples of a part score, so that it can be computed for other places.

    Args:
        score: a fresh ``Consistency``, ``LabelConsistency`` or ``Stability``.

    Raises:
        ValueError: if it is another score.
    """

    index: list[Tensor]

    def __init__(self, score: Score) -> None:
        super().__init__()
        if not isinstance(score, PartScore):
            raise ValueError(f"{type(score).__name__} has no chance level; expected a consistency or a stability")
        self.score: PartScore = score
        self.of_labels = isinstance(score, LabelConsistency)
        self.of_stability = isinstance(score, Stability)
        self.names = ["index", "places", "points", "visible"]
        self.names += ["sequence"] if self.of_labels else ["ids", "gate", "size"]
        self.names += ["before", "gate_after"] if self.of_stability else []
        for name in self.names:
            self._rows(name)

    def update_from(self, record: Record, changed: Record | None = None, draw: int = 0) -> None:
        """Keep the samples of a record."""
        batch, explanation = record.batch, record.explanation
        if isinstance(self.score, LabelConsistency):
            active, labels = self.score.active(record), self.score.labels(record)
            return self.update(active, labels, sample_ids=batch.index, sequence_ids=batch.sequence)
        peaks, hits, points, visible = record.located
        more: dict[str, Any] = {"size": record.size, "sample_ids": batch.index}
        if changed is None:
            return self.update(peaks, points, visible, explanation.shown, record.gate, **more)
        changed_peaks, _, changed_points, still_visible = changed.located
        more |= {"before": hits, "gate_after": changed.gate}
        both = visible & still_visible
        return self.update(changed_peaks, changed_points, both, explanation.shown, record.gate, **more)

    def update(
        self,
        places: Tensor,
        points: Tensor,
        visible: Tensor | None = None,
        unit_ids: Tensor | None = None,
        gate: Tensor | None = None,
        *,
        sample_ids: Tensor,
        size: tuple[int, int] | None = None,
        before: Tensor | None = None,
        gate_after: Tensor | None = None,
        sequence_ids: Tensor | None = None,
    ) -> None:
        """Keep a batch.

        Args:
            places: ``(b, k, 2)`` (x, y) pixel of each unit. Of labels: ``(b, u)`` bool, whether each unit is active.
            points: ``(b, p, 2)`` keypoints in pixels. Of labels: ``(b, m)`` the labels, NaN for unknown.
            visible: ``(b, p)`` bool; not used for labels.
            unit_ids: ``(b, k)`` int64, -1 for padding; None if the columns are all units in order.
            gate: ``(b, k)`` bool, whether the unit makes a claim; None if it always does.
            sample_ids: ``(b,)`` int64 identity of each instance, all different.
            size: (height, width) of the input, in pixels.
            before: ``(b, k, p)`` bool parts hit without the perturbation, if places are those under one.
            gate_after: ``(b, k)`` bool, whether the unit still makes a claim under it.
            sequence_ids: ``(b,)`` int64 sequence of each instance, of labels only; None if all are one sequence.

        Raises:
            ValueError: if a shape does not fit, something is missing, or a number is not finite or out of range.
        """
        b = len(places)
        expect("sample_ids", sample_ids, b)
        check_distinct("sample_ids", sample_ids)
        rows: dict[str, Any] = {"index": sample_ids, "places": places, "points": points, "visible": visible}
        if self.of_labels:
            expect("places", places, None, self.score.num_units)
            expect("points", points, b, self.score.part_count)
            check_kind("places", places, "binary")
            check_kind("points", points, "share or nan")
            rows["visible"] = ~points.isnan()
            rows["sequence"] = torch.zeros_like(sample_ids) if sequence_ids is None else sequence_ids
            expect("sequence_ids", rows["sequence"], b)
        else:
            expect("places", places, None, None, 2)
            expect("points", points, b, self.score.part_count, 2)
            if visible is None or size is None or (self.of_stability and before is None):
                raise ValueError("places need visible and size, and for stability before; see update")
            expect("visible", visible, b, self.score.part_count)
            check_kind("places", places, "finite")
            check_kind("visible", visible, "binary")
            check_kind("points", points.where(visible[..., None].bool(), 0), "finite")
            for name, values in (("gate", gate), ("before", before), ("gate_after", gate_after)):
                if values is not None:
                    check_kind(name, values, "binary")
            like = places[..., :1].expand(-1, -1, self.score.part_count)
            ids, real = claims(unit_ids, gate, like, self.score.num_units)
            sides = torch.tensor(size).expand(b, 2)
            rows |= {"ids": ids.expand(real.shape), "gate": real, "size": sides, "before": before}
            rows["gate_after"] = real if gate_after is None else gate_after
        for name in self.names if b else ():
            batches: Any = getattr(self, name)
            batches.append(rows[name].detach().to(self.device))
        self.samples = self.samples + b

    def rows(self) -> dict[str, Tensor]:
        """Everything that was kept, in the order of sample ids; empty if there were no samples."""
        rows = ordered({name: getattr(self, name) for name in self.names}) if len(self.index) else {}
        if rows:
            check_distinct(f"sample_ids of {type(self.score).__name__}", rows["index"])
        return rows
