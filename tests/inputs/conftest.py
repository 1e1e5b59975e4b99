"""Inputs that once failed."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def cases():
    return Path(__file__).parents[1] / "cases"
