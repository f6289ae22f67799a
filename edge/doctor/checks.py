"""What may stand in the way of running a network here: one function each, from what was read to a verdict and a remedy."""

from __future__ import annotations

import re
from collections.abc import Callable
from fnmatch import fnmatchcase

from edgekit.core.facts import MIB, number, shown
from edgekit.core.schema import Device, Value
from edgekit.doctor.coral import USB_FRESH
from edgekit.doctor.jetpack import release
from edgekit.doctor.machine import Machine
from edgekit.doctor.parts import HAILO

MEMORY_NEEDED = 200 * MIB
DISK_NEEDED = 1024 * MIB
THROTTLE_MARGIN_C = 5
USB3_MBPS = 5000
FLAGS = ("under-voltage", "clock capped", "throttled", "at the soft temperature limit")
GASKET_BREAKS = (6, 4)
"""The kernel from which on gasket-dkms 1.0-18 does not build: class_create has changed (google/gasket-driver issue 12)."""
VIRTUAL = ("linux,dummy-virt", "qemu,*", "linux,*virt*")


class Check(Value, frozen=True, kw_only=True, omit_defaults=False):
    """One thing that was looked at. `hint` is one command, or one thing to do."""

    name: str
    ok: bool
    detail: str
    hint: str = ""


def board(machine: Machine, device: Device) -> Check | None:
    """Is there a profile for this board?"""
    names = machine.board.compatible
    if not names or any(fnmatchcase(name, pattern) for name in names for pattern in VIRTUAL):
        return None
    if device.name != "host":
        return Check(name="board", ok=True, detail=f"recognised as {device.name}")
    hint = f'write ./hardware_profiles/NAME.yaml with matches: ["{names[0]}"], after the file that edgekit devices rpi5 names'
    return Check(name="board", ok=False, detail=f"no profile for {names[0]!r}: treated as 'host'", hint=hint)


def word_size(machine: Machine, device: Device) -> Check | None:
    """The runtimes exist for 64-bit systems only."""
    if machine.pointer_bits == 64 and machine.arch not in ("armv6l", "armv7l", "i686"):
        return None
    detail = f"a 32-bit system ({machine.arch}): the runtimes have no packages for it"
    return Check(name="64-bit", ok=False, detail=detail, hint="install the 64-bit image of the operating system")


def instructions(machine: Machine, device: Device) -> Check | None:
    """Does the processor have the instructions that make int8 fast?"""
    cpu = machine.cpu
    if not cpu.cores:
        return None
    fast = [name for name in cpu.features if name in ("dotprod", "i8mm", "avx_vnni", "avx512_vnni", "amx_int8")]
    if fast:
        return Check(name="int8", ok=True, detail=f"fast on this processor: {', '.join(fast)}")
    if machine.arch == "x86_64" and "avx2" not in cpu.features:
        return Check(name="int8", ok=False, detail="no AVX2: everything is slow here", hint="use a processor of 2013 or later")
    return Check(name="int8", ok=True, detail="no dot product instructions: int8 gains less than elsewhere")


def memory(machine: Machine, device: Device) -> Check | None:
    """Is there room for a runtime and a small network?"""
    amount = machine.memory
    if not amount.total_bytes:
        return None
    detail = f"{_size(amount.available_bytes)} of {_size(amount.total_bytes)} available"
    if amount.available_bytes >= MEMORY_NEEDED:
        return Check(name="memory", ok=True, detail=detail)
    return Check(name="memory", ok=False, detail=f"only {detail}", hint="ps aux --sort=-rss | head")


def disk(machine: Machine, device: Device) -> Check | None:
    """Is there room for artifacts?"""
    detail = f"{_size(machine.disk_free_bytes)} free here"
    if machine.disk_free_bytes >= DISK_NEEDED:
        return Check(name="disk", ok=True, detail=detail)
    return Check(name="disk", ok=False, detail=f"only {detail}", hint="du -xh ~ | sort -h | tail")


def storage(machine: Machine, device: Device) -> Check | None:
    """What holds the system, and may it be written to?"""
    disk = machine.disk
    if not disk.device:
        return None
    detail = f"{disk.kind or 'disk'} ({disk.device})"
    if disk.read_only:
        hint = "sudo mount -o remount,rw /, and look at dmesg: a failing card is mounted read-only"
        return Check(name="storage", ok=False, detail=f"{detail} is read-only", hint=hint)
    return Check(name="storage", ok=True, detail=detail)


