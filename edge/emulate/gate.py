"""The two gates: do the board's own wheels run on its core (ISA), and do they answer what this machine answers (parity)."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from edgekit.core import process
from edgekit.core.errors import EdgekitError
from edgekit.core.schema import Artifact, Precision
from edgekit.emulate import qemu
from edgekit.emulate.inside import Job, Said, Work
from edgekit.emulate.limits import Limits, prefix
from edgekit.emulate.qemu import Guest
from edgekit.parity import Feed, Golden, golden_bytes, read_golden, synthetic_samples

TIMEOUT_S = 900.0
MODULES: Mapping[str, tuple[str, ...]] = {
    "onnxruntime": ("numpy", "onnxruntime"),
    "litert": ("numpy", "ai_edge_litert.interpreter"),
}
"""What each engine imports."""
TOLERANCES: Mapping[Precision, float] = {"int8": 0.0, "int16x8": 0.0, "fp32": 1e-6, "fp16": 1e-3}
"""Largest difference from this machine's answer, relative to the answer's largest magnitude; 0: every bit is the same."""
OTHERWISE = 1e-2
"""Where integers and floats are mixed a last bit of a float can move an integer by one."""
FEWEST_VALUES = 8
"""Different values an answer must have over all inputs: what hardly varies would agree on any processor."""
_DEATHS = {4: "met an instruction that this core does not have (SIGILL)", 6: "gave up (SIGABRT)", 7: "crashed (SIGBUS)"}
_DEATHS |= {9: "was killed (SIGKILL)", 11: "crashed (SIGSEGV)"}
_NO_MEMORY = ("MemoryError", "bad_alloc", "Cannot allocate memory", "Unable to allocate", "failed to allocate", "out of memory")


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was checked, and what was found."""

    name: str
    ok: bool
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What a process said: its steps, how it ended, and the last thing on its stderr."""

    steps: tuple[Said, ...]
    status: int
    last: str = ""

    @property
    def versions(self) -> dict[str, str]:
        return {one.step.removeprefix("import "): one.version for one in self.steps if one.version}

    @property
    def peak_bytes(self) -> int:
        return max((one.peak_bytes for one in self.steps), default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An artifact with the engine that runs it and the inputs it is asked."""

    artifact: Artifact
    runtime: str
    feeds: tuple[Feed, ...]

    @property
    def name(self) -> str:
        return f"{self.artifact.path.name} on {self.runtime}"


def asked(artifact: Artifact, runtime: str) -> Asked:
    """The artifact's recorded inputs, and seeded ones beside them: two recorded ones may well get the same answer."""
    inputs = tuple(port.source for port in artifact.manifest.inputs)
    recorded = read_golden(artifact.file("golden")).feeds if artifact.manifest.file("golden") else ()
    return Asked(
        artifact=artifact, runtime=runtime, feeds=(*recorded, *synthetic_samples(inputs, artifact.manifest.preprocess))
    )


def runtimes_for(artifact: Artifact) -> tuple[str, ...]:
    """The engine on a processor that runs the artifact; an accelerator's file runs, uncompiled, in the engine it was verified in."""
    able = {"tflite": "litert", "edgetpu": "litert", "onnx": "onnxruntime", "tensorrt": "onnxruntime"}
    found = able.get(artifact.manifest.target.format)
    return (found,) if found else ()


def gates(guest: Guest, limits: Limits, questions: Sequence[Asked]) -> tuple[tuple[Check, ...], Heard]:
    """Import and run everything on the emulated core, and on this machine, and compare. The checks, and what the guest said."""
    modules = tuple(dict.fromkeys(name for engine in _engines(questions) for name in MODULES[engine]))
    with tempfile.TemporaryDirectory(prefix="edgekit-emulate-") as scratch:
        folder = Path(scratch)
        there = _job(folder, "there", questions, modules)
        here = _job(folder, "here", questions, ())
        heard = hear([*prefix(limits), *qemu.command(guest, ["-m", "edgekit.emulate.inside"])], there)
        checks = isa_checks(heard, there, guest, limits)
        answered = [work for work, done in zip(there.work, _done(heard, there), strict=True) if done]
        if answered:
            hear_here(here)
        compared = [
            parity_check(question, read_golden(Path(mine.answers)).answers, read_golden(Path(theirs.answers)).answers)
            for question, mine, theirs in zip(questions, here.work, there.work, strict=True)
            if theirs in answered
        ]
    return (*checks, *compared), heard


def hear(command: Sequence[str], job: Job) -> Heard:
    """Run a job in a process, however that ends."""
    text = msgspec.json.encode(job).decode()
    done = process.run(command, timeout_s=TIMEOUT_S, stdin=text, exits=range(-64, 256))
    steps = [line for line in done.stdout.splitlines() if line.startswith("{")]
    said = tuple(msgspec.json.decode(line, type=Said) for line in steps)
    return Heard(steps=said, status=done.status, last=(done.stderr.strip().splitlines() or [""])[-1])


