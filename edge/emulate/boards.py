"""Boards under qemu-user: each gets its core, its packages and its limits, is asked, and is reported as emulated."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import msgspec

from edgekit.core.errors import Unsupported
from edgekit.core.files import sha256_file
from edgekit.core.progress import Event, Progress, silent
from edgekit.core.schema import Artifact, Device
from edgekit.emulate import family_rules, packages, qemu, rootfs, wheels
from edgekit.emulate.apps import app_check
from edgekit.emulate.cores import Core, core_of
from edgekit.emulate.gate import Asked, Check, asked, gates, runtimes_for
from edgekit.emulate.limits import Limits, ensure_loaded, ensure_stored, limits_of
from edgekit.emulate.qemu import Guest
from edgekit.emulate.remembered import Found, Question, remembered
from edgekit.flash.systems import System

CANNOT_TELL = (
    "how fast it is: emulation is slower by a factor that depends on the model, so no time is taken",
    "drivers: GPU, Edge TPU, NPU, cameras, USB and the board's own kernel",
    "which kernels TensorRT picks, or that it builds an engine at all",
    "heat, power, and the errata of real processors",
)
"""Printed each time."""
Ask = Callable[[Guest, Limits], Found]


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """A board to emulate: its core, the system that stands for its own, what is different, and what it is held to."""

    device: Device
    core: Core
    system: System
    differs: str
    limits: Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What boards are asked: artifacts through both gates, and an app about a picture with the first of them."""

    artifacts: tuple[Artifact, ...]
    app: str = ""
    picture: Path | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was found on one emulated board."""

    device: str
    core: str
    system: str
    limits: str
    checks: tuple[Check, ...]
    notes: tuple[str, ...]
    versions: dict[str, str]
    kind: str = "emulated"

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)


def board_of(device: Device, *, memory_bytes: int | None = None, storage_bytes: int | None = None) -> Board:
    """The board of a profile. Raises `Unsupported` where it has no core to emulate."""
    system, differs = rootfs.standing_in(device)
    limits = limits_of(device, memory_bytes=memory_bytes, storage_bytes=storage_bytes)
    return Board(device=device, core=core_of(device), system=system, differs=differs, limits=limits)


def emulatable(devices: Sequence[Device]) -> tuple[Device, ...]:
    """Those that have a core to emulate."""
    return tuple(device for device in devices if _has_core(device))


def check(
    boards: Sequence[Board],
    wanted: Wanted,
    *,
    wheelhouse: Path | None = None,
    mirror: str = rootfs.MIRROR,
    again: bool = False,
    progress: Progress = silent,
) -> tuple[Report, ...]:
    """Everything `wanted` for every board. Boards of one core and system are asked once, held to the least of them; when that fails, each alone.
    What passed before is not asked anew, unless `again`.

    Raises `GateFailed` for what cannot fit a board, and the errors of `qemu.ensure`, `rootfs.tree` and `packages.site`.
    """
    emulator = qemu.ensure(qemu.USER)
    for board in boards:
        for artifact in wanted.artifacts:
            ensure_loaded(board.limits, artifact.manifest.name, artifact.file("model").stat().st_size)
    groups, workers = _groups(boards), max(1, len(os.sched_getaffinity(0)))
    with tempfile.TemporaryDirectory(prefix="edgekit-own-") as scratch, ThreadPoolExecutor(max_workers=workers) as pool:
        guests = [_guest(group[0], wheelhouse, mirror, Path(scratch), progress) for group in groups]
        progress(Event(stage="run on the emulated cores"))
        ask = partial(_found, wanted=wanted, emulator=emulator, again=again)
        found = pool.map(_reports, groups, guests, [ask] * len(groups))
        reports = {report.device: report for group in found for report in group}
    return tuple(reports[board.device.name] for board in boards)


def questions(artifacts: Sequence[Artifact]) -> tuple[Asked, ...]:
    """What the board is asked. Raises `Unsupported` for an artifact that no engine on a processor runs."""
    found = []
    for artifact in artifacts:
        engines = runtimes_for(artifact)
        if not engines:
            target = artifact.manifest.target
            raise Unsupported(
                f"{artifact.manifest.name!r} is a {target.format} file, which is not run emulated",
                "tflite, onnx, edgetpu or tensorrt",
            )
        found += [asked(artifact, engine) for engine in engines]
    return tuple(found)


def _groups(boards: Sequence[Board]) -> list[list[Board]]:
    found: dict[tuple[str, str], list[Board]] = {}
    for board in boards:
        found.setdefault((board.core.model, board.system.name), []).append(board)
    return list(found.values())


def _guest(board: Board, wheelhouse: Path | None, mirror: str, scratch: Path, progress: Progress) -> Guest:
    """The system and the packages; with a wheelhouse everything is out of its wheels, edgekit too."""
    tree = rootfs.tree(rootfs.Recipe(suite=board.system.name, mirror=mirror), progress=progress)
    folder = wheelhouse or wheels.wheelhouse(board.device, board.system, progress=progress)
    site = packages.site(folder, board.system, progress=progress)
    ensure_stored(board.limits, "the system with its packages", (tree, site))
    paths = (site,) if wheelhouse else (wheels.own(scratch), site)
    return Guest(core=board.core, tree=tree, python=rootfs.python_in(tree), packages=paths)


def _reports(group: Sequence[Board], guest: Guest, ask: Ask) -> list[Report]:
    """One run for all where it succeeds under the least memory and cores of them; otherwise each board is told its own story."""
    least = replace(
        group[0].limits,
        memory_bytes=min((one.limits.memory_bytes for one in group if one.limits.memory_bytes), default=None),
        cores=min((one.limits.cores for one in group if one.limits.cores), default=None),
    )
    found = ask(guest, least)
    if len(group) == 1 or all(one.ok for one in found.checks):
        return [report_of(board, found) for board in group]
    return [report_of(board, ask(replace(guest, core=board.core), board.limits)) for board in group]


def _found(guest: Guest, limits: Limits, *, wanted: Wanted, emulator: tuple[int, int], again: bool) -> Found:
    """What was found, now or before."""
    question = Question(
        guest=guest,
        limits=limits,
        qemu=emulator,
        artifacts=tuple(artifact.sha256 for artifact in wanted.artifacts),
        app=wanted.app,
        picture=sha256_file(wanted.picture) if wanted.picture else "",
    )
    return remembered(question, partial(_asked, guest, limits, wanted), again=again)


def _asked(guest: Guest, limits: Limits, wanted: Wanted) -> Found:
    checks, heard = gates(guest, limits, questions(wanted.artifacts))
    rules = (check for artifact in wanted.artifacts for check in family_rules.checks(artifact))
    asked_app = (
        [app_check(guest, limits, wanted.app, wanted.artifacts[0].path, wanted.picture)]
        if wanted.app and wanted.picture
        else []
    )
    return Found(checks=(*checks, *rules, *asked_app), versions=heard.versions)


def report_of(board: Board, found: Found) -> Report:
    """The report on one board."""
    since = f"found on {found.since}, with the same wheels, artifacts and emulator: --again asks anew" if found.since else ""
    return Report(
        device=board.device.name,
        core=board.core.described,
        system=f"{board.system.title}, Python {'.'.join(map(str, board.system.python))}",
        limits=board.limits.described,
        checks=found.checks,
        notes=tuple(filter(None, (board.differs, since))),
        versions=dict(found.versions),
    )


def _has_core(device: Device) -> bool:
    try:
        core_of(device)
    except Unsupported:
        return False
    return True
