"""`edgekit emulate --boot`: flash a card for a board, and let an emulated one boot from it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec

from edgekit.core.progress import Progress, silent
from edgekit.emulate import boot as steps
from edgekit.emulate import packages, qemu
from edgekit.emulate.boards import Board, Report, Wanted, report_of
from edgekit.emulate.here import expected
from edgekit.emulate.machine import HTTP
from edgekit.emulate.machines import VIRT, MachineType, ensure_stands_for
from edgekit.emulate.proofs import Proof, proof_of
from edgekit.emulate.remembered import Found
from edgekit.flash import wheelhouse as wheelhouses
from edgekit.flash.install import Install, install_of

SERVED = ("--host", "0.0.0.0", "--port", str(HTTP))
"""How the app is started on the board, so that the forwarded port reaches it."""


def boot(
    board: Board, wanted: Wanted, wheelhouse: Path, *, mirror: str, machine: MachineType = VIRT, progress: Progress = silent
) -> Report:
    """Everything a full boot proves. Raises `UsageError` for an app that nobody knows what to ask, `Unsupported` for a machine that is not
    like the board, `EdgekitError`s for a card that cannot be made, or a board that does not come up.
    """
    ensure_stands_for(machine, board.device, board.limits)
    qemu.ensure(qemu.SYSTEM)
    packages.ensure_for(wheelhouses.read(wheelhouse), board.system)
    proof = proof_of(wanted.app, wanted.picture)
    said_here = expected(wanted.app, wanted.artifacts[0].path, proof)
    with tempfile.TemporaryDirectory(prefix="edgekit-board-") as scratch:
        folder, what = Path(scratch), install(wanted, wheelhouse, proof)
        emulated = flashed(folder, board, what, mirror=mirror, machine=machine, progress=progress)
        checks = steps.proven(emulated, proof, said_here, progress=progress)
    report = report_of(board, Found(checks=checks, versions={}))
    return msgspec.structs.replace(report, notes=(*report.notes, f"booted on {machine.name}: {machine.note}"))


def install(wanted: Wanted, wheelhouse: Path, proof: Proof) -> Install:
    """What is put on the card."""
    return install_of(wanted.app, wanted.artifacts[0].path, wheelhouse, (*proof.arguments, *SERVED))


def flashed(
    folder: Path, board: Board, install: Install, *, mirror: str, machine: MachineType = VIRT, progress: Progress = silent
) -> steps.Emulated:
    """The board with its card."""
    suite = board.system.name
    return steps.flashed(
        folder, board.core, board.limits, install, suite=suite, mirror=mirror, machine=machine, progress=progress
    )
