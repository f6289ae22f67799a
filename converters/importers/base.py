"""What every importer returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgekit.converters.graph import Array, Graph
from edgekit.core.schema import Postprocess, Preprocess, Source


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A model read from a file: static shapes, one operator set, and what the file says about its own use."""

    graph: Graph
    source: Source
    preprocess: Preprocess | None = None
    postprocess: Postprocess | None = None
    labels: tuple[str, ...] = ()
    """What the file calls its classes, where it does."""
    notes: tuple[str, ...] = ()
    model: bytes = b""
    """The ONNX form that stands for a source which no engine here runs by itself; empty when the file can be run."""

    answers: tuple[tuple[Mapping[str, Array], Mapping[str, Array]], ...] = ()
    """Feeds, and what the framework that made the model answers to them, where a framework was asked."""

    @property
    def quantized(self) -> bool:
        """Whether the model computes on integers already, or on weights that were some."""
        return any(node.op in ("QuantizeLinear", "DequantizeLinear") for node in self.graph.nodes)
