"""A runtime that needs nothing: it takes every artifact and answers zeros with the declared names, shapes and types."""

from __future__ import annotations

import numpy as np

from edgekit.core.errors import DeviceError
from edgekit.core.schema import Artifact, TensorSpec
from edgekit.runtimes.base import ANY_FORMAT, Arrays, Probe, Runtime, Session

VERSION = "1"


class DrySession:
    """Answers zero for every output; for a quantized one that is its zero point."""

    def __init__(self, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self._closed = False

    def run(self, feed: Arrays) -> Arrays:
        """New arrays, whatever the feed holds."""
        if self._closed:
            raise DeviceError("this dryrun session is closed")
        return {spec.name: np.full(spec.shape, spec.zero_point or 0, spec.dtype) for spec in self.outputs}

    def close(self) -> None:
        """Closing again does nothing."""
        self._closed = True


class _DryRun:
    name = "dryrun"
    formats = (ANY_FORMAT,)

    def probe(self) -> Probe:
        """Always there."""
        return Probe(ok=True, version=VERSION)

    def load(self, artifact: Artifact, *, threads: int = 0) -> DrySession:
        """Opens no file: the manifest says all that is needed."""
        ports = artifact.manifest
        return DrySession(tuple(port.engine for port in ports.inputs), tuple(port.engine for port in ports.outputs))


runtime: Runtime[Session] = _DryRun()
