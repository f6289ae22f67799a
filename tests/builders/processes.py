"""Processes whose end a test waits for as an event: they are nobody's children any more, so nobody can wait for them."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from pathlib import Path

DEADLINE_S = 60.0


def child_of(parent: int, name: str) -> int:
    """The process called `name` that `parent` has started; it is waited for, as it may still be on its way to that name."""
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
            if Path(f"/proc/{pid}/comm").read_text().strip() == name:
                return int(pid)
        time.sleep(0.02)
    raise AssertionError(f"process {parent} has started no {name}")


def engine_of(server: int) -> int:
    """The process in which `server`, by whatever thread, runs its language engine."""
    for children in Path(f"/proc/{server}/task").glob("*/children"):
        for pid in children.read_text().split():
            if b"runtimes.language._child" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return int(pid)
    raise AssertionError(f"process {server} runs no language engine")


def outlived(parent: subprocess.Popen[str], child: int) -> bool:
    """Kill `parent` as nothing can be caught; whether `child` is still there afterwards. It is not left there."""
    handle = os.pidfd_open(child)
    try:
        parent.kill()
        parent.wait()
        gone, _, _ = select.select([handle], [], [], DEADLINE_S)
        if not gone:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        return not gone
    finally:
        os.close(handle)
