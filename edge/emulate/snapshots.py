"""A board that has booted, saved whole: a copy of it serves again in about a second, and ten at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgekit.core import process
from edgekit.core.errors import Unsupported
from edgekit.core.progress import Event, Progress, silent
from edgekit.emulate import qemu
from edgekit.emulate.boot import HEALTH, SERVE_S, Emulated
from edgekit.emulate.machine import Machine, running

NAME = "ready"
WAKE_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A saved board. It can be woken in the same hardware and by the same QEMU alone."""

    board: Emulated
    card: Path


def saved(board: Emulated, *, progress: Progress = silent) -> Snapshot:
    """Boot the board until it serves, and save it: its card as it was, and over it what changed since, with its memory. Only the
    latter is copied for each board that is woken. Raises `DeviceError`, and `Unsupported` for a machine that cannot be saved.
    """
    if not board.hardware.machine.saved:
        raise Unsupported(f"{board.hardware.machine.name} cannot be saved while it runs: QEMU cannot save its network device")
    qemu.ensure("qemu-img")
    base, card = board.folder / "saved.img", board.folder / "saved.qcow2"
    process.run(copy_command(board.card, base), timeout_s=600.0)
    process.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", base.name, str(card)], timeout_s=60.0)
    progress(Event(stage="boot and save"))
    with running(board.hardware, board.start(90, card=card)) as machine:
        machine.wait_until_serving(HEALTH, SERVE_S)
        machine.save(NAME)
    return Snapshot(board=board, card=card)


@contextmanager
def woken(snapshot: Snapshot, count: int = 1, *, connected: bool = False) -> Iterator[tuple[Machine, ...]]:
    """So many boards at once, each with a card of its own, all serving. What they write is gone with the block."""
    with ExitStack() as stack:
        machines = [stack.enter_context(_one(snapshot, number, connected)) for number in range(count)]
        for machine in machines:
            machine.wait_until_serving(HEALTH, WAKE_S)
        yield tuple(machines)


@contextmanager
def _one(snapshot: Snapshot, number: int, connected: bool) -> Iterator[Machine]:
    board = snapshot.board
    card = board.folder / f"woken-{number}.qcow2"
    process.run(copy_command(snapshot.card, card), timeout_s=600.0)
    try:
        start = board.start(100 + number, card=card, snapshot=NAME, connected=connected)
        with running(board.hardware, start) as machine:
            yield machine
    finally:
        card.unlink(missing_ok=True)


def copy_command(source: Path, goal: Path) -> list[str]:
    """The copy that takes no room for holes, and none at all where the file system shares what is equal."""
    return ["cp", "--reflink=auto", "--sparse=always", str(source), str(goal)]
