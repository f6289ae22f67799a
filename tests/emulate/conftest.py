"""An emulated Raspberry Pi 4 for tests: its root file system and wheels are made once and kept in the user's cache."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from nats_fleet import server

from edgekit.core import profiles
from edgekit.core.errors import EdgekitError
from edgekit.emulate import packages, qemu, rootfs, wheels
from edgekit.emulate.boards import board_of
from edgekit.emulate.qemu import Guest

__all__ = ["extra", "pi4", "server"]


@pytest.fixture(scope="session")
def pi4(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """Skipped, with the reason, where QEMU is missing or old, or where no Debian mirror or package index answers."""
    board = board_of(profiles.find("rpi4"))
    try:
        qemu.ensure(qemu.USER)
        tree = rootfs.tree(rootfs.Recipe(suite="bookworm"))
        site = packages.site(wheels.wheelhouse(board.device, board.system), board.system)
    except EdgekitError as exc:
        pytest.skip(f"no board can be emulated here: {exc.message}")
    own = wheels.own(tmp_path_factory.mktemp("own"))
    yield Guest(core=board.core, tree=tree, python=rootfs.python_in(tree), packages=(own, site))


@pytest.fixture
def extra(tmp_path: Path) -> Path:
    """A folder for one more package of the guest."""
    return tmp_path