def hear_here(job: Job) -> Heard:
    """The same on this machine. Raises `EdgekitError` when it does not work even here."""
    heard = hear([sys.executable, "-m", "edgekit.emulate.inside"], job)
    wrong = next((one for one in heard.steps if one.error), None)
    if wrong is not None or heard.status:
        said = f"{wrong.step}: {wrong.error}" if wrong else heard.last
        raise EdgekitError(f"this machine cannot be compared with: {said}", "edgekit doctor")
    return heard


def isa_checks(heard: Heard, job: Job, guest: Guest, limits: Limits) -> tuple[Check, ...]:
    """A check for every module and artifact: it ran, or the step it died in and how."""
    ended = {one.step: one for one in heard.steps if one.done}
    checks = []
    for step in steps_of(job):
        done = ended.get(step)
        if done is not None and not done.error:
            checks.append(Check(name=step, ok=True, said=done.version or "runs"))
        elif done is not None:
            checks.append(Check(name=step, ok=False, said=_with_limit(done.error, limits)))
        else:
            checks.append(Check(name=step, ok=False, said=_with_limit(_death(heard, guest), limits)))
            break
    return tuple(checks)


def steps_of(job: Job) -> tuple[str, ...]:
    """The steps of a job by the names the process says."""
    run = (f"run {Path(work.artifact).name} on {work.runtime}" for work in job.work)
    return (*(f"import {name}" for name in job.modules), *run)


def parity_check(question: Asked, here: Sequence[Feed], there: Sequence[Feed]) -> Check:
    """Compare all answers. What hardly varies is no proof, and fails."""
    precision = question.artifact.manifest.target.precision
    tolerance = TOLERANCES.get(precision, OTHERWISE)
    values = {name: _distinct(here, name) for name in here[0]}
    worst = max(values, key=lambda name: _difference(here, there, name))
    found = _difference(here, there, worst)
    said = f"{len(here)} inputs, up to {max(values.values())} different values"
    name = f"parity of {question.name}"
    if max(values.values()) < FEWEST_VALUES:
        return Check(name=name, ok=False, said=f"{said}: the answers hardly vary, so that they agree proves nothing")
    if found == 0:
        return Check(name=name, ok=True, said=f"every bit as on this machine ({said})")
    wanted = "every bit" if tolerance == 0 else f"{tolerance:g}"
    return Check(
        name=name,
        ok=found <= tolerance,
        said=f"differs by {found:.3g} of the largest magnitude at {worst!r}, wanted {wanted} ({said})",
    )


def _difference(here: Sequence[Feed], there: Sequence[Feed], name: str) -> float:
    """The largest difference over all inputs, relative to the largest magnitude; infinite where one is not a number."""
    ours, theirs = (np.concatenate([np.asarray(feed[name], np.float64).ravel() for feed in side]) for side in (here, there))
    if ours.shape != theirs.shape or not np.array_equal(np.isfinite(ours), np.isfinite(theirs)):
        return float("inf")
    finite = np.isfinite(ours)
    if not finite.any():
        return 0.0
    largest = float(np.abs(ours[finite]).max()) or 1.0
    return float(np.abs(ours[finite] - theirs[finite]).max()) / largest


def _distinct(answers: Sequence[Feed], name: str) -> int:
    return int(np.unique(np.concatenate([np.asarray(feed[name]).ravel() for feed in answers])).size)


def _engines(questions: Sequence[Asked]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(question.runtime for question in questions))


def _job(folder: Path, side: str, questions: Sequence[Asked], modules: tuple[str, ...]) -> Job:
    work = []
    for number, question in enumerate(questions):
        feeds, answers = folder / f"{number}-feeds.npz", folder / f"{number}-{side}.npz"
        if not feeds.is_file():
            feeds.write_bytes(golden_bytes(Golden(feeds=question.feeds, answers=question.feeds), limit=len(question.feeds)))
        artifact = question.artifact.path.resolve()
        work.append(Work(artifact=str(artifact), runtime=question.runtime, feeds=str(feeds), answers=str(answers)))
    return Job(modules=modules, work=tuple(work))


def _done(heard: Heard, job: Job) -> list[bool]:
    fine = {one.step for one in heard.steps if one.done and not one.error}
    return [step in fine for step in steps_of(job)[len(job.modules) :]]


def _death(heard: Heard, guest: Guest) -> str:
    how = _DEATHS.get(-heard.status, process.ending(heard.status))
    return f"on {guest.core.model} it {how}" + (f": {heard.last}" if heard.last else "")


def _with_limit(said: str, limits: Limits) -> str:
    """A program that got no memory is told how much the board has."""
    if limits.memory_bytes is not None and any(sign in said for sign in _NO_MEMORY):
        return f"needs more than the board's {limits.memory_bytes >> 20} MiB of memory: {said}"
    return said
