"""Being asked to stop, and the few steps that are taken together or not at all.

Python raises `KeyboardInterrupt` between any two instructions: between making a folder and noting that it is to be removed, too.
`uninterrupted` holds Ctrl-C back where that must not happen, and SIGTERM where the command line answers it.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(KeyboardInterrupt):
    """The process was asked to end (SIGTERM), where Ctrl-C may mean only what is going on just now."""


class _Stops:
    """What has arrived. Only the main thread, in which Python answers signals, reads and changes it."""

    held = 0
    """How many nested blocks hold signals back."""
    waiting: frozenset[int] = frozenset()
    ending = False


def answer_sigterm() -> None:
    """From here on SIGTERM raises `Terminated`, so that what is half-written is cleared away. Only in the main thread."""
    if threading.current_thread() is threading.main_thread():
        _Stops.ending, _Stops.waiting = False, frozenset()
        signal.signal(signal.SIGTERM, _interrupt)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Holds signals back until the block ends: for few and short steps. None arrive in another thread than the main one."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before, held = signal.getsignal(signal.SIGINT), _Stops.held
    try:
        _Stops.held = held + 1
        if callable(before):  # else nobody listens, and nobody shall
            signal.signal(signal.SIGINT, _interrupt)
        yield
    finally:
        _Stops.held = held
        if callable(before):
            signal.signal(signal.SIGINT, before)
        if not held:
            _answer_what_waits()


def _interrupt(signum: int, frame: FrameType | None) -> None:
    """The handler. A second SIGTERM is not heard: it would leave the clearing away that the first one began half done."""
    if signum == signal.SIGTERM and _Stops.ending:
        return
    if _Stops.held:
        _Stops.waiting |= {signum}
        return
    if signum == signal.SIGINT:
        raise KeyboardInterrupt
    _Stops.ending = True
    raise Terminated


def _answer_what_waits() -> None:
    """Let the handlers have what was held back, the request to end first."""
    waiting, _Stops.waiting = _Stops.waiting, frozenset()
    for signum in sorted(waiting, reverse=True):
        signal.raise_signal(signum)
