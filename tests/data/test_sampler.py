import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from zoo.data import create_data
from zoo.data.sampler import EpochSampler, mix


def flat(sampler):
    return [index for batch in sampler for _, index in batch]


def test_order_depends_on_seed_and_epoch_alone():
    sampler = EpochSampler(50, 8, shuffle=True, seed=3)
    first = flat(sampler)
    torch.manual_seed(9)
    assert flat(sampler) == first
    sampler.set_epoch(1)
    assert flat(sampler) != first
    assert sorted(flat(sampler)) == list(range(50))
    assert flat(EpochSampler(50, 8, shuffle=True, seed=4)) != first
    assert mix(1, 23) != mix(12, 3)


def test_skip_leaves_out_batches_once():
    sampler = EpochSampler(50, 8, shuffle=True, seed=0)
    whole = list(sampler)
    sampler.skip(3)
    assert len(sampler) == 7
    assert list(sampler) == whole[3:]
    assert list(sampler) == whole


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(("n", "world"), [(50, 3), (50, 2), (2, 3), (51, 4)])
def test_ranks_share_the_samples(monkeypatch, n, world, shuffle):
    shares = []
    for rank in range(world):
        monkeypatch.setattr(EpochSampler, "_rank_and_world", lambda self, rank=rank: (rank, world))
        sampler = EpochSampler(n, 4, shuffle=shuffle, seed=0)
        assert len(sampler) == len(list(sampler))
        shares.append(flat(sampler))
    drawn = sorted(i for share in shares for i in share)
    assert set(drawn) == set(range(n))
    if shuffle:
        assert len({len(share) for share in shares}) == 1
    else:
        assert drawn == list(range(n))


@pytest.mark.parametrize("shuffle", [True, False])
def test_without_shards_each_rank_sees_all(monkeypatch, shuffle):
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_rank", lambda: 1)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 2)
    whole = EpochSampler(9, 4, shuffle=shuffle, seed=0, shard=False)
    assert sorted(flat(whole)) == list(range(9))
    assert (len(whole), len(EpochSampler(9, 4, shuffle=shuffle, seed=0))) == (3, 1 + shuffle)


class Recorder(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(torch.zeros(()))
        self.batches = []

    def training_step(self, batch, _):
        self.batches.append((self.current_epoch, batch.index.tolist(), float(batch.x.sum())))
        return self.w * batch.x.mean()

    def validation_step(self, batch, _):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def fit(data, tmp_path, ckpt=None, epochs=3):
    model = Recorder()
    save = ModelCheckpoint(dirpath=tmp_path, every_n_train_steps=6, save_top_k=-1, filename="{step}")
    trainer = pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        callbacks=[save],
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(model, datamodule=data, ckpt_path=ckpt)
    return model.batches


@pytest.mark.parametrize("workers", [0, 1])
def test_lightning_sees_a_new_order_each_epoch_and_resumes_inside_one(tmp_path, workers):
    def data():
        return create_data("digits", limit=40, batch_size=10, size=8, workers=workers)

    whole = fit(data(), tmp_path)
    orders = [sum((i for e, i, _ in whole if e == epoch), []) for epoch in range(3)]
    assert all(sorted(order) == list(range(40)) for order in orders)
    assert orders[0] != orders[1] != orders[2]
    resumed = data()
    resumed.resume_at(epoch=1, batch=2)  # step 6 of 4 a epoch
    assert fit(resumed, tmp_path, ckpt=tmp_path / "step=6.ckpt") == whole[6:]