def cooling(machine: Machine, device: Device) -> Check | None:
    """Does a fan cool it, and has it any speed left?"""
    if not machine.coolers:
        return None
    fan = max(machine.coolers, key=lambda one: one.step / one.steps)
    return Check(name="cooling", ok=True, detail=f"{fan.name} at step {fan.step} of {fan.steps}")


def temperature(machine: Machine, device: Device) -> Check | None:
    """Is it near the temperature at which it slows down?"""
    if not machine.temperatures:
        return None
    hottest, limit = machine.temperatures[0], number(device, "throttle_c")
    detail = f"{hottest.celsius:.0f} C ({hottest.name})"
    if limit is None:
        return Check(name="temperature", ok=True, detail=detail)
    detail += f", slows down at {limit:g} C"
    if hottest.celsius < limit - THROTTLE_MARGIN_C:
        return Check(name="temperature", ok=True, detail=detail)
    return Check(name="temperature", ok=False, detail=detail, hint="add a heat sink or a fan, or give it air")


def throttling(machine: Machine, device: Device) -> Check | None:
    """Does a Raspberry Pi get the power it wants, and did it since it was switched on?"""
    flags, alarm = machine.power.throttled, machine.power.under_voltage
    if flags is None and alarm is None:
        return None
    flags = (flags or 0) | (0x10001 if alarm else 0)
    now = [name for bit, name in enumerate(FLAGS) if flags >> bit & 1]
    before = [name for bit, name in enumerate(FLAGS, 16) if flags >> bit & 1 and name not in now]
    said = [f"{', '.join(names)} {when}" for names, when in ((now, "now"), (before, "since boot")) if names]
    if not said:
        known = "no under-voltage now" if machine.power.throttled is None else "no under-voltage or throttling since boot"
        return Check(name="power", ok=True, detail=known)
    hint = _better_supply(device) if flags & 0x10001 else "add a heat sink or a fan; the flags clear at the next boot"
    return Check(name="power", ok=False, detail="; ".join(said), hint=hint)


def supply(machine: Machine, device: Device) -> Check | None:
    """Can the power supply of a Raspberry Pi 5 give what the board may draw?"""
    gives, wanted = machine.power.supply_ma, number(device, "supply_ma")
    if not gives or wanted is None:
        return None
    if gives >= wanted:
        return Check(name="supply", ok=True, detail=f"gives {gives} mA")
    detail = f"gives {gives} mA of the {wanted:g} mA recommended"
    return Check(name="supply", ok=False, detail=detail, hint=_better_supply(device))


def power_mode(machine: Machine, device: Device) -> Check | None:
    """How much of a Jetson's GPU does its power mode leave?"""
    name = machine.board.power_mode
    if not name:
        return None
    shares = {mode.name: mode.peak_fraction for mode in device.power_modes if mode.peak_fraction is not None}
    share = shares.get(name)
    if share is None or share >= 1:
        return Check(name="power mode", ok=True, detail=name if share is None else f"{name}: all of the GPU")
    best = max(shares, key=shares.__getitem__)
    if shares[best] <= share:
        return Check(name="power mode", ok=True, detail=f"{name}: {share:.0%} of the GPU's peak, no other mode gives more")
    number_of_best = machine.board.power_modes.get(best)
    gives = "all of it" if shares[best] >= 1 else f"{shares[best]:.0%}"
    detail = f"{name}: {share:.0%} of the GPU's peak; {best} gives {gives}"
    return Check(
        name="power mode", ok=True, detail=detail, hint="" if number_of_best is None else f"sudo nvpmodel -m {number_of_best}"
    )


def jetpack(machine: Machine, device: Device) -> Check | None:
    """Is the board on the JetPack its profile assumes?"""
    found, assumed = machine.board.l4t, device.facts.get("l4t")
    if not found or assumed is None:
        return None
    rest = {key: device.facts[key].value for key in ("jetpack", "tensorrt") if key in device.facts}
    about = f"JetPack {rest.get('jetpack', '?')} with TensorRT {rest.get('tensorrt', '?')}"
    real = release(found)
    is_ = f"Jetson Linux {found}" + (f" (JetPack {real.jetpack} with TensorRT {real.tensorrt})" if real else "")
    if f"{found}.".startswith(f"{assumed.value}."):
        return Check(name="jetpack", ok=True, detail=f"Jetson Linux {found}: {about}")
    detail = f"{is_}, but the profile assumes {assumed.value} ({about})"
    hint = f"copy {device.name}.yaml to ./hardware_profiles and write the version that 'dpkg-query -W tensorrt' says"
    return Check(name="jetpack", ok=False, detail=detail, hint=hint)


