"""The gates on a real emulated core: what runs, what dies in an instruction the core lacks, what needs too much memory, what differs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgekit import artifact as artifacts
from edgekit.cli import main
from edgekit.core import profiles
from edgekit.core.schema import Artifact
from edgekit.emulate import qemu
from edgekit.emulate.cores import core_of
from edgekit.emulate.gate import Asked, asked, gates, hear, isa_checks, parity_check
from edgekit.emulate.inside import Job
from edgekit.emulate.limits import Limits, limits_of, prefix
from edgekit.emulate.qemu import Guest
from edgekit.models import digits

ROOMY = Limits(memory_bytes=None, cores=None, storage_bytes=1 << 40)
DOT_PRODUCT = '''
"""A package as one that was built for a newer core: it computes a dot product (SDOT, Armv8.2) when it is imported."""
import ctypes, mmap
code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(bytes.fromhex("0094804e c0035fd6"))  # sdot v0.4s, v0.16b, v0.16b; ret
ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
'''


def shipped(precision: str) -> Artifact:
    return artifacts.read(next(path for path in digits.artifacts() if path.name.endswith(precision)))


def with_package(guest: Guest, folder: Path) -> Guest:
    return replace(guest, packages=(folder, *guest.packages))


def test_the_boards_wheels_answer_as_this_machine_does(pi4: Guest) -> None:
    questions = [asked(shipped("int8"), "litert"), asked(shipped("fp32"), "onnxruntime")]
    checks, heard = gates(pi4, limits_of(profiles.find("rpi4")), questions)
    assert [check for check in checks if not check.ok] == [], heard.last
    said = {check.name: check.said for check in checks}
    assert "every bit" in said["parity of digits.rpi5.int8 on litert"]
    assert (
        "wanted 1e-06" in said["parity of digits.host.fp32 on onnxruntime"]
        or "every bit" in said["parity of digits.host.fp32 on onnxruntime"]
    )
    assert heard.versions["onnxruntime"]


def test_an_instruction_that_the_core_lacks_is_found_and_the_newer_core_passes(pi4: Guest, extra: Path) -> None:
    (extra / "needs_dot.py").write_text(DOT_PRODUCT)
    job = Job(modules=("math", "needs_dot", "json"), work=())
    old = with_package(pi4, extra)
    new = replace(old, core=core_of(profiles.find("rpi5")))
    inside = ["-m", "edgekit.emulate.inside"]
    fine, bad = isa_checks(hear(qemu.command(old, inside), job), job, old, ROOMY)
    assert fine.ok
    assert not bad.ok and bad.name == "import needs_dot" and "cortex-a72" in bad.said and "SIGILL" in bad.said
    assert all(check.ok for check in isa_checks(hear(qemu.command(new, inside), job), job, new, ROOMY))


def test_what_needs_more_memory_than_the_board_has_fails_here(pi4: Guest, extra: Path) -> None:
    (extra / "hungry.py").write_text("held = bytearray(400 << 20)\n")
    job = Job(modules=("hungry",), work=())
    guest = with_package(pi4, extra)
    small, large = (replace(ROOMY, memory_bytes=mib << 20) for mib in (256, 512))
    command = qemu.command(guest, ["-m", "edgekit.emulate.inside"])
    (refused,) = isa_checks(hear([*prefix(small), *command], job), job, guest, small)
    assert not refused.ok and "more than the board's 256 MiB" in refused.said
    (fits,) = isa_checks(hear([*prefix(large), *command], job), job, guest, large)
    assert fits.ok, fits.said


def test_the_command_reports_what_it_emulated_and_no_time(pi4: Guest, capsys: pytest.CaptureFixture[str]) -> None:
    int8 = next(str(path) for path in digits.artifacts() if path.name.endswith("int8"))
    assert main(["emulate", "--target", "rpi4", "--app", "digits", "--artifact", int8, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["boards"][0]["checks"][-1]["said"] == "answers as on this machine: 3141592653"
    assert said["kind"] == said["boards"][0]["kind"] == "emulated" and said["ok"]
    assert any("how fast" in each for each in said["cannot_tell"])
    assert "ms" not in set(json.dumps(said["boards"]).replace('"', " ").split()) and "fps" not in json.dumps(said).lower()


def question(precision: str) -> Asked:
    found = asked(shipped("int8"), "litert")
    target = msgspec.structs.replace(found.artifact.manifest.target, precision=precision)
    manifest = msgspec.structs.replace(found.artifact.manifest, target=target)
    return replace(found, artifact=msgspec.structs.replace(found.artifact, manifest=manifest))


ANSWERS = ({"out": np.linspace(-1, 1, 64, dtype=np.float32)},)


def moved(by: float) -> tuple[dict[str, np.ndarray], ...]:
    return ({"out": ANSWERS[0]["out"] + np.float32(by)},)


@pytest.mark.parametrize(
    ("precision", "by", "ok"),
    [
        ("int8", 0, True),
        ("int8", 1e-4, False),
        ("fp32", 5e-7, True),
        ("fp32", 1e-5, False),
        ("fp32", float("nan"), False),
        ("mixed", 1e-3, True),
    ],
)
def test_integers_must_agree_in_every_bit_and_floats_within_a_millionth(precision: str, by: float, ok: bool) -> None:
    assert parity_check(question(precision), ANSWERS, moved(by)).ok is ok


def test_answers_that_hardly_vary_prove_nothing() -> None:
    flat = ({"out": np.zeros(64, np.float32)},)
    check = parity_check(question("int8"), flat, flat)
    assert not check.ok and "hardly vary" in check.said
