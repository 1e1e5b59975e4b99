"""The steps that training recipes share: build what a config names, open its folder, score and save the result."""

from __future__ import annotations

import json
import os
import platform
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from zoo import __version__, checkpoint, gallery, paths
from zoo import config as configs
from zoo.batch import Batch
from zoo.data import create_data, data_class
from zoo.data.base import ImageData
from zoo.explanation import Explanation
from zoo.metrics.suite import Result, Suite
from zoo.models.base import SelfExplaining
from zoo.registry import create_model, model_class
from zoo.report.figure import figure
from zoo.report.page import ScoreRow, page, unit_picture
from zoo.train.card import card


def classes(section: str, name: str) -> type:
    """The class whose ``__init__`` types a section of a config."""
    return model_class(name) if section == "model" else data_class(name)


def load_config(name: str, overrides: Sequence[str] = ()) -> DictConfig:
    """Read and check a config, see ``zoo.config.load``."""
    return configs.load(name, overrides, classes=classes)


def build(config: DictConfig, *, dry: bool = False) -> tuple[SelfExplaining, ImageData]:
    """Model and data of a config, the model initialised from the seed.

    Args:
        config: the run.
        dry: read neither data nor weights from disk or hub.

    Raises:
        ValueError: if they do not fit each other.
    """
    args = configs.plain(config)
    data = create_data(**args["data"])
    if not dry and data.num_classes != args["model"]["num_classes"]:
        raise ValueError(
            f"model.num_classes is {args['model']['num_classes']};"
            f" {args['data']['name']} has {data.num_classes} classes: set model.num_classes={data.num_classes}"
        )
    pl.seed_everything(config.seed, verbose=False)
    model = create_model(**(checkpoint.standalone(args["model"]) if dry else args["model"]))
    if config.finetune is not None and config.finetune.source:
        checkpoint.graft(model, checkpoint.load(config.finetune.source), list(config.finetune.replace))
    return model, data


def open_folder(out: Path, config: DictConfig, *, resume: bool, overwrite: bool) -> None:
    """Make the run folder and write the config into it. Only the first process of a run does anything.

    Raises:
        ValueError: if the folder holds another run and neither ``resume`` nor ``overwrite`` is given, or if the run to
            be resumed has another config; the keys that differ are named.
    """
    if rank_zero_only.rank != 0 or int(os.environ.get("LOCAL_RANK", 0)) != 0:
        return
    old = out / "config.yaml"
    if overwrite and not resume and out.exists() and any(out.iterdir()):
        if not old.is_file():
            raise ValueError(f"{out} is no run folder (it has no config.yaml) and is not overwritten; choose another")
        shutil.rmtree(out)
    if out.exists() and any(out.iterdir()):
        if not resume:
            raise ValueError(
                f"{out} exists; add --resume to go on with it, --overwrite to replace it, or --out for another folder"
            )
        if old.exists() and (differ := _different(OmegaConf.load(old), config)):
            raise ValueError(f"{out} was started with another config ({', '.join(differ)}); --overwrite replaces it")
    out.mkdir(parents=True, exist_ok=True)
    if not old.exists():
        configs.save(config, out / "config.part")
        os.replace(out / "config.part", old)


def _different(old: Any, new: Any) -> list[str]:
    a, b = (dict(_leaves(OmegaConf.to_container(OmegaConf.create(OmegaConf.to_yaml(c))))) for c in (old, new))
    return [f"{k}: {a.get(k)} there, {b.get(k)} now" for k in sorted({*a, *b}) if a.get(k) != b.get(k)][:4]


def _leaves(tree: Any, prefix: str = "") -> list[tuple[str, Any]]:
    if not isinstance(tree, Mapping):
        return [(prefix.rstrip("."), tree)]
    return [leaf for k, v in tree.items() for leaf in _leaves(v, f"{prefix}{k}.")]


def score(model: SelfExplaining, data: ImageData, suite: str, *, split: str = "test", limit: int | None = None,
          progress: bool = True) -> dict[str, Result]:  # fmt: skip
    """All scores of a suite on one split, with the random control beside every part score."""
    from tqdm import tqdm

    scores = Suite(
        f"evaluate/{suite}" if not suite.endswith((".yaml", ".yml")) else suite,
        model.units,
        data.part_names,
        control=True,
    )
    loader = data.loader(split)
    for i, batch in enumerate(tqdm(loader, desc=f"scoring {split}", disable=None if progress else True, leave=False)):
        if limit is not None and i >= limit:
            break
        scores.update(model, batch.to(model.device))
    return scores.compute()


