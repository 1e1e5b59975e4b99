"""Which ends of epochs are saved: all of long epochs, the last of short ones."""

from types import SimpleNamespace

import pytest

from zoo.training import callbacks
from zoo.training.callbacks import Resumable


def epochs_saved(monkeypatch, tmp_path, seconds, every=None, processes=1, epochs=6, stop=None):
    """Epochs of ``seconds`` seconds each, from 1."""
    clock, saved = [100.0], []
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: clock[0])
    strategy = SimpleNamespace(reduce_boolean_decision=lambda decision, all: decision)
    trainer = SimpleNamespace(
        strategy=strategy, max_epochs=epochs, world_size=processes, should_stop=False, save_checkpoint=lambda file: None
    )
    callback = Resumable(tmp_path / "running.ckpt", every)
    monkeypatch.setattr(trainer, "save_checkpoint", lambda file: saved.append(trainer.current_epoch + 1))
    callback.on_train_start(trainer, None)
    try:
        for epoch in range(epochs):
            clock[0] += seconds
            trainer.current_epoch, trainer.should_stop = epoch, epoch + 1 == stop
            callback.on_train_epoch_end(trainer, None)
            if trainer.should_stop:
                break
    finally:
        callback.teardown(trainer, None, "fit")
    return saved


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"seconds": 60}, [1, 2, 3, 4, 5, 6]),
        ({"seconds": 0.1}, [6]),
        ({"seconds": 2.0}, [3, 6]),
        ({"seconds": 0.1, "every": 3}, [1, 2, 3, 4, 5, 6]),
        ({"seconds": 0.1, "processes": 2}, [1, 2, 3, 4, 5, 6]),
        ({"seconds": 0.1, "stop": 2}, [2]),
    ],
)
def test_ends_of_epochs(monkeypatch, tmp_path, arguments, expected):
    assert epochs_saved(monkeypatch, tmp_path, **arguments) == expected
