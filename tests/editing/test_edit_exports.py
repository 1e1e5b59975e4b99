"""Edited checkpoints as graphs, and a shipped program: what is exported computes what the edited model computes."""

import pytest
import torch

import zoo
from zoo.testing import check_model
from zoo.training.run import data_of, load_checkpoint

EDITS = {
    "scoring_card-adult": ["flatten=age", "move=occupation", "by=0.5", "bins=1"],
    "protopnet-digits": ["remove=class 3 #1", "forbid=class 4 #0", "rename=class 3 #2", "to=a curve"],
    "sdfa_sa-digits": ["forbid=class 3 #1"],
    "pipnet-digits": ["forbid=prototype 3"],
    "cbm-digits": ["drop=has_hole", "sign=is_even", "class=8", "sign=+"],
    "cem-digits": ["drop=has_hole"],
    "bilinear_mlp-digits": ["hold=class 3 +1"],
    "codebook_transformer-tokfsm": ["hold=L0.H0.3"],
    "moex-tokfsm": ["hold=L0.E0.3"],
    "text_cbm-generated_reviews": ["drop=#0"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", EDITS)
def test_a_graph_of_an_edited_model_is_the_edited_model(name, tmp_path):
    zoo.edit(name, EDITS[name], suite=None, out=tmp_path / "edited")
    result = zoo.export(tmp_path / "edited", to="torch", out=tmp_path / "model.pt2")
    assert result.changed_answers == 0
    assert max(result.differences.values()) < 1e-3


@torch.no_grad()
def test_a_value_of_a_program_is_held_off():
    model, config = load_checkpoint("transformer_program-hist", [])
    batch = next(iter(data_of(config, model).loader("test")))
    x, y = batch.x[:6], batch.targets[:6]
    unit = int(model.explain(x).contribution.abs().sum(0).argmax())
    edited = model.edit([{"operation": "hold", "unit": unit, "why": "to see what it is for"}])
    check_model(edited, x, y)
    torch.testing.assert_close(edited(x), model.intervene(x, {unit: 0.0}))
    assert not torch.equal(edited(x), model(x))
    assert torch.equal(edited.undo()(x), model(x))
