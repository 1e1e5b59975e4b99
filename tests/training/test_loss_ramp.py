"""Loss weights that change over the steps of a phase."""

import pytest
import pytorch_lightning as pl

from zoo.data import create_data
from zoo.models.baselines.blackbox import BlackBox
from zoo.phase import Phase


class Probe(BlackBox):
    """A black box that notes the loss weights of each step."""

    terms = ("task", "extra")

    def loss(self, batch, weights):
        self.noted = [*getattr(self, "noted", []), dict(weights)]
        return super().loss(batch, weights) | {"extra": self.head.weight.square().sum()}


def test_a_weight_changes_linearly_over_the_steps_of_a_phase():
    data = create_data("toys", kind="xor", batch_size=200, val=0.0)
    data.setup()
    steps = 2 * len(data.train_dataloader())
    assert steps > 4
    model = Probe(num_classes=2, backbone="mlp", input_shape=[2], backbone_args={"hidden": [4]})
    model.configure_phase(Phase(epochs=2, lr={"head": 1e-3}, loss={"task": 2, "extra": {"from": 1, "to": 0}}))
    trainer = pl.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        use_distributed_sampler=False,
        enable_model_summary=False,
    )
    assert model.phase_progress == 0
    trainer.fit(model, data)
    assert [w["extra"] for w in model.noted] == pytest.approx([1 - i / steps for i in range(steps)])
    assert {w["task"] for w in model.noted} == {2.0}


@pytest.mark.parametrize("weight", [{"from": 0}, {"from": 0, "to": 1, "by": 2}, "1", None, True, float("nan"), [0, 1]])
def test_a_weight_that_is_none(weight):
    with pytest.raises(ValueError, match=r"loss.extra is .*; expected a finite number, or such a mapping"):
        Phase(loss={"extra": weight}).loss_weights(0.5)


def test_ends_of_a_weight():
    phase = Phase(loss={"a": {"from": 2, "to": 4}, "b": -0.5})
    assert phase.loss_weights(0.0) == {"a": 2.0, "b": -0.5}
    assert phase.loss_weights(1.0) == {"a": 4.0, "b": -0.5}
