"""What the Edge TPU adds to a TFLite file: the report of every op's place, the refusal of strays, the compiled twin."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

from edgekit.converters.lower.base import Lowered
from edgekit.converters.lower.edgetpu import first_off_tpu, parameter_cache, placements
from edgekit.converters.lower.edgetpu_compiler import PROGRAM, available, compile_for_edgetpu
from edgekit.core.errors import Unsupported
from edgekit.core.schema import Step

REPORT_FILE = "edgetpu-report.json"


def place_on_edgetpu(lowered: Lowered, *, allow_cpu_ops: bool, segments: int = 1) -> tuple[Lowered, tuple[Step, ...]]:
    """The lowered model with its placement report and, where the compiler is installed, its compiled twin, whole or in segments.

    Raises `Unsupported` naming the first op that would stay on the CPU, unless `allow_cpu_ops`. The float tail that a decode
    head is given on purpose does not count: it runs on the CPU by design, after the accelerator is done.
    """
    model = lowered.files["model.tflite"]
    placed = placements(model)
    stray = first_off_tpu(placed)
    if stray is not None and not allow_cpu_ops:
        count = sum(place.missed for place in placed)
        message = f"edgetpu: op {stray.op} at {stray.name!r} stays on the CPU ({count} of {len(placed)} ops): {stray.reason}"
        raise Unsupported(message, "--allow-cpu-ops, or see 'edgekit inspect MODEL --target coral'")
    mapped = sum(place.on_tpu for place in placed)
    report = {"operators": placed, "mapped": mapped, "total": len(placed), "parameter_cache_estimate": parameter_cache(model)}
    files = {REPORT_FILE: msgspec.json.format(msgspec.json.encode(report, order="deterministic")) + b"\n"}
    notes = [f"{mapped} of {len(placed)} ops map onto the Edge TPU by the published tables; only its compiler can prove it"]
    steps: tuple[Step, ...] = ()
    if available():
        compiled, step = _compiled(model, segments)
        files |= compiled
        steps = (step,)
    else:
        how = PROGRAM if segments == 1 else f"{PROGRAM} --num_segments {segments}"
        notes.append(
            f"not compiled: {PROGRAM} is not on this machine (x86-64 Linux); run {how} on model.tflite, or convert there"
        )
    return _extended(lowered, files, tuple(notes)), steps


def _compiled(model: bytes, segments: int) -> tuple[Mapping[str, bytes], Step]:
    with tempfile.TemporaryDirectory(prefix="edgekit-") as scratch:
        path = Path(scratch) / "model.tflite"
        path.write_bytes(model)
        made = compile_for_edgetpu(path, segments=segments)
    detail = f"{made.log.operators - made.log.on_cpu} of {made.log.operators} ops mapped"
    detail += f", {segments} segments" if segments > 1 else ""
    return made.files, Step(name="compile", tool=PROGRAM, version=made.log.version, detail=detail)


def _extended(lowered: Lowered, files: dict[str, bytes], notes: tuple[str, ...]) -> Lowered:
    return Lowered(
        files={**lowered.files, **files},
        roles={**lowered.roles, **{name: "report" if name == REPORT_FILE else "compiled" for name in files}},
        inputs=lowered.inputs,
        outputs=lowered.outputs,
        float_layers=lowered.float_layers,
        notes=(*lowered.notes, *notes),
    )
