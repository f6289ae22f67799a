"""ONNX files: parsed with suspicion, frozen to static shapes, brought to one operator set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec
import onnx
import onnx.inliner
import onnx.version_converter

from edgekit.converters.graph_onnx import ML_DOMAIN, ML_OPSET, default_opset, to_bytes
from edgekit.converters.importers.base import Imported
from edgekit.converters.importers.onnx.branches import is_choice, with_branches_taken
from edgekit.converters.importers.onnx.ceilings import graph_as_run
from edgekit.converters.importers.onnx.composites import with_composites_unfolded
from edgekit.converters.importers.onnx.dynamic import with_dynamic_unfolded
from edgekit.converters.importers.onnx.external import load_external_data
from edgekit.converters.importers.onnx.integers import with_integers_unfolded
from edgekit.converters.importers.onnx.names import class_names
from edgekit.converters.importers.onnx.order import put_in_order
from edgekit.converters.importers.onnx.precision import ensure_finite, in_single
from edgekit.converters.importers.onnx.said import said
from edgekit.converters.importers.onnx.shapes import freeze_inputs
from edgekit.core.errors import InputError, NotFound, Unsupported
from edgekit.core.files import sha256_bytes
from edgekit.core.schema import Postprocess, Preprocess, Source

PROTOBUF_LIMIT_BYTES = (1 << 31) - 1
WORKING_OPSET = 17
"""Older models are upgraded to this one, so that every later stage knows one form of each operator."""
COORDINATES_OPSET = 11
OLD_COORDINATES = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
METADATA_KEY = "edgekit"


def load(path: Path | str, *, input_shapes: Mapping[str, tuple[int, ...]] | None = None) -> Imported:
    """Read an ONNX file into a `Graph` with a static shape for every tensor.

    `input_shapes` names shapes for inputs with dynamic dimensions; a dynamic batch dimension alone becomes 1, and a note
    says so. Raises `NotFound`, `InputError` (not ONNX, truncated, too large, external data that is missing or leaves the
    folder, dynamic shapes without a value) and `Unsupported` (an operator nobody knows), each naming the thing.
    """
    file = Path(path)
    data = _read(file)
    model = _parse(file, data)
    load_external_data(model, file)
    model, dynamic = with_dynamic_unfolded(with_integers_unfolded(_inlined(file, model)))
    _ensure_known_operators(model)
    notes = (*dynamic, *put_in_order(model), *freeze_inputs(model, input_shapes or {}))
    model, choices = with_branches_taken(model)
    _ensure_known_operators(model)
    notes = (*notes, *choices)
    came = graph_as_run(_upgraded(file, with_composites_unfolded(file, model)), file.stem)
    graph, precision = in_single(came)
    ensure_finite(graph)
    use = _declared_use(file, model)
    source = Source(name=file.name, sha256=sha256_bytes(data), bytes=len(data), framework="onnx", licence=use.licence)
    return Imported(
        graph=graph,
        source=source,
        preprocess=use.preprocess,
        postprocess=use.postprocess,
        labels=class_names(model),
        notes=(*notes, *precision),
        model=to_bytes(graph) if precision else b"",
    )


class _Use(msgspec.Struct, frozen=True):
    """What a model trained by edgekit says about itself in its metadata."""

    preprocess: Preprocess | None = None
    postprocess: Postprocess | None = None
    licence: str = ""


def _read(file: Path) -> bytes:
    if not file.exists():
        raise NotFound(f"no model file at {str(file)!r}", "is the path right?")
    if not file.is_file():
        raise InputError(f"{str(file)!r} is a folder, not a model file", "pass the .onnx file inside it")
    size = file.stat().st_size
    if size > PROTOBUF_LIMIT_BYTES:
        message = f"{str(file)!r} has {size / 2**30:.1f} GiB, more than the 2 GiB that a protobuf file may have"
        raise InputError(message, "export with external data (onnx.save(..., save_as_external_data=True))")
    return file.read_bytes()


def _parse(file: Path, data: bytes) -> onnx.ModelProto:
    try:
        model = onnx.load_model_from_string(data)
    except Exception as exc:  # protobuf raises a class of its own in each of its three implementations
        raise InputError(
            f"{str(file)!r} is not an ONNX file, or is truncated ({len(data)} bytes)", "export the model again"
        ) from exc
    if not model.graph.node or not model.graph.output or not model.opset_import:
        raise InputError(
            f"{str(file)!r} is not an ONNX model: it has no nodes, outputs or operator set", "export the model again"
        )
    if not all(isinstance(name, str) for name in _names(model)):  # protobuf gives text that is not UTF-8 back as bytes
        raise InputError(f"{str(file)!r} is damaged: it holds a name that is not text", "export the model again")
    return model


def _names(model: onnx.ModelProto) -> Iterator[object]:
    """Every name by which one part of the model speaks of another."""
    yield from (entry.domain for entry in model.opset_import)
    yield from _names_in(model.graph)
    for function in model.functions:
        yield from _names_of(function.node)


def _names_in(graph: onnx.GraphProto) -> Iterator[object]:
    yield from (value.name for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer))
    yield from _names_of(graph.node)


def _names_of(nodes: Iterable[onnx.NodeProto]) -> Iterator[object]:
    for node in nodes:
        yield from (node.op_type, node.domain, node.name, *node.input, *node.output)
        for item in node.attribute:
            yield item.name
            for inner in (item.g, *item.graphs):
                yield from _names_in(inner)


def _inlined(file: Path, model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without local functions: their nodes stand where they were called."""
    if not model.functions:
        return model
    _ensure_functions_end(model)
    try:
        return onnx.inliner.inline_local_functions(model)
    except Exception as exc:  # the inliner throws whatever its C++ code throws
        message = f"the local functions of {str(file)!r} could not be unfolded: {said(exc)}"
        raise InputError(message, "export the model without local functions") from exc


