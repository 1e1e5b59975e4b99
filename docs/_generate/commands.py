"""The commands that a page may contain, ``{{ name words }}`` on a line of its own, and what they write."""

from __future__ import annotations

import re
from collections.abc import Callable

import frames
from flow import flow

COMMAND = re.compile(r"^\{\{ (\w+) (.+?) \}\}$", flags=re.M)
COMMANDS: dict[str, Callable[..., str]] = {
    "options": frames.data_options,
    "arguments": frames.model_options,
    "configs": frames.config_table,
    "checkpoints": frames.checkpoint_table,
    "code": frames.code,
    "help": frames.verb_help,
    "flow": lambda *words: flow(" ".join(words)),
}
# Files of the repository that are pages of the site under their own paths, but for those left out.
COPIED = ("configs/**/*.md", "configs/**/*.yaml", "checkpoints/**/*.md", "checkpoints/*/*.png", "*.md")
LEFT_OUT = ("README.md",)


def expand(markdown: str, page: str) -> str:
    """Return a page with what its commands write in their place.

    Raises:
        ValueError: if there is no such command.
    """

    def written(match: re.Match[str]) -> str:
        if match[1] not in COMMANDS:
            raise ValueError(f"{page}: no command {match[1]!r}; expected one of {', '.join(COMMANDS)}")
        return COMMANDS[match[1]](*match[2].split())

    return COMMAND.sub(written, markdown)
