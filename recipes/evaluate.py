"""Evaluate: score a checkpoint on the test split of its data, or of data that you name."""

import argparse
import json
import sys
from pathlib import Path

from omegaconf import OmegaConf

from zoo import checkpoint
from zoo.cli import recipe
from zoo.config import check
from zoo.data import create_data
from zoo.train.run import about, classes, open_folder, score, table, to_json, write_page


def main(args: argparse.Namespace) -> None:
    """Score ``args.name``; overrides may change ``data`` and ``trainer.accelerator``."""
    train = recipe("train")
    train.quiet()
    model = checkpoint.load(args.name)
    config = check(OmegaConf.create(model.config), args.overrides, where=args.name, classes=classes)
    if args.dry_run:
        config.data.limit = min(config.data.limit or 10**9, 4 * config.model.num_classes)
    data = create_data(**OmegaConf.to_container(config.data))
    title = checkpoint.find(args.name).resolve()
    title = title.parent.name if title.name == "checkpoint" else title.name
    out = args.out or Path("runs") / f"evaluate-{title}"
    if not args.dry_run:
        open_folder(out, config, resume=False, overwrite=args.overwrite or args.out is None)
    results = score(model, data, args.suite, limit=1 if args.dry_run else None, progress=sys.stderr.isatty())
    rows = table(results)
    train.show(rows, title=f"{title} on {config.data.name}, suite {args.suite}")
    if args.dry_run:
        return
    command = f"zoo evaluate {args.name} {' '.join(args.overrides)} --suite {args.suite}"
    facts = about(config, data, command, out)
    units = {n: {k: v.tolist() for k, v in r.per_unit.items()} for n, r in results.items() if r.per_unit}
    scores = {n: to_json(r) for n, r in results.items()}
    (out / "metrics.json").write_text(json.dumps({"scores": scores, **facts, "units": units}, indent=1) + "\n")
    page = write_page(out / "report.html", model, data, rows, facts, title=title)
    sys.stdout.write(f"metrics  {out / 'metrics.json'}\npage     {page}\n")
