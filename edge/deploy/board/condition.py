"""The board as it is: what runs, what it could go back to, how much room there is."""

from __future__ import annotations

import os
import platform
import shutil
from functools import cache

from edgekit import __version__
from edgekit import artifact as artifacts
from edgekit.benchmark.conditions.environment import compatible
from edgekit.core.errors import EdgekitError
from edgekit.core.profiles import devices, recognise
from edgekit.deploy.board import service
from edgekit.deploy.board.layout import Layout
from edgekit.deploy.board.trust import signer
from edgekit.deploy.nouns import Status


def status(layout: Layout, *, check_hashes: bool = True) -> Status:
    """The board as it is."""
    name, problems = layout.running(), []
    release, artifact = None, None
    if name:
        try:
            release = layout.release(name)
            artifact = artifacts.read(layout.releases / name / "artifact", check_hashes=check_hashes)
        except EdgekitError as exc:
            problems.append(exc.message)
    if layout.state().pending:
        problems.append("a switch was begun and not ended: the next deploy, rollback or start settles it")
    return Status(
        release=name,
        app=release.app if release else "",
        artifact=release.artifact if release else "",
        artifact_name=artifact.manifest.name if artifact else "",
        signed_by=signer(layout, artifact) if artifact else "",
        active=service.is_active(),
        releases=layout.known(),
        free_bytes=shutil.disk_usage(layout.root if layout.root.exists() else "/").free,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        python=platform.python_version(),
        edgekit=__version__,
        device=_device(),
        problems=tuple(problems),
    )


@cache
def _device() -> str:
    """The board's profile, by its device tree; nothing when no profile knows it."""
    found = recognise(devices(), compatible())
    return found.name if found else ""
