"""Inputs that the tests of several families share: small digits, and short sequences of tokens."""

import pytest
import torch

from zoo import create_data

VOCABULARY = 11
CONTEXT = 10


@pytest.fixture(scope="module")
def data():
    """Sixty digits of 16 by 16 pixels."""
    data = create_data("digits", size=16, batch_size=16, limit=60)
    data.setup()
    return data


@pytest.fixture(scope="module")
def batch(data):
    """The first batch of the training split."""
    return next(iter(data.loader("train")))


@pytest.fixture
def x():
    """Four sequences of 10, 1, 4 and 7 tokens, padded with -1."""
    tokens = torch.randint(VOCABULARY, (4, CONTEXT), generator=torch.Generator().manual_seed(1))
    return torch.where(torch.arange(CONTEXT) < torch.tensor([10, 1, 4, 7])[:, None], tokens, -1)
