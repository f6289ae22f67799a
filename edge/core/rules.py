"""What every hardware profile must hold: small named rules, each of which passes or says what is wrong.

A rule gets one `Device` (the last two: all of them) and raises `ProfileError` naming the profile, the key and the value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import msgspec

from edgekit.core import fact_rules
from edgekit.core.complaint import broken, numbered, repeated
from edgekit.core.names import did_you_mean
from edgekit.core.schema import Device

FORMATS: Mapping[str, tuple[str, ...]] = {
    "tensorrt": ("tensorrt",),
    "onnxruntime": ("onnx",),
    "litert": ("tflite",),
    "edgetpu": ("edgetpu",),
    "opencv": ("onnx",),
    "dryrun": ("onnx", "tflite", "edgetpu", "tensorrt"),
}
"""The runtimes a profile may name, and the formats each of them takes."""

DIALECTS = ("x86", "arm")
ISAS = ("x86-64", "armv8.0-a", "armv8.2-a", "armv9.2-a", "any")
ACCELERATORS = ("gpu", "dla", "edgetpu", "npu")

PLAIN_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_VERSION = re.compile(r"[0-9]+\.[0-9]+")
_COMPATIBLE = re.compile(r"[A-Za-z0-9*][A-Za-z0-9_.*+-]*,[A-Za-z0-9_.*+-]*[A-Za-z0-9][A-Za-z0-9_.*+-]*")


def ensure_name_is_plain(device: Device) -> None:
    """The name can be typed, and be a file's name."""
    if len(device.name) > 40 or not PLAIN_NAME.fullmatch(device.name):
        raise broken(device, "name", f"{device.name!r} is not lower case letters, digits and single dashes")


def ensure_title_is_said(device: Device) -> None:
    """People read a title in tables."""
    if not device.title.strip() or len(device.title) > 60:
        raise broken(device, "title", f"{device.title!r} is not 1 to 60 characters")


def ensure_isa_is_known(device: Device) -> None:
    """The instruction set is one of those edgekit tells apart."""
    if device.isa not in ISAS:
        raise broken(device, "isa", f"{device.isa!r} is none of {', '.join(ISAS)}", did_you_mean(device.isa, ISAS, ""))


def ensure_aliases_are_plain(device: Device) -> None:
    """Aliases look like names."""
    for alias in device.aliases:
        if len(alias) > 40 or not PLAIN_NAME.fullmatch(alias):
            raise broken(device, "aliases", f"{alias!r} is not lower case letters, digits and single dashes")


def reject_own_name_as_alias(device: Device) -> None:
    """A name is not its own alias."""
    if device.name in device.aliases:
        raise broken(device, "aliases", f"{device.name!r} is the profile's own name", "leave it out")


def ensure_matches_are_compatible_strings(device: Device) -> None:
    """What recognises a board looks like a device-tree `compatible` string, and is not a bare `*`."""
    for pattern in device.matches:
        if not _COMPATIBLE.fullmatch(pattern):
            raise broken(device, "matches", f"{pattern!r} is not like 'vendor,board'", "cat /proc/device-tree/compatible")


def ensure_an_engine(device: Device) -> None:
    """A board that can run nothing has no place here."""
    if not device.engines:
        raise broken(device, "engines", "the list is empty", "name at least one runtime the board can use")


def ensure_runtimes_are_known(device: Device) -> None:
    """Runtimes are ours, or come from an installed package."""
    for where, engine in numbered("engines", device.engines):
        if engine.runtime not in FORMATS and engine.runtime not in _plugged_in():
            hint = did_you_mean(engine.runtime, FORMATS, f"known runtimes: {', '.join(FORMATS)}")
            raise broken(device, f"{where}.runtime", f"no runtime named {engine.runtime!r}", hint)


def ensure_formats_fit_runtimes(device: Device) -> None:
    """The format is one the runtime takes."""
    for where, engine in numbered("engines", device.engines):
        takes = FORMATS.get(engine.runtime, (engine.format,))
        if engine.format not in takes:
            problem = f"{engine.runtime} takes {' or '.join(takes)}, not {engine.format!r}"
            raise broken(device, f"{where}.format", problem)


def ensure_precisions_are_listed(device: Device) -> None:
    """At least one precision, none twice."""
    for where, engine in numbered("engines", device.engines):
        if not engine.precisions:
            raise broken(device, f"{where}.precisions", "the list is empty", "name the precisions, best first")
        if len(set(engine.precisions)) < len(engine.precisions):
            raise broken(device, f"{where}.precisions", f"{' '.join(engine.precisions)} names one twice")


def reject_mixed_as_precision(device: Device) -> None:
    """Mixed precision is an outcome, not an offer."""
    for where, engine in numbered("engines", device.engines):
        if "mixed" in engine.precisions:
            problem = "'mixed' is what a conversion may end with, not what an engine offers"
            raise broken(device, f"{where}.precisions", problem, "name fp32, fp16, int8")


