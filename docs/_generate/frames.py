"""The generated parts of pages: what classes, configs and the command line know of themselves."""

from __future__ import annotations

import ast
import dataclasses
import doctest
import inspect
import re
import sys
import textwrap
import typing
from collections.abc import Iterable
from pathlib import Path
from types import NoneType
from typing import Any

import yaml
from docstrings import Docstring, cell, parse

from zoo import paths
from zoo.cli import _main as command_line
from zoo.config import schema
from zoo.registry import DATA, MODELS, SCORES, Registry

ROOT = Path(__file__).parents[2]
NEEDS = {
    "units": "units",
    "maps": "units with a place in the image",
    "parts": "annotated object parts",
    "points": "annotated object parts",
    "labels": "annotated concepts",
    "position_labels": "labels of positions of sequences",
    "scenes": "scenes that can be rendered without a part",
    "decide": "`encode` and `decide`",
    "answers": "a task of few outputs",
    "concepts": "units that are the annotated concepts",
    "activity": "activations at every position",
    "hidden_neurons": "hidden neurons beside the units",
}


def score_frame(name: str) -> str:
    """Return the head of the page of a score: its words, requirements, definition and arguments."""
    cls = SCORES.get(name)
    module = _module_docstring(SCORES, name)
    docstring = parse(cls.__doc__)
    unit = f", in {cls.unit}" if cls.unit else ""
    needs = sorted({NEEDS.get(key, f"capability `{key}`") for key in cls.requires})
    rows = {
        "name": f"`{name}`, class `{cls.__module__}.{cls.__name__}`",
        "headline": f"{cls.meaning}{unit}",
        "better": {True: "higher", False: "lower", None: "neither"}[cls.higher_is_better],
        "protocol": f"`{_protocol(cls)}`",
        "tasks": ", ".join(sorted(cls.tasks)),
        "needs": ", ".join(needs) or "predictions only",
        "chance level": _chance(cls),
        "interval": _interval(cls),
        "curves": "; ".join(f"{x} against {y}" for y, x in ((x, y) for x, y in cls.axes.values())),
        "suites": ", ".join(f"`{suite}`" for suite in _suites(name)),
        "source": module.sources or docstring.sources,
    }
    table = "\n".join(f"| {key} | {cell(text)} |" for key, text in rows.items() if text)
    parts = [f"# {cls.title}", module.summary, f"| | |\n| --- | --- |\n{table}"]
    parts += ["## Definition", docstring.summary, docstring.prose, module.prose]
    if arguments := _options(cls, without=("task", "names", "num_units", "part_count", "concepts", "scenes")):
        parts += ["## Arguments", "Set them in the entry of a suite, such as `{score: " + name + ", ...}`.", arguments]
    if docstring.example:
        parts += ["## Example in Python", _with_imports(docstring.example, cls)]
    return "\n\n".join(part for part in parts if part)


def model_frame(name: str) -> str:
    """Return the head of the page of a model: what it is, and where it comes from."""
    cls = MODELS.get(name)
    module = _module_docstring(MODELS, name)
    docstring = parse(cls.__doc__)
    title, _, rest = module.summary.partition(":")
    rows = {
        "name": f"`{name}`, class `{cls.__module__}.{cls.__name__}`",
        "structure": docstring.summary,
        "tasks": ", ".join(cls.tasks),
        "loss terms": ", ".join(f"`{term}`" for term in cls.terms),
        "source": module.sources or docstring.sources,
    }
    table = "\n".join(f"| {key} | {cell(text)} |" for key, text in rows.items() if text)
    lead = rest.strip()
    parts = [f"# {title}", f"{lead[:1].upper()}{lead[1:]}", f"| | |\n| --- | --- |\n{table}", module.prose]
    return "\n\n".join(part for part in parts if part)


def model_options(name: str) -> str:
    """Return the table of the arguments of a model, and the notes of its class."""
    cls = MODELS.get(name)
    return "\n\n".join(part for part in (parse(cls.__doc__).prose, _options(cls)) if part)


