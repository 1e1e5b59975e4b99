"""MkDocs hooks: navigation from the registries, generated frames, equations as MathML, pages from the repository.

A page may contain, each on a line of its own:

    {{ options folder }}                    the options of a data source
    {{ arguments protopnet }}               the arguments of a model
    {{ configs protopnet }}                 its configs; {{ checkpoints protopnet }} its checkpoints
    {{ code zoo/models/scbm.py SCBM.strengths }}  the body of a function
    {{ help train }}                        the help of a verb
    {{ flow row, (b d) | *terms | sum }}    a drawing of steps; the one with the units is marked
    $$ ... $$                               an equation in LaTeX
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import frames
import notebooks
import results_page
from commands import COPIED, LEFT_OUT, expand
from execute import execute
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from zoo.cli.ls import SCORE_KINDS
from zoo.registry import MODELS, SCORES

ROOT = Path(__file__).parents[2]
EQUATION = re.compile(r"^\$\$(.+?)\$\$$", flags=re.M | re.S)
SCORE_FOLDERS = {"task": "task", "regression": "regression", **SCORE_KINDS}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages of models and scores into the navigation, one for each entry of the registries."""
    assert config.nav is not None
    for entry in config.nav:
        ((title, pages),) = entry.items()
        if title == "Models":
            pages += _model_pages()
        elif title == "Scores":
            pages += _score_pages()
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add results, configs, cards and pictures of the repository under their own paths."""
    for pattern in COPIED:
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            if name not in LEFT_OUT and files.get_file_from_path(name) is None:
                files.append(File.generated(config, name, abs_src_path=str(path)))
    for path in sorted((ROOT / "docs/tutorials").glob("*.ipynb")):
        page = f"tutorials/{path.stem}.md"
        files.append(File.generated(config, page, content=notebooks.as_markdown(path)))
    table = results_page.page(results_page.rows())
    files.append(File.generated(config, "all-checkpoints.html", content=table))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Add the frame of a page, replace its commands and equations, and adapt links of pages of the repository."""
    name = page.file.src_uri
    folder, _, file = name.rpartition("/")
    stem = file.removesuffix(".md")
    if folder == "scores" and stem in SCORES.names():
        markdown = f"{frames.score_frame(stem)}\n\n{markdown}"
    elif folder == "models" and stem in MODELS.names():
        markdown = f"{frames.model_frame(stem)}\n\n{markdown}"
    elif not folder or folder.split("/")[0] in ("configs", "checkpoints"):
        markdown = re.sub(r"\]\(((?:\.\./)*)docs/", r"](\1", markdown)
    if folder == "tutorials":
        markdown = execute(markdown, name)
    try:
        markdown = expand(markdown, name)
    except ValueError as error:
        raise PluginError(str(error)) from error
    return EQUATION.sub(lambda match: f"\n{convert(match[1].strip(), display='block')}\n", markdown)


def _model_pages() -> list[Any]:
    return [
        {"Interpretable models": [f"models/{name}.md" for name in MODELS.in_folder("models")]},
        {"Reference models": [f"models/{name}.md" for name in MODELS.in_folder("models/baselines")]},
    ]


def _score_pages() -> list[Any]:
    return [
        {kind[0].upper() + kind[1:]: [f"scores/{name}.md" for name in SCORES.in_folder(f"metrics/{folder}")]}
        for folder, kind in SCORE_FOLDERS.items()
    ]
