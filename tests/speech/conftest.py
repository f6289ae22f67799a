"""What the tests of speech share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def processes() -> Callable[[], list[int]]:
    """The recognisers that this process has started."""

    def found() -> list[int]:
        lines = (Path(f"/proc/{os.getpid()}/task").glob("*/children"),)
        children = [int(one) for files in lines for file in files for one in file.read_text().split()]
        return [child for child in children if b"speech._child" in Path(f"/proc/{child}/cmdline").read_bytes()]

    return found