def data_options(name: str) -> str:
    """Return what a data source says of itself, and the table of its options."""
    cls = DATA.get(name)
    docstring = parse(cls.__doc__)
    module = _module_docstring(DATA, name)
    more = f"\n\nSource: {module.sources}" if module.sources else ""
    text = f"{module.summary}\n\n{docstring.summary}\n\n{docstring.prose}{more}"
    return f"{text}\n\nLicense of the samples: {cls.license}.\n\n{_options(cls)}"


def config_table(name: str) -> str:
    """Return the table of the configs of a model, with the first line of each header."""
    rows = []
    for config in (c for c in paths.list_configs() if c.startswith(f"{name}/")):
        header = paths.config_file(config).read_text().splitlines()[0]
        rows.append(f"| `zoo train {config}` | {cell(header.split(':', 1)[1]) if ':' in header else ''} |")
    return "| command | what it trains |\n| --- | --- |\n" + "\n".join(rows)


def checkpoint_table(name: str) -> str:
    """Return the shipped checkpoints of a model with their test accuracy, or R2 of a regression."""
    import json

    rows = []
    for folder in sorted((ROOT / "checkpoints").glob(f"{name}-*")):
        scores = json.loads((folder / "metrics.json").read_text())["scores"]
        score = next(name for name in ("accuracy", "r2") if scores.get(name, {}).get("value") is not None)
        value = f"{scores[score]['value']:.3f}{' (R2)' * (score == 'r2')}"
        rows.append(f"| [{folder.name}](../checkpoints/{folder.name}/README.md) | {value} |")
    if not rows:
        return "No checkpoint of this model is shipped."
    return "| checkpoint | test accuracy (`metrics.json`) |\n| --- | --- |\n" + "\n".join(rows)


def code(file: str, name: str) -> str:
    """Return the body of one function or method of a file, with its line numbers."""
    text = (ROOT / file).read_text()
    *owners, last = name.split(".")
    nodes: Iterable[ast.AST] = [ast.parse(text)]
    for owner in (*owners, last):
        kinds = (ast.FunctionDef, ast.ClassDef)
        nodes = [n for node in nodes for n in ast.walk(node) if isinstance(n, kinds) and n.name == owner]
    node = next(iter(nodes), None)
    if not isinstance(node, ast.FunctionDef):
        raise ValueError(f"{file} has no function {name}")
    body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
    first = body[0].lineno
    lines = text.splitlines()[first - 1 : node.end_lineno]
    source = textwrap.dedent("\n".join(lines))
    return f'`{file}`, `{name}`:\n\n```python linenums="{first}"\n{source}\n```'


def verb_help(verb: str) -> str:
    """Return the help of a verb as the command line prints it."""
    parser = command_line.parser()
    subparsers = next(a for a in parser._actions if hasattr(a, "choices") and isinstance(a.choices, dict))
    assert isinstance(subparsers.choices, dict)
    return f"```text\n{subparsers.choices[verb].format_help().rstrip()}\n```"


def _with_imports(example: str, cls: type) -> str:
    """Return a doctest as a block of code, after the imports that its module provides."""
    prose = [
        line for line in example.splitlines() if line and not line.startswith((">>>", "...")) and line[0].isupper()
    ]
    head = prose[0] if prose and example.startswith(prose[0]) else ""
    body = example.removeprefix(head).strip()
    lines = "\n".join(f">>> {line}" for line in _imports(body, cls))
    return f"{head}\n\n```pycon\n{lines}\n{body}\n```".strip()


def _imports(example: str, cls: type) -> list[str]:
    """Return the imports of the names that an example has from the module of a class."""
    source = "".join(part.source for part in doctest.DocTestParser().get_examples(example))
    tree = ast.parse(source)
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    imported = {
        a.asname or a.name for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom) for a in n.names
    }
    known = vars(sys.modules[cls.__module__])
    lines = ["import torch"] if "torch" in used - imported else []
    for name in sorted((used - imported) & known.keys() - {"torch"}):
        value = known[name]
        parent = value.__name__.rpartition(".")[0] if inspect.ismodule(value) else value.__module__
        lines.append(f"from {parent} import {name}")
    return lines