def _ensure_functions_end(model: onnx.ModelProto) -> None:
    """A function that calls itself, straight or through others, would be unfolded for ever."""
    bodies = {(one.domain, one.name): {(node.domain, node.op_type) for node in one.node} for one in model.functions}
    while leaves := [key for key, calls in bodies.items() if not calls & bodies.keys()]:
        for key in leaves:
            del bodies[key]
    if bodies:
        raise InputError(
            f"the local function {next(iter(bodies))[1]!r} calls itself", "export the model without local functions"
        )


def _ensure_known_operators(model: onnx.ModelProto) -> None:
    """Every node must be an operator of the standard set at the version the model asks for; of choices the one that is taken."""
    opset = default_opset(model)
    newest = onnx.defs.onnx_opset_version()
    if opset > newest:
        raise Unsupported(
            f"the model asks for operator set {opset}, this onnx package knows up to {newest}", "pip install --upgrade onnx"
        )
    for index, node in enumerate(model.graph.node):
        where = f"op {node.op_type} at {node.name or f'node {index}'!r}"
        if is_choice(node):
            continue
        if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            raise Unsupported(f"{where} decides at run time what is computed", "export the model without control flow")
        if node.domain == ML_DOMAIN:
            _ensure_tensor_operator(node, where)
            continue
        if node.domain not in ("", "ai.onnx"):
            raise Unsupported(f"{where} is of the custom domain {node.domain!r}", "export without custom operators")
        if not onnx.defs.has(node.op_type, opset, ""):
            raise Unsupported(
                f"{where} does not exist in ONNX operator set {opset}", "is the name right, or the operator set too old?"
            )


def _ensure_tensor_operator(node: onnx.NodeProto, where: str) -> None:
    """Operators of classic machine learning run in ONNX Runtime alone; the other lowerings name them."""
    if node.op_type == "ZipMap":
        raise Unsupported(
            f"{where} makes a list of dictionaries", "convert with options={'zipmap': False}, which gives a tensor"
        )
    if not onnx.defs.has(node.op_type, ML_OPSET, ML_DOMAIN):
        raise Unsupported(
            f"{where} does not exist in {ML_DOMAIN} {ML_OPSET}", f"convert with target_opset={{'{ML_DOMAIN}': {ML_OPSET}}}"
        )


def _upgraded(file: Path, model: onnx.ModelProto) -> onnx.ModelProto:
    """The model in the working operator set or the newer one it came in."""
    opset = default_opset(model)
    if opset >= WORKING_OPSET:
        return model
    _ensure_not_in_training(model)
    try:
        upgraded = onnx.version_converter.convert_version(_plain(model), WORKING_OPSET)
    except Exception as exc:  # the converter throws whatever its C++ adapters throw
        message = f"{str(file)!r} could not be brought from operator set {opset} to {WORKING_OPSET}: {said(exc)}"
        raise InputError(message, f"export the model with opset {WORKING_OPSET}") from exc
    return _with_old_coordinates(upgraded) if opset < COORDINATES_OPSET else upgraded


def _ensure_not_in_training(model: onnx.ModelProto) -> None:
    """Before set 14 a BatchNormalization with more outputs than one took the statistics of its own input."""
    for index, node in enumerate(model.graph.node):
        if node.op_type == "BatchNormalization" and len([name for name in node.output if name]) > 1:
            raise Unsupported(
                f"op BatchNormalization at {node.name or f'node {index}'!r} is written for training: it gives its statistics, too",
                f"export in evaluation mode, or with opset {WORKING_OPSET} where weights are normalised so",
            )


def _with_old_coordinates(model: onnx.ModelProto) -> onnx.ModelProto:
    """Resize before set 11 counted from the first pixel's corner; onnx's converter (seen in 1.23) leaves it the new default."""
    for node in model.graph.node:
        if node.op_type != "Resize":
            continue
        kept = [item for item in node.attribute if item.name not in OLD_COORDINATES]
        old = [onnx.helper.make_attribute(key, value) for key, value in OLD_COORDINATES.items()]
        del node.attribute[:]
        node.attribute.extend([*kept, *old])
    return model


def _plain(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy importing the standard operator set and that of trees, in an IR version the version converter accepts."""
    plain = onnx.ModelProto()
    plain.CopyFrom(model)
    of_trees = [one for one in model.opset_import if one.domain == ML_DOMAIN]
    del plain.opset_import[:]
    plain.opset_import.extend(of_trees[:1])
    plain.opset_import.append(onnx.helper.make_opsetid("", default_opset(model)))
    plain.ir_version = max(model.ir_version, 4)
    return plain


def _declared_use(file: Path, model: onnx.ModelProto) -> _Use:
    """What the metadata says, or nothing; damaged metadata is an error, not a shrug."""
    text = next((entry.value for entry in model.metadata_props if entry.key == METADATA_KEY), "{}")
    try:
        return msgspec.json.decode(text, type=_Use)
    except msgspec.DecodeError as exc:
        raise InputError(
            f"the {METADATA_KEY!r} metadata of {str(file)!r} is damaged: {exc}", "train or export the model again"
        ) from exc
