"""Peers live in environments of their own, made once: under PEERS_HOME, else under a temporary folder (several GB). Nothing of them is a
dependency of edgekit."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from common import ROOT, run

ONNX2TF = ("onnx2tf", "tensorflow-cpu", "tf_keras", "onnx_graphsurgeon", "onnxsim", "psutil", "ai-edge-litert")
AI_EDGE_QUANTIZER = ("ai-edge-quantizer",)


@cache
def home() -> Path:
    """Where the environments of the peers are."""
    kept = os.environ.get("PEERS_HOME")
    return Path(kept) if kept else Path(tempfile.mkdtemp(prefix="edgekit-peers-"))


def environment(packages: tuple[str, ...]) -> Path:
    """The Python of a peer's own environment, which is called like its first package and made when it is not there."""
    python = home() / packages[0] / "bin" / "python"
    if not python.exists():
        run([python312(), "-m", "venv", str(home() / packages[0])])
        run([str(python), "-m", "pip", "install", "--quiet", *packages])
    return python


def installed(packages: tuple[str, ...]) -> Callable[[], str]:
    """The version of the first package in a peer's environment, which is made when it is not there."""
    code = f"from importlib.metadata import version; print(version({packages[0]!r}))"
    return cache(lambda: run([str(environment(packages)), "-c", code]).stdout.strip())


def python312() -> str:
    """A Python 3.12 or 3.13 that can make environments, or the end of the program with a reason."""
    found = found_python312()
    if not found:
        raise SystemExit("onnx2tf needs Python 3.12 or later, and there is none here")
    return found


def found_python312() -> str:
    """A Python 3.12 or 3.13 that can make environments, or nothing."""
    finder = [str(ROOT / ".ci" / "find-python"), "3.12", "3.13"]
    return next(iter(subprocess.run(finder, capture_output=True, text=True, check=False).stdout.split()), "")
