"""The budget search: when int8 misses its gates, the layers that cost most accuracy are kept in float, as few as will do."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edgekit.conversion.bisection import smallest_that_holds
from edgekit.conversion.candidate import Candidate
from edgekit.converters.cost import node_macs
from edgekit.converters.graph import Graph
from edgekit.converters.quantize.mend.sensitivity import Group
from edgekit.core.errors import GateFailed
from edgekit.core.progress import Event, Progress
from edgekit.core.schema import KeptLayer, Recovery, RecoveryStep

Attempt = Callable[[frozenset[str]], Candidate]


def recover(graph: Graph, groups: Sequence[Group], attempt: Attempt, *, max_steps: int, progress: Progress) -> Candidate:
    """The candidate that keeps the fewest of `groups` (worst first) in float and passes its gates, its search recorded in it.

    `attempt` lowers with these nodes in float and measures. Raises `GateFailed` with the numbers of every plan when none that
    was tried holds.
    """
    steps: list[RecoveryStep] = []
    good: dict[int, Candidate] = {}

    def holds(count: int) -> bool:
        candidate = attempt(_names(groups[:count]))
        steps.append(_step(graph, groups[:count], candidate))
        progress(Event(stage=_said(steps[-1], len(groups))))
        if candidate.proof.ok:
            good.clear()  # each plan that holds is smaller than the one before it
            good[count] = candidate
        return candidate.proof.ok

    found = smallest_that_holds(len(groups), holds, max_steps)
    if found is None:
        raise _none_holds(steps, len(groups), max_steps)
    kept = groups[:found]
    recovery = Recovery(
        blocks=len(groups),
        steps=tuple(steps),
        layers=tuple(_layer(graph, name) for group in kept for name in group.nodes),
        macs_share=_share(graph, sum(group.macs for group in kept)),
    )
    return good[found].recovered(recovery)


def _names(groups: Sequence[Group]) -> frozenset[str]:
    return frozenset(name for group in groups for name in group.nodes)


def _step(graph: Graph, groups: Sequence[Group], candidate: Candidate) -> RecoveryStep:
    accuracy = candidate.proof.accuracy
    return RecoveryStep(
        blocks=len(groups),
        layers=len(_names(groups)),
        macs_share=_share(graph, sum(group.macs for group in groups)),
        parity=candidate.proof.parity.value,
        accuracy=None if accuracy is None else accuracy.artifact,
        ok=candidate.proof.ok,
    )


def _layer(graph: Graph, name: str) -> KeptLayer:
    node = next(node for node in graph.nodes if node.name == name)
    return KeptLayer(name=name, macs_share=_share(graph, node_macs(graph, node)))


def _share(graph: Graph, macs: int) -> float:
    """Part of all multiply-accumulates, to four places."""
    return round(macs / max(1, sum(node_macs(graph, node) for node in graph.nodes)), 4)


def _said(step: RecoveryStep, blocks: int) -> str:
    """`float: 4 of 38 blocks (12 % of the arithmetic): SQNR 21.3 dB, accuracy 0.4501: enough`."""
    measured = f"SQNR {step.parity:.1f} dB" + ("" if step.accuracy is None else f", accuracy {step.accuracy:.4f}")
    verdict = "enough" if step.ok else "not enough"
    return f"float: {step.blocks} of {blocks} blocks ({100 * step.macs_share:.0f} % of the arithmetic): {measured}: {verdict}"


def _none_holds(steps: Sequence[RecoveryStep], blocks: int, max_steps: int) -> GateFailed:
    said = "; ".join(_said(step, blocks) for step in steps) or "there is no quantized layer to keep in float"
    tried_all = any(step.blocks == blocks for step in steps)
    hint = "give more calibration data, or --precision fp16" if tried_all or not steps else f"--max-steps {2 * max_steps}"
    return GateFailed(f"no plan of mixed precision holds after {len(steps)} steps: {said}", hint)
