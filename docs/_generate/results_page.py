"""One page with the scores of all checkpoints: charts of what accuracy buys, and a table that sorts by every column.

    python docs/_generate/results_page.py build/results.html

Scores are those of ``metrics.json`` of each checkpoint; those of ``zoo evaluate <checkpoint> --suite units`` are added
from ``configs/evaluate/checkpoints/<checkpoint>.json``, where there is one.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import yaml
from pareto_chart import Point, chart

ROOT = Path(__file__).parents[2]
EVALUATIONS = ROOT / "configs" / "evaluate" / "checkpoints"
COLUMNS = {
    "accuracy": "accuracy",
    "black box": "accuracy of the black box",
    "lost": "accuracy lost to the black box, in points",
    "consistency": "consistency, %",
    "consistency above chance": "consistency minus that of random locations, points",
    "stability": "stability, %",
    "stability above chance": "stability minus that of random locations, points",
    "effective units": "effective units",
    "unit correlation": "unit correlation (chance 0)",
    "insertion and deletion": "area between insertion and deletion curves of units, minus that of random orders",
    "concept accuracy": "concept accuracy",
    "leakage": "accuracy minus oracle-concept ceiling",
}
CHARTS = ("consistency above chance", "stability above chance", "effective units", "insertion and deletion")
COLORS = ("#0f766e", "#b45309", "#1d4ed8", "#9d174d", "#4d7c0f", "#6d28d9", "#334155")
SCRIPT = """
document.querySelectorAll("th").forEach((head, column) => head.addEventListener("click", () => {
  const body = head.closest("table").tBodies[0];
  const down = head.getAttribute("aria-sort") !== "descending";
  document.querySelectorAll("th").forEach(other => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const key = row => row.cells[column].dataset.value;
  const rows = [...body.rows].sort((a, b) => {
    const x = key(a), y = key(b);
    if (x === "" || y === "") return (x === "") - (y === "");
    const order = isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
    return down ? -order : order;
  });
  body.append(...rows);
}));
"""
STYLE = """
body { font: 15px system-ui, sans-serif; margin: 2em; color: #1e293b; }
table { border-collapse: collapse; font-size: 13px; }
th, td { padding: 3px 8px; border-bottom: 1px solid #e2e8f0; text-align: right; }
th { cursor: pointer; vertical-align: bottom; position: sticky; top: 0; background: white; max-width: 9em; }
th:first-child, td:first-child, th:nth-child(-n+3), td:nth-child(-n+3) { text-align: left; }
th[aria-sort=descending]::after { content: " \\25BC"; } th[aria-sort=ascending]::after { content: " \\25B2"; }
figure { display: inline-block; vertical-align: top; margin: 0 1em 1em 0; }
figcaption { font-size: 13px; max-width: 370px; }
"""


@dataclass
class Row:
    """One checkpoint.

    Attributes:
        name: of the checkpoint.
        family: the model.
        data: the data source.
        values: by name of ``COLUMNS``; a missing one is n/a.
    """

    name: str
    family: str
    data: str
    values: dict[str, float] = field(default_factory=dict)


def rows(checkpoints: Path = ROOT / "checkpoints", evaluations: Path = EVALUATIONS) -> list[Row]:
    """Return the shipped checkpoints with their scores."""
    return [
        _row(folder, evaluations) for folder in sorted(checkpoints.iterdir()) if (folder / "metrics.json").is_file()
    ]


def _row(folder: Path, evaluations: Path) -> Row:
    config = yaml.safe_load((folder / "config.yaml").read_text())
    scores = json.loads((folder / "metrics.json").read_text())["scores"]
    further = evaluations / f"{folder.name}.json"
    if further.is_file():
        scores = json.loads(further.read_text())["scores"] | scores
    row = Row(folder.name, config["model"]["name"], config["data"]["name"])
    values: dict[str, float | None] = {
        "accuracy": _value(scores, "accuracy"),
        "black box": _black_box(folder, config),
        "effective units": _value(scores, "effective_units") or None,  # 0 of a model without units
        "unit correlation": _value(scores, "unit_correlation"),
        "insertion and deletion": _above(
            _value(scores, "insertion_deletion"), _more(scores, "insertion_deletion", "random gap")
        ),
        "concept accuracy": _value(scores, "concept_accuracy"),
        "leakage": _value(scores, "leakage"),
    }
    for score in ("consistency", "stability"):
        random = next((v.get("value") for k, v in scores.items() if k.startswith(f"{score} (random")), None)
        values[score] = _value(scores, score)
        values[f"{score} above chance"] = _above(values[score], random)
    lost = _above(values["black box"], values["accuracy"])
    values["lost"] = None if lost is None else 100 * lost
    row.values = {key: value for key, value in values.items() if value is not None}
    return row


def _value(scores: dict[str, Any], name: str) -> float | None:
    return scores.get(name, {}).get("value")


def _more(scores: dict[str, Any], name: str, readout: str) -> float | None:
    return scores.get(name, {}).get("more", {}).get(readout)


def _above(value: float | None, chance: float | None) -> float | None:
    return None if value is None or chance is None else value - chance


def _black_box(folder: Path, config: dict[str, Any]) -> float | None:
    """Return the accuracy of the reference model, from its own checkpoint."""
    model, _, rest = folder.name.partition("-")
    shipped = ROOT / "configs" / model / f"{rest}.yaml"
    reference = config.get("reference")
    if not reference and shipped.is_file():  # checkpoints of the first edition do not name it
        reference = yaml.safe_load(shipped.read_text()).get("reference")
    if not reference:
        return None
    metrics = folder.parent / reference.replace("/", "-") / "metrics.json"
    return _value(json.loads(metrics.read_text())["scores"], "accuracy") if metrics.is_file() else None


def page(entries: list[Row]) -> str:
    """Return the page as one HTML file that makes no request."""
    families = sorted({row.family for row in entries})
    color = {family: COLORS[i % len(COLORS)] for i, family in enumerate(families)}
    charts = "\n".join(_chart(entries, name, color) for name in CHARTS)
    heads = "".join(
        f'<th scope="col">{escape(title)}</th>' for title in ("checkpoint", "model", "data", *COLUMNS.values())
    )
    body = "\n".join(_table_row(row) for row in entries)
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
        f"script-src 'sha256-{digest}'"
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>zoo: all checkpoints</title><style>{STYLE}</style></head><body>
<h1>All checkpoints</h1>
<p>Test split, from <code>metrics.json</code> of {len(entries)} checkpoints. Unit correlation, insertion and deletion:
<code>zoo evaluate &lt;checkpoint&gt; --suite units</code>, where it was run. An empty cell is n/a, or not run.
Click a heading to sort.</p>
{charts}
<table><thead><tr>{heads}</tr></thead><tbody>
{body}
</tbody></table>
<script>{SCRIPT}</script></body></html>
"""


def _table_row(row: Row) -> str:
    cells = [f'<td data-value="{escape(text)}">{escape(text)}</td>' for text in (row.name, row.family, row.data)]
    for key in COLUMNS:
        value = row.values.get(key)
        shown = "" if value is None else f"{value:.1f}" if abs(value) >= 10 or "above" in key else f"{value:.3f}"
        cells.append(f'<td data-value="{"" if value is None else repr(value)}">{shown}</td>')
    return f"<tr>{''.join(cells)}</tr>"


def _chart(entries: list[Row], name: str, color: dict[str, str]) -> str:
    """Return the chart of the accuracy lost against a score."""
    points = [
        Point(row.name, row.values[name], row.values["lost"], color[row.family])
        for row in entries
        if {name, "lost"} <= row.values.keys()
    ]
    few = name == "effective units"
    return chart(points, COLUMNS[name], higher=not few, log=few)


def main(out: Path) -> None:
    """Write the page."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page(rows()), encoding="utf-8")
    sys.stdout.write(f"{out}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
