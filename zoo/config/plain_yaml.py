"""YAML of plain values: any text survives, and nothing in it is interpolated or evaluated."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

MAX_NODES = 1 << 20  # of a config after aliases are expanded: room for a vocabulary, not for an alias bomb
MAX_DEPTH = 20  # of lists and mappings in a config; shipped configs have 5
ESCAPED = re.compile("[^\\x20-\\x7e\\xa0-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]|[\\u2028\\u2029\\ufeff]")
EXPONENT = re.compile(r"[-+]?(?:[0-9][0-9_]*\.?|[0-9][0-9_]*\.[0-9_]+|\.[0-9][0-9_]*)[eE][-+]?[0-9]+$")  # 1e-3
TIMESTAMP = "tag:yaml.org,2002:timestamp"
FLOAT = "tag:yaml.org,2002:float"


def to_yaml(config: Mapping[str, Any]) -> str:
    """Return plain values as YAML.

    >>> print(to_yaml({"name": "${HOME}", "other": "???"}), end="")
    name: ${HOME}
    other: ???
    """
    return yaml.dump(dict(config), Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=1 << 30)


def from_yaml(text: str, where: str) -> Any:
    """Return the plain values of a YAML text; aliases, tags and keys given twice are refused.

    Args:
        text: the YAML.
        where: its file, for errors.

    Raises:
        ValueError: if it is not valid.
    """
    return _load(text, where, _Loader)


def to_config_yaml(config: Mapping[str, Any]) -> str:
    """Return a config as YAML that ``from_config_yaml`` reads.

    >>> print(to_config_yaml({"lr": 1e-3, "names": ["1e-3", "${x}"]}), end="")
    lr: 0.001
    names: ['1e-3', '${x}']
    """
    return yaml.dump(dict(config), Dumper=_ConfigDumper, allow_unicode=True, sort_keys=False, width=1 << 30)


def from_config_yaml(text: str, where: str) -> Any:
    """Return the plain values of a config: ``1e-3`` is a number, a date is a text, aliases are expanded.

    Args:
        text: the YAML.
        where: its file, for errors.

    Raises:
        ValueError: if it is not valid, holds other than plain values, or has more than ``MAX_NODES`` of
            them, or is nested more than ``MAX_DEPTH`` deep.

    >>> from_config_yaml("{lr: 1e-3, start: 2024-01-31, name: '${x}'}", "the example")
    {'lr': 0.001, 'start': '2024-01-31', 'name': '${x}'}
    """
    value = _load(text, where, _ConfigLoader)
    _count(value, MAX_NODES, where)
    return value


def _load(text: str, where: str, loader: Any) -> Any:
    try:
        return yaml.load(text, Loader=loader)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: such as an integer of too many digits
        raise ValueError(f"{where} is not valid YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise ValueError(f"{where} is nested too deeply; expected the file that zoo wrote") from error


def _count(value: Any, left: int, where: str, depth: int = 0) -> int:
    """Return how many of ``left`` values remain after those of a tree, and check that they are plain."""
    left -= 1
    if left < 0:
        raise ValueError(f"{where} has more than {MAX_NODES} values after its aliases are expanded")
    if depth > MAX_DEPTH:
        raise ValueError(f"{where} is nested more than {MAX_DEPTH} deep, or in itself")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str | int | float | bool | None):
                raise ValueError(f"{where}: a key is {key!r}; expected a text")
            left = _count(item, left, where, depth + 1)
    elif isinstance(value, list):
        for item in value:
            left = _count(item, left, where, depth + 1)
    elif not isinstance(value, str | int | float | bool | None):
        raise ValueError(f"{where} holds a {type(value).__name__}; expected texts, numbers, lists and mappings")
    return left


class _Dumper(yaml.SafeDumper):
    """Writes every list of plain values on one line, and never an alias."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write equal objects in full."""
        return True

    def represent_list(self, data: Iterable[Any]) -> yaml.SequenceNode:
        """A list of numbers or texts in flow style, any other in block style."""
        data = list(data)
        flow = all(isinstance(value, str | int | float | None) for value in data)
        return self.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=flow)

    def represent_text(self, data: str) -> yaml.Node:
        """A text, with escapes where it holds a line break or a character that is not printable."""
        return self.represent_scalar("tag:yaml.org,2002:str", data, style='"' if ESCAPED.search(data) else None)


_Dumper.add_representer(str, _Dumper.represent_text)
_Dumper.add_representer(list, _Dumper.represent_list)
_Dumper.add_representer(tuple, _Dumper.represent_list)


class _ConfigDumper(_Dumper):
    """Quotes texts that ``_ConfigLoader`` would read as numbers."""


class _UniqueKeys(yaml.SafeLoader):
    """Refuses keys that are given twice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict:
        """Return a mapping whose keys are given once."""
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        if len(set(keys)) < len(keys):
            twice = next(key for key in keys if keys.count(key) > 1)
            raise yaml.constructor.ConstructorError(None, None, f"a key is given twice: {twice!r}", node.start_mark)
        return super().construct_mapping(node, deep=deep)


class _Loader(_UniqueKeys):
    """Refuses aliases too, which can make a small file large."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Compose a node that is no alias."""
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.constructor.ConstructorError(None, None, "aliases are not allowed here", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict:
        """Return a mapping whose keys are given once."""
        mapping = super().construct_mapping(node, deep=deep)
        if len(mapping) < len(node.value):
            raise yaml.constructor.ConstructorError(None, None, "a key is given twice", node.start_mark)
        return mapping


class _ConfigLoader(_UniqueKeys):
    """Reads numbers such as ``1e-3``, and dates as texts."""


_ConfigLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != TIMESTAMP]
    for first, resolvers in _ConfigLoader.yaml_implicit_resolvers.items()
}
for kind in (_ConfigDumper, _ConfigLoader):
    kind.add_implicit_resolver(FLOAT, EXPONENT, list("-+.0123456789"))
