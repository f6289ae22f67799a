"""`edgekit verify`: hash, parity and accuracy of an artifact, again."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.commands._arguments import percentage

if TYPE_CHECKING:
    from edgekit.verify import SignatureCheck, Verdict

HELP = "check an artifact's hashes, its parity with the source model, and its accuracy"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options, as CLI.md promises them."""
    parser.add_argument("artifact", metavar="ARTIFACT", type=Path, help="a folder that 'edgekit convert' wrote")
    parser.add_argument(
        "--against", metavar="MODEL", type=Path, help="the source model (default: its answers recorded in the artifact)"
    )
    parser.add_argument("--evaluate", metavar="DATA", type=Path, help="data to judge on: pictures, COCO JSON, idx, CSV, .npz")
    parser.add_argument("--max-drop", metavar="N%", type=percentage, help="largest accepted loss of accuracy, in points")
    parser.add_argument("--runtime", default="auto", help="runtime to check in (default: the artifact's first that works here)")
    parser.add_argument(
        "--key",
        metavar="PUB",
        type=Path,
        action="append",
        default=[],
        help="a public key, or a folder of them: one of these must have signed the artifact",
    )


def run(args: argparse.Namespace) -> int:
    """0 when everything that was checked holds, 4 when not."""
    import msgspec

    from edgekit.console import emit, note, progress_on_stderr
    from edgekit.core.errors import GateFailed
    from edgekit.signing.sign import public_keys
    from edgekit.verify import verify

    verdict = verify(
        args.artifact,
        against=args.against,
        labelled=args.evaluate,
        max_drop=args.max_drop,
        runtime=args.runtime,
        keys=public_keys(args.key) if args.key else (),
        progress=progress_on_stderr(),
    )
    emit(args, msgspec.to_builtins(verdict), as_text(verdict))
    if not verdict.ok:
        note(f"error: {verdict.path!r} does not hold\n  try: convert the model again, or copy the artifact again")
    return 0 if verdict.ok else GateFailed.exit_code


def as_text(verdict: Verdict) -> str:
    """One line per check."""
    lines = [f"hashes    {'ok' if verdict.hash_ok else 'DAMAGED'}"]
    if verdict.signature is not None:
        lines.append(f"signature {_vouched(verdict.signature)}")
    if verdict.parity is not None:
        p = verdict.parity
        lines.append(
            f"parity    {'ok' if p.ok else 'MISSED'}  {p.metric} {p.value:g} (limit {p.tolerance:g}) on {p.samples} samples"
        )
    if verdict.accuracy is not None:
        a = verdict.accuracy
        lines.append(
            f"accuracy  {'ok' if a.ok else 'MISSED'}  {a.metric} {a.source:.4f} -> {a.artifact:.4f} on {a.samples} samples"
        )
    lines += [f"note: {text}" for text in verdict.notes]
    return "\n".join(lines)


def _vouched(check: SignatureCheck) -> str:
    if check.signed is None:
        return f"REFUSED  {check.reason}"
    return f"ok  key {check.signed.key_id}, release {check.signed.release} of {check.signed.name}"
