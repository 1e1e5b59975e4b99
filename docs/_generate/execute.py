"""Executed pages: blocks of ```` ```python exec ```` run in order when the documentation is built.

What a block prints stands behind it. The blocks of a page share one namespace and an empty working folder. The value of
a last expression is shown as a notebook shows it: its HTML, its picture, or its text.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import os
import re
import tempfile
from typing import Any

from PIL import Image

BLOCK = re.compile(r"^```python exec\n(.*?)^```$", flags=re.M | re.S)


def execute(markdown: str, name: str) -> str:
    """Return a page with the output of each of its blocks behind it.

    Raises:
        RuntimeError: if a block fails; page and block are named.
    """
    if not BLOCK.search(markdown):
        return markdown
    namespace: dict[str, Any] = {"__name__": "__main__"}
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            return BLOCK.sub(lambda match: _block(match[1], namespace, name), markdown)
        finally:
            os.chdir(before)


def _block(code: str, namespace: dict[str, Any], name: str) -> str:
    tree = ast.parse(code)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    value = None
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(tree, name, "exec"), namespace)
            if last is not None:
                value = eval(compile(ast.Expression(last.value), name, "eval"), namespace)
    except Exception as error:
        raise RuntimeError(f"{name}: {type(error).__name__}: {error}; in the block\n{code}") from error
    text = printed.getvalue().rstrip()
    parts = [f"```python\n{code}```", f"```text\n{text}\n```" if text else "", shown(value)]
    return "\n\n".join(part for part in parts if part)


def shown(value: Any) -> str:
    """Return a value as a notebook shows it; empty for None."""
    if value is None:
        return ""
    if isinstance(value, Image.Image):
        buffer = io.BytesIO()
        value.save(buffer, format="PNG")
        return f'<img alt="output" src="data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}">'
    html = getattr(value, "_repr_html_", None)
    if html is not None:
        return f"<div>{' '.join(html().split())}</div>"
    return f"```text\n{value}\n```"
