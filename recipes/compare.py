"""Compare: match the units of several runs one to one, and show the pairs side by side."""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from torch import Tensor

from zoo.cli import recipe
from zoo.evaluation.matching import Found, Run, fingerprint, load_runs, probe
from zoo.evaluation.scoring import about
from zoo.metrics.matching.assignment import PROTOCOL, average
from zoo.reporting import unit_gallery
from zoo.reporting.comparison_page import WAYS, RunPair, UnitCard, compare_page, ends
from zoo.reporting.glossary import GLOSSARY

COLUMNS = ("pairs", "similarity", "chance", "strict chance", "mean max", "at least .7", "no partner", "same answer")
ALONE = 24  # unmatched units that are pictured


def main(args: argparse.Namespace) -> None:
    """Match the units of the checkpoints among ``args.overrides``; the rest of it are overrides of the data."""
    recipe("train").quiet()
    if args.shown < 0:
        raise ValueError(f"--shown is {args.shown}; expected how many pairs to picture, 0 or more")
    overrides = [text for text in args.overrides if "=" in text and not Path(text).exists()]
    runs = load_runs([text for text in args.overrides if text not in overrides], overrides)
    found = probe(runs, args.by, limit=1 if args.dry_run else None)
    figures = {at: m.summary() | {"same answer": found.agreement(at)} for at, m in found.matches.items()}
    mean = average(found.matches.values())
    mean["same answer"] = sum(f["same answer"] for f in figures.values()) / len(figures)
    n, names, data = len(found.answers[0]), [run.name for run in runs], runs[0].config.data.name
    lines = {at: cells(len(found.matches[at].left), figure) for at, figure in figures.items()}
    sheet = Table(
        title=f"{len(runs)} runs on {data}, matched by {args.by} ({n} test samples)",
        title_justify="left",
        box=SIMPLE,
        padding=(0, 1, 0, 0),
    )
    for column in ("runs", *COLUMNS):
        sheet.add_column(column.replace(" ", "\n"), justify="right", overflow="fold")
    for (i, j), line in lines.items():
        sheet.add_row(f"{i + 1}, {j + 1}", *line)
    if len(lines) > 1:
        sheet.add_row("mean", *cells(None, mean))
    Console().print(sheet)
    said = [
        (run.name, f"{len(run.model.units)} {GLOSSARY[run.model.units.kind].many}, accuracy {a:.3f}")
        for run, a in zip(runs, found.accuracy, strict=True)
    ]
    sys.stdout.write("".join(f"{i}  {name}: {text}\n" for i, (name, text) in enumerate(said, 1)))
    facts = about(runs[0].config, runs[0].data, f"zoo compare {' '.join(args.overrides)} --by {args.by}")
    facts |= {"model": ", ".join(dict.fromkeys(run.model.name for run in runs))}
    facts |= {"data": f"{data} ({runs[0].data.license}), {n} test samples, hash {fingerprint(runs[0].data)}"}
    facts |= {"protocol": f"{PROTOCOL}/{args.by}"}
    file = f"{'-'.join(names).replace('/', '-')[:120]}-by-{args.by}"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) if args.dry_run else args.out or Path("runs/compare")
        compare_page(
            out / f"{file}.html",
            title=f"{len(runs)} runs on {data} side by side",
            by=args.by,
            columns=COLUMNS,
            mean=cells(None, mean),
            runs=said,
            pairs=cards(runs, found, lines, args.shown, WAYS[args.by].dead),
            lead=f"Matched units are alike by {plain(mean['similarity'])} on average. Units that share nothing would"
            f" reach {plain(mean['chance'])}, those that share {WAYS[args.by].shared}"
            f" {plain(mean['strict_chance'])}. Two runs give the same answer to {100 * mean['same answer']:.1f} % of"
            f" {n} test samples.",
            shown=args.shown,
            facts=facts,
            kinds=[run.model.units.kind for run in runs],
        )
        (out / f"{file}.json").write_text(json.dumps(record(runs, found, figures, mean, facts), indent=1) + "\n")
    if not args.dry_run:
        sys.stdout.write(f"page    {out / file}.html\nfigures {out / file}.json\n")


