"""Exported files contain no code of a hostile checkpoint: whatever its names, tokens, columns and classes are.

Each exported file is parsed, and its syntax tree is compared with the shapes that the printer may write: imports of
two modules, calls of known functions, a few methods. Then the file runs, and its answers are those of the interpreter.
"""

import ast
import builtins
import json
import math
import random
import tokenize
from dataclasses import asdict, replace
from io import BytesIO

import pytest
import torch
from example_programs import flip, hist, random_model

from zoo.programs.codegen.printer import print_program
from zoo.programs.codegen.vocabulary import by_value, with_names
from zoo.programs.ir.interpreter import answer, logits
from zoo.programs.ir.nodes import Input, Select, Table
from zoo.programs.ir.program import Program
from zoo.sequence_spec import Frame

FRAGMENTS = [
    *("'", '"', "''" + "'", '"' * 3, "\\", "\\'", '\\"', "\n", "\r", "\r\n", "\t", "\x00", "\x0b", "\x0c", "\x1c"),
    *("\x85", "\u2028", "\u2029", "\u202e", "\u00a0", "\ufeff", "\udfff", "\U0001f600", "\u0301", "\uff07"),
    *("= TOKEN", "a= TOKEN", "TOKEN", "token", "TOKENS", "x", "{w}", "{key}", "{", "}", "%s", "$(id)", "`id`", "; id"),
    *("#", "# coding: utf-7", "# -*- coding: rot13 -*-", "import os", "__import__('os').system('id')", "(", ")", "]"),
    *("HIT()", "'+HIT()+'", '"+HIT()+"', "\nHIT()\n", '"""\nHIT()\n"""', "\\\nHIT()", "[HIT()]", "{HIT()}", "\x1b[2J"),
    *(
        "+AAoAIwB1",
        "a",
        "b",
        "word",
        "",
        " ",
        "  ",
        "=",
        "==",
        "<s>",
        "0",
        "7",
        "None",
        "True",
        "é",
        "ß",
        "\ufb01",
        ":",
    ),
]
IMPORTS = {"sys", "re"}
METHODS = {"items", "split", "get", "index", "partition", "isdisjoint", "lower"}
HELPERS = {"copy_from", "count_where", "sum_where", "by_word", "variables", "scores", "run"}
BUILTINS = {"abs", "enumerate", "len", "list", "map", "max", "min", "print", "range", "set", "sum", "zip", "ValueError"}
SHAPES = (
    *(ast.Module, ast.Expr, ast.Constant, ast.Import, ast.alias, ast.Assign, ast.Name, ast.Load, ast.Store, ast.Dict),
    *(
        ast.Tuple,
        ast.List,
        ast.Set,
        ast.FunctionDef,
        ast.arguments,
        ast.arg,
        ast.Return,
        ast.If,
        ast.Raise,
        ast.Compare,
    ),
    *(ast.BoolOp, ast.And, ast.Or, ast.Not, ast.UnaryOp, ast.USub, ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div),
    *(ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn, ast.ListComp, ast.GeneratorExp),
    *(ast.DictComp, ast.comprehension, ast.Call, ast.Starred, ast.Attribute, ast.Subscript, ast.Slice, ast.Lambda),
    *(ast.keyword, ast.IfExp, ast.JoinedStr, ast.FormattedValue),
)


def check_tree(source):
    """Compare the syntax tree of a file with the shapes that are allowed."""
    tree = ast.parse(source)
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    constants = {t.id for node in tree.body if isinstance(node, ast.Assign) for t in node.targets}
    for node in tree.body[1:]:
        assert isinstance(node, (ast.Import, ast.Assign, ast.FunctionDef, ast.If)), ast.dump(node)
    assert isinstance(tree.body[0], ast.Expr)
    assert [ast.unparse(node.test) for node in tree.body if isinstance(node, ast.If)] == ["__name__ == '__main__'"]
    assert all(name.isupper() for name in constants)
    assert all(name in HELPERS or name.endswith(("_of", "_wants")) for name in functions)
    local = {"__name__"}
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            local.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            local.add(node.id)
    for node in ast.walk(tree):
        assert isinstance(node, SHAPES), ast.dump(node)
        if isinstance(node, ast.Import):
            assert all(alias.name in IMPORTS and alias.asname is None for alias in node.names)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute):
            assert ast.unparse(node) == "sys.tracebacklimit = 0"
        elif isinstance(node, ast.Attribute):
            module = node.value.id if isinstance(node.value, ast.Name) and node.value.id in IMPORTS else None
            assert (module, node.attr) in {
                ("sys", "argv"),
                ("sys", "tracebacklimit"),
                ("re", "sub"),
                *((None, name) for name in METHODS),
            }
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id in functions | BUILTINS, ast.dump(node)
        elif isinstance(node, ast.Call):
            assert isinstance(node.func, ast.Attribute), ast.dump(node)
        elif isinstance(node, ast.Name):
            assert node.id in functions | constants | BUILTINS | IMPORTS | local, node.id
            assert not (isinstance(node.ctx, ast.Store) and node.id in BUILTINS | IMPORTS | functions), node.id
        elif isinstance(node, ast.FunctionDef):
            assert not node.decorator_list
            assert node.returns is None
            assert not node.args.defaults
        elif isinstance(node, ast.Lambda):
            assert ast.unparse(node) == "lambda j: (j == i, abs(j - i), j)"


