"""`edgekit inspect`: what is in a model file or an artifact, what it costs, and what a board would make of it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.commands._arguments import add_input_shape

if TYPE_CHECKING:
    from edgekit.core.schema import TensorSpec
    from edgekit.inspect import Inspection, TpuMapping
    from edgekit.prediction.lookup import Forecast

HELP = "show a model's inputs, outputs, operators, cost and memory, what a board would make of it, and how boards rank"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options, as CLI.md promises them."""
    parser.add_argument(
        "path",
        metavar="FILE|ARTIFACT",
        type=Path,
        help="a model file or SavedModel folder of any framework that is read, or an artifact folder",
    )
    parser.add_argument("--target", "-t", metavar="T", help="judge the model for this board, and rank the others")
    parser.add_argument("--ops", action="store_true", help="list every operator, not only the costliest")
    add_input_shape(parser)


def run(args: argparse.Namespace) -> int:
    """Look and print."""
    from edgekit.console import emit
    from edgekit.inspect_language import inspect_language, is_language

    if is_language(args.path):
        from edgekit.commands._inspect_language import language_json, language_text

        model = inspect_language(args.path, target=args.target)
        emit(args, language_json(model), language_text(model))
        return 0
    from edgekit.inspect import inspect

    shapes = dict(args.input_shape)
    found = inspect(args.path, target=args.target, input_shapes=shapes)
    told = _forecasts(found, shapes)
    emit(args, as_json(found, told), as_text(found, every=args.ops, told=told))
    return 0


def _forecasts(found: Inspection, shapes: dict[str, tuple[int, ...]]) -> tuple[Forecast, ...]:
    """Milliseconds, where this user has calibrated the board that is asked about. `host` is the machine that was calibrated."""
    from edgekit.benchmark.conditions.environment import environment
    from edgekit.prediction import stored
    from edgekit.prediction.lookup import forecasts

    if found.device is None:
        return ()
    device, here = found.device.name, environment().cpu
    return forecasts(found.path, device, [one for one in stored() if device != "host" or one.cpu == here], shapes=shapes)


def as_json(found: Inspection, told: Sequence[Forecast] = ()) -> dict[str, Any]:
    """The object of CLI.md; beside it every operator's cost, the memory plan, the engine's mapping and the ranking."""
    from dataclasses import asdict

    import msgspec

    made = found.artifact
    return {
        "path": str(found.path),
        "target": msgspec.to_builtins(made.manifest.target) if made else None,
        "inputs": [msgspec.to_builtins(spec) for spec in found.inputs],
        "outputs": [msgspec.to_builtins(spec) for spec in found.outputs],
        "ops": dict(found.cost.ops),
        "macs": found.cost.macs,
        "params": found.cost.params,
        "parameter_bytes": found.cost.parameter_bytes,
        "mapping": _mapping_json(found.mapping) if found.mapping else None,
        "memory_bytes": found.cost.activation_bytes,
        "arena_bytes": found.cost.memory.arena_bytes,
        "operators": [{**asdict(operator), "bytes": operator.bytes} for operator in found.cost.operators],
        "engine": asdict(found.engine) if found.engine else None,
        "ranking": [asdict(standing) for standing in found.ranking],
        "prediction": [asdict(one) for one in told] or None,
        "notes": list(found.notes),
    }


def _mapping_json(mapping: TpuMapping) -> dict[str, Any]:
    from dataclasses import asdict

    from edgekit.converters.lower.edgetpu import first_off_tpu

    first = first_off_tpu(mapping.placements)
    return {
        "accelerator": "edgetpu",
        "judged_as_int8": mapping.as_int8,
        "mapped": sum(place.on_tpu for place in mapping.placements),
        "total": len(mapping.placements),
        "first_off": asdict(first) if first else None,
        "operators": [asdict(place) for place in mapping.placements],
        "parameter_cache": {**asdict(mapping.cache), "segments": mapping.cache.segments},
    }


def as_text(found: Inspection, *, every: bool = False, told: Sequence[Forecast] = ()) -> str:
    """The same as a page; with `every`, all operators."""
    from edgekit.commands import _inspect_lines as parts
    from edgekit.core.columns import aligned

    cost = found.cost
    sections = [
        [str(found.path), "", *aligned([*_about(found)])],
        [*parts.operator_lines(cost, every=every), *parts.memory_lines(cost.memory, cost, found.tensor_names)],
        [*parts.engine_lines(found.engine, found.device.name)] if found.engine and found.device else [],
        [*parts.tpu_lines(found.mapping)] if found.mapping else [],
        [*aligned(_forecast(one) for one in told)] if told else [],
        [*parts.ranking_lines(found.ranking, found.device.name)] if found.ranking and found.device else [],
        [f"note: {note}" for note in found.notes],
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines)


def _about(found: Inspection) -> Iterator[tuple[str, str]]:
    from edgekit.commands._inspect_lines import in_bytes, in_thousands
    from edgekit.core.facts import number, shown

    cost = found.cost
    if found.artifact:
        target = found.artifact.manifest.target
        yield "artifact", f"{target.format} {target.precision} for {target.device}, runs on {target.runtime}{_compiled(found)}"
    for kind, specs in (("input", found.inputs), ("output", found.outputs)):
        for spec in specs:
            yield kind, _spec_text(spec)
    listed = ", ".join(f"{op} {count}" for op, count in cost.ops.items())
    yield "operators", f"{sum(cost.ops.values())}: {listed}"
    yield "compute", f"{in_thousands(cost.macs)} multiply-accumulates"
    yield "parameters", f"{in_thousands(cost.params)} ({in_bytes(cost.parameter_bytes)})"
    yield "activations", f"{in_bytes(cost.activation_bytes)} at their peak (estimate)"
    if found.device and (memory := number(found.device, "memory_bytes")):
        share = (cost.activation_bytes + cost.parameter_bytes) / memory
        yield "memory", f"{share:.1%} of the {shown('memory_bytes', memory)} of {found.device.name}"


def _forecast(one: Forecast) -> tuple[str, str, str]:
    """What one calibration predicts, and for what."""
    threads = "1 thread" if one.threads == 1 else f"{one.threads} threads"
    where = ", ".join(part for part in (f"{one.runtime} {one.version}", one.precision, threads, one.power_mode) if part)
    if one.interval is None:
        return "prediction", "none: most of its work is of a kind that was not calibrated", where
    value, low, high = (f"{ms:.3g}" for ms in (one.interval.value_ms, one.interval.low_ms, one.interval.high_ms))
    beside = f"; not calibrated: {', '.join(one.interval.unknown)}" if one.interval.unknown else ""
    return "prediction", f"{value} ms, {one.interval.confidence:.0%} within {low} to {high} ms{beside}", where


def _compiled(found: Inspection) -> str:
    """Whether an Edge TPU artifact has its compiled twin."""
    manifest = found.artifact.manifest if found.artifact else None
    if manifest is None or manifest.target.format != "edgetpu":
        return ""
    return ", compiled" if manifest.file("compiled") else ", not compiled yet"


def _spec_text(spec: TensorSpec) -> str:
    quantized = "" if spec.scale is None else f", scale {spec.scale:g}, zero point {spec.zero_point}"
    return f"{spec.name}  {spec.dtype} {list(spec.shape)}{quantized}"
