"""Source model and target -> the engine's own file: the one place that knows which format takes which steps.

`prepare` does what is done once: the form of the graph that the format takes, and its calibration. `lower` writes it, with more
or fewer nodes in float.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from importlib import metadata

from edgekit import __version__
from edgekit.conversion.edgetpu import place_on_edgetpu
from edgekit.conversion.source import SourceModel
from edgekit.converters.graph import Graph
from edgekit.converters.lower import onnx as onnx_format
from edgekit.converters.lower import tensorrt, tflite
from edgekit.converters.lower.base import Lowered
from edgekit.converters.quantize.assign import assign
from edgekit.converters.quantize.floats.dynamic import dynamic_range
from edgekit.converters.quantize.mend.rounding import SOON
from edgekit.converters.quantize.mend.tuned import Tuned, tuned
from edgekit.converters.quantize.observe.calibration import Calibration
from edgekit.converters.quantize.parameters import Quantization
from edgekit.converters.quantize.recorded.gaps import gaps, joined
from edgekit.converters.quantize.recorded.weights import on_own_grids
from edgekit.converters.quantize.rules.schemes import DIALECTS, SchemeName, Style
from edgekit.core.errors import Unsupported
from edgekit.core.progress import Event, Progress, staged
from edgekit.core.schema import Precision, Recipe, Step, Target
from edgekit.runtimes.onnxruntime import simulate

RUNTIMES = {
    "tflite": ("litert",),
    "edgetpu": ("edgetpu", "litert"),
    "onnx": ("onnxruntime",),
    "tensorrt": ("tensorrt", "onnxruntime"),
}
"""Runtimes that load each format, the board's own first. The last one runs on any host: it is what verifies here."""


INTEGER: tuple[Precision, ...] = ("int8", "mixed", "int16x8")
"""Precisions whose activations are integers, with all they can or with some of it kept in float."""
FILLED = "--calibration DATA gives them integers, too"
"""What a source that came quantized in part lacks for the rest."""
HYBRID = frozenset({"Gemm", "Conv"})
"""Operators of TFLite that multiply floats with weights of int8."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """The graph as a format takes it; with `scheme` and `calibration` where integers are wanted, and what a source that came
    quantized computes in float."""

    graph: Graph
    scheme: SchemeName | None = None
    calibration: Calibration | None = None
    gaps: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Built:
    """A lowered model and how it came about."""

    lowered: Lowered
    steps: tuple[Step, ...]
    calibration: Calibration | None = None


def prepare(source: SourceModel, target: Target, progress: Progress) -> Prepared:
    """Bring the source's graph into the form that the target's format starts from, and calibrate that."""
    if target.format not in _WRITERS:
        raise Unsupported(f"no converter writes the format {target.format!r}", f"formats: {', '.join(sorted(_WRITERS))}")
    integers = target.precision in INTEGER
    graph = source.equalised(staged(progress, "equalise")) if integers else source.graph
    if target.format in ("tflite", "edgetpu"):
        graph = tflite.legalise(graph, edgetpu=target.format == "edgetpu").graph
    if integers:
        scheme = scheme_of(target)
        left = _left_in_float(source, graph, scheme)
        return Prepared(graph=graph, scheme=scheme, calibration=source.calibrated(graph, progress), gaps=left)
    ranged = target.format == "tensorrt" and tensorrt.uses_ranges(target.precision)
    ranged = ranged and source.samples is not None
    return Prepared(graph=graph, calibration=source.calibrated(graph, progress) if ranged else None)


def _left_in_float(source: SourceModel, graph: Graph, scheme: SchemeName) -> frozenset[str]:
    """What a source that came quantized computes in float. Data tell the ranges of that, too; without, it stays so."""
    if source.samples is not None or not source.recorded:
        return frozenset()
    return gaps(graph, source.graph.specs, source.recorded, heavy_inputs_only=DIALECTS[scheme].heavy_inputs_only)


def scheme_of(target: Target) -> SchemeName:
    """How the target's engine wants its integers."""
    if target.format == "onnx":
        return "ort-arm" if target.dialect == "arm" else "ort-x86"
    if target.precision == "int16x8":
        return "tflite-16x8"
    schemes: dict[str, SchemeName] = {"tflite": "tflite", "edgetpu": "edgetpu", "tensorrt": "tensorrt"}
    return schemes[target.format]


def style_of(recipe: Recipe) -> Style:
    """How plainly the recipe wants weights and ranges."""
    return Style(per_channel=recipe.weights == "per-channel", clip=recipe.ranges == "mse")


def lower(
    source: SourceModel,
    target: Target,
    recipe: Recipe,
    prepared: Prepared,
    progress: Progress,
    keep_float: Collection[str] = (),
) -> Built:
    """Write the prepared graph in the target's format. Raises `Unsupported` naming node, op and reason."""
    integers = _integers(source, recipe, prepared, keep_float, progress)
    formed = prepared if integers is None else replace(prepared, graph=integers.graph)
    progress(Event(stage=f"lower to {target.format}"))
    lowered, more = _written(formed, target, recipe, integers.quantization if integers else None)
    tool = "flatbuffers" if target.format in ("tflite", "edgetpu") else "onnx"
    steps = (*_steps(source, target, prepared.calibration, integers, tool), *more)
    return Built(lowered=lowered, steps=steps, calibration=prepared.calibration)


