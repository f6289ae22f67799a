"""A TFLite file as a `Graph`: each operator drawn in ONNX, quantized tensors with the file's own scales in Q/DQ form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from msgspec.structs import replace as with_fields

from edgekit.converters.graph import Graph, Node
from edgekit.converters.importers.base import Imported
from edgekit.converters.importers.onnx.shapes import static_graph
from edgekit.converters.importers.tflite.drawing import GRIDS, Drawing
from edgekit.converters.importers.tflite.face import asked_shapes, cut_tail, picture_of
from edgekit.converters.importers.tflite.layouts import arranged, own
from edgekit.converters.importers.tflite.ops import TABLE
from edgekit.converters.importers.tflite.site import Site
from edgekit.converters.optimise.drop_dead_code import drop_dead_code
from edgekit.converters.tflite_file.flatbuffer import broken
from edgekit.converters.tflite_file.read import CUSTOM, TFLiteFile, parse, read
from edgekit.core.errors import InputError, Unsupported
from edgekit.core.files import sha256_bytes
from edgekit.core.schema import Source, TensorSpec

OPSET = 17
FACES = frozenset({"float32", "int8", "uint8", "int16", "int32", "int64", "bool"})
COMPILED = "edgetpu-custom-op"
ELEMENT_LIMIT = 1 << 31
"""Of one tensor: four gigabytes in half precision."""


def load(path: Path | str, *, input_shapes: Mapping[str, tuple[int, ...]] | None = None) -> Imported:
    """Read a TFLite file into a `Graph` whose inputs and outputs are the file's, by name, order and layout.

    Quantized tensors are floats at the face and between operators, with a QuantizeLinear and DequantizeLinear pair that
    holds the file's scale. A custom operator at the very end is left to the application, and a note says so. Raises
    `NotFound`, `InputError` (damaged, or shapes that contradict one another) and `Unsupported` naming operator and tensor.
    """
    data = read(Path(path))
    whole = parse(data)
    asked_shapes(whole, input_shapes or {})
    file, notes = cut_tail(whole)
    drawing = Drawing(file=file)
    graph = _graph(drawing, Path(path).stem)
    notes = (*notes, *_said(file), *drawing.notes)
    source = Source(name=Path(path).name, sha256=sha256_bytes(data), bytes=len(data), framework="tflite")
    return Imported(graph=graph, source=source, preprocess=picture_of(file, graph.inputs), notes=notes)


def _graph(drawing: Drawing, name: str) -> Graph:
    file = drawing.file
    _ensure_supported(file)
    _ensure_sized(file)
    inputs = tuple(_input(drawing, index) for index in file.inputs)
    for operator in file.operators:
        TABLE[operator.op](Site(drawing=drawing, operator=operator))
    ends = [drawing.read(index) for index in file.outputs]
    drawn = Graph(
        name=name,
        opset=OPSET,
        inputs=inputs,
        outputs=tuple(TensorSpec(name=end, shape=(), dtype="") for end in dict.fromkeys(ends)),
        nodes=tuple(drawing.nodes),
        constants=drawing.constants,
        specs={spec.name: spec for spec in inputs},
    )
    graph = static_graph(drop_dead_code(drawn).graph)
    _ensure_as_stated(graph, drawing)
    return _named(graph, drawing, ends)


def _ensure_supported(file: TFLiteFile) -> None:
    unknown = [operator for operator in file.operators if operator.op not in TABLE]
    if not unknown:
        return
    first = unknown[0]
    if first.custom_code == COMPILED:
        raise Unsupported(
            "the file is compiled for the Edge TPU: what it computes cannot be read back", "start from the uncompiled file"
        )
    name = file.tensors[first.outputs[0]].name if first.outputs else f"operator {first.index}"
    op = f"custom op {first.custom_code!r}" if first.op == CUSTOM else f"op {first.op}"
    more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
    raise Unsupported(f"{op} at {name!r} cannot be read from TFLite{more}", "start from the model that the file was made from")


def _ensure_sized(file: TFLiteFile) -> None:
    """Nothing is computed with tensors that are empty, of a negative size, or larger than any machine."""
    for index in {index for operator in file.operators for index in operator.outputs} | set(file.inputs):
        tensor = file.tensors[index]
        if min(tensor.shape, default=1) < 1 or tensor.elements > ELEMENT_LIMIT:
            raise InputError(
                f"the tensor {tensor.name!r} has the shape {tensor.shape}, which cannot be computed with",
                "convert the model again, with fixed sizes",
            )


def _input(drawing: Drawing, index: int) -> TensorSpec:
    """A graph input under the tensor's own name; a quantized one is float at the face."""
    tensor = drawing.tensor(index)
    if tensor.dtype not in FACES:
        raise Unsupported(f"input {tensor.name!r} is of the type {tensor.dtype}", f"inputs may be {', '.join(sorted(FACES))}")
    if index in drawing.held:
        raise broken(f"the tensor {tensor.name!r} is an input twice")
    name = drawing.free(drawing.called(index))
    real = tensor.dtype in GRIDS and len(tensor.scale) == 1
    drawing.write(index, name)
    return TensorSpec(name=name, shape=tensor.shape, dtype="float32" if real else tensor.dtype)


