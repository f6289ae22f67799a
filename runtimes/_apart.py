"""An engine's session in a process of its own, on every system where that can be."""

from __future__ import annotations

from typing import Any

from edgekit.runtimes.base import Session

START_S = 60.0
"""A fresh USB accelerator gets its firmware first, and a board's Python takes seconds to import an engine."""
RUN_S = 10.0
"""Thirty times the slowest published inference on an Edge TPU (VGG16 on the Dev Board, 343 ms: coral.ai benchmarks)."""


def apart(
    engine: str, factory: str, arguments: dict[str, Any], *, advice: str, start_s: float = START_S, run_s: float = RUN_S
) -> Session:
    """The session that `factory` ("module:function") makes of `arguments`, which are JSON values, in another process."""
    # Imported here: it needs what Windows does not have, where the runtimes must still be importable.
    from edgekit.runtimes._isolated import IsolatedSession, Job

    return IsolatedSession(
        Job(engine=engine, factory=factory, arguments=arguments, start_s=start_s, run_s=run_s, advice=advice)
    )
