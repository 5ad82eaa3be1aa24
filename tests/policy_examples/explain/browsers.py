"""The headless browser that tests show pages in."""

import os
import shutil

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium_program() -> str:
    """Its path; without one tests skip, or fail if XDISTILL_NO_SKIPS is set."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        told = f"no headless browser: none of {', '.join(NAMES)} is on the PATH (Debian: apt-get install chromium)"
        if os.environ.get("XDISTILL_NO_SKIPS"):
            pytest.fail(f"XDISTILL_NO_SKIPS is set, and there is {told}")
        pytest.skip(told)
    return program
