"""Imports go one way, and asking what there is does not wait for torch."""

import ast
import importlib
import resource
import subprocess
import sys

import pytest

from zoo import paths

FILES = sorted(paths.PACKAGE.rglob("*.py"))
NAMES = {f: "zoo." + str(f.relative_to(paths.PACKAGE).with_suffix("")).replace("/", ".") for f in FILES}
MODULES = {n.removesuffix(".__init__") for n in NAMES.values()} | {"zoo"}
GROUND = {
    "display",
    "explanation",
    "batch",
    "concept_schema",
    "sequence_spec",
    "config",
    "paths",
    "phase",
    "phase_training",
    "model",
    "capabilities",
    "task",
    "runtime",
    "solvers",
    "weights",
    "what_if",
    "editing",
}
MAY = {  # what a top-level name of zoo may import from zoo; every entry may import itself
    "display": set(),
    "explanation": {"display"},
    "batch": set(),
    "concept_schema": {"paths"},
    "sequence_spec": {"paths"},
    "paths": set(),
    "_version": set(),
    "runtime": set(),
    "solvers": set(),
    "weights": set(),
    "phase": set(),
    "task": set(),
    "capabilities": {"batch"},
    "what_if": {"batch", "capabilities", "concept_schema", "explanation", "paths", "task"},
    "config": {"paths", "phase"},
    "editing": {"capabilities", "config", "explanation", "paths", "weights"},
    "registry": {"paths", "config", "task"},
    "phase_training": {"batch", "paths", "phase", "task"},
    "model": {
        "batch",
        "capabilities",
        "editing",
        "explanation",
        "phase",
        "phase_training",
        "paths",
        "prediction",
        "runtime",
        "task",
        "what_if",
    },
    "inputs": GROUND,
    "data": GROUND | {"registry", "inputs"},
    **dict.fromkeys(("metrics", "reporting"), GROUND | {"registry"}),  # siblings
    "layers": GROUND | {"registry", "inputs"},  # an additive model reads the columns of a table
    "programs": GROUND,
    "models": GROUND | {"registry", "layers", "programs"},
    "estimators": {"layers"},
    "checkpoint": GROUND | {"_version", "registry", "models", "inputs"},
    "training": GROUND | {"registry", "models", "layers", "data", "inputs", "metrics", "checkpoint"},
    "evaluation": GROUND | {"registry", "models", "data", "inputs", "metrics", "reporting", "checkpoint", "training"},
    "prediction": {"display", "task"},
    "serving": {"_version", "checkpoint", "inputs", "model", "paths", "weights"},
    "importers": {"checkpoint", "inputs", "model", "registry", "weights"},
    "recipe_support": {
        "display",
        "paths",
        "config",
        "metrics",
        "reporting",
        "task",
        "training",
        "evaluation",
    },
    "testing": {"explanation", "capabilities", "model", "batch", "registry", "data", "metrics"},
    "cli": GROUND | {"registry", "checkpoint", "serving", "recipe_support", "inputs", "training", "evaluation"},
    "__init__": {"_version", "runtime"},
    "__main__": {"cli"},
}


def test_no_folder_has_more_than_15_files():
    """But for the catalogues of models and of verbs."""
    for folder in {file.parent for file in FILES} - {paths.PACKAGE / "models", paths.PACKAGE / "cli"}:
        assert len(list(folder.glob("*.py"))) <= 15, folder


