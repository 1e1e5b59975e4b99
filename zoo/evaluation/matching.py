"""Several trained runs asked about the same samples, and their units matched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from itertools import combinations, islice

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor
from tqdm import tqdm

from zoo import checkpoint
from zoo.data.base import Data
from zoo.metrics.base import Record
from zoo.metrics.matching import assignment
from zoo.metrics.matching.activations import Activations
from zoo.metrics.parts.consistency import Consistency
from zoo.metrics.record import record_batch, why_no_place
from zoo.model import SelfExplaining
from zoo.training.run import data_of, load_checkpoint

LOOKED_AT = 10  # units looked at in each input, for parts, where they do not belong to classes


@dataclass(frozen=True)
class Run:
    """A trained model, the data that all runs are asked about, and the data as the run itself had it."""

    name: str
    model: SelfExplaining
    config: DictConfig
    data: Data
    own: Data


@dataclass(frozen=True)
class Found:
    """What the common samples say.

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
        """Share of samples to which two runs give the same answer."""
        return float((self.answers[pair[0]] == self.answers[pair[1]]).double().mean())


def load_runs(names: Sequence[str], overrides: Sequence[str] = ()) -> list[Run]:
    """Trained runs, checked to have units and to be asked about the same test samples.

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
        if (here := run.config.data.name) != (there := first.config.data.name):
            raise ValueError(
                f"{run.name} is on {here}, {first.name} on {there}; units are matched on samples that all"
                " runs see: name runs on the same data"
            )
        if (one := fingerprint(first.data)) != (other := fingerprint(run.data)):
            raise ValueError(
                f"{first.name} and {run.name} have different test samples (hash {one} and {other}); give"
                " what they differ in, such as data.seed=0, for all runs"
            )
    return runs


def _load(title: str, name: str, overrides: Sequence[str]) -> Run:
    model, config = load_checkpoint(name, overrides)
    if not len(model.units):
        raise ValueError(f"{name} is a {model.name}: it has no units that could be matched")
    asked = OmegaConf.to_container(config.data)
    trained = asked | {k: v for k, v in model.config["data"].items() if k in ("seed", "limit")}
    data = data_of(config, model)
    own = data if trained == asked else data_of(OmegaConf.merge(config, {"data": trained}), model)
    return Run(title, model, config, data, own)


def fingerprint(data: Data) -> str:
    """Hash of the test samples and their classes: not of the other splits, nor of annotations."""
    only = copy(data)
    only.splits = {"test": replace(data.splits["test"], concepts=None, points=None, visible=None)}
    return only.fingerprint()


def check_way(runs: Sequence[Run], by: str) -> None:
    """Refuse a way of matching that the runs have no common signatures for, before anything is computed.

    Raises:
        ValueError: units that are no directions, or of spaces that the runs do not share; data without parts.
    """
    for run in runs:
        if by == "parts" and not run.data.part_names:
            raise ValueError(f"{run.config.data.name} has no part annotations; use --by activations")
        if by != "directions":
            continue
        if (told := run.model.directions()) is None:
            raise ValueError(f"{run.name} is a {run.model.name}, whose units are no directions; use --by activations")
        if told.space != (first := runs[0].model.directions().space):
            raise ValueError(
                f"the units of {runs[0].name} and {run.name} live in different spaces ({first} and"
                f" {told.space}), so a cosine between them says nothing; use --by activations, or train"
                " runs on the same frozen features"
            )


@torch.no_grad()
def probe(runs: Sequence[Run], by: str, *, limit: int | None = None) -> Found:
    """One pass of all runs over the test split, ``limit`` batches of it at most, and the matching.

    Args:
        runs: from ``load_runs``.
        by: ``activations``, ``directions`` or ``parts``. Parts are those of the units of the true class, or, where
            units do not belong to classes, of the ``LOOKED_AT`` largest that contribute more than 0.
        limit: for a trial.

    Raises:
        ValueError: if the runs have no common signatures of this kind.
    """
    check_way(runs, by)
    sizes = [len(run.model.units) for run in runs]
    strengths = Activations(sizes)
    looks = [Consistency(u, max(1, len(run.data.part_names))) for u, run in zip(sizes, runs, strict=True)]
    amounts = [torch.zeros(u, dtype=torch.float64) for u in sizes]
    answers: list[list[Tensor]] = [[] for _ in runs]
    truth = []
    for told in _watch(runs, by, limit):
        truth.append(told[0].batch.y)
        for seen, score, amount, answer in zip(told, looks, amounts, answers, strict=True):
            amount += seen.explanation.contribution.double().sum(0)
            answer.append(seen.explanation.logits.argmax(1))
            if by == "parts":
                score.update_from(seen)
        if by == "activations":
            strengths.update([s.explanation.strength for s in told], told[0].batch.index, told[0].batch.y)
    y, said = torch.cat(truth), [torch.cat(a) for a in answers]
    pairs = list(combinations(range(len(runs)), 2))
    if by == "activations":
        matches = strengths.matches()
    elif by == "parts":
        rates = [assignment.profile(score) for score in looks]
        matches = {(i, j): assignment.parts(rates[i], rates[j]) for i, j in pairs}
    else:
        rows = [run.model.directions() for run in runs]
        matches = {(i, j): assignment.directions(rows[i].rows, rows[j].rows, signed=rows[i].signed) for i, j in pairs}
    right = [float((a == y).double().mean()) for a in said]
    return Found(matches, [a / len(y) for a in amounts], said, right)


def _watch(runs: Sequence[Run], by: str, limit: int | None) -> Iterator[list[Record]]:
    """What each run says of each batch of the test split, on the CPU."""
    gpu = torch.cuda.is_available() and runs[0].config.trainer.accelerator in ("auto", "gpu", "cuda")
    device = torch.device("cuda" if gpu else "cpu")
    size = min(run.data.batch_size for run in runs)
    loaders = [run.data.loader("test", shard=False, batch_size=size) for run in runs]
    for run in runs:
        run.model.to(device)
    steps = tqdm(zip(*loaders, strict=True), desc="matching", total=len(loaders[0]), disable=None, leave=False)
    for batches in islice(steps, limit):
        told = []
        for run, batch in zip(runs, batches, strict=True):
            units = run.model.units
            owned = units.owner is not None and bool((units.owner >= 0).all())
            batch = batch.to(device)
            shown = 0 if by != "parts" else units.of_class(batch.y) if owned else LOOKED_AT
            seen = record_batch(run.model, batch, shown, owned=owned)
            if by == "parts" and (why := why_no_place(seen)):
                raise ValueError(f"{run.name} cannot be matched by parts: {why}; use --by activations")
            hits = None if seen.hits is None else seen.hits.cpu()
            told.append(
                replace(
                    seen,
                    batch=seen.batch.to("cpu"),
                    explanation=seen.explanation.to("cpu"),
                    gate=seen.gate.cpu(),
                    hits=hits,
                )
            )
        yield told
    for run in runs:
        run.model.cpu()