def _protocol(cls: type) -> str:
    known = inspect.signature(cls).parameters
    return known["protocol"].default if "protocol" in known else cls.protocol  # pyright: ignore[reportAttributeAccessIssue]


def _chance(cls: Any) -> str:
    readouts = ", ".join(f"read-out `{key}`" for key in cls.chance_readouts)
    beside = "; the same score of units at random locations stands beside it" if "parts" in cls.requires else ""
    weights = "; the same score of the model with random weights stands beside it" if cls.random_weights else ""
    return (readouts + beside + weights).lstrip("; ")


def _interval(cls: Any) -> str:
    if cls.no_interval:
        return f"none: {cls.no_interval}"
    ends = ", ".join(f"`{key}` ({low:g} to {high:g})" for key, (_, low, high) in cls.intervals.items())
    return f"{ends}; for {cls.population or 'inputs like these'}" if ends else ""


def _suites(score: str) -> list[str]:
    """Return the names of the shipped suites that have a score."""
    names = []
    for suite in paths.list_suites():
        entries = yaml.safe_load(paths.config_file(suite).read_text())
        if any(entry.get("score") == score for entry in entries if isinstance(entry, dict)):
            names.append(suite.removeprefix("evaluate/"))
    return names


def _module_docstring(registry: Registry, name: str) -> Docstring:
    file = registry.file(name)
    assert file is not None
    return parse(ast.get_docstring(ast.parse(file.read_text())))


def _options(cls: type, without: Iterable[str] = ()) -> str:
    """Return a table of the arguments of a class and of the bases that it hands arguments on to.

    Raises:
        ValueError: if an argument is not described in a docstring.
    """
    described: dict[str, str] = {}
    for owner in cls.__mro__:
        for name, text in parse(owner.__doc__).arguments.items():
            described.setdefault(name, text)
    rows = []
    for argument in _arguments(cls):
        if argument.name in without:
            continue
        if argument.name not in described:
            raise ValueError(f"{cls.__name__}: the argument {argument.name} is not described in any docstring")
        rows.append(f"| `{argument.name}` | {argument.type} | {argument.default} | {cell(described[argument.name])} |")
    return "| option | type | default | meaning |\n| --- | --- | --- | --- |\n" + "\n".join(rows) if rows else ""


@dataclasses.dataclass
class Argument:
    """One argument of a constructor, as strings for a table."""

    name: str
    type: str
    default: str


def _arguments(cls: type) -> list[Argument]:
    result = []
    names = [entry.name for entry in dataclasses.fields(schema(cls))]
    for owner in (c for c in cls.__mro__ if "__init__" in vars(c)):
        hints = typing.get_type_hints(owner.__init__)
        for parameter in inspect.signature(owner.__init__).parameters.values():
            if parameter.name in names and parameter.name in hints:
                names.remove(parameter.name)
                required = parameter.default is parameter.empty
                default = "required" if required else f"`{_plain(parameter.default)}`"
                result.append(Argument(parameter.name, cell(f"`{_type(hints[parameter.name])}`"), default))
    return result


def _plain(value: object) -> str:
    text = str(value) if not isinstance(value, str) else value or '""'
    return text if len(text) < 60 else "see the code"


def _type(hint: Any) -> str:
    """Return a type as people write it; None is left out, because the default shows it."""
    arms = [a for a in typing.get_args(hint) if a is not NoneType]
    if NoneType in typing.get_args(hint):
        return " or ".join(map(_type, arms))
    if typing.get_origin(hint) is typing.Literal:
        return ", ".join(map(str, typing.get_args(hint)))
    if typing.get_origin(hint) is not None:
        return re.sub(r"\b(?:typing|collections\.abc|zoo|torch)\.(?:\w+\.)*", "", str(hint))
    return getattr(hint, "__name__", str(hint))