def finish(model: SelfExplaining, data: ImageData, config: DictConfig, out: Path, *, command: str) -> list[ScoreRow]:
    """Score on the test split, save the checkpoint with its card, write the report page.

    Returns:
        The score table.
    """
    model.eval()
    results = score(model, data, config.suite)
    rows = [*table(results), *_yardstick(config, out)]
    facts = about(config, data, command, out)
    names = gallery.unit_names(model, data)
    origins = gallery.sources(model, data, range(len(names)))
    metrics = {"scores": {n: to_json(r) for n, r in results.items()}, **facts, "seed": config.seed}
    text = card(out.name, configs.plain(config), data, rows, facts, n_units=len(names))
    batch, told, _ = examples(model, data, count=1)
    drawn = figure(told, 0, data.picture(batch.x)[0], class_names=data.class_names, sources=origins) if names else None
    checkpoint.save(
        out / "checkpoint", model, config=configs.plain(config), metrics=metrics, card=text, unit_names=names,
        unit_pictures={u: unit_picture(s) for u, s in origins.items()}, example=drawn,
    )  # fmt: skip
    write_page(out / "report.html", model, data, rows, facts, title=out.name)
    return rows


@torch.no_grad()
def examples(
    model: SelfExplaining, data: ImageData, *, count: int = 8, shown: int = 6
) -> tuple[Batch, Explanation, Explanation]:
    """The first test sample of each of the first ``count`` classes, explained as predicted and as it truly is."""
    y = data.splits["test"].y
    first = [int((y == c).nonzero()[0, 0]) for c in range(data.num_classes) if bool((y == c).any())][:count]
    batch = data.loader("test").dataset.__getitems__([(0, i) for i in first])
    return batch, model.explain(batch.x, shown=shown), model.explain(batch.x, target=batch.y, shown=shown)


def write_page(
    file: Path,
    model: SelfExplaining,
    data: ImageData,
    rows: Sequence[ScoreRow],
    facts: Mapping[str, str],
    *,
    title: str,
) -> Path:
    """The page of a run."""
    batch, told, also = examples(model, data)
    used = {int(u) for e in (told, also) for u in e.shown.flatten()}
    return page(
        file, title=title, explanation=told, also=also, pictures=data.picture(batch.x), class_names=data.class_names,
        truth=batch.y, sources=gallery.sources(model, data, used), scores=rows, facts=facts,
    )  # fmt: skip


def about(config: DictConfig, data: ImageData, command: str, out: Path) -> dict[str, str]:
    """Facts printed with every result: model, data and its hash, command, versions, hardware, time."""
    log = out / "log.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    seconds = sum(entry.get("seconds", 0) for entry in lines)
    return {
        "model": f"{config.model.name} on {config.model.get('backbone', 'no backbone')}",
        "data": f"{config.data.name} ({data.licence}), hash {data.fingerprint()}",
        "command": command,
        "training": f"{seconds / 60:.1f} min",
        "hardware": f"{os.cpu_count()} CPU cores, {platform.machine()}"
        if not torch.cuda.is_available()
        else torch.cuda.get_device_name(),
        "versions": f"zoo {__version__}, torch {torch.__version__}, {time.strftime('%Y-%m-%d')}",
    }


def table(results: Mapping[str, Result]) -> list[ScoreRow]:
    """Results as lines for people."""
    return [
        ScoreRow(r.name.replace("_", " "), _text(r), r.protocol, "" if r.value is None else r.note)
        for r in results.values()
    ]


def _text(result: Result) -> str:
    if result.value is None:
        return result.note or "n/a"
    return f"{result.value:.2e}" if 0 < abs(result.value) < 1e-3 else f"{result.value:.4g}"


def to_json(result: Result) -> dict[str, Any]:
    """A result as plain values, without the per-unit vectors."""
    out = {"value": result.value, "protocol": result.protocol, "support": result.support}
    return {**out, **({"note": result.note} if result.note else {}), **({"more": result.more} if result.more else {})}


def _yardstick(config: DictConfig, out: Path) -> list[ScoreRow]:
    """Accuracy of the black box on the same backbone, from its own finished run."""
    if not config.yardstick:
        return []
    name = config.yardstick.replace("/", "-")
    asked = Path(config.yardstick) / "checkpoint", out.parent / name / "checkpoint"
    for folder in (*asked, *(root / name for root in paths.checkpoints())):
        if (folder / "metrics.json").is_file():
            theirs, metrics = checkpoint.read(folder)
            keys = [("model", k) for k in ("backbone", "backbone_level", "num_classes")] + [
                ("data", "name"),
                ("data", "size"),
            ]
            same = all(theirs[a].get(b) == config[a].get(b) for a, b in keys)
            note = "same backbone, ordinary head" if same else "another backbone or other data: no fair comparison"
            found = metrics["scores"]["accuracy"]
            return [ScoreRow("black-box accuracy", f"{found['value']:.4g}", found["protocol"], f"{note} ({name})")]
    return [ScoreRow("black-box accuracy", f"n/a: run `zoo train {config.yardstick}` first", "", "")]
