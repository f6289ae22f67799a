"""The whole examination: read the machine, recognise it, ask every runtime, run every check."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgekit.core import profiles
from edgekit.core.schema import Device, Value
from edgekit.doctor.checks import CHECKS, Check
from edgekit.doctor.machine import Machine, Place, read_machine
from edgekit.doctor.probing import LANGUAGE, probe_apart, probe_here
from edgekit.runtimes import registry

REMEDIES = {
    "edgetpu": 'pip install --force-reinstall "edgekit[litert]"',
    "litert": 'pip install --force-reinstall "edgekit[litert]"',
    "llama_cpp": 'pip install --force-reinstall "edgekit[llama]"',
    "mediapipe": 'pip install --force-reinstall "edgekit[mediapipe]"',
    "onnxruntime": 'pip install --force-reinstall "edgekit[onnx]"',
    "opencv": 'pip install --force-reinstall "edgekit[opencv]"',
    "tensorrt": "sudo apt install python3-libnvinfer, then in its place: python3 -m venv --system-site-packages .venv",
    "xllamacpp": 'pip install --force-reinstall "edgekit[llm]"',
}
"""For runtimes whose own hint is to ask the doctor."""


class RuntimeStatus(Value, frozen=True, kw_only=True, omit_defaults=False):
    """What one runtime says of itself here. `wanted`: the profile of this machine names it."""

    name: str
    ok: bool
    version: str = ""
    reason: str = ""
    hint: str = ""
    wanted: bool = False


class Diagnosis(Value, frozen=True, kw_only=True, omit_defaults=False):
    """What `edgekit doctor` says. `profiles` are the targets this machine can be converted for, itself first."""

    machine: Machine
    profiles: tuple[str, ...]
    runtimes: tuple[RuntimeStatus, ...]
    checks: tuple[Check, ...]


def diagnose(place: Place | None = None) -> Diagnosis:
    """Examine this machine, or the recorded one in `place`. Raises only for a broken hardware profile."""
    place = place or Place()
    machine = read_machine(place)
    known = profiles.devices()
    devices = _recognised(machine, known)
    return Diagnosis(
        machine=machine,
        profiles=tuple(device.name for device in devices),
        runtimes=tuple(_asked({engine.runtime for device in devices for engine in device.engines}, apart=place.here)),
        checks=tuple(check for look in CHECKS if (check := look(machine, devices[0])) is not None),
    )


def _recognised(machine: Machine, known: Sequence[Device]) -> tuple[Device, ...]:
    """The board itself (or `host`), then the accelerators plugged into it."""
    by_name = {device.name: device for device in known}
    board = profiles.recognise(known, machine.board.compatible) or by_name["host"]
    plugged = {"usb": "coral-usb", "pci": "coral-m2"}
    extra = dict.fromkeys(plugged[coral.bus] for coral in machine.corals if board.family != "coral")
    return (board, *(by_name[name] for name in extra if name in by_name))


def _asked(wanted: set[str], *, apart: bool) -> Iterator[RuntimeStatus]:
    """Every runtime's own word, with a remedy that does not lead back here."""
    names = (*registry.names(), *LANGUAGE)
    for name, probe in (probe_apart(names) if apart else probe_here(names)).items():
        yield RuntimeStatus(
            name=name,
            ok=probe.ok,
            version=probe.version,
            reason=probe.reason,
            hint=remedy(name, probe.hint),
            wanted=name in wanted,
        )


def remedy(runtime: str, hint: str) -> str:
    """What a runtime advises, or what to do when that is to ask the doctor."""
    if "edgekit doctor" not in hint:
        return hint
    return REMEDIES.get(runtime, f"pip install --force-reinstall the package that brings the runtime {runtime!r}")
