"""A language model is no network: where onnx and onnxruntime cannot be imported it is converted all the same."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest
from tiny_language import loads

from edgekit.artifact import read
from edgekit.models import tinylm

pytest.importorskip("gguf")
BOXED = Path(str(files(tinylm))) / "tinylm.gguf"
WITHOUT = """
import sys
for name in ("onnx", "onnxruntime"): sys.modules[name] = None
from edgekit.cli import main
raise SystemExit(main(sys.argv[1:]))
"""


def _edgekit(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT, *arguments], capture_output=True, text=True, check=False
    )


def test_help_names_language_models() -> None:
    done = _edgekit("convert", "--help")
    assert done.returncode == 0 and "GGUF" in done.stdout, done.stderr


def test_the_boxed_model_is_converted_and_proven(tmp_path: Path) -> None:
    if all(loads(engine) for engine in ("llama_cpp", "xllamacpp")):
        pytest.skip("no language engine is here")
    done = _edgekit("convert", str(BOXED), "--target", "rpi5", "--precision", "q4_0", "-o", str(tmp_path), "--json")
    assert done.returncode == 0, done.stderr
    (made,) = json.loads(done.stdout)["artifacts"]
    manifest = read(Path(made["path"])).manifest
    assert (manifest.target.format, manifest.target.precision) == ("gguf", "q4_0")
    assert manifest.parity is not None and manifest.parity.ok


def test_a_network_in_the_same_batch_says_what_it_lacks_and_stops_nothing(tmp_path: Path) -> None:
    network = tmp_path / "network.onnx"
    network.write_bytes(b"never read")
    done = _edgekit("convert", str(network), str(tmp_path / "none.gguf"), "--target", "rpi5", "-o", str(tmp_path), "--json")
    first, second = json.loads(done.stdout)["failed"]
    assert first["error"] == "onnx is not installed" and "edgekit[convert]" in first["hint"]
    assert second["model"].endswith("none.gguf") and "onnx" not in second["error"]
