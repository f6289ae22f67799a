"""The board's side: `python -m edgekit.deploy.board VERB --root DIR`, an order as JSON on standard input, an answer on standard output.

Every verb may be cut off at any point and asked again. A switch is written down before it is made; whoever comes next (the same
operator, another, or the board's own start) settles it: the new release has shown that it works, or the old one runs again.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from edgekit import __version__
from edgekit import artifact as artifacts
from edgekit.benchmark.conditions.environment import compatible
from edgekit.core.errors import ArtifactError, DeviceError, EdgekitError, GateFailed, InputError
from edgekit.core.profiles import devices, recognise
from edgekit.core.schema import Artifact
from edgekit.deploy import service
from edgekit.deploy.layout import Layout, name_of
from edgekit.deploy.nouns import Answer, Going, Lacking, Offer, Proposal, State, Status
from edgekit.signing.sign import SIGNATURE, ensure_signed, public_keys

RESERVE_BYTES = 64 << 20
"""Space that stays free on the board's disk whatever is deployed."""
_PIECE = 1 << 20


def offer(layout: Layout, proposal: Proposal) -> Offer:
    """How the board is, and what it lacks for the proposal."""
    found = status(layout)
    runs = found.active and found.release == name_of(proposal.release) and not found.problems
    return Offer(status=found, lacking=() if runs else lacking(layout, proposal), runs=runs)


def lacking(layout: Layout, proposal: Proposal) -> tuple[Lacking, ...]:
    """The files that must be uploaded, those that are half here with what there is. Raises `DeviceError` when they do not fit."""
    wanted = {part.sha256: part for part in proposal.parts if not layout.blob(part.sha256).is_file()}
    missing = tuple(Lacking(sha256=part.sha256, have=layout.have(part)) for part in wanted.values())
    needed = sum(wanted[each.sha256].bytes - each.have for each in missing)
    free = shutil.disk_usage(layout.root).free
    if needed + RESERVE_BYTES > free:
        raise DeviceError(
            f"{needed >> 20} MiB are to be uploaded, {free >> 20} MiB are free ({RESERVE_BYTES >> 20} stay so)",
            "edgekit status",
        )
    return missing


def put(layout: Layout, sha256: str, offset: int, data: BinaryIO) -> None:
    """Go on with a file at `offset`, from what comes in; one that is whole becomes a blob. Raises `InputError` at a gap."""
    if not layout.blob(sha256).is_file():
        grow(layout, sha256, offset, data)
        layout.complete(sha256)


def grow(layout: Layout, sha256: str, offset: int, data: BinaryIO) -> None:
    """Go on with a file at `offset`, from what comes in; what stood behind that is cut off. Raises `InputError` at a gap."""
    partial = layout.partial(sha256)
    size = partial.stat().st_size if partial.is_file() else 0
    if offset > size:
        raise InputError(f"the file {sha256[:12]}… goes on at byte {offset}, here it ends at {size}", "deploy again")
    with partial.open("r+b" if size else "wb") as file:
        file.truncate(offset)
        file.seek(offset)
        while piece := data.read(_PIECE):
            file.write(piece)


def deploy(layout: Layout, proposal: Proposal) -> Answer:
    """Make the release out of what was uploaded, prove it, switch to it, and back when it does not show that it works.

    Raises `GateFailed` for a release that is not signed, older, or does not hold here, before anything is switched.
    """
    settle(layout)
    ensure_local(proposal.release.health.url)
    gone = [part.name for part in proposal.parts if not layout.blob(part.sha256).is_file()]
    if gone:
        raise InputError(f"these files were never uploaded: {', '.join(gone)}", "deploy again")
    name = layout.assemble(proposal.release, proposal.parts)
    artifact = _read(layout, name, proposal)
    if artifact.sha256 != proposal.release.artifact:
        raise InputError(
            f"the manifest has sha256 {artifact.sha256[:12]}…, the release wants {proposal.release.artifact[:12]}…"
        )
    before, state = layout.running(), layout.state()
    if name == before and service.is_active():
        return Answer(ok=True, message="runs already: nothing to do", release=name, previous=state.previous)
    _ensure_trusted(layout, artifact, state)
    _ensure_holds(artifact)
    return _switched(layout, name, before)


