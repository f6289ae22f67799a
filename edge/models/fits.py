"""Which boards a model of the catalogue fits, as far as its figures tell."""

from __future__ import annotations

from edgekit.core.facts import number
from edgekit.core.profiles import devices
from edgekit.core.schema import Device
from edgekit.models.catalogue import Entry

USABLE = 0.75
OVERHEAD = 1.2
"""What an engine computes in comes on top: see `core.language`."""
CONTEXT = 2048
BYTES_A_PARAMETER = 1.07
"""In q8_0, for a file whose size is not known."""


def need_bytes(entry: Entry) -> int | None:
    """Memory it takes with a conversation of `CONTEXT` tokens; None where nothing is known of its size."""
    if entry.kind != "text" or (entry.bytes is None and entry.parameters is None):
        return None
    weights = entry.bytes if entry.bytes is not None else int(BYTES_A_PARAMETER * (entry.parameters or 0))
    return int(OVERHEAD * (weights + CONTEXT * (entry.kv_bytes_per_token or 0)))


def fits(entry: Entry, device: Device) -> str:
    """`yes`, `no`, or why that cannot be said, with both numbers; of a board sold in several sizes, for the smallest and largest."""
    need, least = need_bytes(entry), number(device, "memory_bytes")
    if need is None or least is None:
        return "not known"
    most = number(device, "memory_max_bytes") or least
    said = f"needs {need / 1e9:.2f} GB"
    if need <= USABLE * least:
        return f"yes: {said}, {USABLE * least / 1e9:.2f} GB can be used"
    if need <= USABLE * most:
        return f"only with more memory: {said}, {USABLE * least / 1e9:.2f} GB can be used of the smallest"
    return f"no: {said}, {USABLE * most / 1e9:.2f} GB can be used"


def boards_for(entry: Entry) -> str:
    """`24 of 25 boards`, or that it is not known."""
    said = [fits(entry, device) for device in devices() if device.family != "host"]
    known = [word for word in said if word != "not known"]
    if not known:
        return "not known"
    return f"{sum(not word.startswith('no') for word in known)} of {len(known)} boards"
