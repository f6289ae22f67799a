"""The Coral Edge TPU: LiteRT with the delegate of libedgetpu, on the artifact's compiled model, in a process of its own.

It runs the file that `edgetpu_compiler` wrote and nothing else: without the accelerator, its library or a compiled file it
says so instead of running on the CPU. `edgetpu` takes any accelerator that is free; `edgetpu@usb:0`, `edgetpu@pci:1` or
`edgetpu@:1` names one, as libedgetpu numbers them, so several sessions can hold one each. An artifact with several compiled
files, the segments of one model, runs as a pipeline on as many accelerators: the first ones, or those of
`edgetpu@usb:0,usb:1`. Not proven until it has run on a board with the accelerator.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from edgekit.core import process
from edgekit.core.errors import ArtifactError, DeviceError, EdgekitError, MissingDependency, Unsupported, UsageError
from edgekit.core.schema import Artifact
from edgekit.runtimes._apart import RUN_S, START_S, apart
from edgekit.runtimes._pipeline import Pipeline
from edgekit.runtimes.base import Probe, Runtime, Session, complaints
from edgekit.runtimes.litert import LiteRTSession, interpreter_module, open_session, package_version

NAME = "edgetpu"
LIBRARY = "libedgetpu.1.dylib" if sys.platform == "darwin" else "libedgetpu.so.1"
GET_LIBRARY = "install libedgetpu1-std, then plug the accelerator in again: https://coral.ai/software/"
PLUGGED_IN = "is it plugged in, and may you use it (group plugdev)?"
AFTER_A_CRASH = "unplug the accelerator and plug it in again, or look at 'edgekit doctor'"
DEVICE = re.compile(r"(usb|pci)?(:[0-9]{1,3})?")
"""What libedgetpu's option `device` may be: a kind of link, a number, or both."""
SEGMENT = re.compile(r".*_segment_([0-9]{1,3})_of_([0-9]{1,3})_edgetpu\.tflite")
"""What edgetpu_compiler calls the segments of a model."""
LOOK = "import ctypes, sys; ctypes.CDLL(sys.argv[1])"
LOOK_S = 30.0


@dataclass(frozen=True, slots=True)
class _EdgeTPU:
    device: str = ""
    formats = ("edgetpu",)

    @property
    def name(self) -> str:
        return f"{NAME}@{self.device}" if self.device else NAME

    def on(self, device: str) -> _EdgeTPU:
        """The same runtime on one accelerator, or several with commas. Raises `UsageError` for what cannot name one."""
        wrong = next((one for one in device.split(",") if not one or not DEVICE.fullmatch(one)), None)
        if wrong is not None:
            raise UsageError(
                f"no Edge TPU is called {wrong!r}", "edgetpu@usb:0, edgetpu@pci:0, edgetpu@:1 or edgetpu@usb:0,usb:1"
            )
        return _EdgeTPU(device)

    def probe(self) -> Probe:
        """Whether LiteRT and the library load here. Whether an accelerator is plugged in shows only at `load`."""
        try:
            module = interpreter_module()
            _check_library()
        except EdgekitError as missing:
            return Probe(ok=False, reason=missing.message, hint=missing.hint)
        return Probe(ok=True, version=package_version(module))

    def load(self, artifact: Artifact, *, threads: int = 0) -> Session:
        """Open the compiled model on the accelerator, in a process of its own; its segments each on one.

        Raises `Unsupported` when the artifact holds no compiled model, `DeviceError` when an accelerator does not answer, or its
        driver crashes or hangs.
        """
        files = compiled_files(artifact)
        devices = spread(self.device, len(files))
        _check_library()
        orders = [
            {"path": path, "threads": threads, "library": LIBRARY, "device": device}
            for path, device in zip(files, devices, strict=True)
        ]
        return _apart(orders[0]) if len(orders) == 1 else _pipeline(orders)


