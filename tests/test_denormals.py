"""Denormal numbers are computed as 0 inside a verb, and only there."""

import math

import pytest
import torch

from zoo import paths
from zoo.recipe_support import recipe
from zoo.runtime.denormals import denormals_as_zero
from zoo.training.process_settings import prepared

TINY = 1e-40  # float32 denormal
VERBS = sorted({file.stem for file in paths.recipes().glob("*.py")} - {"finetune"})  # which calls train


def product():
    return float(torch.full((4,), TINY).mul(1.5).sum())


def test_only_inside():
    assert product() > 0
    with denormals_as_zero():
        assert product() == 0
        with denormals_as_zero():
            assert product() == 0
        assert product() == 0  # the inner block leaves it as it was
    assert product() > 0
    assert math.ulp(0.0) * 1.5 > 0


def test_after_an_error():
    with pytest.raises(ZeroDivisionError), denormals_as_zero():
        _ = 1 / 0
    assert product() > 0


def test_a_verb_computes_without_denormals():
    assert prepared(product)() == 0
    assert product() > 0


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_is_prepared(name):
    function = getattr(recipe(name), name)
    assert function.__code__ is prepared(product).__code__
    assert function.__wrapped__.__name__ == function.__name__ == name


def test_other_numbers_are_bit_identical():
    torch.manual_seed(0)
    x, w = torch.randn(64, 300), torch.randn(50, 300) * 10.0 ** torch.randint(-30, 1, (50, 300))
    before = x @ w.T
    with denormals_as_zero():
        assert torch.equal(x @ w.T, before)