def _integers(
    source: SourceModel, recipe: Recipe, prepared: Prepared, keep_float: Collection[str], progress: Progress
) -> Tuned | None:
    """Parameters where integers are wanted, and biases that suit them; a source that came quantized keeps its own of both."""
    graph, scheme, calibration, style = prepared.graph, prepared.scheme, prepared.calibration, style_of(recipe)
    if scheme is None or calibration is None:
        return None
    if source.recorded:
        return Tuned(graph=graph, quantization=_own_integers(source, prepared, scheme, style, keep_float))
    samples = source.samples or ()
    return tuned(
        graph,
        calibration,
        samples,
        simulate,
        scheme=scheme,
        keep_float=keep_float,
        style=style,
        rounding_work=math.inf if recipe.adaround else SOON,
        progress=progress,
    )


def _own_integers(
    source: SourceModel, prepared: Prepared, scheme: SchemeName, style: Style, keep_float: Collection[str]
) -> Quantization:
    """The integers of a source that came quantized, on its own grids."""
    graph, calibration = prepared.graph, prepared.calibration
    assert calibration is not None
    own = joined(graph, source.recorded, source.graph.specs)
    plain = replace(style, float_end=False)
    floats = prepared.gaps.union(keep_float)
    return on_own_grids(graph, assign(graph, calibration, scheme=scheme, keep_float=floats, style=plain, own=own))


Written = tuple[Lowered, tuple[Step, ...]]


def _written(prepared: Prepared, target: Target, recipe: Recipe, quantization: Quantization | None) -> Written:
    """What the format's writer makes; where a source that came quantized has gaps, that is said with what fills them."""
    try:
        lowered, steps = _WRITERS[target.format](prepared, target, recipe, quantization)
    except Unsupported as refused:
        if not prepared.gaps:
            raise
        raise Unsupported(refused.message, f"{FILLED}, or {refused.hint}") from refused
    if not prepared.gaps:
        return lowered, steps
    note = f"{len(prepared.gaps)} operators are not quantized in the source and stay in float: {FILLED}"
    return replace(lowered, notes=(*lowered.notes, note)), steps


def _tflite(prepared: Prepared, target: Target, recipe: Recipe, quantization: Quantization | None) -> Written:
    precision = "int8" if target.precision == "mixed" else target.precision
    if precision == "dynamic":
        quantization = dynamic_range(prepared.graph, HYBRID)
    return tflite.lower(prepared.graph, precision=precision, quantization=quantization, edgetpu=False), ()


def _edgetpu(prepared: Prepared, target: Target, recipe: Recipe, quantization: Quantization | None) -> Written:
    lowered = tflite.lower(prepared.graph, precision=target.precision, quantization=quantization, edgetpu=True)
    return place_on_edgetpu(lowered, allow_cpu_ops=recipe.allow_cpu_ops, segments=recipe.segments)


def _onnx(prepared: Prepared, target: Target, recipe: Recipe, quantization: Quantization | None) -> Written:
    precision = "int8" if target.precision == "mixed" else target.precision
    return onnx_format.lower(prepared.graph, precision=precision, quantization=quantization), ()


def _tensorrt(prepared: Prepared, target: Target, recipe: Recipe, quantization: Quantization | None) -> Written:
    lowered = tensorrt.lower(
        prepared.graph,
        precision=target.precision,
        version=target.version,
        quantization=quantization,
        calibration=prepared.calibration,
    )
    return lowered, ()


def _steps(
    source: SourceModel, target: Target, calibration: Calibration | None, integers: Tuned | None, writer: str
) -> tuple[Step, ...]:
    """What was done, by which tool in which version."""
    nodes = f"{len(source.imported.graph.nodes)} nodes"
    steps = [
        Step(name="import", tool="onnx", version=metadata.version("onnx"), detail=nodes),
        Step(name="optimise", tool="edgekit", version=__version__, detail=f"{len(source.graph.nodes)} nodes"),
    ]
    if source.pruned is not None:
        steps.append(Step(name="prune", tool="edgekit", version=__version__, detail=source.pruned.sentence()))
    if calibration is not None:
        detail = f"{calibration.samples} samples"
        steps.append(Step(name="calibrate", tool="onnxruntime", version=metadata.version("onnxruntime"), detail=detail))
    if integers is not None or target.precision == "dynamic":
        steps.append(Step(name="quantize", tool="edgekit", version=__version__, detail=target.precision))
    if integers is not None and integers.rounded:
        detail = f"{integers.rounded} layers"
        steps.append(Step(name="round weights together", tool="edgekit", version=__version__, detail=detail))
    if integers is not None and integers.corrected:
        detail = f"{integers.corrected} layers"
        steps.append(Step(name="correct biases", tool="edgekit", version=__version__, detail=detail))
    steps.append(Step(name="lower", tool="edgekit", version=__version__, detail=f"{target.format} {target.dialect}".strip()))
    steps.append(Step(name="write", tool=writer, version=metadata.version(writer)))
    return tuple(steps)


_WRITERS: dict[str, Callable[[Prepared, Target, Recipe, Quantization | None], Written]] = {
    "tflite": _tflite,
    "edgetpu": _edgetpu,
    "onnx": _onnx,
    "tensorrt": _tensorrt,
}
