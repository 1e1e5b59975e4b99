"""Files of edits and edits of a command line: everything that is not understood is one line that names it."""

import pytest

from zoo.config.plain_yaml import to_config_yaml
from zoo.editing.edit_file import Edit, parse_edit_file, read_edit_file
from zoo.editing.operation import Argument, Operation, find_unit, read_arguments
from zoo.editing.state import EditState
from zoo.editing.statements import read_statements

HOSTILE = ["a=b", "x, y", "${HOME}", "<b>", "# 1", "no", "3", "wing: long", "é\u202e", " lead", "1e-3", "- x", "{a: b}"]


def write(folder, text):
    file = folder / "edits.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_file_is_read_in_order(tmp_path):
    text = (
        f"model: m\nweights: {'ab' * 32}\nedits:\n- operation: remove\n  unit: 'class 3 #1'\n  why: border\n"
        "  who: A.\n  when: 2026-11-30\n- operation: set\n  unit: age\n  bins: [1, 2]\n  value: 1e-3\n"
    )
    file = read_edit_file(write(tmp_path, text))
    assert file.edits[0] == Edit("remove", "class 3 #1", {}, "border", "A.", "2026-11-30")
    assert file.edits[1].arguments == {"bins": [1, 2], "value": 1e-3}
    file.check("ab" * 32, "m", "edits.yaml")
    with pytest.raises(
        ValueError, match="was made for the weights abababababab of 'm'; those of other are cdcdcdcdcdcd"
    ):
        file.check("cd" * 32, "other", "edits.yaml")


MISTAKES = {
    "no list": ("edits: {}", "expected a list of mappings"),
    "no edits": ("model: m", "expected the keys model, weights and edits"),
    "key": ("edit: []\nedits: []", "has the key 'edit', did you mean edits"),
    "weights": ("weights: abc\nedits: []", "weights is 'abc'; expected the SHA-256"),
    "number as weights": ("weights: 123456789012\nedits: []", "expected a text"),
    "operation": (
        "edits: [{operatoin: remove}]",
        "edit 1: its operation is None; .*did you mean operatoin",
    ),
    "no mapping": ("edits: [remove]", "edit 1: it is 'remove'; expected a mapping"),
    "unit": ("edits: [{operation: remove, unit: [1]}]", r"its unit is \[1\]; expected a name or a number"),
    "yes as a unit": ("edits: [{operation: remove, unit: yes}]", "its unit is True"),
    "note": ("edits: [{operation: remove, unit: a, who: 3}]", "its who is 3; expected a text"),
    "twice": ("edits: [{operation: remove, unit: a, unit: b}]", "given twice"),
    "tag": ("edits: [!!python/object:os.system {}]", "not valid YAML"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_file_is_named(mistake, tmp_path):
    text, words = MISTAKES[mistake]
    with pytest.raises(ValueError, match=words) as error:
        read_edit_file(write(tmp_path, text))
    assert "edits.yaml" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_survive_a_file_and_a_command_line(name, tmp_path):
    edit = Edit("rename", name, {"to": name[::-1]}, why=name)
    assert read_edit_file(write(tmp_path, to_config_yaml({"edits": [edit.to_config()]}))).edits == (edit,)
    operations = {"rename": Operation(lambda state, unit, to: None, "", {"to": Argument("text")})}
    assert read_statements([f"rename={name}", f"to={name[::-1]}", f"why={name}"], operations) == (edit,)


def test_a_key_that_is_operation_and_argument_belongs_to_the_edit_before_it():
    def apply(state, **_):
        return None

    operations = {
        "add": Operation(apply, "", {"text": Argument("text"), "weight": Argument("number")}, on_unit=False),
        "weight": Operation(apply, "", {"value": Argument("number")}),
        "resolve": Operation(apply, "", on_unit=False, needs_data=True),
    }
    edits = read_statements(["add=good film", "weight=2", "weight=a", "value=1", "resolve=yes"], operations)
    assert [(e.operation, e.unit, dict(e.arguments)) for e in edits] == [
        ("add", None, {"text": "good film", "weight": "2"}),
        ("weight", "a", {"value": "1"}),
        ("resolve", None, {}),
    ]
    for texts, words in (
        (["resolve=no"], "expected resolve=yes"),
        (["wieght=a"], "did you mean weight"),
        (["weight=a", "valu=1"], "did you mean value"),
        (["weight=a", "value=1", "value=2"], "value is given twice"),
        (["weight"], "expected operation=unit"),
    ):
        with pytest.raises(ValueError, match=words):
            read_statements(texts, operations)


def test_units_and_arguments_are_found_or_named():
    names = ["a", "b", "b", "4"]
    assert [find_unit(names, given) for given in ("a", 3, "3", "4", "#0")] == [0, 3, 3, 3, 0]
    with pytest.raises(ValueError, match=r"2 units are named 'b'; name one by its number: #1 or #2"):
        find_unit(names, "b")
    for given, words in (
        ("9", "expected 0 to 3"),
        (-1, "expected 0 to 3"),
        ("²", "there is no unit '²'"),
        ("aa", "did you mean a"),
    ):
        with pytest.raises(ValueError, match=words):
            find_unit(names, given)
    operation = Operation(lambda **_: None, "", {"value": Argument("number"), "to": Argument(("up", "down"), "up")})
    read = {"names": names, "classes": ["no", "yes"]}
    assert read_arguments(operation, {"value": "1e-3"}, **read) == {"value": 1e-3, "to": "up"}
    for given, words in (
        ({}, "value is missing; expected a number"),
        ({"value": "nan"}, "value is 'nan'; expected a number"),
        ({"value": True}, "value is True"),
        ({"value": [1]}, r"value is \[1\]"),
        ({"value": 1, "to": "upp"}, "did you mean up"),
        ({"value": 1, "vlaue": 1}, "did you mean value"),
    ):
        with pytest.raises(ValueError, match=words):
            read_arguments(operation, given, **read)


def test_a_state_survives_yaml_and_changes_of_the_vocabulary():
    from zoo.config.plain_yaml import from_yaml, to_yaml

    state = EditState.start(4).hold(3).fix(2, 1, 0.5).sign(0, 1, -1)
    state = EditState(state.origin, {1: "no"}, state.held, frozenset({2}), state.fixed, state.signs)
    assert EditState.from_config(from_yaml(to_yaml(state.to_config()), "here")) == state
    kept = state.kept([3, 2, 1, -1])
    assert kept == EditState((3, 2, 1, -1), {2: "no"}, frozenset({0}), frozenset({1}), {(1, 1): 0.5}, {})
    for wrong in ({"units": 2, "held": [2]}, {"units": "2"}, {"units": 1, "others": 1}, {"units": 1, "fixed": [[0]]}):
        with pytest.raises(ValueError, match="state of the edits|weights that edits|unpack"):
            EditState.from_config(wrong)


def test_an_empty_file_is_no_file_of_edits():
    with pytest.raises(ValueError, match="here is no file of edits"):
        parse_edit_file(None, "here")
