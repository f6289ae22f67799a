"""The runtime protocol: probe, load, run, close. Everything above the engines sees only this file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from numpy.typing import NDArray

from edgekit.core.schema import Artifact, TensorSpec

Arrays = Mapping[str, NDArray[Any]]


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


S_co = TypeVar("S_co", bound=Session, covariant=True)


class Runtime(Protocol[S_co]):
    """An engine. `probe` never raises and opens nothing; `load` raises `DeviceError` for the engine's own complaints."""

    @property
    def name(self) -> str: ...
    @property
    def formats(self) -> tuple[str, ...]: ...
    def probe(self) -> Probe: ...
    def load(self, artifact: Artifact, *, threads: int = 0) -> S_co: ...
