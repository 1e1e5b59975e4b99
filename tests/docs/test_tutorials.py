"""The executed pages of the documentation run as they stand, and an error in one of them stops the build."""

import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
sys.path.insert(0, str(DOCS / "_generate"))
execute = pytest.importorskip("execute").execute


@pytest.mark.parametrize("page", sorted((DOCS / "tutorials").glob("*.md")), ids=lambda page: page.stem)
def test_tutorials_run(page):
    text = page.read_text()
    done = execute(text, page.name)
    assert "python exec" not in done
    assert len(done) > len(text)


def test_the_sequence_tutorial_prints_the_counts():
    done = execute((DOCS / "tutorials" / "sequence.md").read_text(), "sequence")
    assert "```text\n3 1 3 3\n```" in done, "of 3 1 3 3, each 3 occurs three times and the 1 once"


def test_blocks_share_names_and_an_error_names_the_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = "```python exec\na = 2\n```\n\n```python exec\nprint('two'); a + 1\n```\n"
    assert (
        execute(page, "page")
        == "```python\na = 2\n```\n\n```python\nprint('two'); a + 1\n```\n\n```text\ntwo\n```\n\n```text\n3\n```\n"
    )
    with pytest.raises(RuntimeError, match="^page: NameError: name 'b' is not defined; in the block\nb"):
        execute("```python exec\nb\n```\n", "page")
    assert Path.cwd() == tmp_path, "the working folder is restored"
    assert not list(tmp_path.iterdir())
