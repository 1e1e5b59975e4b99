"""The executed pages of the documentation run as they stand, and an error in one of them stops the build."""

import json
import re
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
sys.path.insert(0, str(DOCS / "_generate"))
execute = pytest.importorskip("execute").execute
as_markdown = pytest.importorskip("notebooks").as_markdown


NOTEBOOKS = sorted((DOCS / "tutorials").glob("*.ipynb"))


@pytest.mark.slow
@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_notebooks_run(file):
    page = as_markdown(file)
    done = execute(page, file.name)
    assert "python exec" not in done
    assert "'logits': " in done, "the largest difference of the exported file is shown"
    if file.stem == "sequence":
        assert "'B-PER', 'O', 'B-LOC'" in done, "by onnxruntime: York after Dr is a name, Weber after in a place"


def test_there_are_three_notebooks_without_outputs(tmp_path):
    assert [file.stem for file in NOTEBOOKS] == ["image", "sequence", "table"]
    for file in NOTEBOOKS:
        page = as_markdown(file)
        for block in re.findall(r"^```python exec\n(.*?)^```$", page, flags=re.M | re.S):
            compile(block, file.name, "exec")
        assert f"({file.name})" in page
    shown = json.loads(NOTEBOOKS[0].read_text())
    shown["cells"][1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["rows of a table"]}]
    (tmp_path / "shown.ipynb").write_text(json.dumps(shown))
    with pytest.raises(ValueError, match=r"shown.ipynb holds outputs; clear them"):
        as_markdown(tmp_path / "shown.ipynb")


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
