"""From one release to another and back: written down before it is made, judged by whether it works, ended by whoever comes next."""

from __future__ import annotations

import msgspec

from edgekit import artifact as artifacts
from edgekit.core.errors import ArtifactError, DeviceError, EdgekitError, GateFailed, InputError
from edgekit.core.schema import Artifact
from edgekit.deploy.board import service
from edgekit.deploy.board.layout import Layout
from edgekit.deploy.board.trust import accepted, ensure_still_trusted, ensure_trusted
from edgekit.deploy.nouns import Answer, Proposal, State


def deploy(layout: Layout, proposal: Proposal) -> Answer:
    """Make the release out of what was uploaded, prove it, switch to it, and back when it does not show that it works.

    Raises `GateFailed` for a release that is not signed, older, or does not hold here, before anything is switched.
    """
    settle(layout)
    service.ensure_local(proposal.release.health.url)
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
    ensure_trusted(layout, artifact, state)
    _ensure_holds(artifact)
    return _switched(layout, name, before)


def rollback(layout: Layout, to: str = "") -> Answer:
    """Back to the release before, or to one by name. Raises `InputError` when there is none, `GateFailed` for one that nobody
    who is trusted here signed; older than others it may be."""
    settle(layout)
    before = layout.running()
    name = to or layout.state().previous
    if not name or name not in layout.known():
        raise InputError(f"there is no release {name or 'before this one'} to go back to", "edgekit status lists them")
    ensure_still_trusted(layout, name)
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


def _read(layout: Layout, name: str, proposal: Proposal) -> Artifact:
    """The release's artifact. Files that went bad on this disk are dropped, so that the next try uploads them anew."""
    try:
        return artifacts.read(layout.releases / name / "artifact")
    except ArtifactError as exc:
        bad = [part.name for part in proposal.parts if layout.drop_if_damaged(part)]
        if not bad:
            raise
        raise DeviceError(f"went bad on the board's disk and was dropped: {', '.join(bad)}", "deploy again") from exc


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
        layout.save(msgspec.structs.replace(state, pending="", earlier="", accepted=accepted(layout, name, state)))
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


def _ensure_holds(artifact: Artifact) -> None:
    """The artifact answers on this very board as its source did. This also builds a TensorRT engine before anything is switched."""
    from edgekit.verify import verify

    verdict = verify(artifact.path)
    if not verdict.ok:
        parity = verdict.parity
        said = f"parity {parity.value:g}, limit {parity.tolerance:g}" if parity else "; ".join(verdict.notes)
        raise GateFailed(f"{artifact.manifest.name!r} does not hold on this board: {said}", "convert it for this board")
