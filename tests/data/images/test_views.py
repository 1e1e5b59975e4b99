"""Several views of an image: one geometry, a change of color of its own for each."""

import pytest
import torch

from zoo.batch import Batch
from zoo.data import create_data


def served(**args):
    data = create_data("digits", size=32, batch_size=16, limit=64, **args)
    data.setup()
    return data


def test_views_share_the_geometry_and_differ_in_color():
    one, two = served(), served(views=3)
    plain = next(iter(one.loader("train", augment=True)))
    batch = next(iter(two.loader("train", augment=True)))
    assert plain.views is None
    assert batch.views.shape == (16, 2, 3, 32, 32)
    views = [batch.x, *batch.views.unbind(1)]
    differ = 0
    for view in views:
        for n in range(16):
            pair = torch.stack([view[n].mean(0).flatten(), plain.x[n].mean(0).flatten()])
            ink = pair.std(1) > 1e-3
            if bool(ink.all()):
                assert float(torch.corrcoef(pair)[0, 1].abs()) > 0.7  # the same place of the same image
            differ += not torch.equal(view[n], plain.x[n])
    assert differ > 24
    assert not torch.equal(views[0], views[1])


def test_views_depend_on_seed_epoch_and_sample_alone():
    data = served(views=2)
    dataset = data.loader("train", augment=True).dataset
    whole = dataset.__getitems__([(1, 3), (1, 5)])
    alone = dataset.__getitems__([(1, 5)])
    other = dataset.__getitems__([(2, 5)])
    assert torch.equal(whole.views[1], alone.views[0])
    assert torch.equal(whole.x[1], alone.x[0])
    assert not torch.equal(other.views, alone.views)


def test_only_training_batches_have_views():
    data = served(views=2)
    assert next(iter(data.train_dataloader())).views is not None
    assert next(iter(data.loader("test"))).views is None
    assert next(iter(data.loader("train"))).views is None


def test_a_batch_moves_with_its_views():
    batch = Batch(torch.zeros(2, 3), torch.zeros(2).long(), torch.arange(2), views=torch.zeros(2, 1, 3))
    assert batch.to("meta").views.device.type == "meta"


def test_no_view_is_an_error():
    with pytest.raises(ValueError, match="data.views is 0; expected 1 or more"):
        served(views=0)
