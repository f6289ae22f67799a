"""`edgekit emulate --boot`: flash a card for a board, and let an emulated one boot from it."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from edgekit.core.errors import UsageError
from edgekit.core.progress import Progress, silent
from edgekit.emulate import boot as steps
from edgekit.emulate import packages, qemu
from edgekit.emulate.apps import answer
from edgekit.emulate.boards import Board, Report, Wanted, report_of
from edgekit.emulate.machine import HTTP
from edgekit.emulate.remembered import Found
from edgekit.flash import wheelhouse as wheelhouses
from edgekit.flash.install import Install, install_of

SERVED = ("--host", "0.0.0.0", "--port", str(HTTP))
"""How the app is started on the board, so that the forwarded port reaches it."""


def boot(board: Board, wanted: Wanted, wheelhouse: Path, *, mirror: str, progress: Progress = silent) -> Report:
    """Everything a full boot proves. Raises `UsageError` without a picture, `EdgekitError`s for a card that cannot be made, or a board that does not come up."""
    qemu.ensure(qemu.SYSTEM)
    packages.ensure_for(wheelhouses.read(wheelhouse), board.system)
    picture = wanted.picture
    if picture is None:
        raise UsageError("the app on the card is asked about a picture, and none was given", "--image FILE")
    with tempfile.TemporaryDirectory(prefix="edgekit-board-") as scratch:
        emulated = flashed(Path(scratch), board, install(wanted, wheelhouse), mirror=mirror, progress=progress)
        checks = steps.proven(emulated, picture, expected(wanted.app, wanted.artifacts[0].path, picture), progress=progress)
    return report_of(board, Found(checks=checks, versions={}))


def install(wanted: Wanted, wheelhouse: Path) -> Install:
    """What is put on the card."""
    return install_of(wanted.app, wanted.artifacts[0].path, wheelhouse, SERVED)


def flashed(folder: Path, board: Board, install: Install, *, mirror: str, progress: Progress = silent) -> steps.Emulated:
    """The board with its card."""
    return steps.flashed(folder, board.core, board.limits, install, suite=board.system.name, mirror=mirror, progress=progress)


def expected(app: str, artifact: Path, picture: Path) -> str:
    """What this machine reads in the picture."""
    words = ["-m", "edgekit", "run", app, "--artifact", str(artifact), "--image", str(picture), "--json"]
    return str(answer([sys.executable, *words]).get("number"))
