"""Hardware profiles: one YAML file per device, found, read strictly, checked by the rules.

Shipped profiles come first, then `$XDG_CONFIG_HOME/edgekit/hardware_profiles`, then `./hardware_profiles`; a profile of the
same name takes the place of an earlier one. Only `*.yaml` counts, and the file's name is the profile's name.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from fnmatch import fnmatchcase
from functools import cache
from importlib import import_module
from pathlib import Path

import msgspec

from edgekit.core.errors import InputError, NotFound, ProfileError
from edgekit.core.names import did_you_mean
from edgekit.core.rules import PLAIN_NAME, rules, rules_for_all
from edgekit.core.schema import Accelerator, AddOn, Device, Engine, Fact, PowerMode

LIMIT_BYTES = 64 * 1024
_FAMILIES = ("host", "raspberry-pi", "coral", "jetson")
_NOUNS = (Device, Engine, Fact, PowerMode, Accelerator, AddOn)
_KEYS = sorted({field for noun in _NOUNS for field in noun.__struct_fields__})
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`")
_WRONG_TYPE = re.compile(r"Expected `(.*)`, got `(.*)`")
_TYPES = {
    "object": "a map",
    "array": "a list",
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
}
_MACHINES = {"aarch64": "armv8.0-a", "arm64": "armv8.0-a", "x86_64": "x86-64", "AMD64": "x86-64"}


def devices() -> tuple[Device, ...]:
    """Every device there is a profile for, families together, by name. Raises `ProfileError` for a broken profile."""
    found = [read(path) for path in files().values()]
    for rule in rules_for_all:
        rule(found)
    return tuple(sorted(found, key=lambda device: (_FAMILIES.index(device.family), device.name)))


def find(name: str) -> Device:
    """The device called `name` or with that alias.

    Raises `NotFound` with the nearest name as the hint, `ProfileError` for a broken profile.
    """
    known = devices()
    for device in known:
        if name == device.name or name in device.aliases:
            return device
    names = [device.name for device in known] + [alias for device in known for alias in device.aliases]
    raise NotFound(f"no device named {name!r}", did_you_mean(name, names, "see 'edgekit devices'"))


def by_name(name: str) -> Device:
    """The device of exactly that name, for which no other profile is read. Raises `NotFound` or `ProfileError`."""
    if PLAIN_NAME.fullmatch(name):
        for path in (own_file(name), shipped_folder() / f"{name}.yaml"):
            if path is not None and path.is_file():
                return read(path)
    raise NotFound(f"no device named {name!r}", "see 'edgekit devices'")


def own_file(name: str) -> Path | None:
    """The file of a user's own profile of that name, the current folder's first; None where there is none."""
    if not PLAIN_NAME.fullmatch(name):
        return None
    for folder in ("hardware_profiles", f"{_config_home()}/edgekit/hardware_profiles"):
        path = f"{folder}/{name}.yaml"
        if os.path.isfile(path) and not _is_shipped(path, name):  # noqa: PTH113  (every load of an artifact asks this)
            return Path(path)
    return None


def _is_shipped(path: str, name: str) -> bool:
    """Inside a checkout the current folder's profiles are the shipped ones."""
    shipped = f"{shipped_folder()}/{name}.yaml"
    return os.path.isfile(shipped) and os.path.samefile(path, shipped)  # noqa: PTH113, PTH121


def recognise(known: Iterable[Device], compatible: Sequence[str]) -> Device | None:
    """The device whose `matches` fit a board's device-tree `compatible` strings (most specific string, longest pattern)."""
    for string in compatible:
        fits = [(len(p), device) for device in known for p in device.matches if fnmatchcase(string, p)]
        if fits:
            return max(fits, key=lambda fit: fit[0])[1]
    return None


def files() -> Mapping[str, Path]:
    """The profile files by profile name, later folders winning."""
    shipped = shipped_folder()
    found = {path.stem: path for path in _yaml_files(shipped)}
    for folder in user_folders():
        for path in _yaml_files(folder):
            if path.stem not in found or not path.samefile(found[path.stem]):
                found[path.stem] = path
    return found


@cache
def shipped_folder() -> Path:
    """The folder of the profiles that come with edgekit."""
    return Path(next(iter(import_module("edgekit.hardware_profiles").__path__)))


