"""Evaluate: score a checkpoint on the test split of its data, or of data that you name."""

import argparse
import json
import os
import sys
from pathlib import Path

from zoo import checkpoint
from zoo.cli import recipe
from zoo.evaluation.scoring import about, score, table, write_page
from zoo.metrics.suite import check as check_scores
from zoo.training.run import data_of, load_checkpoint


def main(args: argparse.Namespace) -> None:
    """Score ``args.name``; overrides may change ``data`` and ``trainer.accelerator``."""
    train = recipe("train")
    train.quiet()
    model, config = load_checkpoint(args.name, args.overrides)
    check_scores(args.suite)
    if args.dry_run:
        config.data.limit = min(config.data.limit or 10**9, 4 * config.model.num_classes)
    data = data_of(config, model)
    title = checkpoint.title(args.name)
    out = args.out or Path("runs") / f"evaluate-{title}-{Path(args.suite).stem}"
    if not args.dry_run:
        claim(out, overwrite=args.overwrite)
    limit = 1 if args.dry_run else None
    results = score(model, data, args.suite, limit=limit, accelerator=config.trainer.accelerator)
    rows = table(results)
    train.show(rows, title=f"{title} on {config.data.name}, suite {args.suite}")
    if args.dry_run:
        return
    facts = about(config, data, f"zoo evaluate {args.name} {' '.join(args.overrides)} --suite {args.suite}")
    units = {n: {k: v.tolist() for k, v in r.per_unit.items()} for n, r in results.items() if r.per_unit}
    scores = {n: r.to_json() for n, r in results.items()}
    part = out / ".metrics.part"
    part.write_text(json.dumps({"scores": scores, **facts, "seed": config.seed, "units": units}, indent=1) + "\n")
    os.replace(part, out / "metrics.json")
    page = write_page(out / "report.html", model, data, results, rows, facts, title=title)
    sys.stdout.write(f"metrics  {out / 'metrics.json'}\npage     {page}\n")


def claim(out: Path, *, overwrite: bool) -> None:
    """Make the folder of an evaluation; refuse one that holds a run, or an older evaluation unless asked."""
    if (out / "phases").exists() or (out / "checkpoint").exists():
        raise ValueError(f"{out} holds a training run; choose another --out for its evaluation")
    if (out / "metrics.json").exists() and not overwrite:
        raise ValueError(f"{out} holds an evaluation; add --overwrite to replace it, or choose another --out")
    out.mkdir(parents=True, exist_ok=True)
