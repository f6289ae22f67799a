"""`edgekit doctor`: this machine, what runs here, why the rest does not, and what to do about it."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from edgekit.console import emit
from edgekit.core.columns import aligned

if TYPE_CHECKING:
    from edgekit.doctor import Diagnosis
    from edgekit.doctor.checks import Check
    from edgekit.doctor.diagnosis import RuntimeStatus

HELP = "this machine: what it is, which runtimes work here, what to fix and how"


def configure(parser: argparse.ArgumentParser) -> None:
    """`edgekit doctor` has no options of its own."""


def run(args: argparse.Namespace) -> int:
    """Examine this machine. Ends with 0 whatever is found: the findings are the result."""
    import msgspec

    from edgekit.doctor import diagnose

    found = diagnose()
    emit(args, msgspec.to_builtins(found), page(found))
    return 0


def page(found: Diagnosis) -> str:
    """The findings for a person."""
    fixes = list(_to_fix(found))
    lines = ["This machine", *_indented(aligned(_about(found)))]
    lines += ["", "Runtimes", *_indented(aligned([_runtime(runtime) for runtime in found.runtimes]))]
    lines += ["", "Checks", *_indented(aligned([_check(check) for check in found.checks]))]
    if not fixes:
        return "\n".join([*lines, "", "Nothing to fix."])
    return "\n".join([*lines, "", "To fix", *_indented(aligned(fixes))])


def _about(found: Diagnosis) -> Iterator[tuple[str, str]]:
    from edgekit.core.facts import shown

    machine = found.machine
    if machine.board.model:
        yield "board", machine.board.model
    yield "target", f"{' or '.join(found.profiles)}  (edgekit convert MODEL --target {found.profiles[-1]})"
    features = f" ({', '.join(machine.cpu.features)})" if machine.cpu.features else ""
    yield "processor", f"{machine.cpu.model or 'unknown'}{features}"
    yield "cores", str(machine.cpu.cores or "unknown")
    memory = machine.memory
    swap = f", and {shown('memory_bytes', memory.swap_bytes)} swap" if memory.swap_bytes else ""
    yield "memory", f"{shown('memory_bytes', memory.total_bytes)}{swap}" if memory.total_bytes else "unknown"
    kernel = f"Linux {machine.kernel}" if machine.kernel else ""
    yield "system", ", ".join(part for part in (machine.os, kernel, machine.arch) if part)
    yield "python", machine.python


def _runtime(runtime: RuntimeStatus) -> tuple[str, str, str]:
    if runtime.ok:
        return runtime.name, "ok", runtime.version
    return runtime.name, "no", runtime.reason if runtime.wanted else f"{runtime.reason} (not needed for this target)"


def _check(check: Check) -> tuple[str, str, str]:
    return check.name, "ok" if check.ok else "fix", check.detail + (f" ({check.hint})" if check.ok and check.hint else "")


def _to_fix(found: Diagnosis) -> Iterator[tuple[str, str]]:
    """One line a remedy: of the runtimes this machine's profile wants, and of the checks that failed."""
    wrong = [(runtime.name, runtime.hint or runtime.reason) for runtime in found.runtimes if runtime.wanted and not runtime.ok]
    wrong += [(check.name, check.hint) for check in found.checks if not check.ok]
    for remedy in dict.fromkeys(hint for _, hint in wrong):
        yield ", ".join(name for name, hint in wrong if hint == remedy), remedy


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"  {line}" if line else "" for line in lines]
