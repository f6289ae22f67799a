"""What every runtime says of itself, asked in a process apart: a package for another processor ends that one, not the doctor."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from edgekit.core import process
from edgekit.core.errors import EdgekitError
from edgekit.runtimes import registry
from edgekit.runtimes.base import Probe
from edgekit.runtimes.language import registry as language

ASK = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from edgekit.doctor.probing import answer; answer(sys.argv[2], json.loads(sys.argv[3]))"
)
ASK_S = 180.0
LANGUAGE = ("llama_cpp", "xllamacpp")
"""The engines of language models that run on this machine."""
ILLEGAL = "SIGILL"
LINE = msgspec.json.Decoder(tuple[str, Probe])


def probe_apart(names: Sequence[str], ask: str = ASK) -> dict[str, Probe]:
    """Every runtime's probe. Where one ends the process, that is its answer, and the rest are asked in another process."""
    found: dict[str, Probe] = {}
    while left := [name for name in names if name not in found]:
        answers, end = _asked(left, ask)
        found |= answers
        if end is not None:
            culprit = next(name for name in left if name not in answers)
            found[culprit] = fatal(end)
    return found


def probe_here(names: Sequence[str]) -> dict[str, Probe]:
    """The same in this process, which whatever crashes would take along."""
    return {name: _probe(name) for name in names}


def answer(file: str, names: Sequence[str]) -> None:
    """In the process apart: one line a runtime, written as soon as it is known."""
    with Path(file).open("ab", buffering=0) as out:
        for name in names:
            out.write(msgspec.json.encode((name, _probe(name))) + b"\n")


def fatal(end: EdgekitError) -> Probe:
    """The probe of a runtime that ended its process."""
    reason = f"asking it ends the process: {end.message}"
    if ILLEGAL in end.message:
        reason += " (an instruction that this processor does not have)"
        return Probe(ok=False, reason=reason, hint="pip install an older version of it, or one built for this processor")
    return Probe(ok=False, reason=reason, hint="pip install --force-reinstall it, or another version")


def _asked(names: Sequence[str], ask: str) -> tuple[Mapping[str, Probe], EdgekitError | None]:
    """The answers that came, and how the process ended when it did not end well or answered too little."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "answers"
        file.touch()
        end: EdgekitError | None = None
        try:
            process.run(
                [sys.executable, "-I", "-c", ask, json.dumps(sys.path), str(file), json.dumps(list(names))], timeout_s=ASK_S
            )
        except EdgekitError as exc:
            end = exc
        answers = dict(LINE.decode(line) for line in file.read_bytes().splitlines() if line.endswith(b"]"))
    if end is None and len(answers) < len(names):
        end = EdgekitError("it stopped without a word")
    return answers, end if len(answers) < len(names) else None


def _probe(name: str) -> Probe:
    try:
        return (language.get(name) if name in LANGUAGE else registry.get(name)).probe()
    except EdgekitError as error:
        return Probe(ok=False, reason=error.message, hint=error.hint)
