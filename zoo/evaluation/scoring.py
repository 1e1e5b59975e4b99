"""What comes after training: scores on the test split, the checkpoint with its card, the report page."""

from __future__ import annotations

import math
import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from tqdm import tqdm

from zoo import __version__, checkpoint, paths
from zoo import config as configs
from zoo.batch import Batch
from zoo.data.base import Data, SplitName
from zoo.evaluation.model_card import card
from zoo.evaluation.score_table import table
from zoo.explanation import Explanation
from zoo.metrics.suite import Result, Suite
from zoo.model import SelfExplaining
from zoo.registry import create_model
from zoo.reporting import unit_gallery
from zoo.reporting.image_figure import figure
from zoo.reporting.page import Chart, ScoreRow, UnitRow, chart, page, unit_picture
from zoo.reporting.text_figure import text_figure
from zoo.training.loggers import read_log


def score(
    model: SelfExplaining,
    data: Data,
    suite: str,
    *,
    split: SplitName = "test",
    limit: int | None = None,
    accelerator: str = "auto",
    progress: bool = True,
) -> dict[str, Result]:
    """All scores of a suite on one split, with the random control beside every part score.

    Args:
        model: moved to the accelerator for the while, then back to the CPU.
        data: where the split is from.
        suite: a name under ``configs/evaluate``, or a YAML file.
        split: which.
        limit: batches at most.
        accelerator: ``auto`` takes a GPU where there is one.
        progress: show a bar.
    """
    gpu = accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    model.to("cuda" if gpu else "cpu")
    scores = Suite(
        suite,
        model.units,
        data.part_names,
        concepts=data.concepts,
        control=True,
        scenes=data.scenes(split),
        position_labels=data.position_labels,
    )

    def batches(of: str) -> Iterator[Batch]:
        shown = tqdm(data.loader(of), desc=f"scoring on {of}", disable=_quiet(progress), leave=False)
        yield from (batch.to(model.device) for batch in islice(shown, limit))

    for study in scores.fit_splits:
        for batch in batches(study) if len(data.splits[study]) else ():
            if not scores.fit(model, batch, study):
                break
    for batch in batches(split):
        scores.update(model, batch)
    if split == "test":
        scores.evaluate_positions(model, lambda: _random(model), sequences=500 if limit is None else 4)
    found = {} if limit is not None else {model.name: model.extra_metrics(data.loader(split))}
    if limit is None and split == "test":
        found[type(data).__name__.lower()] = data.extra_metrics(model)
    support = len(data.splits[split])
    own = {n: Result(n, value, by, support=support) for by, told in found.items() for n, value in told.items()}
    model.cpu()
    return scores.compute() | own


