"""TensorRT on a Jetson: builds the engine on the board from the artifact's ONNX file and recipe, keeps it, and runs it.

An engine belongs to one TensorRT version and one GPU, so it is never shipped: it is built at the first `load` (minutes) and
cached under a name made of the model's hash, the plan, that version, that GPU and the power mode. `tensorrt` computes on the GPU,
`tensorrt@dla:0` on a deep learning accelerator where the artifact's board has one. Through TensorRT's Python binding from 8.5
(JetPack 6 and newer, whose Python edgekit runs on), else through `trtexec` from 8.0 (JetPack 4 and 5).

What a build needs is decided by pure functions and tested everywhere; calls into TensorRT are checked against the signatures of its
own bindings, 8.6 to 11.4. None has run on a Jetson yet.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Protocol

from edgekit.core.errors import DeviceError, EdgekitError, MissingDependency, Unsupported, UsageError
from edgekit.core.files import sha256_file
from edgekit.core.locks import held
from edgekit.core.optional import need
from edgekit.core.schema import Artifact
from edgekit.runtimes import _trtexec
from edgekit.runtimes._engine_cache import cache_folder, engine_name, keep_engine, kept_engine, power_mode, timing_name
from edgekit.runtimes._trt_build import MEMORY, build
from edgekit.runtimes._trt_plan import (
    OLDEST,
    OLDEST_TRTEXEC,
    BuildPlan,
    ensure_dla_is_there,
    ensure_new_enough,
    plan_build,
    plan_name,
    read_recipe,
)
from edgekit.runtimes._trt_session import TensorRTSession, done
from edgekit.runtimes.base import Probe, Runtime, Session, complaints, model_file

NAME = "tensorrt"
DLA = re.compile(r"dla:([0-9])")
MODEL_NAME = Path("/proc/device-tree/model")
log = logging.getLogger(__name__)


class _Way(Protocol):
    """How TensorRT is reached here: what it is, how it builds, and how it opens what was built."""

    @property
    def version(self) -> str: ...
    @property
    def said(self) -> str: ...
    @property
    def oldest(self) -> tuple[int, int]: ...
    @property
    def gpu(self) -> str: ...
    def build(self, model: str, plan: BuildPlan, timings: Path) -> bytes: ...
    def open(self, engine: bytes, artifact: Artifact, plan: BuildPlan) -> Session: ...


@dataclass(frozen=True, slots=True)
class _TensorRT:
    device: str = ""
    formats = ("tensorrt",)

    @property
    def name(self) -> str:
        return f"{NAME}@{self.device}" if self.device else NAME

    def on(self, device: str) -> _TensorRT:
        """The same runtime on a deep learning accelerator. Raises `UsageError` for what names none."""
        if not DLA.fullmatch(device):
            raise UsageError(f"{NAME} has no device called {device!r}", f"{NAME}@dla:0, or {NAME} alone for the GPU")
        return _TensorRT(device)

    def probe(self) -> Probe:
        """Whether the binding and CUDA's import here and TensorRT is new enough, or trtexec is here; touches no GPU."""
        try:
            return Probe(ok=True, version=_way().said)
        except EdgekitError as missing:
            return Probe(ok=False, reason=missing.message, hint=missing.hint or "edgekit doctor")

    def load(self, artifact: Artifact, *, threads: int = 0) -> Session:
        """Open the cached engine, or build it first (minutes). `DeviceError` for whatever TensorRT or CUDA refuses,
        `Unsupported` for an accelerator the artifact's board does not have."""
        core = int(found[1]) if (found := DLA.fullmatch(self.device)) else None
        if core is not None:
            ensure_dla_is_there(artifact.manifest.target, core)
        way = _way()
        model = Path(model_file(artifact))
        recipe = read_recipe(Path(model_file(artifact, "recipe")).read_bytes())
        plan = plan_build(recipe, way.version, dla_core=core, oldest=way.oldest)
        return _engine(way, artifact, model, plan)


