"""The report page: one context in, one self-contained HTML file out."""

from __future__ import annotations

import os
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from markupsafe import Markup

from zoo.reporting.album import Album
from zoo.reporting.context import PageContext
from zoo.reporting.glossary import visible
from zoo.reporting.panel import ASSETS, fill, panels, render, scripts


def page(path: str | Path, context: PageContext) -> Path:
    """Write a page that shows, for each input, which units led to the answer and how they add up to it.

    Every registered panel that applies to the context is drawn. The file is written beside its place and then renamed:
    a page is there completely or not at all. It loads nothing: its content security policy forbids all requests, and
    all scripts but that of its own panels, by its hash; a page without controls has none.

    Args:
        path: the HTML file; its folder is made if needed.
        context: what to show.

    Returns:
        ``path``

    Raises:
        ValueError: if a picture is not in 0..1 or an explanation is not finite.
    """
    context = replace(context, explanations=[e.detach().to("cpu") for e in context.explanations], album=Album())
    if context.tokens is not None and not context.labeled_texts:
        context = replace(context, class_names=[visible(name) for name in context.class_names])
    styles = "\n".join(style for panel in panels() if (style := panel.style()))
    sections = render("page", context)
    html = fill(
        ASSETS / "page.html",
        album=context.album.definitions(),
        title=context.title,
        lead=context.lead,
        style=Markup(styles),
        script=Markup(script := scripts(context)),
        script_hash=b64encode(sha256(script.encode()).digest()).decode(),
        sections=sections,
    )
    return write_whole(Path(path), html)


def write_whole(path: Path, text: str) -> Path:
    """Write a file beside its place and rename it there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path