def _read(layout: Layout, name: str, proposal: Proposal) -> Artifact:
    """The release's artifact. Files that went bad on this disk are dropped, so that the next try uploads them anew."""
    try:
        return artifacts.read(layout.releases / name / "artifact")
    except ArtifactError as exc:
        bad = [part.name for part in proposal.parts if layout.drop_if_damaged(part)]
        if not bad:
            raise
        raise DeviceError(f"went bad on the board's disk and was dropped: {', '.join(bad)}", "deploy again") from exc


def rollback(layout: Layout, to: str = "") -> Answer:
    """Back to the release before, or to one by name. Raises `InputError` when there is none, `GateFailed` for one that nobody
    who is trusted here signed; older than others it may be."""
    settle(layout)
    before = layout.running()
    name = to or layout.state().previous
    if not name or name not in layout.known():
        raise InputError(f"there is no release {name or 'before this one'} to go back to", "edgekit status lists them")
    if layout.trusts_keys():
        ensure_signed(artifacts.read(layout.releases / name / "artifact"), public_keys((layout.trusted,)))
    return _switched(layout, name, before)


def settle(layout: Layout) -> Answer:
    """End a switch that somebody began and did not end: a release that works stays, another gives way to the one before."""
    state = layout.state()
    if not state.pending:
        return Answer(ok=True, message="nothing is pending", release=layout.running(), previous=state.previous)
    if layout.running() != state.pending:
        state = msgspec.structs.replace(state, pending="", previous=state.earlier, earlier="")
        layout.save(state)
        return Answer(ok=True, message="the switch was never made", release=layout.running(), previous=state.previous)
    return _judged(layout, state.pending, state)  # started anew: what runs may still be the release before


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
        signed_by=_signer(layout, artifact) if artifact else "",
        active=service.is_active(),
        releases=layout.known(),
        free_bytes=shutil.disk_usage(layout.root if layout.root.exists() else "/").free,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        python=platform.python_version(),
        edgekit=__version__,
        device=_device(),
        problems=tuple(problems),
    )


def _switched(layout: Layout, name: str, before: str) -> Answer:
    """Write it down, switch, restart, judge."""
    state = layout.state()
    state = msgspec.structs.replace(state, pending=name, previous=before, earlier=state.previous)
    layout.save(state)
    layout.point_to(name)
    return _judged(layout, name, state)


def _judged(layout: Layout, name: str, state: State) -> Answer:
    """Start it and wait until the release shows that it works; if it does not, the one before runs again, and is waited for as well."""
    reason = _started(layout, name)
    if not reason:
        layout.save(msgspec.structs.replace(state, pending="", earlier="", accepted=_accepted(layout, name, state)))
        layout.tidy((name, state.previous))
        return Answer(ok=True, message="runs", release=name, previous=state.previous)
    layout.point_to(state.previous)
    again = _started(layout, state.previous)
    layout.save(msgspec.structs.replace(state, pending="", previous=state.earlier, earlier=""))
    back = f"{state.previous} runs again" if state.previous else "nothing runs, as before"
    said = f"{name} did not work: {reason}; {back}" + (f", but not well: {again}" if again else "")
    return Answer(ok=False, message=said, release=state.previous, rolled_back=True)


def _started(layout: Layout, name: str) -> str:
    """Start the release. Nothing when the release works, else why not."""
    try:
        if not name:
            service.stop()
            return ""
        service.restart()
        return service.wait_until_healthy(layout.release(name).health)
    except EdgekitError as exc:
        return exc.message


