"""All scores of a model in one pass: every explanation is made once per batch and shared."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from zoo import paths
from zoo.batch import Batch
from zoo.concept_schema import Concept, ConceptSchema
from zoo.explanation import Units
from zoo.metrics.base import Record, Score, count
from zoo.metrics.parts._counterfactual_scenes import Scenes
from zoo.metrics.perturbations.noise import Change
from zoo.metrics.positions._evaluator import Ask, Watch
from zoo.metrics.positions._position_score import PositionScore
from zoo.metrics.record import evaluating, record_batch, why_no_place, with_part_hits, with_random_locations
from zoo.metrics.result import Result
from zoo.metrics.scores import SCORES
from zoo.metrics.suite_file import read, suite_file
from zoo.metrics.wrappers.bootstrap import Interval
from zoo.metrics.wrappers.chance_adjusted import ChanceAdjusted

NO_CONCEPTS = ConceptSchema((Concept("none"),))  # stands in where a score is made and not fed


class Suite:
    """Scores fed from one explanation per batch, and one more for each perturbation that some score asks for.

    The true class is explained. Where every unit belongs to a class, the units looked at are those of the true
    class, whatever was predicted (the published part protocols). Otherwise they are the model's own top ``shown``
    that contribute more than 0, and the protocol id says so.

    Args:
        scores: a list of mappings, each ``score`` (one of ``SCORES``), perhaps ``name``, and the score's own
            arguments; ``interval: true`` adds bootstrap intervals (``Interval``), ``chance: permute`` (or a list) the
            score above that null (``ChanceAdjusted``), under a name of its own; or the name of such a list under
            ``configs/evaluate``, or the path of a YAML file that holds one.
        units: the vocabulary of the model.
        part_names: names of the annotated parts; None if the data have none.
        concepts: schema of the annotated concepts; None if the data have none.
        control: whether to add, for each part score, the same score of units that look at a random place.
        shown: units looked at in each input if they do not belong to classes.
        scenes: the scored split as scenes that can be rendered again without parts (``Shapes.scenes``); None if they
            cannot.
        position_labels: what is known of positions of sequences (``Data.properties``); None if nothing is.

    Raises:
        ValueError: if a score, an argument or its value is not known, or a name is used twice; names file and entry.
    """

    def __init__(
        self,
        scores: str | Sequence[Mapping[str, Any]],
        units: Units,
        part_names: Sequence[str] | None = None,
        *,
        concepts: ConceptSchema | None = None,
        control: bool = False,
        shown: int = 10,
        scenes: Scenes | None = None,
        position_labels: Ask | None = None,
    ) -> None:
        self.concepts, self.scenes, self.position_labels = concepts, scenes, position_labels
        self.units, self.part_names, self.shown = units, tuple(part_names or ()), count("shown", shown)
        self.owned = units.owner is not None and len(units) > 0 and bool((units.owner >= 0).all())
        self.scores: dict[str, Score] = {}
        self.controls: dict[str, Score] = {}
        self.notes: dict[str, str] = {}
        self.protocols: dict[str, str] = {}
        self._studied: set[tuple[str, str]] = set()
        origin, entries = (suite_file(scores), read(scores)) if isinstance(scores, str) else ("the list", scores)
        for row, entry in enumerate(entries, 1):
            try:
                self._add(entry, control)
            except ValueError as error:
                raise ValueError(f"entry {row} of {origin}: {error}") from error

    def _add(self, entry: Mapping[str, Any], control: bool) -> None:
        if not isinstance(entry, Mapping):
            raise ValueError(f"{entry!r} is no score with its arguments; write `- {{score: accuracy}}`")
        entry = dict(entry)
        kind = str(entry.pop("score", None))
        if kind not in SCORES:
            near = paths.did_you_mean(kind, list(SCORES)) or "."
            raise ValueError(f"no score {kind!r}{near} Known: {', '.join(SCORES)}")
        name = entry.pop("name", kind)
        if not isinstance(name, str) or not name:
            raise ValueError(f"the name of a {kind!r} score is {name!r}; expected a word")
        if name in self.protocols:
            raise ValueError(f"two scores are called {name!r}; give one of them a `name` of its own")
        cls, interval, nulls = SCORES[kind], entry.pop("interval", False), entry.pop("chance", ())
        if not isinstance(interval, bool):
            raise ValueError(f"interval of score {name!r} is {interval!r}; expected true or false")
        known = inspect.signature(cls).parameters
        given: dict[str, Any] = {"num_units": max(1, len(self.units)), "part_count": max(1, len(self.part_names))}
        given |= {"concepts": self.concepts or NO_CONCEPTS, "scenes": self.scenes}
        given["part_names"] = self.part_names or None
        free = [argument for argument in known if argument not in given]
        if unknown := [argument for argument in entry if argument not in free]:
            raise ValueError(f"score {name!r} has no argument {unknown[0]!r}; it takes {', '.join(free) or 'none'}")
        entry |= {argument: value for argument, value in given.items() if argument in known}
        try:
            score = Interval(cls(**entry)) if interval else cls(**entry)
            chances = {
                f"{name} above chance ({null})": ChanceAdjusted(cls(**entry), null)
                for null in ([nulls] if isinstance(nulls, str) else nulls)
            }
        except (TypeError, ValueError) as error:
            raise ValueError(f"score {name!r}: {error}") from error
        self.protocols[name] = score.protocol
        if "units" in cls.requires and len(self.units) == 0:
            self.notes[name] = "n/a: the model has no units"
        elif "parts" in cls.requires and not self.part_names:
            self.notes[name] = "n/a: the data have no part annotations"
        elif cls.requires & {"concepts", "labels"} and self.concepts is None:
            self.notes[name] = "n/a: the data have no concepts"
        elif "labels" in cls.requires and self.owned:
            self.notes[name] = f"n/a: each {self.units.kind} belongs to a class, and so to what is true of the class"
        else:
            self.scores |= {name: score} | chances
            self.protocols |= {twin: chance.protocol for twin, chance in chances.items()}
            if "parts" in cls.requires and not self.owned:
                self.protocols |= {one: f"{self.protocols[one]}/top{self.shown}" for one in (name, *chances)}
            if issubclass(cls, PositionScore) and cls.control and control:
                twin = f"{name} (random weights)"
                self.controls[twin], self.protocols[twin] = cls(**entry), f"{self.protocols[name]}/random"
            if "parts" in cls.requires and control:
                twin = f"{name} (random {self.units.kind}s)"
                self.controls[twin] = cls(**entry)
                self.protocols[twin] = f"{self.protocols[name]}/random"

    @property
    def fit_splits(self) -> tuple[str, ...]:
        """Splits that some score wants to see, through ``study``, before the samples that are scored."""
        return tuple(dict.fromkeys(split for score in self.scores.values() for split in score.fit_splits))

    @torch.no_grad()
    def fit(self, model: Any, batch: Batch, split: str) -> bool:
        """Show a batch of one of ``fit_splits`` to the scores that learn from it; every process sees the whole split.

        Args:
            model: as for ``update``.
            batch: samples of that split, on the model's device.
            split: ``train`` or ``val``.

        Returns:
            Whether anyone learnt from it; if not, the rest of the split need not be shown.
        """
        with evaluating(model):
            seen = with_part_hits(record_batch(model, batch, 0, owned=False), model)
        keen = {name: score for name, score in self._able(seen).items() if split in score.fit_splits}
        for name, score in keen.items():
            score.fit(seen, split)
            self._studied.add((name, split))
        return bool(keen)

    @torch.no_grad()
    def update(self, model: Any, batch: Batch) -> None:
        """Explain a batch and feed every score.

        Args:
            model: offers ``explain(x, target, shown)``; put in eval mode for the call and back.
            batch: samples on the model's device.

        Raises:
            ValueError: if the model speaks another vocabulary than the suite was made for.
        """
        for score in self._all().values():
            if score.device != batch.x.device:
                score.to(batch.x.device)
        with evaluating(model):
            seen = record_batch(
                model, batch, self.units.of_class(batch.y) if self.owned else self.shown, owned=self.owned
            )
            if (found := len(seen.explanation.units)) != len(self.units):
                raise ValueError(f"the model explains with {found} units; the suite was made for {len(self.units)}")
            if any(score.requires & {"concepts", "labels"} for score in self.scores.values()):
                seen = with_part_hits(seen, model)
            fed = self._able(seen)
            for name, score in fed.items():
                if not score.perturbations:
                    score.update_from(with_random_locations(seen, 0) if name in self.controls else seen)
            for change, draw in dict.fromkeys(p for score in fed.values() for p in score.perturbations):
                changed = record_batch(model, change(batch, draw), seen.explanation.shown, owned=self.owned)
                for name, score in fed.items():
                    if (change, draw) in score.perturbations:
                        random = name in self.controls
                        pair = (
                            (with_random_locations(seen, 0), with_random_locations(changed, draw + 1))
                            if random
                            else (seen, changed)
                        )
                        score.update_from(*pair, draw)

    @torch.no_grad()
    def evaluate_positions(self, model: Any, fresh: Callable[[], Any] | None = None, *, sequences: int = 500) -> None:
        """Let the scores of positions look at whole sequences of which something is known.

        Args:
            model: as for ``update``.
            fresh: makes the same model with random weights, for the rows beside theirs; None for no such rows.
            sequences: of each split.
        """
        keen: dict[str, Any] = {n: score for n, score in self._all().items() if "properties" in score.requires}
        if not keen:
            return
        why, ask = "", self.position_labels or (lambda split, count: None)
        if ask("test", 1) is None:
            why = "the data tell nothing of the positions of sequences"
        elif not hasattr(model, "activity"):
            why = "the model does not say what its units do at each position"
        self.notes |= dict.fromkeys(keen, f"n/a: {why}") if why else {}
        random = [name for name in keen if name in self.controls]
        for who, names in ((lambda: model, [name for name in keen if name not in random]), (fresh, random)):
            if why or who is None or not names:
                continue
            with evaluating(asked := who()):
                watch = Watch(asked, ask, count=sequences)
                for name in names:
                    keen[name].evaluate_positions(watch)

    def _all(self) -> dict[str, Score]:
        return self.scores | self.controls

    def _able(self, seen: Record) -> dict[str, Score]:
        why = why_no_place(seen)
        unable = [name for name, score in self._all().items() if why and "parts" in score.requires]
        self.notes |= dict.fromkeys(unable, f"n/a: {why}")
        if seen.ends is None:
            others = [name for name, score in self._all().items() if "concepts" in score.requires]
            self.notes |= dict.fromkeys(others, f"n/a: {self.units.kind}s are not the concepts of the data")
            unable += others
        for name, score in self._all().items():
            if "properties" in score.requires:
                unable.append(name)
            unfit = [change.unfit(seen.batch.x) for change, _ in score.perturbations if isinstance(change, Change)]
            if any(unfit):
                self.notes[name] = f"n/a: {unfit[0]}"
                unable.append(name)
        return {name: score for name, score in self._all().items() if name not in unable}

    def compute(self) -> dict[str, Result]:
        """Results by name, in the order of the list; each control follows its score. Synchronises processes."""
        return {name: self._result(name, self._all().get(name)) for name in self.protocols}

    def _result(self, name: str, score: Score | None) -> Result:
        nothing = Result(name, None, self.protocols[name], note=self.notes.get(name, "n/a: nothing was scored"))
        missing = [] if score is None else [split for split in score.fit_splits if (name, split) not in self._studied]
        if score is None or missing:
            unseen = bool(missing) and name not in self.notes
            return replace(nothing, note=f"n/a: no {missing[0]} samples were studied") if unseen else nothing
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The ``compute`` method of metric")
            found = dict(score.compute())
        support = int(found.pop("support"))
        if support == 0:
            return replace(nothing, note=f"n/a: {score.why}") if score.why else nothing
        vectors = {k.removeprefix("unit/"): v.reshape(-1).cpu() for k, v in found.items() if k.startswith("unit/")}
        curves = {k.removeprefix("curve/"): v.tolist() for k, v in found.items() if k.startswith("curve/")}
        (_, value), *more = ((k, float(v)) for k, v in found.items() if not k.startswith(("unit/", "curve/")))
        if math.isnan(value) and dict(more).get("undefined") == 1:
            return replace(nothing, note="n/a: undefined on every sample")
        note = score.remark(value, dict(more)) if math.isfinite(value) else f"not finite: {value}"
        return replace(
            nothing, value=value, support=support, note=note, more=dict(more), per_unit=vectors, curves=curves
        )

    def reset(self) -> None:
        """Forget everything that was fed or studied."""
        self._studied.clear()
        for score in self._all().values():
            score.reset()


def check(name: str) -> None:
    """Check a suite before there is a model: every score, argument and value.

    Args:
        name: as for ``read``.

    Raises:
        ValueError: naming the file, the entry and the score.
    """
    Suite(name, Units("none", []))
