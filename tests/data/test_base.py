import pytest
import torch

from zoo.data import create_data, data_class, list_data
from zoo.data.split import Split, drawn_by_hash


def all_of(loader, field):
    return torch.cat([getattr(batch, field) for batch in loader])


def test_one_batch():
    data = create_data("digits", batch_size=16)
    batch = next(iter(data.train_dataloader()))
    assert batch.x.shape == (16, 3, 32, 32)
    assert batch.x.dtype == torch.float32
    assert (batch.y.dtype, batch.index.dtype) == (torch.int64, torch.int64)
    assert batch.points.shape == (16, len(data.part_names), 2)
    assert batch.points.dtype == torch.float64
    assert batch.visible.dtype == torch.bool
    assert batch.concepts.shape == (16, len(data.concept_names))
    assert 0 <= data.to_image(batch.x).min() < data.to_image(batch.x).max() <= 1


def test_plain_loader_is_in_order_and_names_its_samples():
    data = create_data("digits", batch_size=50)
    for split in ("train", "val", "test"):
        loader = data.loader(split)
        n = len(data.splits[split])
        assert all_of(loader, "index").tolist() == list(range(n))
        assert torch.equal(all_of(loader, "y"), data.splits[split].y)
        assert len(data.loader(split, batch_size=7)) == -(-n // 7)
    names = [data.name_of(s, i) for s in ("train", "val", "test") for i in range(len(data.splits[s]))]
    assert len(set(names)) == 1797


def test_validation_split_is_stratified_and_follows_the_seed():
    data, other = create_data("digits"), create_data("digits", seed=1)
    train, val = (torch.bincount(data.splits[s].y) for s in ("train", "val"))
    assert ((val - (train + val) * 0.1).abs() <= 0.5).all()
    assert data.splits["test"].names == other.splits["test"].names
    assert data.splits["val"].names != other.splits["val"].names
    none = create_data("digits", val=0.0)
    assert none.val_dataloader() == []
    with pytest.raises(ValueError, match="split 'val' is empty"):
        none.loader("val")


def test_workers_change_nothing():
    one, two = (create_data("digits", limit=40, batch_size=8, workers=w) for w in (0, 2))
    a, b = one.train_dataloader(), two.train_dataloader()
    for epoch in range(2):
        for loader in (a, b):
            loader.batch_sampler.set_epoch(epoch)
        for field in ("index", "x", "points"):
            torch.manual_seed(epoch)
            assert torch.equal(all_of(a, field), all_of(b, field))


def test_augmentation_follows_the_epoch_not_the_batch_or_the_global_state():
    data = create_data("digits", limit=40, batch_size=8)

    def images(epoch, batch_size):
        loader = data.loader("train", augment=True, batch_size=batch_size)
        loader.batch_sampler.set_epoch(epoch)
        return all_of(loader, "x")

    before = torch.get_rng_state()
    assert torch.equal(images(0, 8), images(0, 5))
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(images(0, 8), images(1, 8))
    assert torch.equal(all_of(data.loader("train"), "x"), all_of(data.loader("train"), "x"))


def test_decoding_on_demand_gives_the_same(monkeypatch):
    kept = all_of(create_data("digits", limit=20).loader("test"), "x")
    monkeypatch.setattr("zoo.data.split.KEEP", 0)
    data = create_data("digits", limit=20)
    assert torch.equal(all_of(data.loader("test"), "x"), kept)
    assert data._images["test"] is None


def test_limit_draws_in_the_proportions_of_the_classes():
    data, every = create_data("digits", limit=100), create_data("digits")
    for name, split in data.splits.items():
        share = torch.bincount(every.splits[name].y) / len(every.splits[name])
        assert (torch.bincount(split.y) - 100 * share).abs().max() <= 1
    train = every.splits["train"]
    first = {train.names[i] for c in range(10) for i in (train.y == c).nonzero()[:10, 0].tolist()}
    assert len(first & set(data.splits["train"].names)) < 50  # not the first of each class


@pytest.mark.parametrize("named", [True, False])
def test_limit_draws_the_same_samples_in_any_order(named):
    g = torch.Generator().manual_seed(0)
    y = torch.cat([torch.zeros(80).long(), torch.ones(15).long(), torch.full((5,), 2)])
    order = torch.randperm(100, generator=g)
    x = None if named else torch.randn(100, 3, generator=g)
    split = Split(names=[f"{i}.png" for i in range(100)], y=y, x=x)
    turned = split.take(order)
    drawn = {split.names[i] for i in drawn_by_hash(split, 20, split.y).tolist()}
    again = {turned.names[i] for i in drawn_by_hash(turned, 20, turned.y).tolist()}
    assert drawn == again
    assert torch.bincount(split.take(drawn_by_hash(split, 20, split.y)).y).tolist() == [16, 3, 1]
    assert torch.bincount(split.take(drawn_by_hash(split, 3, split.y)).y).tolist() == [1, 1, 1]
    assert {split.names[i] for i in drawn_by_hash(split, 10, split.y).tolist()} <= drawn


def test_support_names_the_limit():
    assert create_data("digits", limit=20).support("test") == "20 of 359 test samples, drawn by data.limit"
    assert create_data("digits").support("test") == "359 test samples"


def test_fingerprint_is_of_the_data():
    a = create_data("digits").fingerprint()
    assert a == create_data("digits", batch_size=3, augment="none").fingerprint()
    assert a != create_data("digits", seed=1).fingerprint()
    assert len(a) == 12


def test_setup_twice_reads_once():
    data = create_data("digits")
    data.setup("fit")
    first = data.splits
    data.setup("test")
    assert data.splits is first


@pytest.mark.parametrize("workers", [0, 1])
def test_augmented_passes_in_order(workers):
    data = create_data("digits", limit=20, batch_size=8, workers=workers)
    loader, passes = data.loader("train", augment=True, shard=False), []
    for epoch in (0, 1, 0):  # one loader, whose workers live on
        loader.batch_sampler.set_epoch(epoch)
        batches = list(loader)
        assert [i for batch in batches for i in batch.index.tolist()] == list(range(20))
        passes.append(torch.cat([batch.x for batch in batches]))
    assert torch.equal(passes[0], passes[2])
    assert not torch.equal(passes[0], passes[1])
    alone = loader.dataset.__getitems__([(1, i) for i in range(20)])
    assert torch.equal(passes[1], alone.x)


def test_arguments_are_converted_to_their_types(tmp_path):
    data = create_data("folder", root=tmp_path, size="32", val=0, mean=(0, 0, 1))
    assert (data.root, data.size, data.val, data.mean) == (tmp_path, 32, 0.0, (0.0, 0.0, 1.0))


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"val": 1.0}, "data.val is 1.0"),
        ({"batch_size": 0}, "data.batch_size is 0; expected 1 or more"),
        ({"limit": 0}, "data.limit is 0"),
        ({"mean": [0.5]}, "expected three numbers"),
        ({"mean": [float("nan")] * 3}, "expected three numbers"),
        ({"seed": -1}, "data.seed is -1; expected 0 or more"),
        ({"size": "big"}, "data.size is 'big'; expected int"),
        ({"size": 3.5}, "data.size is 3.5; expected int"),
        ({"size": None}, "data.size is None; expected int"),
        ({"val": "some"}, "data.val is 'some'; expected float"),
        ({"limit": [3]}, r"data.limit is \[3\]; expected int | None"),
        ({"mean": ["a", 0, 0]}, r"data.mean is \['a', 0, 0\]; expected list\[float\] | None"),
        ({"augment": "shfit"}, "augment is 'shfit'"),
        ({"batchsize": 3}, "takes no argument 'batchsize'.*did you mean batch_size"),
    ],
)
def test_wrong_arguments(args, words):
    with pytest.raises(ValueError, match=words):
        create_data("digits", **args)


def test_names():
    assert {"digits", "shapes", "cub200", "mnist", "fashion_mnist", "cifar10", "folder"} <= set(list_data())
    assert data_class("digits").__name__ == "Digits"
    with pytest.raises(ValueError, match="no data 'cub20'.*did you mean cub200"):
        create_data("cub20")
    with pytest.raises(ValueError, match="needs the argument 'root'"):
        create_data("folder")
    with pytest.raises(ValueError, match="expected one of train, val, test"):
        create_data("digits").loader("dev")