def _ensure_trusted(layout: Layout, artifact: Artifact, state: State) -> None:
    """Where the board trusts keys, one of them signed this artifact, and no release of it that is newer was accepted before."""
    if not layout.trusts_keys():
        return
    signed = ensure_signed(artifact, public_keys((layout.trusted,)))
    newest = state.accepted.get(signed.name)
    if newest is not None and signed.release < newest:
        raise GateFailed(
            f"{signed.name!r} is release {signed.release}, older than {newest}, which was here already",
            "sign it again to bring an old model back, or use edgekit rollback",
        )


def _accepted(layout: Layout, name: str, state: State) -> Mapping[str, int]:
    """The newest release numbers, that of a release that works included: only what worked keeps older ones out."""
    if not layout.trusts_keys():
        return state.accepted
    try:
        signed = ensure_signed(artifacts.read(layout.releases / name / "artifact"), public_keys((layout.trusted,)))
    except GateFailed:  # the keys were changed between the switch and now: it counts for nothing, and still runs
        return state.accepted
    return {**state.accepted, signed.name: max(signed.release, state.accepted.get(signed.name, 0))}


def _ensure_holds(artifact: Artifact) -> None:
    """The artifact answers on this very board as its source did. This also builds a TensorRT engine before anything is switched."""
    from edgekit.verify import verify

    verdict = verify(artifact.path)
    if not verdict.ok:
        parity = verdict.parity
        said = f"parity {parity.value:g}, limit {parity.tolerance:g}" if parity else "; ".join(verdict.notes)
        raise GateFailed(f"{artifact.manifest.name!r} does not hold on this board: {said}", "convert it for this board")


def ensure_local(url: str) -> None:
    """What is asked how the app does is the board itself, and nobody else on its network. Raises `InputError`."""
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or parts.hostname not in ("127.0.0.1", "::1", "localhost")):
        raise InputError(f"a health check asks the board itself, not {url!r}", "--health http://127.0.0.1:8080/health")


def _signer(layout: Layout, artifact: Artifact) -> str:
    if not (artifact.path / SIGNATURE).is_file():
        return ""
    try:
        return ensure_signed(artifact, public_keys((layout.trusted,))).key_id
    except EdgekitError:
        return "unknown"


@cache
def _device() -> str:
    """The board's profile, by its device tree; nothing when no profile knows it."""
    found = recognise(devices(), compatible())
    return found.name if found else ""


def main(arguments: list[str] | None = None) -> int:
    """Carry out one verb under the board's lock. An `EdgekitError` is an answer, too: `{"error", "hint"}` and its exit code."""
    parser = argparse.ArgumentParser(prog="python -m edgekit.deploy.board")
    parser.add_argument("verb", choices=("offer", "put", "deploy", "rollback", "settle", "status"))
    parser.add_argument("--root", type=Path, default=Layout().root)
    parser.add_argument("--sha256", default="")
    parser.add_argument("--offset", type=int, default=0)
    args = parser.parse_args(arguments)
    try:
        answer = _carried_out(args, Layout(args.root))
    except EdgekitError as exc:
        answer, code = {"error": exc.message, "hint": exc.hint}, exc.exit_code
    except (OSError, msgspec.DecodeError) as exc:
        answer, code = {"error": f"the board could not do it: {exc}", "hint": "edgekit status"}, DeviceError.exit_code
    else:
        code = 0
    sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
    return code


def _carried_out(args: argparse.Namespace, layout: Layout) -> Any:
    if args.verb == "status":
        return status(layout)
    with layout.locked():
        if args.verb == "put":
            put(layout, args.sha256, args.offset, sys.stdin.buffer)
            return Answer(ok=True, message="stored")
        if args.verb == "settle":
            return settle(layout)
        order = sys.stdin.buffer.read()
        if args.verb == "rollback":
            return rollback(layout, msgspec.json.decode(order, type=Going).to)
        proposal = msgspec.json.decode(order, type=Proposal)
        return offer(layout, proposal) if args.verb == "offer" else deploy(layout, proposal)


if __name__ == "__main__":
    raise SystemExit(main())
