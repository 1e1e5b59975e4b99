"""Every family that can be edited, through all its operations: the contract, what is off, exact undo and replay."""

import pytest
import torch
from test_contract import CASES, build, draw

from zoo.testing import check_model
from zoo.weights.integrity import tensor_hash

ARGUMENTS = {"merge": {"into": 5}, "move": {"by": 0.7}, "set": {"value": -0.4}, "sign": {"sign": "-", "class": 2}}
ARGUMENTS |= {"weight": {"value": 0.7, "class": "1"}, "rename": {"to": 'an <b>"other"</b>'}}
UNITS = {"drop": 2, "merge": 4}  # of an operation; others are about unit 1, and values about unit 0
FIRST = ("rename", "move", "set", "weight", "sign")
ORDERED = ("monotone", "interpolate", "smooth")  # need columns of numbers with bins
QUICK = {  # of the default run; what they leave out are slow tests
    "bag_of_concepts": [{}],
    "bilinear_mlp": [{}],
    "cbm": [{"backbone": "mlp"}],
    "cem": [{"backbone": "mlp"}],
    "codebook_transformer": [{"sites": ["mix", "mlp"], "k": 3}],
    "text_prototype": [{}],
}


def slow(case):
    name, extra = case
    return () if extra in QUICK.get(name, []) else pytest.mark.slow


def edits_of(model):
    """One edit with each operation that needs neither data nor inputs; what removes a unit comes last."""
    model.history = None
    operations = [*model.edit_operations(), "rename"]
    names = list(model.units.names)
    edits = []
    for name in sorted(set(operations) - {"resolve", "add", "reword", *ORDERED}):
        unit = 0 if name in FIRST else UNITS.get(name, 1)
        arguments = dict(ARGUMENTS.get(name, {}))
        if "into" in arguments:
            arguments["into"] = names[arguments["into"]]
        edits.append({"operation": name, "unit": names[unit], **arguments, "why": "it is wrong"})
    order = {"rename": 1, "remove": 2}
    return sorted(edits, key=lambda edit: order.get(edit["operation"], 0))


@pytest.mark.parametrize("case", [pytest.param(case, marks=slow(case)) for case in CASES], ids=str)
def test_an_edited_model_keeps_its_promises(case):
    model = build(*case)
    if "editable" not in model.capabilities:
        with pytest.raises(ValueError, match="cannot be edited: it declares no operations"):
            model.edit([])
        return
    if case[0] == "nam":
        model.tabulated.fill_(True)
    if case[0] == "transformer_program":
        with pytest.raises(ValueError, match="the model is no program yet"):
            model.edit([{"operation": "hold", "unit": 0}])
        return
    x, y = draw(model, 5, torch.Generator().manual_seed(1)), torch.tensor([0, 1, 2, 3, 0])
    edits = edits_of(model)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    edited = model.edit(edits)
    assert ARGUMENTS["rename"]["to"] in edited.units.names
    check_model(edited, x, y)
    with torch.no_grad():
        contribution = edited.explain(x, target=y).contribution
    assert not contribution[:, edited.held].any()
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items()), "edited in place"
    for count in range(1, len(edits)):
        shorter, undone = model.edit(edits[:-count]), edited.undo(count)
        assert tensor_hash(undone.state_dict()) == tensor_hash(shorter.state_dict())
        assert undone.units.names == shorter.units.names
        assert undone.history.state == shorter.history.state
    undone = edited.undo()
    assert tensor_hash(undone.state_dict()) == tensor_hash(before)
    assert undone.history is None
    assert undone.units.names == model.units.names
    replayed = model.edit([step.edit for step in edited.history.steps])
    assert tensor_hash(replayed.state_dict()) == tensor_hash(edited.state_dict())


def test_what_is_locked_is_refused_until_it_is_unlocked():
    model = build("cbm", {"backbone": "mlp"})
    lock, drop = {"operation": "lock", "unit": "b"}, {"operation": "drop", "unit": "b"}
    with pytest.raises(ValueError, match="edit 2 .drop b.: 'b' is locked; unlock it first"):
        model.edit([lock, drop])
    assert model.edit([lock, {"operation": "unlock", "unit": "b"}, drop]).held == [1]


def test_names_stay_with_their_units():
    model = build("protopnet", {})
    edited = model.edit([{"operation": "remove", "unit": "class 0 #0"}])
    assert edited.units.names[:2] == ["class 0 #1", "class 0 #2"]
    with pytest.raises(ValueError, match="there is no prototype 'class 0 #0', did you mean class"):
        edited.edit([{"operation": "forbid", "unit": "class 0 #0"}])
    with pytest.raises(ValueError, match="to is 'class 1 #0', the name of another unit"):
        edited.edit([{"operation": "rename", "unit": "class 0 #1", "to": "class 1 #0"}])
    with pytest.raises(ValueError, match="has no operation 'fobrid', did you mean forbid"):
        edited.edit([{"operation": "fobrid", "unit": "class 0 #1"}])
    with pytest.raises(ValueError, match="belong to different classes"):
        edited.edit([{"operation": "merge", "unit": "class 0 #1", "into": "class 1 #0"}])
    with pytest.raises(ValueError, match="it needs the training data, and there are none"):
        edited.edit([{"operation": "resolve"}])
