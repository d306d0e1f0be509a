"""Fixtures of the sandbox's tests."""

import pytest
from raw_http import running


@pytest.fixture(scope="module")
def archive():
    """An archive that nothing is wrong with, everything on disk, small products."""
    with running(products=20, product_size=40_000, tape_fraction=0, seed=3) as started:
        yield started