def user_folders() -> tuple[Path, Path]:
    """Where a person may put profiles: the configuration folder, then the current folder."""
    return Path(_config_home()) / "edgekit/hardware_profiles", Path("hardware_profiles")


def _config_home() -> str:
    config = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return os.path.expanduser(config)  # noqa: PTH111  (Path's raises where there is no home)


def read(path: Path) -> Device:
    """The profile in the file at `path`. Raises `ProfileError`, and nothing else, when it is not one."""
    device = _structured(_parsed(path), path)
    if device.name != path.stem:
        problem = f"{path}: the profile calls itself {device.name!r}"
        raise ProfileError(problem, f"name it {path.stem!r}, or the file {device.name}.yaml")
    for rule in rules:
        rule(device)
    return as_found_here(device) if device.name == "host" else device


def as_found_here(host: Device, machine: str = "", today: str = "") -> Device:
    """The `host` profile on this very machine: its instruction set, ONNX Runtime's dialect, cores and memory.

    The file is written for x86-64; on aarch64 ONNX Runtime is given its `arm` dialect. `machine` is as `platform.machine()`.
    """
    machine = machine or platform.machine()
    dialect = "arm" if machine in ("aarch64", "arm64") else "x86"
    engines = tuple(msgspec.structs.replace(e, dialect=dialect) if e.dialect else e for e in host.engines)
    read_today = today or date.today().isoformat()
    facts = {name: Fact(value=value, source="this machine", read=read_today) for name, value in _measured()}
    return msgspec.structs.replace(host, isa=_MACHINES.get(machine, "any"), engines=engines, facts={**host.facts, **facts})


def _measured() -> Iterator[tuple[str, int]]:
    """What the operating system says of this machine without a question to the vendor."""
    if cores := os.cpu_count():
        yield "cpu_cores", cores
    try:
        yield "memory_bytes", os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return


def _yaml_files(folder: Path) -> list[Path]:
    """The profile files in `folder`, by name; none when it is absent or may not be read."""
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".yaml" and path.is_file())
    except OSError:
        return []


def _parsed(path: Path) -> object:
    try:
        with path.open("rb") as file:
            data = file.read(LIMIT_BYTES + 1)
    except OSError as exc:
        raise ProfileError(f"{path}: cannot be read: {exc.strerror or exc}") from exc
    if len(data) > LIMIT_BYTES:
        raise ProfileError(f"{path}: larger than {LIMIT_BYTES // 1024} KiB, which no profile needs")
    try:
        from edgekit.core.strict_yaml import parse  # an app whose artifact names one engine reads no profile, and needs no YAML

        return parse(data.decode("utf-8"), str(path))
    except UnicodeDecodeError as exc:
        raise ProfileError(f"{path}: byte {exc.start} is not UTF-8 text") from exc
    except InputError as exc:
        raise ProfileError(exc.message, exc.hint) from exc


def _structured(data: object, path: Path) -> Device:
    try:
        return msgspec.convert(data, Device)
    except msgspec.ValidationError as exc:
        problem, _, where = str(exc).partition(" - at ")
        key = where.strip("`").removeprefix("$").removeprefix(".").replace("[...]", "")
        raise ProfileError(f"{path}: {key + ': ' if key else ''}{_plainly(problem)}", _hint(problem)) from exc


def _plainly(problem: str) -> str:
    """The parser's complaint in the words of this project."""
    if missing := re.fullmatch(r"Object missing required field `(.*)`", problem):
        return f"the key {missing[1]!r} is missing"
    if unknown := _UNKNOWN.fullmatch(problem):
        return f"no key is called {unknown[1]!r}"
    if wrong := _WRONG_TYPE.fullmatch(problem):
        wanted, got = (
            " or ".join(_TYPES.get(name.strip(), name.strip()) for name in side.split("|")) for side in wrong.groups()
        )
        return f"expected {wanted}, got {got}"
    if stranger := re.fullmatch(r"Invalid enum value (.*)", problem):
        return f"{stranger[1]} is not one of those allowed"
    return problem.replace("`", "'")


def _hint(problem: str) -> str:
    if unknown := _UNKNOWN.fullmatch(problem):
        return did_you_mean(unknown[1], _KEYS, f"the keys are {', '.join(Device.__struct_fields__)}")
    if (wrong := _WRONG_TYPE.fullmatch(problem)) and wrong[1] == "str" and wrong[2] in ("float", "int", "bool"):
        return "put the value in quotes"
    return ""
