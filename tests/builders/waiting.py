"""Waiting for what another thread or process will bring about, without knowing when."""

from __future__ import annotations

import time
from collections.abc import Callable

LONGEST_S = 30.0


def wait_until(holds: Callable[[], object], what: str, timeout_s: float = LONGEST_S) -> None:
    """Until `holds()` is true; the test fails when that takes too long."""
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end, f"{what}: not within {timeout_s:g} s"
        time.sleep(0.01)