def imports(tree):
    """(module, level) of every import that runs: not those under ``if TYPE_CHECKING``."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            inner = [f"{base}.{alias.name}" for alias in node.names if f"{base}.{alias.name}" in MODULES]
            yield from ((name, node.level) for name in inner or [base])
        yield from imports(node)


@pytest.mark.parametrize("file", FILES, ids=NAMES.get)
def test_direction(file):
    tree = ast.parse(file.read_text())
    own = NAMES[file].split(".")[1]
    for name, level in imports(tree):
        assert level == 0, f"{file} imports relatively"
        assert not name.startswith("lightning"), f"{file} imports {name}; pytorch_lightning is the name"
        if not name.startswith("zoo."):
            continue
        target = name.split(".")[1]
        assert target == own or target in MAY[own], f"{file} imports {name}"
        if own == "models":
            assert target != "models" or name in ("zoo.model", NAMES[file]), f"a model imports a model: {file}"


@pytest.mark.parametrize("file", FILES, ids=NAMES.get)
def test_no_print(file):
    calls = [n for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.Call)]
    assert not [c.lineno for c in calls if getattr(c.func, "id", "") == "print"]


def test_every_folder_has_a_place():
    assert {n.split(".")[1] for n in NAMES.values()} == set(MAY)


def run_python(code, argv, folder):
    """Run code in a process of its own; return it with the seconds of processor time that it took."""
    start = spent()
    done = subprocess.run(
        [sys.executable, "-c", code, *argv],
        capture_output=True,
        text=True,
        cwd=folder,
        env={"PYTHONPATH": str(paths.PACKAGE.parent), "PATH": ""},
        timeout=60,
    )
    return done, spent() - start


@pytest.mark.parametrize("argv", [["ls"], ["--help"], ["ls", "protopnet*"], ["cp", "protopnet/digits", "copy.yaml"]])
def test_asking_is_quick_and_needs_no_torch(argv, tmp_path):
    code = (
        "import sys\nfrom zoo.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'timm', 'pytorch_lightning', 'sklearn', 'torchmetrics'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done, seconds = run_python(code, argv, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert seconds < 1.5


MISTAKES = {
    "verb": (["trian", "protopnet/digits"], "invalid choice: 'trian'"),
    "option": (["train", "protopnet/digits", "--resumed"], "unrecognized arguments: --resumed"),
    "config": (["train", "protopnet/digit"], "did you mean protopnet/digits"),
    "checkpoint": (["evaluate", "protopnet-digit"], "did you mean protopnet-digits"),
    "run of compare": (["compare", "cbm-digits", "cem-digit"], "did you mean cem-digits"),
    "suite": (["evaluate", "protopnet-digits", "--suite", "quik"], "did you mean quick"),
    "top-level key of an override": (["train", "protopnet/digits", "phase.joint.epochs=1"], "'phase' not in 'Config'"),
    "top-level key of the file": (["train", "sead.yaml"], "Key 'sead' not in 'Config'"),
    "phase": (["validate", "protopnet/digits", "phases.jint.epochs=1"], "'jint'"),
    "model": (["validate", "protopnet/digits", "model.name=protopnt"], "did you mean protopnet"),
    "data source": (["validate", "protopnet/digits", "data.name=digit"], "did you mean digits"),
    "key of a trained model": (["explain", "protopnet-digits", "3", "model.dim=3"], "a trained model is fixed"),
    "recipe": (["train", "protopnet/digits", "--recipe", "gone.py"], "no recipe gone.py"),
    "type": (["finetune", "protopnet/digits", "seed=often"], "seed"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_answered_before_torch_is_imported(mistake, tmp_path):
    """In less than a second of processor time, in a process of its own."""
    argv, words = MISTAKES[mistake]
    (tmp_path / "sead.yaml").write_text("model: {name: protopnet}\ndata: {name: digits}\nsead: 1\n")
    code = (
        "import sys\nfrom zoo.cli import main\n"
        "try:\n    status = main(sys.argv[1:])\nexcept SystemExit as stop:\n    status = stop.code\n"
        "heavy = {'torch', 'timm', 'pytorch_lightning', 'sklearn', 'torchmetrics', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(99 if heavy else status)"
    )
    done, seconds = run_python(code, argv, tmp_path)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert seconds < 1.0


def test_heavy_packages_are_imported_where_they_are_used():
    """Importing the verbs imports neither timm nor scikit-learn (torchmetrics imports matplotlib itself)."""
    code = (
        "import sys\nimport zoo.training.run, zoo.evaluation.pipeline, zoo.metrics, zoo.evaluation.comparison\n"
        "for verb in ('train', 'evaluate', 'explain', 'compare', 'intervene', 'edit', 'steer', 'export', 'finetune'):\n"
        "    getattr(__import__('zoo'), verb)\n"
        "sys.exit(str({'timm', 'sklearn'} & set(sys.modules) or ''))"
    )
    env = {"PYTHONPATH": str(paths.PACKAGE.parent), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=120)
    assert done.stderr.strip() == "", done.stderr


def spent():
    """Seconds of processor time of all finished children: what waits for a busy machine does not count."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_lazy_names():
    import zoo

    for package in ("zoo", "zoo.data", "zoo.metrics", "zoo.models", "zoo.programs", "zoo.task", "zoo.testing"):
        module = importlib.import_module(package)
        assert all(getattr(module, name) is not None for name in getattr(module, "__all__", ())), package
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        zoo.nothing


def test_no_cycle():
    """No two modules import each other at module level, imports under ``if TYPE_CHECKING`` included."""
    graph = {}
    for file, name in NAMES.items():
        edges = set()
        todo = list(ast.iter_child_nodes(ast.parse(file.read_text())))
        while todo:
            node = todo.pop()
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if isinstance(node, ast.Import):
                edges |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                full = [f"{node.module}.{alias.name}" for alias in node.names]
                edges |= {one if one in MODULES else node.module for one in full}
            todo += ast.iter_child_nodes(node)
        own = name.removesuffix(".__init__")
        graph[own] = {edge for edge in edges if edge in MODULES and edge != own}
    while leaves := [name for name, edges in graph.items() if not edges & graph.keys()]:
        for name in leaves:
            del graph[name]
    assert not graph, f"modules on or above a cycle: {sorted(graph)}"
