"""The rules for the figures of a hardware profile: facts and power modes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import date

from edgekit.core.complaint import broken, numbered, repeated
from edgekit.core.facts import FACTS, Kind
from edgekit.core.names import did_you_mean
from edgekit.core.schema import Device

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TYPES: Mapping[type, str] = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def ensure_facts_are_in_the_vocabulary(device: Device) -> None:
    """Every fact has a name that says its unit."""
    for name in device.facts:
        if name not in FACTS:
            hint = did_you_mean(name, FACTS, "the vocabulary is in edgekit.core.facts")
            raise broken(device, f"facts.{name}", "no such fact", hint)


def ensure_facts_have_the_right_type(device: Device) -> None:
    """Whole numbers, numbers, yes-or-no and texts are not confused."""
    for name, fact in device.facts.items():
        kind = FACTS[name].type
        fits = type(fact.value) is kind or (kind is float and type(fact.value) is int)
        if not fits:
            raise broken(device, f"facts.{name}.value", f"{fact.value!r} is not {_TYPES[kind]}")


def ensure_facts_are_plausible(device: Device) -> None:
    """A figure in the wrong unit falls outside the range of its name."""
    for name, fact in device.facts.items():
        size = len(fact.value.strip()) if isinstance(fact.value, str) else fact.value
        if not FACTS[name].low <= size <= FACTS[name].high:
            raise broken(device, f"facts.{name}.value", f"{fact.value!r} is not plausible: {_range(FACTS[name])}")


def ensure_facts_have_sources(device: Device) -> None:
    """No figure without its source."""
    for name, fact in device.facts.items():
        if len(fact.source.strip()) < 4:
            raise broken(device, f"facts.{name}.source", f"{fact.source!r} is not a source", "say where it was read")


def ensure_facts_say_when_they_were_read(device: Device) -> None:
    """Sources change: the day of reading is recorded."""
    for name, fact in device.facts.items():
        if not _is_day(fact.read):
            raise broken(device, f"facts.{name}.read", f"{fact.read!r} is not a day like '2026-11-22'")


def ensure_power_fractions_are_fractions(device: Device) -> None:
    """A mode leaves more than nothing and at most everything."""
    for where, mode in numbered("power_modes", device.power_modes):
        fraction = mode.peak_fraction
        if fraction is not None and not (math.isfinite(fraction) and 0 < fraction <= 1):
            raise broken(device, f"{where}.peak_fraction", f"{fraction:g} is not more than 0 and at most 1")
        if mode.power_mw is not None and not 1 <= mode.power_mw <= 10**6:
            raise broken(device, f"{where}.power_mw", f"{mode.power_mw} is not 1 to 1000000 mW")


def ensure_power_modes_are_named_and_sourced(device: Device) -> None:
    """Modes have a name and a source."""
    for where, mode in numbered("power_modes", device.power_modes):
        if not mode.name.strip() or len(mode.source.strip()) < 4:
            raise broken(device, where, f"mode {mode.name!r} with source {mode.source!r}: both must be said")


def reject_power_modes_named_twice(device: Device) -> None:
    """Modes are told apart by name: their numbers differ between boards."""
    for name in repeated(mode.name for mode in device.power_modes):
        raise broken(device, "power_modes", f"two modes are named {name!r}")


def reject_a_second_default_mode(device: Device) -> None:
    """A board starts in one mode."""
    defaults = [mode.name for mode in device.power_modes if mode.default]
    if len(defaults) > 1:
        raise broken(device, "power_modes", f"{' and '.join(defaults)} are all the default", "one mode is the default")


rules: tuple[Callable[[Device], None], ...] = (
    ensure_facts_are_in_the_vocabulary,
    ensure_facts_have_the_right_type,
    ensure_facts_are_plausible,
    ensure_facts_have_sources,
    ensure_facts_say_when_they_were_read,
    ensure_power_fractions_are_fractions,
    ensure_power_modes_are_named_and_sourced,
    reject_power_modes_named_twice,
    reject_a_second_default_mode,
)


def _range(kind: Kind) -> str:
    unit = " characters" if kind.type is str else ""
    return f"expected {kind.low:.15g} to {kind.high:.15g}{unit}"


def _is_day(text: str) -> bool:
    try:
        return _DAY.fullmatch(text) is not None and date.fromisoformat(text) is not None
    except ValueError:
        return False
