"""TensorRT through its program trtexec, for boards whose Python binding is not for the Python that runs (JetPack 4 and 5).

It builds the same engine, and runs it, one process a run: right, but slow, so latencies are trtexec's own business (`trtexec
--loadEngine`). Which options it has is read from its own help, since they changed from release to release.
"""

from __future__ import annotations

import json
import logging
import math
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edgekit.core import process
from edgekit.core.errors import DeviceError, EdgekitError, MissingDependency, Unsupported
from edgekit.core.schema import Artifact, TensorSpec
from edgekit.runtimes._trt_plan import OLDEST_TRTEXEC, BuildPlan, ensure_new_enough
from edgekit.runtimes.base import Arrays

PROGRAM = "trtexec"
JETPACK = Path("/usr/src/tensorrt/bin/trtexec")
HELP_S, BUILD_S, RUN_S = 30.0, 7200.0, 300.0
OPTIONS = {"FP16": "--fp16", "INT8": "--int8", "SPARSE_WEIGHTS": "--sparsity=enable"}
"""What trtexec calls the builder flags."""
SKIP = ("--skipInference", "--buildOnly")
"""How it is told not to measure what it built: newer and older."""
log = logging.getLogger(__name__)


class _Output(msgspec.Struct, frozen=True):
    name: str
    dimensions: str
    values: list[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trtexec:
    """The program, its TensorRT version, and what its help says."""

    program: str
    version: str
    said: str

    def build(self, model: str, plan: BuildPlan, timings: Path) -> bytes:
        """The engine of an ONNX file. Raises `DeviceError` with trtexec's last words when it builds none."""
        with tempfile.TemporaryDirectory() as folder:
            engine = Path(folder) / "model.engine"
            self._run(
                build_line(self.program, self.said, plan, model, engine, timings), BUILD_S, f"build an engine of {model!r}"
            )
            if not engine.is_file():
                raise DeviceError(f"{PROGRAM} wrote no engine of {model!r}", "is there memory left on the board?")
            return engine.read_bytes()

    def infer(self, engine: Path, inputs: Mapping[str, Path], folder: Path, dla_core: int | None) -> bytes:
        """What it writes of the outputs of one inference."""
        answer = folder / "out.json"
        answer.unlink(missing_ok=True)
        self._run(run_line(self.program, engine, inputs, answer, dla_core), RUN_S, "run the engine")
        try:
            return answer.read_bytes()
        except OSError as exc:
            raise DeviceError(f"{PROGRAM} said all is well and wrote no outputs", "is there space on the disk?") from exc

    def _run(self, line: Sequence[str], timeout_s: float, doing: str) -> None:
        try:
            process.run(line, timeout_s=timeout_s)
        except EdgekitError as exc:
            raise DeviceError(f"{PROGRAM} could not {doing}: {exc.message}", exc.hint) from exc


def find() -> Trtexec:
    """The program of this machine. `MissingDependency` where there is none, `Unsupported` where it is too old."""
    found = process.which(PROGRAM) or (JETPACK if JETPACK.is_file() else None)
    if found is None:
        raise MissingDependency(f"{PROGRAM} is not on this machine", "it comes with the board's TensorRT: apt install tensorrt")
    help_text = process.run([str(found), "--help"], timeout_s=HELP_S).stdout
    version = version_of(help_text)
    ensure_new_enough(version, OLDEST_TRTEXEC)
    return Trtexec(program=str(found), version=version, said=help_text)


def version_of(banner: str) -> str:
    """`[TensorRT v8502]` is 8.5.2, `[TensorRT v100300]` is 10.3.0."""
    found = re.search(r"\[TensorRT v([0-9.]+)\]", banner)
    if found is None:
        raise DeviceError(f"{PROGRAM} does not say which TensorRT it belongs to", f"{PROGRAM} --help")
    if "." in found[1]:
        return found[1]
    number = int(found[1])
    unit = 10_000 if number >= 100_000 else 1_000
    return f"{number // unit}.{number % unit // 100}.{number % 100}"


def build_line(program: str, said: str, plan: BuildPlan, model: str, engine: Path, timings: Path) -> tuple[str, ...]:
    """The command line that builds by the plan, with the options this release of trtexec has."""
    mib = plan.workspace_bytes >> 20
    memory = f"--memPoolSize=workspace:{mib}" if "--memPoolSize" in said else f"--workspace={mib}"
    core = () if plan.dla_core is None else (f"--useDLACore={plan.dla_core}", "--allowGPUFallback")
    return (
        program,
        f"--onnx={model}",
        f"--saveEngine={engine}",
        *(("--stronglyTyped",) if plan.typing == "strong" and "--stronglyTyped" in said else ()),
        *(OPTIONS[flag] for flag in plan.flags if flag in OPTIONS),
        *_pinned(plan, said),
        memory,
        *core,
        f"--timingCacheFile={timings}",
        *next(((option,) for option in SKIP if option in said), ()),
    )


def _pinned(plan: BuildPlan, said: str) -> tuple[str, ...]:
    """The options that keep layers in float32; before 8.4 there are none, and the log says so."""
    names = [name for name in plan.float32_layers if not set(name) & set(",:")]
    if not plan.float32_layers:
        return ()
    if "--layerPrecisions" not in said or not names:
        log.warning("this trtexec cannot keep %d layers in float32: compare its outputs", len(plan.float32_layers))
        return ()
    return ("--precisionConstraints=obey", f"--layerPrecisions={','.join(f'{name}:fp32' for name in names)}")


def run_line(program: str, engine: Path, inputs: Mapping[str, Path], answer: Path, dla_core: int | None) -> tuple[str, ...]:
    """The command line of one inference on inputs out of files."""
    files = ",".join(f"'{name}':{file}" if ":" in name else f"{name}:{file}" for name, file in inputs.items())
    return (
        program,
        f"--loadEngine={engine}",
        f"--loadInputs={files}",
        f"--exportOutput={answer}",
        *(() if dla_core is None else (f"--useDLACore={dla_core}",)),
        "--iterations=1",
        "--avgRuns=1",
        "--duration=0",
        "--warmUp=0",
    )


def outputs(data: bytes, specs: Sequence[TensorSpec]) -> Arrays:
    """The arrays in trtexec's JSON, which writes six digits of every number, and NaN and infinity as C++ does."""
    text = re.sub(r"(?<![\w\"])(-?)(nan|inf)(?![\w\"])", _as_json, data.decode("utf-8", errors="replace"))
    try:
        found = {each.name: each.values for each in msgspec.convert(json.loads(text), list[_Output])}
    except (ValueError, msgspec.ValidationError, RecursionError) as exc:
        raise DeviceError(f"the outputs that {PROGRAM} wrote cannot be read: {exc}", "edgekit doctor") from exc
    return {spec.name: _array(spec, found) for spec in specs}


def _as_json(found: re.Match[str]) -> str:
    return "NaN" if found[2] == "nan" else f"{found[1]}Infinity"


def _array(spec: TensorSpec, found: Mapping[str, Sequence[float]]) -> Any:
    values = found.get(spec.name)
    if values is None or len(values) != math.prod(spec.shape):
        held = "no" if values is None else str(len(values))
        raise DeviceError(
            f"{PROGRAM} wrote {held} values of {spec.name!r}, which has {math.prod(spec.shape)}", "edgekit doctor"
        )
    return np.array(values).astype(spec.dtype).reshape(spec.shape)


class TrtexecSession:
    """An engine that is run in a process of its own each time. Tensors are those of the artifact's manifest."""

    def __init__(self, tool: Trtexec, engine: bytes, artifact: Artifact, dla_core: int | None) -> None:
        manifest = artifact.manifest
        self.inputs = tuple(port.engine for port in manifest.inputs)
        self.outputs = tuple(port.engine for port in manifest.outputs)
        odd = next((spec.name for spec in self.inputs if set(spec.name) & set(",'")), None)
        if odd is not None:
            raise Unsupported(f"{PROGRAM} cannot be given an input named {odd!r}", "rename it in the source model")
        self._tool, self._dla_core = tool, dla_core
        self._folder: tempfile.TemporaryDirectory[str] | None = tempfile.TemporaryDirectory(prefix="edgekit-trtexec-")
        self._engine = Path(self._folder.name) / "model.engine"
        self._engine.write_bytes(engine)

    def run(self, feed: Arrays) -> Arrays:
        """All outputs by name. Raises `DeviceError` for whatever trtexec refuses."""
        if self._folder is None:
            raise DeviceError("this tensorrt session is closed")
        folder = Path(self._folder.name)
        files = {}
        for index, spec in enumerate(self.inputs):
            files[spec.name] = folder / f"in{index}.bin"
            files[spec.name].write_bytes(_bytes(spec, feed))
        return outputs(self._tool.infer(self._engine, files, folder, self._dla_core), self.outputs)

    def close(self) -> None:
        """Remove the engine's copy; closing again does nothing."""
        folder, self._folder = self._folder, None
        if folder is not None:
            folder.cleanup()


def _bytes(spec: TensorSpec, feed: Arrays) -> bytes:
    array = feed.get(spec.name)
    if array is None or array.shape != spec.shape:
        got = "nothing" if array is None else list(array.shape)
        raise DeviceError(f"tensorrt: {spec.name!r} must be {list(spec.shape)}, got {got}")
    return array.astype(spec.dtype).tobytes()
