"""The site as a strict build of mkdocs would refuse it, in seconds: mkdocs, which ``make docs`` needs, is not in CI.

Navigation, links and their anchors, generated parts, names of the reference, equations in pairs. Left to ``make docs``:
the notebooks are executed, equations become MathML, docstrings are parsed, no page asks for anything from outside.
"""

import importlib
import re
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

from zoo.registry import MODELS, SCORES

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS / "_generate"))
frames = pytest.importorskip("frames")
commands = pytest.importorskip("commands")
notebooks = pytest.importorskip("notebooks")

LINK = re.compile(r"(?<!\\)\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")
GENERATED = {"all-checkpoints.html"}


def read_pages():
    """Source and path on the site of every page."""
    pages = {path.relative_to(DOCS).as_posix(): path for path in DOCS.rglob("*.md")}
    for pattern in commands.COPIED:
        for path in ROOT.glob(pattern):
            name = path.relative_to(ROOT).as_posix()
            if name not in commands.LEFT_OUT:
                pages.setdefault(name, path)
    pages |= {f"tutorials/{path.stem}.md": path for path in (DOCS / "tutorials").glob("*.ipynb")}
    return pages


PAGES = read_pages()
TEXTS = sorted(name for name in PAGES if name.endswith(".md"))


@cache
def text_of(name):
    """A page as mkdocs reads it: generated parts in place, links of pages of the repository as on the site."""
    path = PAGES[name]
    if path.suffix == ".ipynb":
        return notebooks.as_markdown(path)
    text = path.read_text()
    folder, stem = name.rpartition("/")[0], path.stem
    if folder == "scores" and stem in SCORES.names():
        text = f"{frames.score_frame(stem)}\n\n{text}"
    elif folder == "models" and stem in MODELS.names():
        text = f"{frames.model_frame(stem)}\n\n{text}"
    elif not folder or folder.split("/")[0] in ("configs", "checkpoints"):
        text = re.sub(r"\]\(((?:\.\./)*)docs/", r"](\1", text)
    return commands.expand(text, name)


def prose(text):
    """A page without its code."""
    text = re.sub(r"^( *)(```+|~~~+).*?^\1\2\s*$", "", text, flags=re.M | re.S)
    return re.sub(r"`[^`\n]*`", "", text)


@cache
def anchors(name):
    """The anchors of the headings of a page."""
    text = re.sub(r"^( *)(```+|~~~+).*?^\1\2\s*$", "", text_of(name), flags=re.M | re.S)
    titles = re.findall(r"^#+ (.+)$", text, flags=re.M) + re.findall(r"^(.+)\n(?:===+|---+)$", text, flags=re.M)
    plain = [re.sub(r"[`*]|\]\([^)]*\)|\[", "", title) for title in titles]
    slugs = [re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", title).strip().lower()) for title in plain]
    return {*slugs, *re.findall(r"\{: ?#([\w-]+)", text), *re.findall(r'\bid="([\w-]+)"', text)}


def files_of_navigation(entry):
    if isinstance(entry, str):
        return [entry]
    values = entry.values() if isinstance(entry, dict) else entry
    return [file for value in values for file in files_of_navigation(value)]


def test_the_navigation_leads_to_every_page_and_to_no_other():
    config = (ROOT / "mkdocs.yml").read_text()
    listed = files_of_navigation(yaml.safe_load(config)["nav"])
    assert sorted(set(listed)) == sorted(listed)
    assert [name for name in listed if name not in PAGES] == []
    own = {name for name in TEXTS if PAGES[name].is_relative_to(DOCS)}
    generated = {f"models/{name}.md" for name in MODELS.names()} | {f"scores/{name}.md" for name in SCORES.names()}
    assert own - generated - set(listed) == set()


@pytest.mark.parametrize("name", TEXTS)
def test_every_link_and_anchor_leads_somewhere(name):
    broken = []
    for target in LINK.findall(prose(text_of(name))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = name
        if path:
            resolved = (DOCS / name).parent.joinpath(path).resolve()
            file = resolved.relative_to(DOCS.resolve()).as_posix() if resolved.is_relative_to(DOCS.resolve()) else path
        known = file in PAGES or file in GENERATED or (DOCS / file).is_file()
        if not known or (anchor and file in TEXTS and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("name", [name for name in TEXTS if "::: " in PAGES[name].read_text()])
def test_every_name_of_the_reference_exists(name):
    identifiers = re.findall(r"^::: (\S+)$", text_of(name), flags=re.M)
    assert identifiers
    for identifier in identifiers:
        parts = identifier.split(".")
        for end in range(len(parts), 0, -1):
            try:
                found = importlib.import_module(".".join(parts[:end]))
            except ModuleNotFoundError:
                continue
            break
        for part in parts[end:]:
            found = getattr(found, part)
        assert (found.__doc__ or "").strip(), f"{identifier} has no docstring"


def test_equations_are_closed():
    for name in TEXTS:
        text = re.sub(r"^\$\$.+?\$\$$", "", prose(text_of(name)), flags=re.M | re.S)
        assert "$$" not in text, name


def test_a_broken_page_is_found(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text("# A page\n\n[one](index.md#nowhere) [two](no/page.md) [three](#a-page) `[four](code.md)`\n")
    monkeypatch.setitem(PAGES, "broken.md", page)
    with pytest.raises(AssertionError, match=r"'no/page.md'\] == \[\]"):
        test_every_link_and_anchor_leads_somewhere("broken.md")
    page.write_text("{{ nothing of it }}\n")
    monkeypatch.setitem(PAGES, "broken command.md", page)
    with pytest.raises(ValueError, match="no command 'nothing'"):
        text_of("broken command.md")
