"""The board as it is: what runs, what it could go back to, how much room there is, and whether it could run something."""

from __future__ import annotations

import os
import platform
from functools import cache

from edgekit import __version__
from edgekit import artifact as artifacts
from edgekit.benchmark.conditions.environment import compatible
from edgekit.core.errors import DeviceError, EdgekitError
from edgekit.core.profiles import devices, recognise
from edgekit.deploy.board import service
from edgekit.deploy.board.layout import Layout
from edgekit.deploy.board.trust import signer
from edgekit.deploy.nouns import Proposal, Status
from edgekit.doctor.probing import probe_apart
from edgekit.runtimes.base import Probe


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
        free_bytes=layout.free_bytes(),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        python=platform.python_version(),
        edgekit=__version__,
        device=_device(),
        problems=tuple(problems),
    )


def ensure_able(proposal: Proposal, memory_bytes: int) -> None:
    """Raise `DeviceError` when nothing that the artifact runs on works here, or its largest file is larger than the memory.

    Before anything is uploaded: whether it answers right is shown afterwards, on the engine itself.
    """
    largest = max(proposal.parts, key=lambda part: part.bytes, default=None)
    if largest is not None and largest.bytes > memory_bytes:
        raise DeviceError(
            f"{largest.name} has {largest.bytes} bytes, this board's memory {memory_bytes}: it does not fit", "a smaller model"
        )
    failed: dict[str, Probe] = {}
    for name in proposal.engines:
        if (probe := probe_apart([name])[name]).ok:
            return
        failed[name] = probe
    if failed:
        why = "; ".join(f"{name}: {probe.reason}" for name, probe in failed.items())
        raise DeviceError(f"no engine here can run it: {why}", next(iter(failed.values())).hint)


@cache
def _device() -> str:
    """The board's profile, by its device tree; nothing when no profile knows it."""
    found = recognise(devices(), compatible())
    return found.name if found else ""