def check_export(program, inputs, **header):
    """Export a program, check the tree, run the file, and compare it with the interpreter."""
    source = print_program(program, codes=program.frame.pad([]), **header).encode()
    check_tree(source)
    assert tokenize.detect_encoding(BytesIO(source).readline)[0] == "utf-8"
    module = {"__name__": "exported", "HIT": None}
    exec(compile(source, "exported.py", "exec"), module)
    for words in inputs:
        try:
            expected = answer(program, [words])[0]
        except ValueError:
            with pytest.raises(ValueError, match="expected"):
                module["run"](words)
            continue
        assert module["run"](words) == expected
        codes = program.frame.pad([program.frame.encode(words)])
        start = len(program.frame.before)
        positions = None if program.pooled else torch.tensor([(0, start + i) for i in range(len(words))])
        scores = module["scores"](words)
        scores = torch.tensor([scores] if program.pooled else scores, dtype=torch.float64)
        torch.testing.assert_close(scores, logits(program, codes, positions), rtol=0, atol=1e-9)
    return source


class Hostile:
    """Random texts that try to leave a string, a comment or a docstring."""

    def __init__(self, seed):
        self.draw = random.Random(seed)

    def text(self):
        parts = [self.draw.choice(FRAGMENTS) for _ in range(self.draw.randint(1, 4))]
        return "".join(parts) if self.draw.random() < 0.9 else chr(self.draw.randrange(0x110000))

    def different(self, count, accept=lambda text: True):
        texts = set()
        while len(texts) < count:
            text = self.text()
            texts |= {text} if accept(text) else set()
        return tuple(sorted(texts, key=lambda _: self.draw.random()))

    def header(self):
        return {"name": self.text(), "about": [self.text(), self.text() * 20], "by": self.text()}

    def program(self, seed):
        """A random program, its tokens, classes, unknown token, digits and columns replaced."""
        *_, program, _ = random_model(seed)
        frame = program.frame
        plain = self.draw.random() < 0.3
        tokens = self.different(len(frame.tokens), (lambda t: t.split() == [t]) if plain else (lambda t: True))
        renamed = dict(zip(frame.tokens, tokens, strict=True))
        unknown = frame.unknown
        if unknown is None and self.draw.random() < 0.4:
            unknown = frame.tokens[-1]
        digits = self.text() if self.draw.random() < 0.2 else None
        new = Frame(
            tokens,
            frame.length,
            tuple(renamed[t] for t in frame.before),
            tuple(renamed[t] for t in frame.after),
            renamed.get(unknown),
            lower=self.draw.random() < 0.1,
            digits=None if digits is None or "\\" in digits or any(c.isdigit() for c in digits) else digits,
        )
        nodes = tuple(
            replace(node, values=tokens) if isinstance(node, Input) and node.values else node for node in program.nodes
        )
        program = replace(program, frame=new, nodes=nodes, classes=self.different(len(program.classes)))
        return with_names(program, new.pad([[0]])) if self.draw.random() < 0.5 else program

    def table(self):
        """A program over the rows of a table."""
        columns = self.different(3, lambda text: "=" not in text)
        tokens = tuple(f"{column}={value}" for column in columns for value in self.different(2))
        frame = Frame(tokens, 3, columns=columns)
        token = Input("token", 6, tuple(range(6)), tokens)
        nodes = (token, Input("position", 3), Select("other", "position", "position", "token", (1, 2, 0)))
        nodes = (*nodes, Table("both", ("token", "other"), 3, tuple(i % 3 for i in range(36))))
        weight = torch.randn(3, 15, dtype=torch.float64)
        return Program(frame, nodes, ("token", "other", "both"), self.different(3), weight, torch.zeros(3), pooled=True)

    def inputs(self, program):
        frame = program.frame
        if frame.columns:
            groups = [[t for t in frame.tokens if t.startswith(f"{column}=")] for column in frame.columns]
            rows = [[self.draw.choice(group) for group in groups] for _ in range(4)]
            return [*rows, rows[0][::-1], rows[0][:1]]
        words = [*frame.tokens, self.text(), "x"]
        return [[self.draw.choice(words) for _ in range(self.draw.randint(1, frame.room))] for _ in range(6)]


