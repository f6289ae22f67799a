"""Bounded functions whose answers are small on the grid that their integer kernels prescribe.

TFLite's kernels write tanh over (-1, 1) and sigmoid and softmax over (0, 1), whatever the data: of answers below 0.05 a step is a sixth and
more. On a CPU such a node is cheap in float, and what reads its answer may have a grid that fits.
"""

from __future__ import annotations

from collections.abc import Mapping

from edgekit.converters.graph import Graph
from edgekit.converters.quantize.parameters import IntegerType
from edgekit.converters.quantize.ranges.choose import Range, fixed, spanned

LEAST = 1 / 8
"""The share of the range below which three bits or more are lost: 18 dB."""


def faint(graph: Graph, ranges: Mapping[str, Range], dtype: IntegerType) -> frozenset[str]:
    """Names of the nodes whose output, as calibrated, reaches less far than `LEAST` of the fixed range; sixteen bits have steps to spare."""
    if dtype == "int16":
        return frozenset()
    found = set()
    for node in graph.nodes:
        grid = fixed(node.op, dtype)
        if grid is not None and node.output in ranges and ranges[node.output].reach < LEAST * spanned(grid).reach:
            found.add(node.name)
    return frozenset(found)