def _engine(way: _Way, artifact: Artifact, model: Path, plan: BuildPlan) -> Session:
    """The kept engine where it opens, else a new one. One process builds at a time: two would spoil each other's timings."""
    gpu, mode, what = way.gpu, power_mode(), artifact.path.name
    folder = cache_folder(os.environ, Path.home())
    file = folder / engine_name(sha256_file(model), plan_name(plan), way.version, gpu, mode)
    if (session := _kept(way, file, artifact, plan)) is not None:
        return session
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    with held(folder, wait=True):
        if (session := _kept(way, file, artifact, plan)) is not None:
            return session
        log.warning("building the engine of %s on this board, once: this takes minutes", what)
        built = way.build(str(model), plan, folder / timing_name(way.version, gpu, mode))
        keep_engine(file, built)
    return way.open(built, artifact, plan)


def _kept(way: _Way, file: Path, artifact: Artifact, plan: BuildPlan) -> Session | None:
    """A session of the engine that was kept; None where there is none, or TensorRT has no use for it any more."""
    data = kept_engine(file)
    if not data:
        return None
    try:
        return way.open(data, artifact, plan)
    except _Refused as refused:
        log.warning("the engine kept for %s is of no use any more (%s)", artifact.path.name, refused.message)
        file.unlink(missing_ok=True)
        return None


class _Refused(DeviceError):
    """An engine that TensorRT does not read: another build of the same version made it, or the file was damaged."""


@dataclass(frozen=True, slots=True)
class _Binding:
    """TensorRT and CUDA through their Python packages."""

    trt: ModuleType
    cuda: ModuleType
    oldest = OLDEST

    @property
    def version(self) -> str:
        return str(self.trt.__version__)

    @property
    def said(self) -> str:
        return self.version

    @property
    def gpu(self) -> str:
        name = done(self.cuda.cudaGetDeviceProperties(0)).name
        return name.decode().rstrip("\0") if isinstance(name, bytes) else str(name)

    def build(self, model: str, plan: BuildPlan, timings: Path) -> bytes:
        return build(self.trt, model, plan, timings)

    def open(self, engine: bytes, artifact: Artifact, plan: BuildPlan) -> Session:
        what = artifact.path.name
        with complaints(NAME, f"open the engine of {what!r}", hint=MEMORY):
            runtime = self.trt.Runtime(self.trt.Logger(self.trt.Logger.ERROR))
            if plan.dla_core is not None:
                runtime.DLA_core = plan.dla_core
            read = runtime.deserialize_cuda_engine(engine)
            if read is None:
                raise _Refused(f"tensorrt refused the engine of {what!r}", MEMORY)
            return TensorRTSession(read, self.trt, self.cuda)


@dataclass(frozen=True, slots=True)
class _Program:
    """TensorRT through trtexec."""

    tool: _trtexec.Trtexec
    oldest = OLDEST_TRTEXEC

    @property
    def version(self) -> str:
        return self.tool.version

    @property
    def said(self) -> str:
        return f"{self.version} (trtexec: one process a run)"

    @property
    def gpu(self) -> str:
        """The board's own name, since trtexec tells the GPU's only while it runs."""
        try:
            return MODEL_NAME.read_text("utf-8", errors="replace").strip("\0\n ")
        except OSError:
            return ""

    def build(self, model: str, plan: BuildPlan, timings: Path) -> bytes:
        return self.tool.build(model, plan, timings)

    def open(self, engine: bytes, artifact: Artifact, plan: BuildPlan) -> Session:
        return _trtexec.TrtexecSession(self.tool, engine, artifact, plan.dla_core)


def _way() -> _Way:
    """The Python binding, else trtexec. `MissingDependency` with both reasons when neither is here."""
    reasons: list[EdgekitError] = []
    ways: tuple[Callable[[], _Way], ...] = (_binding, lambda: _Program(_trtexec.find()))
    for way in ways:
        try:
            return way()
        except (MissingDependency, Unsupported, DeviceError) as missing:
            reasons.append(missing)
    raise MissingDependency("; ".join(reason.message for reason in reasons), reasons[0].hint)


def _binding() -> _Binding:
    trt = need("tensorrt")
    ensure_new_enough(str(trt.__version__))
    return _Binding(trt, _cuda())


def _cuda() -> ModuleType:
    """CUDA's Python binding, under its newer or its older name."""
    try:
        return need("cuda.bindings.runtime")
    except MissingDependency:
        pass
    try:
        return need("cuda.cudart")
    except MissingDependency as missing:
        raise MissingDependency(missing.message, 'pip install "cuda-python"') from missing


runtime: Runtime[Session] = _TensorRT()
