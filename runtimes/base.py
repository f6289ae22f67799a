"""The runtime protocol: probe, load, run, close. Everything above the engines sees only this file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

from numpy.typing import NDArray

from edgekit.core.errors import ArtifactError, DeviceError, EdgekitError
from edgekit.core.schema import Artifact, TensorSpec

Arrays = Mapping[str, NDArray[Any]]
ANY_FORMAT = "*"
"""In `Runtime.formats`: this runtime takes every format."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Whether a runtime can work here. When it cannot, `reason` says what is wrong and `hint` what to do."""

    ok: bool
    version: str = ""
    reason: str = ""
    hint: str = ""


class Session(Protocol):
    """A loaded model. Adapters speak the engine's own tensors: engine names, dtypes, layouts."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]: ...
    @property
    def outputs(self) -> tuple[TensorSpec, ...]: ...
    def run(self, feed: Arrays) -> Arrays: ...
    def close(self) -> None: ...


Write = Callable[[NDArray[Any], NDArray[Any]], None]
"""Takes an array, and writes what it means into the engine's memory."""
Read = Callable[[NDArray[Any]], NDArray[Any]]


@runtime_checkable
class InPlace(Protocol):
    """A session that lends its own memory, so that numbers are converted into it and out of it with no array in between."""

    def run_in_place(self, feed: Arrays, write: Mapping[str, Write], read: Sequence[tuple[str, str, Read]]) -> Arrays:
        """Every input of `feed` written by its function; then every output (name to give, name to read, function): arrays of their own."""
        ...


S_co = TypeVar("S_co", bound=Session, covariant=True)


class Runtime(Protocol[S_co]):
    """An engine. `probe` never raises and opens nothing; `load` raises `DeviceError` for the engine's own complaints."""

    @property
    def name(self) -> str: ...
    @property
    def formats(self) -> tuple[str, ...]: ...
    def probe(self) -> Probe: ...
    def load(self, artifact: Artifact, *, threads: int = 0) -> S_co: ...


@runtime_checkable
class Placeable(Protocol):
    """A runtime that can choose among several devices of its kind. `on` raises `UsageError` for what names none."""

    def on(self, device: str) -> Runtime[Session]: ...


def takes(runtime: Runtime[Session], format_name: str) -> bool:
    """Whether the runtime can load artifacts of that format."""
    return ANY_FORMAT in runtime.formats or format_name in runtime.formats


def cores(threads: int) -> int:
    """How many threads an engine gets: `threads`, or for 0 one per core that this process may use.

    The engines' own defaults differ (LiteRT one, ONNX Runtime every core of the host, whatever this process may use), and
    two engines are only comparable with the same number.
    """
    if threads > 0:
        return threads
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def complaints(engine: str, doing: str, *, error: type[EdgekitError] = DeviceError, hint: str = "") -> Iterator[None]:
    """Turn whatever the engine raises inside the block into one of our errors: `litert could not load 'x': why`."""
    try:
        yield
    except EdgekitError:
        raise
    except Exception as exc:
        # Vendors raise bare Exception children of their own; this is the one edge where all of them are caught.
        raise error(f"{engine} could not {doing}: {first_line(exc)}", hint) from exc


def model_file(artifact: Artifact, role: str = "model") -> str:
    """Path of the file with that role as a string; `ArtifactError` when the artifact has none or it is gone."""
    file = artifact.manifest.file(role)
    if file is None:
        raise ArtifactError(f"{artifact.path.name!r} holds no {role} file", "convert the model again")
    path = os.path.join(artifact.path, file.name)  # noqa: PTH118  (every load asks this)
    if not os.path.isfile(path):  # noqa: PTH113
        raise ArtifactError(f"{path!r} is missing", f"edgekit verify {artifact.path}")
    return path


def first_line(exc: Exception) -> str:
    """The first line of what an exception says, or its kind when it says nothing."""
    return next((line.strip() for line in str(exc).splitlines() if line.strip()), type(exc).__name__)