def _random(model: SelfExplaining) -> SelfExplaining:
    """The same model as it was before it learnt anything."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return create_model(model.name, **model.hparams).to(model.device)


def _quiet(progress: bool) -> bool | None:
    """What tqdm wants to hear: None shows a bar on a terminal only."""
    return None if progress else True


def finish(model: SelfExplaining, data: Data, config: DictConfig, out: Path, *, command: str) -> list[ScoreRow]:
    """Score on the test split, save the checkpoint with its card, write the report page.

    Returns:
        The score table.
    """
    model.eval()
    results = score(model, data, config.suite, accelerator=config.trainer.accelerator)
    rows = [*table(results), *_yardstick(config, out)]
    facts = about(config, data, command, log=out / "log.csv")
    origins = unit_gallery.sources(model, data, range(len(model.units)))
    names = unit_gallery.unit_names(model, data, origins)
    metrics = {"scores": {n: r.to_json() for n, r in results.items()}, **facts, "seed": config.seed}
    text = card(out.name, configs.plain(config), data, rows, facts, n_units=len(names))
    batch, told, _ = examples(model, data, count=1)
    pictures, texts = data.to_image(batch.x), data.token_texts(batch.x)
    picture = None if pictures is None else pictures[0]
    if texts is not None:
        notes = unit_gallery.notes(model, data, None, told)
        drawn = text_figure(told, 0, texts[0], class_names=data.class_names, notes=notes[0]) if names else None
    else:
        drawn = figure(told, 0, picture, class_names=data.class_names, sources=origins) if names else None
    checkpoint.save(
        out / "checkpoint",
        model,
        config=configs.plain(config),
        metrics=metrics,
        card=text,
        unit_names=names,
        unit_pictures={u: unit_picture(s) for u, s in origins.items()},
        example=drawn,
    )
    write_page(out / "report.html", model, data, results, rows, facts, title=out.name)
    return rows


@torch.no_grad()
def examples(
    model: SelfExplaining, data: Data, *, count: int = 8, shown: int = 6
) -> tuple[Batch, Explanation, Explanation]:
    """The first test sample of each of the first ``count`` classes, explained as predicted and as it truly is."""
    y = data.splits["test"].y
    first = [int((y == c).nonzero()[0, 0]) for c in range(data.num_classes) if bool((y == c).any())][:count]
    batch = data.samples("test", first)
    return batch, model.explain(batch.x, shown=shown), model.explain(batch.x, target=batch.y, shown=shown)


def write_page(
    file: Path,
    model: SelfExplaining,
    data: Data,
    results: Mapping[str, Result],
    rows: Sequence[ScoreRow],
    facts: Mapping[str, str],
    *,
    title: str,
) -> Path:
    """The page of a run: examples, the score table ``rows`` of ``results``, their curves, the least reliable units."""
    batch, told, also = examples(model, data)
    used = {int(u) for e in (told, also) for u in e.shown.flatten()}
    lead = (
        f"{len(batch)} inputs that the model had never seen, each of another class: what it answers, and why."
        f" Below them, how it scores on all {len(data.splits['test'])} of the test split."
    )
    return page(
        file,
        title=title,
        lead=lead,
        explanation=told,
        also=also,
        pictures=data.to_image(batch.x),
        truth=batch.y,
        class_names=data.class_names,
        sources=unit_gallery.sources(model, data, used),
        scores=rows,
        facts=facts,
        notes=unit_gallery.notes(model, data, batch.concepts, told, also),
        details=data.feature_values(batch.x),
        traces=model.trace(batch.x),
        tokens=data.token_texts(batch.x),
        charts=charts(results),
        **least_reliable(model, data, results),
    )


# per-unit vectors, each the share of inputs on which the unit held: score -> read-out, words
HELD = {
    "consistency": ("rate", "keeps to one part"),
    "stability": ("stability", "same part after noise"),
    "concept_accuracy": ("accuracy", "judged rightly"),
}


def least_reliable(
    model: SelfExplaining, data: Data, results: Mapping[str, Result], *, count: int = 10
) -> dict[str, Any]:
    """The units that held on the fewest inputs, as ``units`` and ``unit_scores`` of a page.

    The order is that of the mean over the scores in ``HELD``; a unit that none of them can judge is left out.
    """
    found = {name: results[name].per_unit.get(key) for name, (key, _) in HELD.items() if name in results}
    vectors = {name: v.double() for name, v in found.items() if v is not None and len(v) == len(model.units)}
    if not vectors:
        return {}
    every = torch.stack(list(vectors.values()))
    mean = every.nanmean(0)
    worst = [u for u in mean.nan_to_num(torch.inf).argsort(stable=True).tolist() if bool(mean[u].isfinite())][:count]
    origins, owner = unit_gallery.sources(model, data, worst), model.units.owner
    rows = [
        UnitRow(
            model.units.names[u],
            "" if owner is None or owner[u] < 0 else data.class_names[int(owner[u])],
            origins.get(u),
            [f"{100 * float(v):.0f} %" if bool(v.isfinite()) else "" for v in every[:, u]],
        )
        for u in worst
    ]
    return {"units": rows, "unit_scores": [HELD[name][1] for name in vectors]}


# what the curves of a score are, and over what, by protocol
AXES = {
    "zoo-interventions": ("accuracy", "concept groups set"),
    "zoo-unit-curves": ("probability of the answer", "steps, from no unit taken out or put in to all"),
    "zoo-retention": ("share of the accuracy kept", "tenths of the units taken out"),
    "petsiuk2018": ("probability of the true class", "steps, from no pixel deleted or inserted to all"),
    "rong2022": ("accuracy", "steps of more pixels imputed"),
    "adebayo2018": ("likeness to the trained model's map", "stages forgotten, from the answer on"),
    "ancona2018": ("correlation", "steps of larger sets of pixels"),
    "funnybirds2023": ("share of inputs", "steps of the threshold of importance"),
}


def charts(results: Mapping[str, Result]) -> list[Chart]:
    """The curves of results, a drawing for each score that has any of two points or more."""
    found = []
    for r in results.values():
        curves = {
            key: values for key, values in r.curves.items() if len(values) > 1 and all(map(math.isfinite, values))
        }
        y, x = next((axes for key, axes in AXES.items() if r.protocol.startswith(key)), ("value", "steps"))
        if curves:
            found.append(chart(curves, title=f"{r.name.replace('_', ' ')}: {y}", x=x))
    return found


def about(config: DictConfig, data: Data, command: str, *, log: Path | None = None) -> dict[str, str]:
    """Facts printed with every result: model, data and its hash, command, training time, hardware, versions."""
    facts = {
        "model": config.model.name + (f" on {config.model.backbone}" if config.model.get("backbone") else ""),
        "data": f"{config.data.name} ({data.license}), "
        + (f"hash {data.fingerprint()}" if data.is_available else "not available"),
        "command": command,
    }
    if log is not None:
        seconds = sum(float(line["value"]) for line in read_log(log) if line["name"] == "seconds")
        facts["training"] = f"{seconds / 60:.1f} min"
    cpu = f"{os.cpu_count()} CPU cores, {platform.machine()}"
    facts["hardware"] = torch.cuda.get_device_name() if torch.cuda.is_available() else cpu
    facts["versions"] = f"zoo {__version__}, torch {torch.__version__}, {time.strftime('%Y-%m-%d')}"
    return facts


def _yardstick(config: DictConfig, out: Path) -> list[ScoreRow]:
    """Accuracy of the black box on the same backbone, from its own finished run."""
    if not config.reference:
        return []
    name = config.reference.replace("/", "-")
    asked = Path(config.reference) / "checkpoint", out.parent / name / "checkpoint"
    for folder in (*asked, *(root / name for root in paths.checkpoints())):
        if (folder / "metrics.json").is_file():
            theirs, metrics = checkpoint.read(folder)
            found = metrics.get("scores", {}).get("accuracy")
            if found is None:
                break
            note = _beside(theirs, config)
            return [ScoreRow("black-box accuracy", f"{found['value']:.4g}", found["protocol"], f"{note} ({name})")]
    return [ScoreRow("black-box accuracy", f"n/a: run `zoo train {config.reference}` first", "", "")]


def _beside(theirs: Mapping[str, Any], config: DictConfig) -> str:
    """What a comparison with a black box of configuration ``theirs`` is worth."""

    def alike(part: str, *keys: str) -> bool:
        return all(theirs[part].get(key) == config[part].get(key) for key in keys)

    if not (alike("model", "num_classes") and alike("data", "name", "size")):
        return "other data: no fair comparison"
    return (
        "same backbone, ordinary head"
        if alike("model", "backbone", "backbone_level")
        else "another network on the same data"
    )
