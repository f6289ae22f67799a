"""Which provider ran each node of an ONNX Runtime session, from its profile and from its own record."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgekit.runtimes._ort_providers import CPU

KERNEL = "_kernel_time"
"""The end of a profile event's name that is a node's computation."""
NAMED = 3
"""So many of the nodes that a provider left to the CPU are named."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRun:
    """A node as it ran, after ONNX Runtime's fusions: its name and operator there, the provider, and its time."""

    name: str
    op: str
    provider: str
    us: float


def last_run(profile: bytes) -> tuple[NodeRun, ...]:
    """The nodes of a profile's last run, in the order in which they ran."""
    events = json.loads(profile)
    # A run's own event is written when it ends, with the time at which it began.
    began = max(event["ts"] for event in events if event.get("name") == "model_run")
    kernels = [event for event in events if event.get("cat") == "Node" and event["ts"] >= began and "provider" in event["args"]]
    return tuple(
        NodeRun(
            name=event["name"].removesuffix(KERNEL),
            op=event["args"]["op_name"],
            provider=event["args"]["provider"],
            us=float(event["dur"]),
        )
        for event in sorted(kernels, key=lambda event: event["ts"])
        if event["name"].endswith(KERNEL)
    )


def left_to_the_cpu(session: Any) -> tuple[tuple[str, ...], int] | None:
    """The nodes that ONNX Runtime gave to the CPU, and of how many; None where this version does not tell (before 1.24)."""
    if not hasattr(session, "get_provider_graph_assignment_info"):
        return None
    placed = [(part.ep_name, node.name or node.op_type) for part in _assigned(session) for node in part.get_nodes()]
    return tuple(name for provider, name in placed if provider == CPU), len(placed)


def _assigned(session: Any) -> Sequence[Any]:
    """Nothing where the session was opened without the record."""
    try:
        found: Sequence[Any] = session.get_provider_graph_assignment_info()
    except Exception:  # ONNX Runtime's own kind, for a session that keeps no record
        return ()
    return found


def tell_what_the_cpu_got(artifact: str, runtime: str, found: tuple[tuple[str, ...], int] | None) -> None:
    """A fallback is visible: which nodes the provider did not take."""
    if found is None:
        log.warning(
            "%s on %s: some nodes may run on the CPU; this version of ONNX Runtime does not say which", artifact, runtime
        )
    elif found[0]:
        named = ", ".join(repr(name) for name in found[0][:NAMED])
        more = f" and {len(found[0]) - NAMED} more" if len(found[0]) > NAMED else ""
        log.warning("%s on %s: %d of %d nodes run on the CPU: %s%s", artifact, runtime, len(found[0]), found[1], named, more)
