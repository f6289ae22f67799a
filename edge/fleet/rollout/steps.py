"""A rollout's next step, as a function of what is known: who has the order, what became of it there, and what that means.

Nothing here talks to anybody, so that two operators who know the same decide the same.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

import msgspec

from edgekit.core.errors import UsageError
from edgekit.core.files import sha256_bytes
from edgekit.fleet.nouns import Gate, Plan, Report, Rollout
from edgekit.fleet.trust.seal import digest

SHOWN = 5
"""Names of boards in a sentence; the rest is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The boards that have the order so far, by what became of it."""

    ok: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
    working: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()


def ranked(rollout: Rollout, devices: Sequence[str]) -> list[str]:
    """All boards in the order in which this rollout reaches them: as good as random, and the same for everybody who asks."""
    return sorted(devices, key=lambda device: sha256_bytes(f"{rollout.group}/{rollout.serial}/{device}".encode()))


def reached(rollout: Rollout, devices: Sequence[str]) -> list[str]:
    """The boards of the waves until now; one at least."""
    share = rollout.plan.waves[rollout.wave]
    return ranked(rollout, devices)[: math.ceil(round(share * len(devices), 9))]


def standing(
    rollout: Rollout, devices: Sequence[str], reports: Mapping[str, Report], heard: Set[str], *, gated: bool = True
) -> Standing:
    """What became of the order. `heard` are the boards that said anything since the wave began; gates are asked when `gated`."""
    ok, failed, working, silent = list[str](), dict[str, str](), list[str](), list[str]()
    for device in devices:
        report = reports.get(device)
        if why := _failure(rollout, device, report, gated):
            failed[device] = why
        elif report is not None and (report.order, report.verdict) == (rollout.serial, "ok"):
            ok.append(device)
        else:
            (working if device in heard else silent).append(device)
    return Standing(ok=tuple(ok), failed=failed, working=tuple(working), silent=tuple(silent))


def _failure(rollout: Rollout, device: str, report: Report | None, gated: bool) -> str:
    """Why the order did not work on a board; nothing when it did, or nobody knows yet. One that failed stays so."""
    said = report.message if report else ""
    if device in rollout.failed:
        return said or "failed"
    if report is None:
        return ""
    if report.refused and report.refused == digest(rollout.order):
        return said
    if report.order != rollout.serial or not report.verdict:
        return ""
    if report.verdict != "ok":
        return said or report.verdict
    return "; ".join(filter(None, (missed(gate, report) for gate in rollout.plan.gates if gated)))


def step(rollout: Rollout, now: Standing, *, reached: int, soaked: bool, absent: bool, late: bool) -> Rollout:
    """The running rollout after one look: unchanged while there is something to wait for."""
    failed = {**now.failed, **(dict.fromkeys(now.working, "did not answer in time") if late else {})}
    allowed = math.floor(rollout.plan.max_failed * reached + 1e-9)
    if len(failed) > allowed:
        said = f"{len(failed)} of {reached} boards failed, {allowed} may: {listed(failed)}"
        return _halted(rollout, failed, said)
    if not set(failed) <= set(rollout.failed):
        return msgspec.structs.replace(rollout, failed=tuple(sorted({*rollout.failed, *failed})))
    if (now.working and not late) or (now.silent and not absent):
        return rollout
    if not now.ok:
        return _halted(rollout, failed, "no board of the wave was heard")
    if not soaked:
        return rollout
    if rollout.wave + 1 < len(rollout.plan.waves):
        return msgspec.structs.replace(rollout, wave=rollout.wave + 1)
    return msgspec.structs.replace(rollout, phase="finishing")


def _halted(rollout: Rollout, failed: Mapping[str, str], why: str) -> Rollout:
    return msgspec.structs.replace(rollout, phase="returning", failed=tuple(sorted(failed)), reason=f"halted: {why}")


def missed(gate: Gate, report: Report) -> str:
    """Why a board's readings do not hold the gate; nothing when they do. A reading that is not there holds none."""
    found = report.metrics.get(gate.metric)
    before = report.before.get(gate.metric)
    if found is None or (gate.relative and before is None):
        return f"{gate.metric} was not measured" + ("" if found is None else " before")
    limit = gate.limit * before if gate.relative and before is not None else gate.limit
    holds = found <= limit if gate.most else found >= limit
    return "" if holds else f"{gate.metric} is {found:g}, {'at most' if gate.most else 'at least'} {limit:g} was asked"


def gate(text: str) -> Gate:
    """`latency_ms<=1.2x`, `fps>=20`. Raises `UsageError`."""
    found = re.fullmatch(r"\s*([A-Za-z_][A-Za-z0-9_:]*)\s*(<=|>=)\s*(\d+(?:\.\d+)?)(x?)\s*", text)
    if found is None:
        raise UsageError(f"{text!r} is not a gate", "METRIC<=NUMBER or METRIC>=NUMBER; with an x, times what it was before")
    return Gate(metric=found[1], most=found[2] == "<=", limit=float(found[3]), relative=bool(found[4]))


def checked(plan: Plan) -> Plan:
    """`plan` itself. Raises `UsageError` for waves that do not grow to the whole."""
    waves = plan.waves
    if not waves or waves[-1] != 1.0 or waves[0] <= 0 or not all(map(operator.lt, waves, waves[1:])):
        raise UsageError(
            f"waves grow to 100 %, these are {', '.join(f'{wave:.4g}' for wave in waves)}", "--waves 1%,10%,50%,100%"
        )
    return plan


def listed(failed: Mapping[str, str]) -> str:
    """`cam-7 (does not stay up), cam-9 (…) and 3 more`."""
    named = [f"{device} ({why})" for device, why in sorted(failed.items())]
    more = len(named) - SHOWN
    return ", ".join(named[:SHOWN]) + (f" and {more} more" if more > 0 else "")
