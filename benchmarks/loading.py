"""What `edgekit.load` costs beside the engine's own load and the hashes of the artifact's files, in pairs. Writes results/loading.json.

    python benchmarks/loading.py [ARTIFACT...]      artifacts of LiteRT and ONNX Runtime; else YOLOX, YuNet and the shipped digits

How pairs are timed is in paired.py. The engine by hand opens the model and allocates its tensors, and asks for nothing: which inputs and
outputs there are, and of which types, edgekit asks it once, and whoever runs the model by hand must ask as well. What that takes is `asked`.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from common import ROOT, SHARED, conditions, edgekit, run, write
from paired import RESTARTS, difference, plain, told

MEASURE = "measure"
SECONDS = 0.5


def main(arguments: Sequence[str]) -> int:
    """Every artifact in several processes."""
    if arguments[:1] == [MEASURE]:
        print(json.dumps({ending: plain(found) for ending, found in measure(Path(arguments[1])).items()}))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        paths = [*map(Path, arguments)] or [*_made(Path(folder))]
        before = conditions("edgekit", "onnxruntime", "ai-edge-litert")
        measured = [about(path) for path in paths]
    write("loading", {"conditions": before, "clock": "cpu", "artifacts": measured})
    return 0


def about(path: Path) -> dict[str, Any]:
    """One artifact, in one process after the other, in a folder without profiles of its own, as users have it."""
    command = [sys.executable, str(Path(__file__).resolve()), MEASURE, str(path.resolve())]
    found = [json.loads(run(command, cwd=Path("/")).stdout) for _ in range(RESTARTS)]
    size = sum(file.stat().st_size for file in path.iterdir())
    return {"artifact": path.name, "bytes": size, **{way: told([one[way] for one in found]) for way in found[0]}}


def measure(path: Path) -> dict[str, Any]:
    """What `edgekit.load` takes more than the engine's own load and the hashes, and what asking the engine for its tensors does."""
    from edgekit.loading import load

    file = next(each for each in path.iterdir() if each.name.startswith("model."))
    opened, asked = (_litert, _tensors) if file.suffix == ".tflite" else (_onnxruntime, _nodes)

    def by_hand() -> object:
        return _hashes(path), opened(file)

    ways: dict[str, Callable[[], object]] = {
        "load": lambda: load(path, threads=1),
        "asked": lambda: (_hashes(path), asked(opened(file))),
    }
    return {way: difference(by_hand, call, seconds=SECONDS) for way, call in ways.items()}


def _hashes(folder: Path) -> list[str]:
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()]


def _litert(file: Path) -> object:
    from ai_edge_litert.interpreter import Interpreter

    found = Interpreter(model_path=str(file), num_threads=1)
    found.allocate_tensors()
    return found


def _tensors(interpreter: Any) -> object:
    return interpreter, interpreter.get_input_details(), interpreter.get_output_details()


def _nodes(session: Any) -> object:
    return session, session.get_inputs(), session.get_outputs()


def _onnxruntime(file: Path) -> object:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _made(folder: Path) -> Iterator[Path]:
    """Artifacts of real models, converted for this, and the shipped digits."""
    for model, target in (("yolox_nano.onnx", "rpi5"), ("yolox_nano.onnx", "cpu"), ("yunet_n_640_640.onnx", "rpi5")):
        edgekit("convert", str(SHARED / "models_onnx" / model), "--target", target, "--precision", "fp32", "-o", str(folder))
    yield from sorted(path for path in folder.iterdir() if path.is_dir())
    yield from sorted((ROOT / "edge/models/digits/artifacts").iterdir())


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