def compiled_files(artifact: Artifact) -> list[str]:
    """The compiled model: one file, or its segments in order. `Unsupported` where there is none."""
    names = [file.name for file in artifact.manifest.files if file.role == "compiled"]
    if not names:
        raise Unsupported(
            f"{artifact.path.name!r} holds no model compiled for the Edge TPU",
            "convert again where edgetpu_compiler is installed (x86-64 Linux)",
        )
    paths = [artifact.path / name for name in (names if len(names) == 1 else in_order(names))]
    gone = next((path for path in paths if not path.is_file()), None)
    if gone is not None:
        raise ArtifactError(f"{str(gone)!r} is missing", f"edgekit verify {artifact.path}")
    return [str(path) for path in paths]


def in_order(names: Sequence[str]) -> list[str]:
    """The segments by number. `ArtifactError` unless they are all there, and of one model."""
    found = {int(match[1]): match[0] for name in names if (match := SEGMENT.fullmatch(name)) and int(match[2]) == len(names)}
    if sorted(found) != [*range(len(names))]:
        raise ArtifactError(
            f"{len(names)} compiled files are no segments of one model: {', '.join(map(repr, names))}",
            f"edgetpu_compiler --num_segments {len(names)} names them MODEL_segment_0_of_{len(names)}_edgetpu.tflite and so on",
        )
    return [found[number] for number in sorted(found)]


def spread(device: str, segments: int) -> list[str]:
    """One accelerator for each segment: those that were named, else the first ones libedgetpu counts."""
    if not device:
        return [""] if segments == 1 else [f":{number}" for number in range(segments)]
    named = device.split(",")
    if len(named) != segments:
        raise UsageError(
            f"the model has {segments} segment{'s' * (segments > 1)}, and {len(named)} accelerator{'s' * (len(named) > 1)} were named",
            "name one for each, with commas",
        )
    return named


def _pipeline(orders: Sequence[dict[str, Any]]) -> Session:
    """A session of every segment; when one cannot be opened the ones before are closed."""
    with ExitStack() as stack:
        segments = []
        for number, order in enumerate(orders):
            try:
                segments.append(_apart(order))
            except DeviceError as exc:
                raise DeviceError(f"segment {number} of {len(orders)}: {exc.message}", exc.hint) from exc
            stack.callback(segments[-1].close)
        made = Pipeline(segments)
        stack.pop_all()
        return made


def open_compiled(path: str, threads: int, library: str, device: str) -> LiteRTSession:
    """The model on the accelerator, in this process. What the process apart calls."""
    return open_session(path, threads, (_delegate(library, device),), NAME)


def _apart(arguments: dict[str, Any]) -> Session:
    factory = f"{__name__}:{open_compiled.__name__}"
    return apart(NAME, factory, arguments, advice=AFTER_A_CRASH, start_s=START_S, run_s=RUN_S)


def _check_library() -> None:
    """Load libedgetpu in a process that ends at once; opening it touches no accelerator."""
    if sys.platform == "win32":
        raise MissingDependency("the Edge TPU runtime needs Linux or macOS", "run it on the board")
    try:
        process.run([sys.executable, "-I", "-S", "-c", LOOK, LIBRARY], timeout_s=LOOK_S)
    except EdgekitError as exc:
        why = exc.message.partition("OSError: ")[2] or exc.message
        absent = why.startswith(f"{LIBRARY}: cannot open shared object file")
        state = "is not on this machine" if absent else f"does not load: {why}"
        raise MissingDependency(f"the Edge TPU library {LIBRARY} {state}", GET_LIBRARY) from exc


def _delegate(library: str, device: str) -> Any:
    """LiteRT's handle of the accelerator."""
    with complaints(NAME, f"open the accelerator {device}".rstrip(), hint=PLUGGED_IN):
        return interpreter_module().load_delegate(library, {"device": device} if device else {})


runtime: Runtime[Session] = _EdgeTPU()
