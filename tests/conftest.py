"""Fixtures that every test may use."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is no failure; a check before merging is the same check every time, the search for new cases goes on elsewhere.
settings.register_profile("edgekit", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("edgekit")

ROOT = Path(__file__).resolve().parent.parent
# What several folders of tests build (tiny models and artifacts) is imported by its plain name: `from tiny import …`.
sys.path.insert(0, str(ROOT / "tests" / "builders"))


def _shared() -> Path | None:
    """The folder of real models and data beside the checkout, when it is there (EDGEKIT_SHARED overrides where)."""
    folder = Path(os.environ.get("EDGEKIT_SHARED", ROOT.parent / "shared"))
    return folder if (folder / "data").is_dir() else None


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """`../shared/data`; the test is skipped with a reason where the folder is absent."""
    shared = _shared()
    if shared is None:
        pytest.skip("the folder ../shared with real models and data is not here")
    return shared / "data"