@pytest.mark.parametrize("part", [*range(3), *(pytest.param(part, marks=pytest.mark.slow) for part in range(3, 10))])
def test_hostile_text_stays_text(part, monkeypatch):
    """600 programs with hostile tokens, classes, columns and headers, of all forms that the printer writes."""
    monkeypatch.setattr(builtins, "HIT", lambda: pytest.fail("code of the checkpoint ran"), raising=False)
    forms = set()
    for seed in range(60 * part, 60 * part + 60):
        torch.manual_seed(seed)
        hostile = Hostile(seed)
        program = hostile.table() if seed % 4 == 0 else hostile.program(seed % 200)
        again = Program.from_json(program.to_json(), program.weight, program.bias)
        assert again == program
        check_export(again, hostile.inputs(program), **hostile.header())
        forms |= {"columns"} if program.frame.columns else {"word lists"} if by_value(program) else {"tokens"}
        forms |= {name for name in ("lower", "digits") if getattr(program.frame, name)}
    assert forms >= {"columns", "word lists", "tokens"}


def leaves(value, path=()):
    """Paths of all values in JSON data."""
    if isinstance(value, dict):
        return [p for key in value for p in leaves(value[key], (*path, key))]
    if isinstance(value, list):
        return [path, *(p for i in range(len(value)) for p in leaves(value[i], (*path, i)))]
    return [path]


def put(data, path, value):
    for key in path[:-1]:
        data = data[key]
    data[path[-1]] = value


def read_or_error(text, program):
    try:
        return Program.from_json(text, program.weight, program.bias), ""
    except ValueError as error:
        return None, str(error)


@pytest.mark.parametrize("part", range(4))
def test_hostile_programs_are_refused_or_harmless(part, monkeypatch):
    """400 programs with one hostile value anywhere in their text: a name, a number, a list, another type."""
    monkeypatch.setattr(builtins, "HIT", lambda: pytest.fail("code of the checkpoint ran"), raising=False)
    refused = 0
    for seed in range(100 * part, 100 * part + 100):
        hostile = Hostile(seed)
        draw = hostile.draw
        program = draw.choice([hist(), flip(), random_model(seed % 50)[3]])
        data = json.loads(program.to_json())
        if seed % 2:  # a name, used everywhere
            old = draw.choice(data["nodes"])["name"]
            new = draw.choice(
                [hostile.text(), f"{old}_of", "len", "words", "class", "Token", "ﬁ", "sys", "[HIT()]", old + " "]
            )
            data = json.loads(program.to_json().replace(json.dumps(old), json.dumps(new)))
        else:
            choices = [hostile.text(), "HIT()", 1.5, True, None, -7, 10**30, [], ["HIT()"], {"HIT()": 1}, math.nan]
            put(data, draw.choice(leaves(data)), draw.choice(choices))
        read, error = read_or_error(json.dumps(data), program)
        if read is None:
            refused += 1
            assert len(error.splitlines()) == 1, error
            continue
        words = [[draw.choice(read.frame.tokens) for _ in range(min(3, read.frame.room))]]
        check_export(read, words, name="p")
    assert refused > 50


NAMES = ["a; HIT()", "__import__('os')", "a b", "1a", "", "A", "class", "len", "words", "x_of", "x_wants", "é", "a\n"]


@pytest.mark.parametrize("name", [*NAMES, "a" * 99])
def test_a_name_that_is_not_a_plain_identifier(name):
    program = hist()
    text = program.to_json().replace('"name":"count"', f'"name":{json.dumps(name)}')
    assert text != program.to_json()
    with pytest.raises(ValueError, match="variable"):
        Program.from_json(text, program.weight, program.bias)
    nodes = (program.nodes[0], replace(program.nodes[1], name=name))
    with pytest.raises(ValueError, match="variable"):
        Program(program.frame, nodes, (name,), program.classes, program.weight, program.bias)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"reads": "count"}, "reads of a Structure"),
        ({"classes": [1, 2, 3, 4]}, "classes of a Structure"),
        ({"pooled": 1}, "pooled of a Structure"),
        ({"extra": 1}, "a Structure has 'extra'"),
        ({"nodes": {}}, "a list of nodes"),
        ({"nodes": [{"kind": "HIT()"}]}, "a node is of kind"),
        ({"nodes": [{"kind": "input", "name": "token"}]}, "size"),
        ({"frame": None}, "a Frame is NoneType"),
        ({"frame": {"tokens": ["a"], "length": "HIT()"}}, "length of a Frame"),
    ],
)
def test_fields_have_their_types(change, reason):
    data = json.loads(hist().to_json()) | change
    with pytest.raises(ValueError, match=reason):
        Program.from_json(json.dumps(data), hist().weight, hist().bias)


