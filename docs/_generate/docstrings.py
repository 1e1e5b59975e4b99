"""Google-style docstrings as Markdown: prose, arguments by name, sources."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field

SECTION = re.compile(r"^(Args|Attributes|Raises|Returns|Example|Examples|Yields):\s*$")
SOURCE = re.compile(r"^Sources?: ")


@dataclass
class Docstring:
    """A parsed docstring.

    Attributes:
        summary: first line.
        prose: the paragraphs before the first section, as Markdown, without summary and sources.
        sources: the paragraph that begins with ``Source:``, without that word; empty for none.
        arguments: description by argument.
        example: the doctest, as it stands; empty for none.
    """

    summary: str = ""
    prose: str = ""
    sources: str = ""
    arguments: dict[str, str] = field(default_factory=dict)
    example: str = ""


def parse(text: str | None) -> Docstring:
    """Return the parts of a docstring."""
    lines = inspect.cleandoc(text or "").splitlines()
    sections: dict[str, list[str]] = {"": []}
    name = ""
    for line in lines:
        if match := SECTION.match(line):
            name = match[1]
            sections[name] = []
        else:
            sections[name].append(line)
    paragraphs = "\n".join(sections[""]).strip().split("\n\n")
    summary, rest = paragraphs[0], paragraphs[1:]
    sources = [p for p in rest if SOURCE.match(p)]
    return Docstring(
        summary=markdown(" ".join(summary.splitlines())),
        prose="\n\n".join(markdown(_lists(p)) for p in rest if p not in sources),
        sources=markdown(" ".join(SOURCE.sub("", p) for p in sources).replace("\n", " ")),
        arguments=_entries(sections.get("Args", [])),
        example=inspect.cleandoc("\n".join(sections.get("Example", []))),
    )


def markdown(text: str) -> str:
    """Return prose with code spans of Markdown instead of those of reStructuredText."""
    text = re.sub(r":(?:class|func|meth):`([^`]+)`", r"`\1`", text)
    return text.replace("``", "`")


def cell(text: str) -> str:
    """Return text for one cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")


def _lists(paragraph: str) -> str:
    """Return a paragraph whose indented lines, or lines that begin with a term and a colon, are items of a list."""
    result: list[str] = []
    items = False
    for line in paragraph.splitlines():
        begins = re.match(r"(?: {4})?(``[^`]+``[^:]{0,60}):", line) and (line.startswith("    ") or _is_term(line))
        if begins and not line.startswith("        "):
            if not items:
                result.append("")
            result.append(f"- {line.strip()}")
            items = True
        else:
            result.append(f"  {line.strip()}" if items else line)
    return "\n".join(result)


def _is_term(line: str) -> bool:
    return bool(re.match(r"``[a-z_ .]+``: ", line))


def _entries(lines: list[str]) -> dict[str, str]:
    """Return the descriptions of a section by name."""
    entries: dict[str, str] = {}
    name = ""
    for line in lines:
        if match := re.match(r" {4}(\w+): ?(.*)", line):
            name = match[1]
            entries[name] = match[2]
        elif name and line.strip():
            entries[name] += " " + line.strip()
    return {key: markdown(value) for key, value in entries.items()}
