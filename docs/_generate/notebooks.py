"""Notebooks as pages: their cells become Markdown with blocks that ``execute`` runs when the documentation is built."""

from __future__ import annotations

import json
from pathlib import Path


def as_markdown(file: Path) -> str:
    """Return the page of a notebook.

    Raises:
        ValueError: if the notebook holds outputs: they may show data that are not ours to distribute.
    """
    parts = []
    for cell in json.loads(file.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell.get("outputs"):
            raise ValueError(f"{file.name} holds outputs; clear them before it is committed")
        parts.append(source if cell["cell_type"] == "markdown" else f"```python exec\n{source}\n```")
    title, _, rest = "\n\n".join(parts).partition("\n")
    return f"{title}\n\n[Download the notebook]({file.name}).\n{rest}\n"