def _ensure_as_stated(graph: Graph, drawing: Drawing) -> None:
    """What the file says of every tensor's shape must be what its operators give."""
    for index, forms in drawing.held.items():
        tensor = drawing.tensor(index)
        for layout, name in forms.items():
            spec = graph.specs.get(name)
            if spec is not None and tensor.shape and spec.shape != arranged(tensor.shape, layout):
                stated, found = arranged(tensor.shape, layout), spec.shape
                raise broken(f"the tensor {drawing.called(index)!r} has the shape {stated}, its operator gives {found}")


def _named(graph: Graph, drawing: Drawing, ends: list[str]) -> Graph:
    """Outputs, and then other tensors, called as in the file."""
    names: dict[str, str] = {spec.name: spec.name for spec in graph.inputs}
    extra: list[Node] = []
    outputs: list[TensorSpec] = []
    free = {drawing.called(index) for index in drawing.held} - set(names) - set(graph.constants)
    for index, end in zip(drawing.file.outputs, ends, strict=True):
        called = drawing.called(index) if drawing.called(index) in free else drawing.free(drawing.called(index))
        free.discard(called)
        if end in names or end in graph.constants:
            extra.append(Node(op="Identity", name=f"{called}/Identity", inputs=(end,), outputs=(called,)))
        else:
            names[end] = called
        outputs.append(with_fields(graph.specs[end], name=called))
    for index, forms in drawing.held.items():
        first = forms.get(own(len(drawing.tensor(index).shape))) or next(iter(forms.values()))
        if drawing.called(index) in free and first in graph.producers and first not in names:
            names[first] = drawing.called(index)
            free.discard(drawing.called(index))
    return _renamed(graph, names, extra, tuple(outputs))


def _renamed(graph: Graph, names: Mapping[str, str], extra: list[Node], outputs: tuple[TensorSpec, ...]) -> Graph:
    """The graph with tensors under other names and nodes added at its end."""

    def new(tensors: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(names.get(name, name) for name in tensors)

    nodes = [replace(node, inputs=new(node.inputs), outputs=new(node.outputs)) for node in (*graph.nodes, *extra)]
    specs = {names.get(name, name): with_fields(spec, name=names.get(name, name)) for name, spec in graph.specs.items()}
    specs |= {spec.name: spec for spec in outputs}
    return replace(graph, nodes=tuple(nodes), outputs=outputs, specs=specs)


def _said(file: TFLiteFile) -> tuple[str, ...]:
    """What the graph does another way than the file's kernels do."""
    read = {index for operator in file.operators for index in operator.inputs if index >= 0}
    notes = []
    if any(t.dtype == "int16" and t.scale and not t.constant and i in read for i, t in enumerate(file.tensors)):
        notes.append("activations that the file holds in 16 bits are computed in float here")
    if any(_hybrid(file, operator.inputs) for operator in file.operators if operator.op in WEIGHTED):
        notes.append("the file's kernels round activations while they run (dynamic range); here they are computed in float")
    return tuple(notes)


WEIGHTED = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "BATCH_MATMUL", "UNIDIRECTIONAL_SEQUENCE_LSTM"})


def _hybrid(file: TFLiteFile, inputs: tuple[int, ...]) -> bool:
    """Float activations times integer weights."""
    kinds = [file.tensors[index].dtype for index in inputs[:2] if index >= 0]
    return len(kinds) == 2 and kinds[0] == "float32" and np.dtype(kinds[1] if kinds[1] != "int4" else "int8").kind in "iu"