def plain(value: float) -> str:
    """Three digits and a true minus."""
    return f"{round(value, 3) + 0.0:.3f}".replace("-", "−")


def cells(count: int | None, figure: dict[str, float]) -> list[str]:
    """A line of the table; the mean has no number of pairs."""
    found = [plain(figure[key]) for key in ("similarity", "chance", "strict_chance", "highest")]
    shares = [f"{100 * figure[key]:.1f} %" for key in ("close", "unmatched", "same answer")]
    return ["" if count is None else str(count), *found, *shares]


def record(runs: Sequence[Run], found: Found, figures: dict, mean: dict[str, float], facts: dict[str, str]) -> dict:
    """Everything for a program to read: the figures, and who is whose partner."""
    about_runs = [
        {"name": run.name, "model": run.model.name, "units": len(run.model.units), "accuracy": a}
        for run, a in zip(runs, found.accuracy, strict=True)
    ]
    pairs = [
        {
            "runs": [runs[i].name, runs[j].name],
            **figures[i, j],
            "left": m.left.tolist(),
            "right": m.right.tolist(),
            "similarities": m.similarity.tolist(),
        }
        for (i, j), m in found.matches.items()
    ]
    return {**facts, "support": len(found.answers[0]), "runs": about_runs, "mean": mean, "pairs": pairs}


def cards(runs: Sequence[Run], found: Found, lines: dict, shown: int, dead: str) -> list[RunPair]:
    """Everything that the page shows of each pair of runs, most alike first, pictures for the ``shown``."""
    orders = {at: m.similarity.argsort(descending=True, stable=True) for at, m in found.matches.items()}
    pictured: list[set[int]] = [set() for _ in runs]
    for at, m in found.matches.items():
        first, _, last = ends(len(m.left), shown)
        best = orders[at][[*first, *last]]
        for run, ids, alone in zip(at, (m.left, m.right), m.unmatched, strict=True):
            pictured[run] |= {*ids[best].tolist(), *alone[:ALONE].tolist()}
    units = [unit_cards(*some) for some in zip(runs, found.amounts, pictured, strict=True)]
    out = []
    for (i, j), m in found.matches.items():
        ids = (m.left[orders[i, j]].tolist(), m.right[orders[i, j]].tolist(), m.similarity[orders[i, j]].tolist())
        pairs = [(units[i][a], turned(units[j][b], units[i][a], runs[j]), s) for a, b, s in zip(*ids, strict=True)]
        alone = [
            (runs[k].name, [units[k][u] for u in some.tolist()]) for k, some in zip((i, j), m.unmatched, strict=True)
        ]
        owned = [a.owner == b.owner for a, b, _ in pairs if a.owner and b.owner]
        note = f"{sum(owned)} of {len(owned)} pairs were learnt for the same class." if owned else ""
        for k, lost in zip((i, j), m.dead, strict=True):
            note += f" {lost} of {len(units[k])} units of {runs[k].name} {dead} and are like none." if lost else ""
        out.append(RunPair(runs[i].name, runs[j].name, pairs, alone, lines[i, j], (m.chance, m.strict_chance), note))
    return out


def turned(card: UnitCard, beside: UnitCard, run: Run) -> UnitCard:
    """A unit that has no sign, in the colours of the one that it is shown beside."""
    ours, theirs = card.source, beside.source
    if ours is None or theirs is None or not (ours.portrait and theirs.portrait):
        return card
    if (told := run.model.directions()) is None or told.signed or float((ours.picture * theirs.picture).sum()) >= 0:
        return card
    return replace(card, source=replace(ours, picture=-ours.picture))


def unit_cards(run: Run, amounts: Tensor, pictured: set[int]) -> list[UnitCard]:
    """All units of a run; pictures of some."""
    units, sources = run.model.units, unit_gallery.sources(run.model, run.own, pictured)
    owners = [-1] * len(units) if units.owner is None else units.owner.tolist()
    return [
        UnitCard(name, amount, run.data.class_names[owner] if owner >= 0 else "", sources.get(u))
        for u, (name, amount, owner) in enumerate(zip(units.names, amounts.tolist(), owners, strict=True))
    ]
