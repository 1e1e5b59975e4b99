"""Several trained runs read on the same samples, and their units matched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from itertools import combinations, islice

import torch
from torch import Tensor
from tqdm import tqdm

from zoo import checkpoint
from zoo import config as configs
from zoo.capabilities import Directions, HasDirections, capability
from zoo.config import Settings
from zoo.data.base import Data
from zoo.metrics.base import Record
from zoo.metrics.matching import assignment
from zoo.metrics.matching.activations import Activations
from zoo.metrics.parts.consistency import Consistency
from zoo.metrics.record_batch import record_batch, why_no_place
from zoo.model import SelfExplaining
from zoo.training.run import data_of, load_checkpoint

SHOWN = 10  # units located in each input, for parts, where units do not belong to classes


@dataclass(frozen=True)
class Run:
    """A trained run.

    Attributes:
        name: of the run.
        model: in eval mode.
        config: of the run.
        data: the samples that all runs are read on.
        own: the data as the run itself was trained on.
    """

    name: str
    model: SelfExplaining
    config: Settings
    data: Data
    own: Data


@dataclass(frozen=True)
class Found:
    """The matching of all pairs of runs.

    Attributes:
        matches: by pair of runs.
        amounts: ``(u,)`` float64 for each run, mean contribution of each unit to the true class.
        answers: ``(n,)`` int64 for each run.
        accuracy: of each run.
    """

    matches: dict[tuple[int, int], assignment.Match]
    amounts: list[Tensor]
    answers: list[Tensor]
    accuracy: list[float]

    def agreement(self, pair: tuple[int, int]) -> float:
        """Return the share of samples for which two runs predict the same class."""
        return float((self.answers[pair[0]] == self.answers[pair[1]]).double().mean())


def load_runs(names: Sequence[str], overrides: Sequence[str] = ()) -> list[Run]:
    """Load trained runs; they are checked to have units and the same test samples.

    Args:
        names: checkpoints or run folders, two or more.
        overrides: of ``data`` and ``trainer.accelerator``, for all runs.

    Raises:
        ValueError: if there are fewer than two, one is not there, is named twice or has no units, or the data differ.
    """
    if len(names) < 2:
        raise ValueError(f"{len(names)} run named; name two or more, such as `zoo compare runs/first runs/second`")
    places = [checkpoint.find(name).resolve() for name in names]
    if len(set(places)) < len(places):
        twice = next(name for i, name in enumerate(names) if places[i] in places[:i])
        raise ValueError(f"{twice} is named twice; name runs that were trained apart")
    titles = [checkpoint.title(name) for name in names]
    titles = titles if len(set(titles)) == len(titles) else list(names)
    runs = [_load(title, name, overrides) for title, name in zip(titles, names, strict=True)]
    first = runs[0]
    for run in runs[1:]:
        if run.config.data.name != first.config.data.name:
            raise ValueError(
                f"{run.name} is on {run.config.data.name}, {first.name} on {first.config.data.name}; units are matched"
                " on samples that all runs read: name runs on the same data"
            )
        hashes = fingerprint(first.data), fingerprint(run.data)
        if hashes[0] != hashes[1]:
            raise ValueError(
                f"{first.name} and {run.name} have different test samples (hash {hashes[0]} and {hashes[1]}); give"
                " what they differ in, such as data.seed=0, for all runs"
            )
    return runs


def _load(title: str, name: str, overrides: Sequence[str]) -> Run:
    model, config = load_checkpoint(name, overrides)
    if not len(model.units):
        raise ValueError(f"{name} is a {model.name}: it has no units that could be matched")
    requested = configs.plain(config)["data"]
    trained = requested | {k: v for k, v in model.config["data"].items() if k in ("seed", "limit")}
    data = data_of(config, model)
    own = data
    if trained != requested:
        own = data_of(Settings.of({**config, "data": trained}), model)
    return Run(title, model, config, data, own)


def fingerprint(data: Data) -> str:
    """Return the hash of the test samples and their classes, without other splits and annotations."""
    only = copy(data)
    only.splits = {"test": replace(data.splits["test"], concepts=None, points=None, visible=None)}
    return only.fingerprint()


def check_way(runs: Sequence[Run], by: str) -> None:
    """Check that the runs can be matched this way, before anything is computed.

    Raises:
        ValueError: for units that are no directions, or of different spaces; for data without parts.
    """
    for run in runs:
        if by == "parts" and not run.data.part_names:
            raise ValueError(f"{run.config.data.name} has no part annotations; use --by activations")
        if by != "directions":
            continue
        space, first = directions_of(run).space, directions_of(runs[0]).space
        if space != first:
            raise ValueError(
                f"the units of {runs[0].name} and {run.name} are directions of different spaces ({first} and {space}),"
                " whose cosine has no meaning; use --by activations, or train runs on the same frozen features"
            )


def directions_of(run: Run) -> Directions:
    """Return the units of a run as directions.

    Raises:
        ValueError: if they are none.
    """
    model = capability(run.model, HasDirections)
    if model is None:
        raise ValueError(f"{run.name} is a {run.model.name}, whose units are no directions; use --by activations")
    return model.directions()


@torch.no_grad()
def probe(runs: Sequence[Run], by: str, *, limit: int | None = None) -> Found:
    """Match the units of all runs in one pass over the test split.

    Args:
        runs: from ``load_runs``.
        by: ``activations``, ``directions`` or ``parts``. Parts are those of the units of the true class, or, where
            units do not belong to classes, of the ``SHOWN`` largest that contribute more than 0.
        limit: number of batches, for a trial.

    Raises:
        ValueError: if the runs have no common signatures of this kind.
    """
    check_way(runs, by)
    sizes = [len(run.model.units) for run in runs]
    strengths = Activations(sizes)
    located = [Consistency(u, max(1, len(run.data.part_names))) for u, run in zip(sizes, runs, strict=True)]
    amounts = [torch.zeros(u, dtype=torch.float64) for u in sizes]
    answers: list[list[Tensor]] = [[] for _ in runs]
    truth = []
    for records in _records(runs, by, limit):
        batch = records[0].batch
        truth.append(batch.targets)
        for record, score, amount, answer in zip(records, located, amounts, answers, strict=True):
            amount += record.explanation.contribution.double().sum(0)
            answer.append(record.explanation.logits.argmax(1))
            if by == "parts":
                score.update_from(record)
        if by == "activations":
            strengths.update([record.explanation.strength for record in records], batch.index, batch.targets)
    y = torch.cat(truth)
    predicted = [torch.cat(a) for a in answers]
    pairs = list(combinations(range(len(runs)), 2))
    if by == "activations":
        matches = strengths.matches()
    elif by == "parts":
        rates = [assignment.profile(score) for score in located]
        matches = {(i, j): assignment.parts(rates[i], rates[j]) for i, j in pairs}
    else:
        rows = [directions_of(run) for run in runs]
        matches = {(i, j): assignment.directions(rows[i].rows, rows[j].rows, signed=rows[i].signed) for i, j in pairs}
    accuracy = [float((a == y).double().mean()) for a in predicted]
    return Found(matches, [a / len(y) for a in amounts], predicted, accuracy)


def _records(runs: Sequence[Run], by: str, limit: int | None) -> Iterator[list[Record]]:
    """Yield the record of each run for each batch of the test split, on the CPU."""
    gpu = torch.cuda.is_available() and runs[0].config.trainer.accelerator in ("auto", "gpu", "cuda")
    device = torch.device("cuda" if gpu else "cpu")
    size = min(run.data.batch_size for run in runs)
    loaders = [run.data.loader("test", shard=False, batch_size=size) for run in runs]
    for run in runs:
        run.model.to(device)
    steps = tqdm(zip(*loaders, strict=True), desc="matching", total=len(loaders[0]), disable=None, leave=False)
    for batches in islice(steps, limit):
        records = []
        for run, batch in zip(runs, batches, strict=True):
            units = run.model.units
            owned = units.owner is not None and bool((units.owner >= 0).all())
            batch = batch.to(device)
            shown = 0 if by != "parts" else units.of_class(batch.targets) if owned else SHOWN
            record = record_batch(run.model, batch, shown, owned=owned)
            reason = why_no_place(record) if by == "parts" else ""
            if reason:
                raise ValueError(f"{run.name} cannot be matched by parts: {reason}; use --by activations")
            records.append(
                replace(
                    record,
                    batch=record.batch.to("cpu"),
                    explanation=record.explanation.to("cpu"),
                    gate=record.gate.cpu(),
                    hits=None if record.hits is None else record.hits.cpu(),
                )
            )
        yield records
    for run in runs:
        run.model.cpu()