def system_python(machine: Machine, device: Device) -> Check | None:
    """TensorRT's Python binding is built for the board's own Python."""
    fact = device.facts.get("python")
    running = ".".join(machine.python.split(".")[:2])
    if fact is None or not machine.board.l4t or running == fact.value:
        return None
    detail = f"edgekit runs on Python {running}; TensorRT's binding is for the board's {fact.value}"
    hint = f"python{fact.value} -m venv --system-site-packages .venv"
    if _older(str(fact.value), "3.10"):
        hint = "build an engine with trtexec from the artifact's recipe, or run it with onnxruntime"
    return Check(name="python", ok=False, detail=detail, hint=hint)


def coral(machine: Machine, device: Device) -> Check | None:
    """Can the Edge TPUs that are there be used, and at full speed?"""
    corals = machine.corals
    if not corals:
        return None
    cards = [one for one in corals if one.bus == "pci"]
    held = sum(one.driver for one in cards)
    if held < len(cards):
        detail = f"{len(cards) - held} of {len(cards)} on PCIe without /dev/apex_{held}: " + (
            "it did not start" if held else "no driver"
        )
        hint = "sudo reboot" if held else _gasket(machine.kernel)
        return Check(name="coral", ok=False, detail=detail, hint=hint)
    slow = [one for one in corals if one.bus == "usb" and 0 < one.speed_mbps < USB3_MBPS]
    if slow:
        detail = f"on USB at {slow[0].speed_mbps} Mbit/s: every inference waits for the link"
        return Check(
            name="coral", ok=False, detail=detail, hint="plug it into a blue USB 3 port, with the cable that came with it"
        )
    fresh = ", loads its firmware at first use" if any(one.id == USB_FRESH for one in corals) else ""
    return Check(name="coral", ok=True, detail=f"{len(corals)} on {' and '.join(sorted({c.bus for c in corals}))}{fresh}")


def hailo(machine: Machine, device: Device) -> Check | None:
    """Is there an accelerator that edgekit has no runtime for?"""
    found = [one for one in machine.pci if one.startswith(HAILO)]
    if not found:
        return None
    return Check(name="hailo", ok=True, detail=f"{len(found)} on PCIe: edgekit has no runtime for it, the processor computes")


def video(machine: Machine, device: Device) -> Check | None:
    """Does the board decode the video that most cameras send?"""
    fact = device.facts.get("h264_decoder")
    if fact is None or fact.value is True:
        return None
    detail = "no H.264 decoder in hardware: each H.264 stream takes processor cores"
    return Check(name="video", ok=True, detail=detail, hint="set the camera to H.265, or to a small picture")


CHECKS: tuple[Callable[[Machine, Device], Check | None], ...] = (
    board,
    word_size,
    instructions,
    memory,
    disk,
    storage,
    cooling,
    temperature,
    throttling,
    supply,
    power_mode,
    jetpack,
    system_python,
    coral,
    hailo,
    video,
)
"""In the order they are shown. None: there is nothing to say here."""


def _size(amount: float) -> str:
    return shown("memory_bytes", amount)


def _gasket(kernel: str) -> str:
    """How to get the driver: Coral's own package does not build on newer kernels (google/gasket-driver issues 12 and 51)."""
    number = re.match(r"(\d+)\.(\d+)", kernel)
    if number and (int(number[1]), int(number[2])) >= GASKET_BREAKS:
        return f"build gasket from its source (Coral's package does not build on {number[0]}), then: sudo modprobe apex"
    return "sudo apt install gasket-dkms, then: sudo modprobe apex"


def _better_supply(device: Device) -> str:
    wanted = number(device, "supply_ma")
    amount = f" for {wanted / 1000:g} A" if wanted else ""
    return f"use the board's own power supply{amount} and a short cable"


def _older(version: str, than: str) -> bool:
    """By their numbers; whatever else stands in a profile that somebody wrote counts for nothing."""
    first, second = (tuple(map(int, re.findall(r"\d+", one))) for one in (version, than))
    return first < second
