"""Check that no page of the built site makes a request: no script, style, picture or font from outside."""

from __future__ import annotations

import re
import sys
from pathlib import Path

OUTSIDE = re.compile(
    r"""<(?:script|img|iframe|link|source|video|audio)\b[^>]*?\b(?:src|href)=["']?((?:https?:)?//[^"'\s>]+)""", re.I
)
IMPORT = re.compile(r"""(?:@import\s*|url\()\s*["']?((?:https?:)?//[^"')\s]+)""", re.I)


def main(site: Path) -> int:
    """Print every outside address that a page loads; return their number, at most 1."""
    outside = []
    pages = 0
    for file in sorted(site.rglob("*")):
        if file.suffix not in (".html", ".css"):
            continue
        pages += file.suffix == ".html"
        text = file.read_text(errors="replace")
        pattern = OUTSIDE if file.suffix == ".html" else IMPORT
        outside += [f"{file.relative_to(site)}: {address}" for address in pattern.findall(text)]
    sys.stdout.write("\n".join([*outside, f"{pages} pages, {len(outside)} outside addresses\n"]))
    return min(len(outside), 1) if pages else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
