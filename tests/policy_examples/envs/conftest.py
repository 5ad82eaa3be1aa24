"""Where Adroit's experts are, for the tests that play them."""

import os
from pathlib import Path

import pytest

EXPERTS = Path(__file__).parents[4] / "shared" / "adroit_experts"


@pytest.fixture(scope="session")
def adroit_experts():
    """The folder of DAPG's policies; without it tests skip, or fail if XDISTILL_NO_SKIPS is set."""
    if not EXPERTS.is_dir():
        if os.environ.get("XDISTILL_NO_SKIPS"):
            pytest.fail(f"XDISTILL_NO_SKIPS is set, and {EXPERTS} with Adroit's experts is not there")
        pytest.skip(f"Adroit's experts are not there: {EXPERTS}")
    return EXPERTS