def ensure_tensorrt_says_its_version(device: Device) -> None:
    """What TensorRT accepts depends on its version."""
    for where, engine in numbered("engines", device.engines):
        if engine.runtime == "tensorrt" and not _VERSION.fullmatch(engine.version):
            problem = f"{engine.version!r} is not like '10.3'"
            raise broken(device, f"{where}.version", problem, "the TensorRT of the board's JetPack, in quotes")


def ensure_onnx_says_its_dialect(device: Device) -> None:
    """ONNX Runtime wants its own quantization on each processor; nobody else has a dialect."""
    for where, engine in numbered("engines", device.engines):
        wanted = DIALECTS if engine.runtime == "onnxruntime" else ("",)
        if engine.dialect not in wanted:
            names = " or ".join(wanted) or "left out"
            raise broken(device, f"{where}.dialect", f"{engine.dialect!r} on {engine.runtime} must be {names}")


def reject_int8_where_the_gpu_has_none(device: Device) -> None:
    """TensorRT refuses quantized networks on a GPU without 8-bit arithmetic."""
    fact = device.facts.get("gpu_int8")
    for where, engine in numbered("engines", device.engines):
        if engine.runtime == "tensorrt" and "int8" in engine.precisions and fact is not None and fact.value is False:
            raise broken(device, f"{where}.precisions", "int8 is listed, but the fact gpu_int8 is false")


def ensure_accelerators_are_known(device: Device) -> None:
    """Accelerators are of a known kind, and countable."""
    for where, accelerator in numbered("accelerators", device.accelerators):
        if accelerator.kind not in ACCELERATORS:
            hint = did_you_mean(accelerator.kind, ACCELERATORS, f"known kinds: {', '.join(ACCELERATORS)}")
            raise broken(device, f"{where}.kind", f"no kind named {accelerator.kind!r}", hint)
        if not 1 <= accelerator.count <= 64:
            raise broken(device, f"{where}.count", f"{accelerator.count} is not 1 to 64")


def ensure_add_ons_are_named(device: Device) -> None:
    """Add-ons have names of their own, titles, and facts that hold the rules for facts."""
    for where, part in numbered("add_ons", device.add_ons):
        if len(part.name) > 40 or not PLAIN_NAME.fullmatch(part.name):
            raise broken(device, f"{where}.name", f"{part.name!r} is not lower case letters, digits and single dashes")
        if not part.title.strip() or len(part.title) > 60:
            raise broken(device, f"{where}.title", f"{part.title!r} is not 1 to 60 characters")
        for rule in fact_rules.rules:
            rule(msgspec.structs.replace(device, facts=part.facts, power_modes=()))
    for name in repeated(part.name for part in device.add_ons):
        raise broken(device, "add_ons", f"two add-ons are named {name!r}")


def reject_empty_notes(device: Device) -> None:
    """A note says something."""
    for where, note in numbered("notes", device.notes):
        if not note.strip():
            raise broken(device, where, "the note is empty", "leave it out")


def ensure_aliases_are_unique(devices: Sequence[Device]) -> None:
    """An alias means one device, and no device's name."""
    owners = {device.name: device.name for device in devices}
    for device in devices:
        for alias in device.aliases:
            if owners.setdefault(alias, device.name) != device.name:
                raise broken(device, "aliases", f"{alias!r} means {owners[alias]!r} already")
    for device in devices:
        for alias in repeated(device.aliases):
            raise broken(device, "aliases", f"{alias!r} comes twice")


def ensure_matches_are_unique(devices: Sequence[Device]) -> None:
    """A board is recognised as one device."""
    owners: dict[str, str] = {}
    for device in devices:
        for pattern in device.matches:
            owner = owners.setdefault(pattern, device.name)
            if owner != device.name:
                raise broken(device, "matches", f"{pattern!r} recognises {owner!r} already")


rules: tuple[Callable[[Device], None], ...] = (
    ensure_name_is_plain,
    ensure_title_is_said,
    ensure_isa_is_known,
    ensure_aliases_are_plain,
    reject_own_name_as_alias,
    ensure_matches_are_compatible_strings,
    ensure_an_engine,
    ensure_runtimes_are_known,
    ensure_formats_fit_runtimes,
    ensure_precisions_are_listed,
    reject_mixed_as_precision,
    ensure_tensorrt_says_its_version,
    ensure_onnx_says_its_dialect,
    ensure_accelerators_are_known,
    *fact_rules.rules,
    ensure_add_ons_are_named,
    reject_int8_where_the_gpu_has_none,
    reject_empty_notes,
)
"""In this order, for one profile. Later rules may rely on earlier ones having passed."""

rules_for_all: tuple[Callable[[Sequence[Device]], None], ...] = (ensure_aliases_are_unique, ensure_matches_are_unique)
"""For all profiles together."""


def _plugged_in() -> set[str]:
    """Runtimes that other packages bring; looked up only when a profile names one we do not ship."""
    from importlib.metadata import entry_points

    return {entry.name for entry in entry_points(group="edgekit.runtimes")}
