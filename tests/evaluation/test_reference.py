"""The row of the reference model: its accuracy on the same data, n/a on others."""

import json

import pytest
import yaml

from zoo.config import plain
from zoo.evaluation.reference_model import reference_rows
from zoo.training.run import load_config


def rows(tmp_path, overrides):
    """The row of a run beside a reference run of ``blackbox/digits`` with its data changed."""
    config = load_config("protopnet/digits")
    reference = plain(load_config(config.reference, overrides))
    folder = tmp_path / config.reference.replace("/", "-") / "checkpoint"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(reference))
    (folder / "metrics.json").write_text(
        json.dumps({"scores": {"accuracy": {"value": 0.9944, "protocol": "top1", "support": 359}}})
    )
    (row,) = reference_rows(config, tmp_path / "run")
    return row


@pytest.mark.parametrize("overrides", [[], ["seed=3"], ["data.batch_size=7", "data.augment=none"]])
def test_the_same_test_samples(tmp_path, overrides):
    row = rows(tmp_path, overrides)
    assert row.value == "0.9944"
    assert row.protocol == "top1"


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["data.limit=50"], "data.limit 50 there, None here"),
        (["data.size=16"], "data.size 16 there, 32 here"),
        (["data.name=mnist"], "data.name mnist there, digits here"),
        (["model.num_classes=5"], "5 classes there, 10 here"),
    ],
)
def test_other_data_have_no_value(tmp_path, overrides, words):
    row = rows(tmp_path, overrides)
    assert row.value.startswith("n/a: blackbox-digits")
    assert f"is of other data ({words}" in row.value
    assert not row.applies
