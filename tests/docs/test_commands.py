"""Every command of README and documentation works as printed: those that train, score or explain with --dry-run."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from zoo import paths
from zoo.cli import main

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PARTS = (("head", 3), ("tail", 15))
DRY = ("train", "finetune", "evaluate", "explain", "intervene", "compare", "edit")


def commands(page):
    """Return the commands of the shell blocks of a page, without comments."""
    shell = "\n".join(re.findall(r"```sh\n(.*?)```", page.read_text(), flags=re.S))
    lines = shell.replace("\\\n", " ").splitlines()
    return [line.split("#")[0].strip() for line in lines if line.startswith("zoo ")]


def name_of(page):
    return page.relative_to(ROOT).as_posix()


def first_occurrences():
    """Return the commands of each page that no page before it has."""
    seen: set[str] = set()
    pages = {}
    for page in PAGES:
        new = [command for command in dict.fromkeys(commands(page)) if command not in seen]
        seen.update(new)
        if new:
            pages[page] = new
    return pages


BY_PAGE = first_occurrences()
COMMANDS = [command for new in BY_PAGE.values() for command in new]


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder to work in, with the images, tables and texts of the user that the pages name."""
    folder = tmp_path_factory.mktemp("desk")
    noise = np.random.default_rng(0)
    for kind in ("ant", "bee", "cow"):
        (folder / "path/to/images" / kind).mkdir(parents=True)
        for i in range(12):
            pixels = noise.integers(0, 255, (20, 20, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "path/to/images" / kind / f"{i}.png")
    concepts = [
        f"{kind}/{i}.png,{i % 2},{('red', 'blue')[i % 3 == 0]}" for kind in ("ant", "bee", "cow") for i in range(12)
    ]
    (folder / "concepts.csv").write_text("file,wings,color\n" + "\n".join(concepts))
    rows = [f"{20 + i},{noise.normal(90, 9):.1f},{i % 2},{i // 2 % 2},{('no', 'yes')[i % 7 < 3]}" for i in range(60)]
    (folder / "pictures").symlink_to("path/to/images")
    points = [f"{kind}/{i}.png,{part},{x},5" for kind in ("ant", "bee") for i in range(12) for part, x in PARTS]
    (folder / "points.csv").write_text("file,part,x,y\n" + "\n".join(points))
    targets = [f"{kind}/{i}.png,{i / 2},{i % 2},{i // 2 % 2}" for kind in ("ant", "bee", "cow") for i in range(12)]
    (folder / "labels.csv").write_text("file,weight,wings,sting\n" + "\n".join(targets))
    (folder / "my_texts").mkdir()
    (folder / "my_texts" / "one.txt").write_text("It was a dark and stormy night.\n" * 200)
    (folder / "my_sentences").mkdir()
    for split in ("train", "test"):
        (folder / "my_sentences" / f"{split}.bio").write_text("Mr B-PER\nIto I-PER\nin O\nYork B-LOC\n\n" * 40)
    (folder / "patients.csv").write_text("age,sugar,smokes,fever,ill\n" + "\n".join(rows))
    visits = [
        f"{20 + i},{noise.normal(90, 9):.1f},{i % 2},{i // 2 % 2},{state},{i % 12},{1 + i % 2},{i}.5"
        for i, state in enumerate(["ill", "well", "well", "ill", "well"] * 24)
    ]
    (folder / "visits.csv").write_text("age,sugar,smokes,fever,state,patient,w,price\n" + "\n".join(visits))
    (folder / "new_patients.csv").write_text("smokes,age,fever,sugar\n0,31,1,90.5\n1,44,0,101\n")
    data = [f"data.file={folder / 'patients.csv'}", "data.target=ill", "trainer.accelerator=cpu"]
    model = str(folder / "patients_model")
    assert main(["train", "bilinear_mlp/table", *data, "phases.joint.epochs=1", "--out", model]) == 0
    return folder


def test_the_readme_is_short_and_has_six_commands_to_start_with():
    readme = (ROOT / "README.md").read_text()
    assert len(readme.splitlines()) <= 150
    first = re.search(r"## Six commands\n\n```sh\n(.*?)```", readme, flags=re.S)
    assert first is not None
    assert len(first[1].splitlines()) == 6


def test_the_pages_have_commands_for_all_that_a_user_does():
    verbs = {command.split()[1] for command in COMMANDS}
    assert verbs >= {"ls", "train", "finetune", "evaluate", "explain", "show", "cp", "validate", "intervene", "compare"}
    assert verbs >= {"predict", "export", "steer"}


QUICK = ("README.md", "getting-started.md")  # the other pages are slow tests
FAST_OR_SLOW = [page if page.name in QUICK else pytest.param(page, marks=pytest.mark.slow) for page in BY_PAGE]


@pytest.mark.skipif(not paths.data().is_dir(), reason="commands of public data need the data folder, ZOO_DATA")
@pytest.mark.parametrize("page", FAST_OR_SLOW, ids=name_of)
def test_every_command_works(page, desk, monkeypatch, capsys):
    monkeypatch.chdir(desk)
    for command in BY_PAGE[page]:
        verb, *rest = shlex.split(command)[1:]
        dry = ["--dry-run"] if verb in DRY else ["--overwrite"] if verb in ("predict", "export") else []
        (desk / "my_digits.yaml").unlink(missing_ok=verb != "validate") if verb == "cp" else None
        assert main([verb, *rest, *dry]) == 0, f"{command}: {capsys.readouterr().err}"
    assert not (desk / "runs").exists(), "a dry run wrote something"


@pytest.mark.parametrize("name", ["README.md", "checkpoints/README.md", "configs/README.md"])
def test_every_link_leads_somewhere(name):
    page = ROOT / name
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", [page for page in PAGES if "```python\n" in page.read_text()], ids=name_of)
def test_python_examples(page, desk, monkeypatch):
    monkeypatch.chdir(desk)
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, 4))
    loader = [(torch.randn(5, 3, 8, 8), torch.arange(5) % 4) for _ in range(2)]
    weight = net[1].weight.detach().unflatten(1, (3, 8, 8))
    theirs = {"net": net, "loader": loader, "saliency": lambda x, y: (x * weight[y]).sum(1)}
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.S):
        exec(compile(block, str(page), "exec"), dict(theirs))


def test_scores_are_computed_without_models_of_zoo(desk, capsys):
    """The example of the page on evaluation prints these scores."""
    page = ROOT / "docs/how-to/evaluate.md"
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, 4))
    loader = [(torch.randn(5, 3, 8, 8), torch.arange(5) % 4) for _ in range(2)]
    weight = net[1].weight.detach().unflatten(1, (3, 8, 8))
    (block,) = re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.S)
    exec(block, {"net": net, "loader": loader, "saliency": lambda x, y: (x * weight[y]).sum(1)})
    assert {"class", "Road_road", "Infidelity_infidelity", "MapComplexity_gini"} - {"class"} <= set(
        re.findall(r"\w+", capsys.readouterr().out)
    )
    assert paths.home() == ROOT
