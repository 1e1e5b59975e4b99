"""An installed wheel has everything that the checkout has: recipes, configs and templates."""

import os
import shutil
import subprocess
import sys

import pytest

from zoo import paths

ROOT = paths.PACKAGE.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    if not (ROOT / "pyproject.toml").is_file():
        pytest.skip("the tests run against an installed package, not a checkout")
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # a copy, so that nothing is built inside the checkout
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("zoo", "recipes", "configs"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(source)]
    subprocess.run(build, check=True, capture_output=True, timeout=180)
    (wheel,) = folder.glob("*.whl")
    target = folder / "target"
    install = [*pip, "install", "--no-deps", "--no-compile", "--no-index", "--target", str(target), str(wheel)]
    subprocess.run(install, check=True, capture_output=True, timeout=180)
    return target


def ask(installed, tmp_path, code):
    env = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_nothing_beside_the_package(installed):
    names = {p.name for p in installed.iterdir()}
    assert {n for n in names if n not in ("zoo", "bin") and not n.endswith(".dist-info")} == set()


@pytest.mark.parametrize(
    ("inside", "pattern"),
    [
        ("recipes", "*.py"),
        ("configs", "*/*.yaml"),
        ("zoo", "**/*.py"),
        ("zoo", "**/*.html"),
        ("zoo", "**/*.css"),
        ("zoo", "**/*.js"),
    ],
)
def test_every_file_travels(installed, inside, pattern):
    there = installed / "zoo" if inside == "zoo" else installed / "zoo" / inside
    ours = {str(p.relative_to(ROOT / inside)) for p in (ROOT / inside).glob(pattern)}
    theirs = {str(p.relative_to(there)) for p in there.glob(pattern)}
    assert ours - theirs == set()


def test_templates_travel(installed):
    ours = {p.name for p in (ROOT / "zoo" / "reporting" / "assets").iterdir() if p.is_file()}
    assert {p.name for p in (installed / "zoo" / "reporting" / "assets").iterdir()} >= ours


def test_types_travel(installed):
    assert (installed / "zoo" / "py.typed").is_file()


def test_the_list_of_packages_is_complete():
    """``pyproject.toml`` names every folder of ``zoo/`` that holds Python files."""
    import tomllib

    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {".".join(f.parent.relative_to(ROOT).parts) for f in (ROOT / "zoo").rglob("*.py")}
    assert sorted(listed) == sorted({*folders, "zoo.recipes", "zoo.configs"})


@pytest.mark.slow
def test_it_works_from_anywhere(installed, tmp_path):
    out = ask(
        installed,
        tmp_path,
        "import zoo, sys; from zoo import paths; from zoo.cli import main\n"
        "assert main(['ls']) == 0\nassert main(['cp', 'train', 'train.py']) == 0\n"
        "assert 'torch' not in sys.modules\n"
        "assert main(['validate', 'protopnet/digits']) == 0\n"
        "from zoo.recipe_support import recipe\n"
        "assert zoo.evaluate is recipe('evaluate').evaluate\n"
        "assert recipe('explain').__file__.endswith('zoo/recipes/explain.py')\nprint(zoo.__file__)",
    )
    assert out.splitlines()[-1] == str(installed / "zoo" / "__init__.py")
    for name in paths.list_configs():
        assert f"  {name}" in out
    assert [p.name for p in tmp_path.iterdir()] == ["train.py"]