@pytest.mark.parametrize("text", ["", "[" * 100_000, "[]", '"a"', "null", '{"nodes": 3}', "1" * 5000])
def test_text_that_is_not_a_program(text):
    with pytest.raises(ValueError, match="not a program"):
        Program.from_json(text)


def test_wanted_keys_are_in_range():
    """They are written without quotes, so a text among them would be code."""
    data = json.loads(flip().to_json())
    for wanted in (["HIT()"] * 5, [0, 1, 2, 3, 5], [0, 1, 2, 3, -2], [0.0, 1, 2, 3, 4], [True, 1, 2, 3, 4]):
        data["nodes"][2]["wanted"] = wanted
        with pytest.raises(ValueError, match="wanted"):
            Program.from_json(json.dumps(data), flip().weight, flip().bias)


def test_weights_that_are_not_finite():
    program = hist()
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="not finite"):
            print_program(replace(program, bias=program.bias + value), name="p")


def test_the_command_of_the_docstring_is_safe_to_copy():
    for token, name in (
        ("'; id; '", "p"),
        ('"; id', "p"),
        ("$(id)", "p"),
        ("a", "p; id"),
        ("a", "p`id`"),
        ("a\nid", "p"),
    ):
        frame = replace(hist().frame, tokens=(token, "b", "<s>"))
        node = replace(hist().nodes[0], values=frame.tokens)
        assert isinstance(node, Input)
        program = replace(hist(), frame=frame, nodes=(node, hist().nodes[1]))
        docstring = ast.get_docstring(ast.parse(print_program(program, name=name)))
        line = next(line for line in docstring.splitlines() if "Example: " in line)
        assert line.partition("Example: ")[2] in ("python p.py ...", "python ...")


def test_token_is_not_always_the_token():
    """A property named ``token``, a token of another name, a position before both."""
    frame = Frame(("a", "b"), 3)
    nodes = (Input("position", 3), Input("token", 2, (1, 0)), Input("letter", 2, (0, 1), ("a", "b")))
    weight = torch.tensor([[1.0, 0, 0, 0], [0, 1, 3, 0]], dtype=torch.float64)
    program = Program(frame, nodes, ("token", "letter"), ("x", "y"), weight, torch.zeros(2, dtype=torch.float64))
    check_export(program, [["a"], ["b", "a"], ["c"]], name="p")


def test_named_values_of_a_closed_vocabulary():
    """Without an unknown token, properties are a table of words, with the names of their values."""
    frame = Frame(("a", "b", "c"), 3)
    kind = Input("kind", 2, (0, 1, 1), ("vowel", "consonant"))
    program = Program(frame, (kind,), ("kind",), ("x", "y"), torch.eye(2).double(), torch.zeros(2).double())
    assert "'a': ('vowel',)" in check_export(program, [["a", "b", "c"]], name="p").decode()
    with pytest.raises(ValueError, match="two values of 'kind' have one name"):
        replace(program, nodes=(replace(kind, values=("same", "same")),))


def test_names_of_values_are_different():
    """Words may look like the names that are made of others."""
    tokens = ("a|b", "a", "b", "a|b (0)")
    program = Program(
        Frame(tokens, 2), (Input("kind", 3, (0, 1, 1, 2)),), ("kind",), ("x",), torch.ones(1, 3), torch.zeros(1)
    )
    names = with_names(program, program.frame.pad([[0, 1]])).nodes[0].values
    assert len(set(names)) == 3


def test_all_fields_travel():
    frame = Frame(("a", "b", "<s>", "?"), 4, ("<s>",), ("b",), "?", True, "?")
    assert Program.from_json(replace(flip_of(frame)).to_json()).frame == frame
    assert asdict(frame)["unknown"] == "?"


def flip_of(frame):
    token = Input("token", 4, (0, 1, 2, 3), frame.tokens)
    return Program(frame, (token,), ("token",), ("x",), torch.zeros(1, 4), torch.zeros(1))
