"""Who runs a graph: whoever calls. Converters know no runtime and are given a callable."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edgekit.converters.graph import Array

Feed = Mapping[str, Array]
"""One sample: input name -> array."""
Executor = Callable[[bytes], Callable[[Feed], Feed]]
"""A serialized ONNX model -> a function from a feed to all outputs by name."""
