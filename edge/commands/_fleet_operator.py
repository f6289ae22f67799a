"""`edgekit fleet list`, `status`, `rollout`, `pause`, `resume`, `abort`, `clean` and `serve`: what an operator does."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from edgekit.core.schema import Artifact
    from edgekit.fleet.nouns import Rollout
    from edgekit.fleet.rollout.drive import Wish
    from edgekit.fleet.rollout.mirror import Mirror
    from edgekit.fleet.rollout.steps import Standing
    from edgekit.fleet.trust.authority import Access
    from edgekit.fleet.wire.bus import Bus
    from edgekit.signing.sign import Signer

_T = TypeVar("_T")


def boards(args: argparse.Namespace) -> int:
    """A line for every board."""
    from edgekit.console import emit
    from edgekit.core.columns import aligned
    from edgekit.fleet.desk import overview

    mirror = _on_bus(args, _looked)
    shown = [board for board in overview.boards(mirror, time.time()) if args.group in ("", board["group"])]
    rows = aligned([overview.HEAD, *(overview.row(board) for board in shown)])
    emit(args, {"boards": shown}, "\n".join(rows))
    return 0


def status(args: argparse.Namespace) -> int:
    """A paragraph for every group, and the last lines of the audit log."""
    import msgspec

    from edgekit.console import emit
    from edgekit.fleet.desk.overview import deeds, groups, paragraph

    async def both(bus: Bus) -> tuple[Mirror, list[dict[str, Any]]]:
        return await _looked(bus), await deeds(bus)

    mirror, log = _on_bus(args, both)
    shown = [group for group in groups(mirror) if args.group in ("", group["group"])]
    lines = [f"{entry['time']}  {entry['by']}  {entry['verb']} {entry['about']}  {entry['detail']}" for entry in log[-10:]]
    text = "\n".join([*(paragraph(group) for group in shown), *lines])
    emit(args, {"groups": msgspec.to_builtins(shown), "audit": log}, text)
    return 0


def rollout(args: argparse.Namespace) -> int:
    """Begin one unless --resume, and drive it to its end: 0 when it is done, 4 when it was halted or aborted."""
    from edgekit.console import emit, note
    from edgekit.core.errors import GateFailed
    from edgekit.fleet.desk.overview import group_as_json, paragraph

    plan = None if args.resume else _wish(args)

    async def driven(bus: Bus) -> tuple[Rollout, Mirror]:
        from edgekit.console import progress_on_stderr
        from edgekit.fleet.rollout.drive import Driver, begin
        from edgekit.fleet.rollout.mirror import Mirror

        if plan is not None:
            wish, artifact, signer = plan
            await begin(bus, wish, artifact, signer, progress=progress_on_stderr())
        mirror = Mirror(bus)
        ended = await Driver(bus, args.group, mirror, _telling(note)).run()
        mirror.rollouts[args.group] = ended
        return ended, mirror

    ended, mirror = _on_bus(args, driven)
    shown = group_as_json(mirror, args.group)
    emit(args, shown, paragraph(shown))
    return 0 if ended.phase == "done" else GateFailed.exit_code


def _changed(args: argparse.Namespace) -> int:
    from edgekit.console import emit
    from edgekit.fleet.rollout.drive import change

    changed = _on_bus(args, lambda bus: change(bus, args.group, args.verb))
    result = {"group": args.group, "phase": changed.phase, "name": changed.name}
    emit(args, result, f"{args.group}  {changed.name} is {changed.phase}")
    return 0


pause = resume = abort = _changed


def clean(args: argparse.Namespace) -> int:
    """What nobody wants any more leaves the store."""
    import msgspec

    from edgekit.console import emit
    from edgekit.fleet.rollout import cleaning

    seconds = args.older_than * 86400.0
    found = _on_bus(args, lambda bus: cleaning.clean(bus, kept=args.keep, young_s=seconds, dry=args.dry_run))
    verb = "would be taken out" if args.dry_run else "taken out"
    emit(args, msgspec.to_builtins(found), f"{len(found.removed)} files {verb}, {found.kept} stay")
    return 0


def serve(args: argparse.Namespace) -> int:
    """The page, until somebody says stop."""
    from edgekit.fleet.desk.serving import serve_page

    return serve_page(_access(args), args)


async def _looked(bus: Bus) -> Mirror:
    from edgekit.fleet.rollout.mirror import Mirror

    mirror = Mirror(bus)
    await mirror.look()
    return mirror


def _on_bus(args: argparse.Namespace, work: Callable[[Bus], Awaitable[_T]]) -> _T:
    """Do `work` over a connection of the operator's."""
    from edgekit.fleet.wire.bus import connected

    async def done() -> _T:
        async with connected(_access(args)) as bus:
            return await work(bus)

    return asyncio.run(done())


def _access(args: argparse.Namespace) -> Access:
    """The access that was named, or the only operator's in the usual place. Raises `UsageError` when there are several."""
    from edgekit.core.errors import NotFound, UsageError
    from edgekit.fleet.trust.authority import FOLDER, read_access

    if args.access is not None:
        return read_access(args.access)
    files = sorted((FOLDER / "access").glob("*.json"))
    found = [access for access in map(read_access, files) if access.role == "operator"]
    if not found:
        raise NotFound(f"no operator's access in {str(FOLDER / 'access')!r}", "--access FILE, or edgekit fleet init")
    if len(found) > 1:
        raise UsageError(f"there are several operators: {', '.join(access.name for access in found)}", "--access FILE")
    return found[0]


def _wish(args: argparse.Namespace) -> tuple[Wish, Artifact, Signer | None]:
    from edgekit.artifact import read
    from edgekit.commands.sign import signer_of
    from edgekit.core.errors import UsageError
    from edgekit.deploy.nouns import Health, Release
    from edgekit.deploy.push import proposal_of
    from edgekit.fleet.nouns import Plan
    from edgekit.fleet.rollout.drive import Wish
    from edgekit.fleet.rollout.steps import checked, gate

    if not args.app or args.artifact is None:
        raise UsageError("a rollout needs an app and an artifact", "--app APP --artifact A, or --resume")
    artifact = read(args.artifact)
    health = Health(url=args.health, settle_s=args.settle, deadline_s=args.deadline)
    release = Release(app=args.app, artifact=artifact.sha256, arguments=tuple(args.app_argument), health=health)
    plan = Plan(
        waves=args.waves,
        soak_s=args.soak,
        deadline_s=args.wave_deadline,
        absent_s=min(args.absent, args.wave_deadline),
        max_failed=args.max_failed,
        gates=tuple(map(gate, args.gate)),
    )
    signer = signer_of(args) if args.secret or args.agent is not None else None
    wish = Wish(
        group=args.group,
        proposal=proposal_of(artifact, release),
        name=artifact.manifest.name,
        plan=checked(plan),
        bench_s=args.bench,
    )
    return wish, artifact, signer


def _telling(say: Callable[[str], None]) -> Callable[[Rollout, Standing], None]:
    """Says how far it is, whenever that changed."""
    last = ""

    def tell(rollout: Rollout, now: Standing) -> None:
        nonlocal last
        wave = f"wave {rollout.wave + 1} of {len(rollout.plan.waves)}"
        counts = f"{len(now.ok)} ok, {len(now.failed)} failed, {len(now.working)} at it, {len(now.silent)} silent"
        if (text := f"{wave}: {counts}") != last:
            say(text)
            last = text

    return tell
