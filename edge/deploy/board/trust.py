"""Whom the board believes: artifacts that a key signed which lies in its folder, and none older than it accepted before."""

from __future__ import annotations

from collections.abc import Mapping

from edgekit import artifact as artifacts
from edgekit.core.errors import EdgekitError, GateFailed
from edgekit.core.schema import Artifact
from edgekit.deploy.board.layout import Layout
from edgekit.deploy.nouns import State
from edgekit.signing.sign import SIGNATURE, ensure_signed, public_keys


def ensure_trusted(layout: Layout, artifact: Artifact, state: State) -> None:
    """Where the board trusts keys, one of them signed this artifact, and no release of it that is newer was accepted before or runs.

    What runs counts by itself: a `state.json` that was lost or damaged must not let older releases in.
    """
    if not layout.trusts_keys():
        return
    signed = ensure_signed(artifact, public_keys((layout.trusted,)))
    newest = _with_what_runs(layout, state).get(signed.name)
    if newest is not None and signed.release < newest:
        raise GateFailed(
            f"{signed.name!r} is release {signed.release}, older than {newest}, which was here already",
            "sign it again to bring an old model back, or use edgekit rollback",
        )


def _with_what_runs(layout: Layout, state: State) -> Mapping[str, int]:
    try:
        return accepted(layout, layout.running(), state) if layout.running() else state.accepted
    except EdgekitError:  # it went bad on the card: what replaces it is not held up by that
        return state.accepted


def accepted(layout: Layout, name: str, state: State) -> Mapping[str, int]:
    """The newest release numbers, that of a release that works included: only what worked keeps older ones out."""
    if not layout.trusts_keys():
        return state.accepted
    try:
        signed = ensure_signed(artifacts.read(layout.releases / name / "artifact"), public_keys((layout.trusted,)))
    except GateFailed:  # the keys were changed between the switch and now: it counts for nothing, and still runs
        return state.accepted
    return {**state.accepted, signed.name: max(signed.release, state.accepted.get(signed.name, 0))}


def ensure_still_trusted(layout: Layout, name: str) -> None:
    """Where the board trusts keys, one of them signed this release; older than others it may be. Raises `GateFailed`."""
    if layout.trusts_keys():
        ensure_signed(artifacts.read(layout.releases / name / "artifact"), public_keys((layout.trusted,)))


def signer(layout: Layout, artifact: Artifact) -> str:
    """The id of the key that signed it; nothing without a signature, `unknown` for one that is not trusted here."""
    if not (artifact.path / SIGNATURE).is_file():
        return ""
    try:
        return ensure_signed(artifact, public_keys((layout.trusted,))).key_id
    except EdgekitError:
        return "unknown"
