"""The checkpoint that edits result in: its card, scores, units and history; the original files when all is undone."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from zoo import checkpoint
from zoo.config import plain
from zoo.evaluation.edits.edit_scores import ScoreChange
from zoo.metrics.score_result import Result
from zoo.model import SelfExplaining
from zoo.reporting.contact_sheet import contact_sheet, read_contact_sheet

KEPT = (
    "README.md",
    "metrics.json",
    checkpoint.UNITS,
    checkpoint.SHEET,
    "explanation.png",
)  # files that an edit replaces
SCORES = re.compile(r"^## Scores on the test split\n.*?(?=^## |\Z)", re.S | re.M)
EXAMPLE = re.compile(r"^!\[[^\n]*\]\(explanation\.png\)\n\n?", re.M)


def write_edited(
    model: SelfExplaining,
    source: Path,
    folder: Path,
    config: Any,
    *,
    changes: Sequence[ScoreChange] = (),
    results: Mapping[str, Result] | None = None,
    facts: Mapping[str, str] | None = None,
) -> Path:
    """Write an edited model as a checkpoint, whole or not at all.

    Args:
        model: with its history; without one it is the model before all edits, whose files are restored.
        source: folder of the checkpoint that was edited.
        folder: where; an older checkpoint there is replaced.
        config: of the run.
        changes: scores before and after; empty if they were not measured.
        results: scores after, by name.
        facts: of the evaluation.
    """
    before = checkpoint.load(str(source)).history
    files = _files(source) if before is None else dict(before.files)
    if model.history is None:
        extra = {name: content for name, content in files.items() if name not in ("README.md", "metrics.json")}
        metrics = json.loads(files["metrics.json"])
        return checkpoint.save(
            folder, model, config=plain(config), metrics=metrics, card=files["README.md"].decode(), extra=extra
        )
    if before is None:
        model.history = replace(model.history, model=checkpoint.title(str(source)), files=files)
    metrics = {"scores": {name: result.to_json() for name, result in (results or {}).items()}, **(facts or {})}
    metrics["edits"] = {
        "of": model.history.model,
        "count": len(model.history),
        "scores": [change._asdict() for change in changes],
    }
    if results:
        metrics["units"] = {n: {k: v.tolist() for k, v in r.per_unit.items()} for n, r in results.items() if r.per_unit}
        metrics["units"] = _finite(metrics["units"])
    card = edited_card(files.get("README.md", b"").decode("utf-8", "replace"), folder.name, model, changes)
    lines, sheet = _units(model, files)
    return checkpoint.save(
        folder,
        model,
        config=plain(config),
        metrics=metrics,
        card=card,
        unit_lines=lines,
        unit_sheet=sheet,
        extra=model.history.to_files(),
    )


def _files(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in KEPT if (folder / name).is_file()}


def _finite(values: Any) -> Any:
    """Return values for JSON, which has no NaN."""
    if isinstance(values, dict):
        return {key: _finite(value) for key, value in values.items()}
    if isinstance(values, list):
        return [_finite(value) for value in values]
    return None if isinstance(values, float) and values != values else values


def edited_card(card: str, name: str, model: SelfExplaining, changes: Sequence[ScoreChange]) -> str:
    """Return the card of an edited model: that of the model before, with the edits and the scores of now.

    Args:
        card: before the edits.
        name: of the edited checkpoint.
        model: with its history.
        changes: scores before and after.
    """
    assert model.history is not None
    of = model.history.model
    head = f"An edited copy of `{of}`, with {len(model.units)} units. `zoo edit {name} undo=all` restores it exactly."
    lines = [_in_markdown(line) for line in model.history.lines()]
    text = "\n".join(["## Edits", "", head, "", *lines, ""])
    if changes:
        rows = "\n".join(f"| {c.part} | {c.rows} | {c.score} | {shown(c.before)} | {shown(c.after)} |" for c in changes)
        text += "\n## Scores before and after\n\n| rows of the test split | | score | before | after |\n"
        text += f"| --- | --- | --- | --- | --- |\n{rows}\n"
    else:
        text += "\nThe scores of the edited model were not measured.\n"
    card = EXAMPLE.sub("", card)
    card = re.sub(rf"^# {re.escape(of)}$", f"# {name}", card, count=1, flags=re.M)
    card = re.sub(r" with \d+ units", f" with {len(model.units)} units", card, count=1)
    card = card.replace(f'zoo.load("{of}")', f'zoo.load("{name}")')
    if SCORES.search(card):
        return SCORES.sub(lambda _: f"{text}\n", card, count=1)
    return f"{card.rstrip()}\n\n{text}"


def _in_markdown(line: str) -> str:
    """Return a line whose names and notes are no markup."""
    return re.sub(r"([\\`*_\[\]<>#|])", r"\\\1", " ".join(line.split()))


def shown(value: float | None) -> str:
    """Return a score as text.

    >>> shown(0.98607), shown(None)
    ('0.9861', 'n/a')
    """
    return "n/a" if value is None else f"{value:.4g}"


def _units(model: SelfExplaining, files: Mapping[str, bytes]) -> tuple[list[str], Image.Image | None]:
    """Return the line of each unit and the sheet of the pictures of those that were there before the edits."""
    assert model.history is not None
    state = model.history.state
    old = checkpoint.unit_lines_of(files.get(checkpoint.UNITS, b""))
    lines = []
    for i, (origin, name) in enumerate(zip(state.origin, model.units.names, strict=True)):
        line = old[origin] if 0 <= origin < len(old) else name
        line = line if line == name or line.startswith(f"{name}, ") else f"{name}, before the edits {line}"
        lines.append(line + (", off" if i in state.held else ""))
    if checkpoint.SHEET not in files or not old:
        return lines, None
    pictured = [unit for unit, line in enumerate(old) if ", from " in line] or list(range(len(old)))
    with Image.open(io.BytesIO(files[checkpoint.SHEET])) as sheet:
        tiles = read_contact_sheet(sheet.convert("RGB"), pictured)
    return lines, contact_sheet({i: tiles[origin] for i, origin in enumerate(state.origin) if origin in tiles})
