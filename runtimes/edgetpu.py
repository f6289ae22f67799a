"""The Coral Edge TPU: LiteRT with the delegate of libedgetpu, on the artifact's compiled model.

It runs the file that `edgetpu_compiler` wrote and nothing else: without the accelerator, its library or a compiled file it
says so instead of running on the CPU. Not proven until it has run on a board with the accelerator.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any

from edgekit.core.errors import DeviceError, MissingDependency, Unsupported
from edgekit.core.schema import Artifact
from edgekit.runtimes.base import Probe, Runtime, Session, complaints, model_file
from edgekit.runtimes.litert import LiteRTSession, interpreter_module, open_interpreter, package_version

NAME = "edgetpu"
LIBRARY = {"linux": "libedgetpu.so.1", "darwin": "libedgetpu.1.dylib", "win32": "edgetpu.dll"}.get(
    sys.platform, "libedgetpu.so.1"
)
GET_LIBRARY = "install libedgetpu1-std, then plug the accelerator in again: https://coral.ai/software/"


class _EdgeTPU:
    name = NAME
    formats = ("edgetpu",)

    def probe(self) -> Probe:
        """Whether LiteRT and the library load here. Whether an accelerator is plugged in shows only at `load`."""
        try:
            module = interpreter_module()
            _library()
        except (MissingDependency, DeviceError) as missing:
            return Probe(ok=False, reason=missing.message, hint=missing.hint)
        return Probe(ok=True, version=package_version(module))

    def load(self, artifact: Artifact, *, threads: int = 0) -> LiteRTSession:
        """Open the compiled model on the accelerator.

        Raises `Unsupported` when the artifact holds no compiled model, `DeviceError` when the accelerator does not answer.
        """
        if artifact.manifest.file("compiled") is None:
            raise Unsupported(
                f"{artifact.path.name!r} holds no model compiled for the Edge TPU",
                "convert again where edgetpu_compiler is installed (x86-64 Linux)",
            )
        path = model_file(artifact, "compiled")
        return LiteRTSession(open_interpreter(path, threads, (_delegate(),), NAME), NAME)


def _library() -> None:
    """Load libedgetpu into this process; opening it touches no accelerator."""
    try:
        ctypes.CDLL(LIBRARY)
    except OSError as exc:
        absent = "cannot open shared object file" in str(exc) and str(exc).startswith(LIBRARY)
        state = "is not on this machine" if absent else f"does not load: {exc}"
        raise MissingDependency(f"the Edge TPU library {LIBRARY} {state}", GET_LIBRARY) from exc


def _delegate() -> Any:
    """LiteRT's handle of the accelerator."""
    _library()
    with complaints(NAME, "open the accelerator", hint="is it plugged in, and may you use it (group plugdev)?"):
        return interpreter_module().load_delegate(LIBRARY)


runtime: Runtime[Session] = _EdgeTPU()
