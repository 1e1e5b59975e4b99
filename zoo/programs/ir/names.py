"""Variable names of programs: plain identifiers that an exported Python file can use unchanged."""

from __future__ import annotations

import keyword
import re
from functools import lru_cache

PATTERN = re.compile(r"[a-z][a-z0-9_]*")
MAX_LENGTH = 64  # characters
RESERVED_SUFFIXES = ("_of", "_wants", "_again")  # functions and arguments of an exported file end in these
FUNCTIONS = {"by_word", "copy_from", "count_where", "run", "scores", "sum_where", "variables"}
CONSTANTS = {"base", "classes", "columns", "per_unit", "scores", "tokens"}  # in upper case
BUILTINS = {"abs", "dict", "enumerate", "len", "list", "map", "max", "min", "print", "range", "set", "sum", "zip"}
RESERVED = frozenset(FUNCTIONS | CONSTANTS | BUILTINS | {"re", "sys", "words"})  # names that exported files use


@lru_cache(maxsize=4096)
def check_name(name: str) -> None:
    """Raise an error unless a string can name a variable of a program.

    Variable names become Python names of exported files. A name is therefore a lower-case ASCII identifier that
    is neither a keyword nor used by exported files themselves.

    Raises:
        ValueError: if the name is not allowed.

    Example:
        >>> check_name("head_1_2")
        >>> check_name("print('hello')")
        Traceback (most recent call last):
        ...
        ValueError: a variable is named "print('hello')"; expected lower-case letters, digits and _, as in 'head_1_2'
    """
    if len(name) > MAX_LENGTH:
        raise ValueError(f"a variable name has {len(name)} characters; expected at most {MAX_LENGTH}")
    if not PATTERN.fullmatch(name):
        raise ValueError(f"a variable is named {name!r}; expected lower-case letters, digits and _, as in 'head_1_2'")
    if keyword.iskeyword(name) or name in RESERVED or name.endswith(RESERVED_SUFFIXES):
        raise ValueError(f"a variable is named {name!r}, which exported files reserve; choose another name")
