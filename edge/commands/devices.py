"""`edgekit devices`: the boards edgekit knows, or one of them with every figure and its source."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.console import emit
from edgekit.core.columns import aligned

if TYPE_CHECKING:
    from edgekit.core.schema import Device, Engine, Fact, PowerMode

HELP = "list the boards edgekit knows; with a name, one board with the source of every figure"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `edgekit devices`."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="a board's name or alias")


def run(args: argparse.Namespace) -> int:
    """List the boards, or show one."""
    from edgekit.core import profiles

    shown = (profiles.find(args.name),) if args.name else profiles.devices()
    files = profiles.files()
    text = _page(shown[0], files[shown[0].name]) if args.name else _table(shown, _own(files, profiles.shipped_folder()))
    emit(args, {"devices": [_as_json(device, files[device.name]) for device in shown]}, text)
    return 0


def _own(files: Mapping[str, Path], shipped: Path) -> list[str]:
    """The profiles that a person added or put in the place of a shipped one, and where they are."""
    return [f"Your own: {name} ({path})" for name, path in files.items() if path.parent != shipped]


def _as_json(device: Device, path: Path) -> dict[str, Any]:
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(device)
    return {
        "aliases": [],
        "matches": [],
        "accelerators": [],
        "facts": {},
        "power_modes": [],
        "add_ons": [],
        "notes": [],
        **plain,
        "profile": str(path),
    }


def _table(devices: Iterable[Device], own: Iterable[str]) -> str:
    """One line a board: what it is called, what runs there first, and how much memory there is."""
    devices = tuple(devices)
    head = ("NAME", "BOARD", "RUNS", "PRECISIONS", "MEMORY")
    rows = [(d.name, d.title, _engine(d.engines[0]), " ".join(d.engines[0].precisions), _memory(d)) for d in devices]
    short = ", ".join(f"{alias} = {device.name}" for device in devices for alias in device.aliases)
    below = ["", f"Short names: {short}", *own, "One board with its sources: edgekit devices NAME"]
    return "\n".join([*aligned([head, *rows]), *below])


def _page(device: Device, path: Path) -> str:
    lines = [f"{device.name}: {device.title}", ""]
    lines += aligned(_about(device, path))
    if device.facts:
        lines += ["", "Facts", *_indented(_facts(device.facts))]
    if device.power_modes:
        lines += ["", "Power modes", *_indented(aligned([_mode(mode) for mode in device.power_modes]))]
        lines += _indented(f"source: {source}" for source in dict.fromkeys(mode.source for mode in device.power_modes))
    for part in device.add_ons:
        lines += ["", f"Add-on: {part.title} ({part.name})", *_indented((*_facts(part.facts), *part.notes))]
    if device.notes:
        lines += ["", "Notes", *_indented(device.notes)]
    return "\n".join(lines)


def _about(device: Device, path: Path) -> Iterator[tuple[str, str]]:
    for count, engine in enumerate(device.engines):
        yield "runs" if count == 0 else "then", f"{_engine(engine)}: {', '.join(engine.precisions)} (best first)"
    for accelerator in device.accelerators:
        many = f"{accelerator.count} x " if accelerator.count > 1 else ""
        yield "accelerator", f"{many}{accelerator.name}"
    if device.aliases:
        yield "also called", ", ".join(device.aliases)
    yield "profile", str(path)


def _facts(facts: Mapping[str, Fact]) -> Iterator[str]:
    """Figures in a column; under them, once for each source, where they were read."""
    from edgekit.core.facts import shown

    if not facts:
        return

    sources = {source: number for number, source in enumerate(dict.fromkeys(f.source for f in facts.values()), 1)}
    rows = [(name, f"{shown(name, fact.value)}", f"[{sources[fact.source]}]", fact.note) for name, fact in facts.items()]
    yield from aligned(rows)
    yield ""
    read = {fact.source: fact.read for fact in facts.values()}
    yield from (f"[{number}] {source} (read {read[source]})" for source, number in sources.items())


def _mode(mode: PowerMode) -> tuple[str, str, str, str]:
    power = f"{mode.power_mw / 1000:g} W" if mode.power_mw else ""
    share = f"{mode.peak_fraction:.0%} of the GPU's peak" if mode.peak_fraction is not None else ""
    return mode.name, power, share, "default" if mode.default else ""


def _engine(engine: Engine) -> str:
    return f"{engine.runtime} {engine.version}".strip()


def _memory(device: Device) -> str:
    """`8 GiB`, `1 to 8 GiB`, or a dash when it is not known."""
    from edgekit.core.facts import GIB, number, shown

    least, most = number(device, "memory_bytes"), number(device, "memory_max_bytes")
    if least is None:
        return "-"
    if most is None:
        return shown("memory_bytes", least)
    return f"{least / GIB:g} to {shown('memory_bytes', most)}"


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"  {line}" if line else "" for line in lines]
