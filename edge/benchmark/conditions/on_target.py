"""Whether a measurement was taken on what the artifact was made for, or only on some machine that can run it."""

from __future__ import annotations

from edgekit.benchmark.report import Engine, Environment
from edgekit.core.errors import NotFound
from edgekit.core.profiles import devices, find, recognise
from edgekit.core.schema import Device, Target
from edgekit.runtimes.language.opening import LOCAL


def on_target(target: Target, engine: Engine, environment: Environment) -> bool:
    """True only when the target's own runtime ran, on a machine that is recognised as the target's device.

    A device that no profile describes is never recognised. An accelerator that plugs into any host (its profile has no
    `matches`) is recognised by its runtime, which runs on nothing else. The packages of llama.cpp are one runtime.
    """
    if engine.runtime != target.runtime and not {engine.runtime, target.runtime} <= set(LOCAL):
        return False
    try:
        device = find(target.device)
    except NotFound:
        return False
    return device.family == "host" or _is_this(device, environment.compatible)


def _is_this(device: Device, compatible: tuple[str, ...]) -> bool:
    if not device.matches:
        return device.family == "coral"
    found = recognise(devices(), compatible)
    return found is not None and found.name == device.name
