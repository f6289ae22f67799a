"""Which parts of a graph lose most by integers: what to keep in float first when an accuracy budget is not met."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from edgekit.converters.cost import node_macs
from edgekit.converters.executor import Executor, Feed
from edgekit.converters.graph import Graph, Node
from edgekit.converters.quantize.assign import STANDARD, assign
from edgekit.converters.quantize.mend.probe import LOOKED_AT, Probe
from edgekit.converters.quantize.observe.calibration import Calibration
from edgekit.converters.quantize.observe.fetch import HINT
from edgekit.converters.quantize.parameters import Quantization
from edgekit.converters.quantize.rules.blocks import blocks
from edgekit.converters.quantize.rules.roles import data_inputs
from edgekit.converters.quantize.rules.schemes import SchemeName, Style
from edgekit.core.errors import InputError
from edgekit.core.progress import Event, Progress, silent


@dataclass(frozen=True, kw_only=True)
class Group:
    """Nodes to keep in float together.

    `noise` is what that removes at the outputs once the groups before it are kept: squared error over variance, a mean over
    the tensors at which integers end. `macs` are the multiply-accumulates that then run in float.
    """

    nodes: tuple[str, ...]
    noise: float
    macs: int


def scan(
    graph: Graph,
    calibration: Calibration,
    samples: Iterable[Feed],
    execute: Executor,
    *,
    scheme: SchemeName,
    style: Style = STANDARD,
    progress: Progress = silent,
) -> tuple[Group, ...]:
    """Every quantized block of `graph` in one group, in the order in which to keep them float: most noise per block first.

    Noise is measured a source at a time on the first `LOOKED_AT` samples, all else in float: the weights and inner tensors of a
    block, which go when it is float, and the tensors between blocks, which go when all blocks that touch them are. `execute` loads
    a serialized ONNX model. Raises `InputError` when there are no samples.
    """
    quantization = assign(graph, calibration, scheme=scheme, style=style)
    parts = _parts(graph, quantization)
    sources = _sources(graph, quantization, parts)
    few = tuple(islice(samples, LOOKED_AT))
    if not few:
        raise InputError("there are no samples to measure noise on", HINT)
    levels = _levels(Probe(graph=graph, quantization=quantization, samples=few, execute=execute), sources.values(), progress)
    return tuple(_ordered(graph, parts, dict(zip(sources, levels, strict=True))))


def _parts(graph: Graph, quantization: Quantization) -> tuple[tuple[Node, ...], ...]:
    """The nodes of each block that compute on integers, where there are any."""
    quantized = (tuple(node for node in block if node.name not in quantization.float_nodes) for block in blocks(graph))
    return tuple(part for part in quantized if part)


Blocks = frozenset[int]


def _sources(graph: Graph, quantization: Quantization, parts: Sequence[Sequence[Node]]) -> Mapping[Blocks, Sequence[str]]:
    """The rounded tensors by the blocks that touch them; a tensor is exact again only when all of these are float."""
    touching: dict[str, set[int]] = {}
    for index, part in enumerate(parts):
        for node in part:
            for name in (*data_inputs(graph, node), *node.outputs):
                if name in quantization.activations or name in quantization.weights:
                    touching.setdefault(name, set()).add(index)
    found: dict[Blocks, list[str]] = {}
    for name, indices in touching.items():
        found.setdefault(frozenset(indices), []).append(name)
    return found


def _levels(probe: Probe, sources: Collection[Collection[str]], progress: Progress) -> Iterator[float]:
    """The noise at the heads for each source alone."""
    for number, names in enumerate(sources):
        yield probe.noise_of(names)
        progress(Event(stage="scan", done=number + 1, total=len(sources)))


def _ordered(graph: Graph, parts: Sequence[Sequence[Node]], levels: Mapping[Blocks, float]) -> Iterable[Group]:
    """Greedily the blocks that remove most noise per block, with those that a noisy tensor between them needs as well."""
    of_block = {index: [source for source in levels if index in source] for index in range(len(parts))}
    kept: Blocks = frozenset()

    def gain(added: Blocks) -> float:
        near = {source for index in added for source in of_block[index]}
        return sum(levels[source] for source in near if source <= kept | added)

    waiting = {*levels, *(frozenset({index}) for index in range(len(parts)))}
    while choices := {source - kept for source in waiting} - {frozenset()}:
        best = max(sorted(choices, key=sorted), key=lambda added: gain(added) / len(added))
        nodes = [node for index in sorted(best) for node in parts[index]]
        yield Group(nodes=tuple(node.name for node in nodes), noise=gain(best), macs=sum(node_macs(graph, n) for n in nodes))
        kept |= best
