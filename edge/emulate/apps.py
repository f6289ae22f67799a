"""An app asked about one picture, on the emulated board and on this machine: the answers must be the same, but for times."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from edgekit.core import process
from edgekit.core.errors import EdgekitError
from edgekit.emulate import qemu
from edgekit.emulate.gate import TIMEOUT_S, Check
from edgekit.emulate.limits import Limits, prefix
from edgekit.emulate.qemu import Guest

DECIMALS = 4
"""Of scores and boxes; the gates compare what the engines answer more closely."""
UNTOLD = ("runtimes", "timings", "fps", "stages_ms")


def app_check(guest: Guest, limits: Limits, app: str, artifact: Path, picture: Path) -> Check:
    """Run `edgekit run APP --image PICTURE` on both. Raises `EdgekitError` when it does not work on this machine."""
    words = ["-m", "edgekit", "run", app, "--artifact", str(artifact.resolve()), "--image", str(picture.resolve()), "--json"]
    here = answer([sys.executable, *words])
    name = f"app {app} on {picture.name}"
    try:
        there = answer([*prefix(limits), *qemu.command(guest, words)])
    except EdgekitError as exc:
        return Check(name=name, ok=False, said=f"on {guest.core.model}: {exc.message}")
    if here != there:
        return Check(name=name, ok=False, said=f"answers {str(there)[:200]}, this machine {str(here)[:200]}")
    return Check(name=name, ok=True, said=f"answers as on this machine: {here.get('number', '')!s}".rstrip(": "))


def answer(command: Sequence[str]) -> dict[str, Any]:
    """What an app answers in JSON, without times. Raises `EdgekitError` when it fails."""
    said = process.run(command, timeout_s=TIMEOUT_S).stdout
    try:
        found: dict[str, Any] = untimed(msgspec.json.decode(said, type=dict[str, Any]))
    except msgspec.DecodeError as exc:
        raise EdgekitError(f"the app answered with something else: {said[:80]!r}") from exc
    return found


def untimed(value: Any) -> Any:
    """The same value without times and with floats rounded."""
    if isinstance(value, dict):
        return {key: untimed(held) for key, held in value.items() if not key.endswith("_ms") and key not in UNTOLD}
    if isinstance(value, list):
        return [untimed(each) for each in value]
    return round(value, DECIMALS) if isinstance(value, float) else value
