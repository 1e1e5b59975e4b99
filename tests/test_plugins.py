"""Models, data sources, scores and panels: shipped ones by file name, those of other packages by entry point."""

import os
import subprocess
import sys
from importlib import import_module

import pytest

from zoo import paths
from zoo.registry import DATA, MODELS, PANELS, SCORES, Registry, register

REGISTRIES = {"models": MODELS, "data": DATA, "scores": SCORES, "panels": PANELS}

PYPROJECT = """\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "zoo-extra"
version = "1.0"
[tool.setuptools]
py-modules = ["zoo_extra", "zoo_extra_broken"]
[project.entry-points."zoo.models"]
extra_model = "zoo_extra:ExtraModel"
broken_model = "zoo_extra_broken:Model"
wrong_kind = "zoo_extra:ExtraScore"
[project.entry-points."zoo.data"]
extra_data = "zoo_extra:ExtraData"
broken_data = "zoo_extra:Nothing"
[project.entry-points."zoo.scores"]
extra_score = "zoo_extra:ExtraScore"
broken_score = "zoo_extra_broken:Score"
[project.entry-points."zoo.panels"]
extra_panel = "zoo_extra:ExtraPanel"
broken_panel = "zoo_extra_nowhere:Panel"
"""
MODULE = '''\
from zoo.data.tables.toys import Toys
from zoo.metrics.task.accuracy import Accuracy
from zoo.models.bilinear_mlp import BilinearMLP
from zoo.registry import register
from zoo.reporting.panel import Panel

@register
class ExtraModel(BilinearMLP):
    """A model of another package."""
    name = "extra_model"

class ExtraData(Toys):
    """A data source of another package, registered by its entry point alone."""

@register
class ExtraScore(Accuracy):
    """A score of another package."""
    name = "extra_score"
    title = "Extra score"

class ExtraPanel(Panel):
    """A panel of another package."""
    order = 70
    def applies(self, context):
        return True
    def render(self, context):
        return "<section>a panel of another package</section>"
'''
CONFIG = """\
model: {name: extra_model, num_classes: 2, width: 6, patterns: 3}
data: {name: extra_data, n_train: 32, n_val: 8, n_test: 16}
phases: {fit: {epochs: 1, lr: {layers: 1e-3}}}
suite: suite.yaml
trainer: {accelerator: cpu}
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the tiny distribution, installed without the network."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("target")
    (source / "pyproject.toml").write_text(PYPROJECT)
    (source / "zoo_extra.py").write_text(MODULE)
    (source / "zoo_extra_broken.py").write_text("raise RuntimeError('broken\\non purpose')\n")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-index"]
    options = ["--no-deps", "--no-build-isolation", "--no-compile", "--target", str(target), str(source)]
    subprocess.run([*pip, *options], check=True, capture_output=True, timeout=180)
    return target


def python(installed, folder, code):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(installed), str(paths.PACKAGE.parent)])}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=env, capture_output=True, text=True, timeout=180
    )


def test_plugins_are_listed_without_importing_them(installed, tmp_path):
    done = python(
        installed, tmp_path, "from zoo.cli import main\nimport sys\nmain(['ls'])\nassert 'torch' not in sys.modules"
    )
    assert done.returncode == 0, done.stderr
    for name in ("extra_model", "extra_data", "extra_score", "extra_panel"):
        assert f"  {name}\n" in done.stdout
    assert "models of other packages\n" in done.stdout


@pytest.mark.slow
def test_the_file_of_a_plugin_is_copied(installed, tmp_path):
    done = python(installed, tmp_path, "from zoo.cli import main\nmain(['cp', 'extra_score', 'mine.py'])")
    assert done.returncode == 0, done.stderr
    assert "class " in (tmp_path / "mine.py").read_text()


@pytest.mark.slow
def test_plugins_train_score_and_draw(installed, tmp_path):
    """One of each kind works in one run; a broken one costs one line."""
    (tmp_path / "extra.yaml").write_text(CONFIG)
    (tmp_path / "suite.yaml").write_text("- {score: extra_score}\n")
    code = (
        "import zoo\nfrom zoo.registry import MODELS\n"
        "parts = list(zoo.create_model('extra_model', num_classes=2, input_shape=[2], width=6).trainable_parts())\n"
        "phase = {'epochs': 1, 'lr': {parts[0]: 1e-3}}\n"
        "result = zoo.train('extra.yaml', overrides=['phases.fit.lr=' + '{' + parts[0] + ': 1e-3}'], out='run')\n"
        "print(result.rows[0].name, result.scores['extra_score'].value)\n"
        "print(zoo.evaluate('run', suite='suite.yaml').scores['extra_score'].value)\n"
    )
    done = python(installed, tmp_path, code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Extra score ")
    assert "a panel of another package" in (tmp_path / "run" / "report.html").read_text()
    warned = [line for line in done.stderr.splitlines() if "plug-in" in line]
    assert len(warned) == 1, "the panels are all loaded, the broken one is warned of once"
    assert "plug-in 'broken_panel' (zoo_extra_nowhere:Panel) cannot be loaded: ModuleNotFoundError" in warned[0]


BROKEN = {
    "broken_model": ("MODELS", "RuntimeError: broken on purpose"),
    "wrong_kind": ("MODELS", "TypeError: zoo_extra:ExtraScore is no model"),
    "broken_data": ("DATA", "AttributeError"),
    "broken_score": ("SCORES", "RuntimeError: broken on purpose"),
    "broken_panel": ("PANELS", "ModuleNotFoundError"),
}


@pytest.fixture(scope="module")
def asked_for_broken(installed, tmp_path_factory):
    """What a process that asks for each broken plug-in, and for all classes of its kind, prints and warns of."""
    code = "from zoo.registry import DATA, MODELS, PANELS, SCORES\n"
    for name, (registry, _) in BROKEN.items():
        code += f"try:\n    {registry}.get('{name}')\nexcept ValueError as error:\n    print(error)\n"
        code += f"assert '{name}' not in {registry}.all()\n"
    done = python(installed, tmp_path_factory.mktemp("asked"), code)
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_costs_one_line(asked_for_broken, name):
    assert f"{name!r}" in asked_for_broken.stdout
    lines = [line for line in asked_for_broken.stderr.splitlines() if f"plug-in {name!r}" in line]
    assert len(lines) == 1
    assert BROKEN[name][1] in lines[0]


def test_broken_plugins_cost_nothing_else(asked_for_broken):
    assert len(asked_for_broken.stderr.splitlines()) == len(BROKEN)


@pytest.mark.parametrize("kind", REGISTRIES)
def test_a_file_registers_one_class_under_its_own_name(kind):
    registry = REGISTRIES[kind]
    classes = registry.all()
    for folder in registry.folders:
        for name in registry.in_folder(folder):
            module = import_module(f"zoo.{folder.replace('/', '.')}.{name}")
            registered = [n for n, cls in classes.items() if cls.__module__ == module.__name__]
            assert registered == [name], f"{module.__name__} registers {registered}"
    shipped = {name for folder in registry.folders for name in registry.in_folder(folder)}
    assert shipped == {n for n, cls in classes.items() if cls.__module__.startswith("zoo.")}
    assert shipped, f"there are no {kind}"


def test_a_helper_that_mentions_register_is_not_listed(tmp_path, monkeypatch):
    (tmp_path / "kinds").mkdir()
    (tmp_path / "kinds" / "__init__.py").write_text("")
    (tmp_path / "kinds" / "_helper.py").write_text('"""Classes are decorated with @register."""\n')
    (tmp_path / "kinds" / "mention.py").write_text('"""Classes are decorated with @register."""\n')
    monkeypatch.setattr(paths, "PACKAGE", tmp_path)
    monkeypatch.setitem(sys.modules, "zoo.kinds", None)
    registry = Registry("kind", "kinds", "zoo.kinds", ["kinds"])
    assert registry.names() == ["mention"]
    monkeypatch.setitem(sys.modules, "zoo.kinds.mention", sys)
    monkeypatch.setattr("zoo.registry.import_module", lambda name: None)
    with pytest.raises(ValueError, match="mention.py registers no kind 'mention'; decorate its class with @register"):
        registry.get("mention")


def test_register_refuses_other_classes_and_names_in_use():
    with pytest.raises(TypeError, match="Other is neither a SelfExplaining model, Data, Score nor Panel"):
        register(type("Other", (), {}))
    accuracy = SCORES.get("accuracy")
    with pytest.raises(ValueError, match="two score classes are registered as 'accuracy'"):
        register(type("Accuracy2", (accuracy,), {"name": "accuracy"}))
    assert SCORES.get("accuracy") is accuracy
