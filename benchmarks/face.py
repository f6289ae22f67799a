"""What `session.run` costs over the engine's own call, in pairs on the same input arrays. Writes results/face.json.

    python benchmarks/face.py [FOLDER]      FOLDER keeps the converted networks for the next time

Four sizes of networks, in both engines and both precisions, each called in five ways:

- engine: the vendor's own call on arrays that are in its layout and integers already: what no converting caller can reach;
- by hand: the vendor's own call by somebody who has the source model's array, and transposes and quantizes it with numpy;
- face: `session.run(feed)` on that same array, checks and conversion in both directions included;
- turned: `session.run(feed)` of a session with `layout="engine"`, on float pictures in the engine's order of axes;
- raw: `session.run(feed, raw=True)` on the engine's arrays.

All on one and the same loaded model, since two copies of one lie differently in memory and differ by percents for that alone. `control`
is the engine's own call beside itself: what this way of measuring cannot tell from nothing. How pairs are timed is in paired.py.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from common import conditions, run, write
from numpy.typing import NDArray
from paired import RESTARTS, Call, difference, plain, told

from edgekit.artifact import read
from edgekit.calibration.artifacts import calibration_artifacts
from edgekit.calibration.calibrate import targets_here
from edgekit.calibration.sketch import Sketch
from edgekit.core.profiles import find
from edgekit.core.schema import Artifact, Port
from edgekit.loading import LAYOUTS
from edgekit.runtimes import registry
from edgekit.runtimes.face import FaceSession

Arrays = dict[str, NDArray[Any]]
Engine = Callable[[NDArray[Any]], Arrays]
MEASURE = "measure"
COMPARED = {"control": "engine", "raw": "engine", "turned": "engine", "face": "by_hand"}
"""Each way, and what it is compared with."""


def tiny() -> Sketch:
    return Sketch((1, 1, 28, 28), 1).conv(8).pool().flat().dense(10, activation="")


def small() -> Sketch:
    return Sketch((1, 3, 96, 96), 2).conv(16, stride=2).separable(32, stride=2).classes(10)


def middle() -> Sketch:
    return Sketch((1, 3, 224, 224), 3).conv(16, stride=2).separable(32, stride=2).separable(64, stride=2).classes(100)


def large() -> Sketch:
    sketch = Sketch((1, 3, 224, 224), 4).conv(32, stride=2)
    for channels, stride in ((64, 1), (96, 2), (96, 1), (192, 2), (192, 1), (384, 2), (384, 1)):
        sketch.separable(channels, stride=stride)
    return sketch.classes(1000)


MODELS: Mapping[str, Callable[[], Sketch]] = {"tiny": tiny, "small": small, "middle": middle, "large": large}


def main(arguments: list[str]) -> int:
    """Convert what is not there, measure in several processes, write."""
    match arguments:
        case ["measure", folder]:
            print(json.dumps(dict(measured(Path(folder)))))
        case [folder]:
            measure_and_write(Path(folder))
        case _:
            with tempfile.TemporaryDirectory() as folder:
                measure_and_write(Path(folder))
    return 0


def measure_and_write(folder: Path) -> None:
    """One restart after the other."""
    convert(folder)
    before = conditions("onnxruntime", "ai-edge-litert")
    found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for _ in range(RESTARTS):
        for name, ways in json.loads(run([sys.executable, __file__, MEASURE, str(folder)]).stdout).items():
            found[name].append(ways)
    rows = [{**about(read(folder / name)), **_ways(restarts)} for name, restarts in found.items()]
    write("face", {"conditions": {**before, "threads": "1", "clock": "cpu"}, "rows": rows})


def convert(folder: Path) -> None:
    """Every network for every engine and precision."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, sketch in MODELS.items():
        targets = [one for one in targets_here(find("host")) if not (folder / f"{name}.{one.format}.{one.precision}").exists()]
        if targets:
            calibration_artifacts(name, sketch().model(name), targets, folder)


def about(artifact: Artifact) -> dict[str, Any]:
    """Which network it is, in which engine."""
    target, port = artifact.manifest.target, artifact.manifest.inputs[0]
    return {
        "model": artifact.manifest.name,
        "runtime": target.runtime,
        "precision": target.precision,
        "input": list(port.source.shape),
        "layout_changes": port.permutation is not None,
    }


def _ways(restarts: list[Mapping[str, Any]]) -> dict[str, Any]:
    return {way: told([each[way] for each in restarts]) for way in COMPARED}


def measured(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every artifact in one process: each way beside what it is compared with."""
    for name in MODELS:
        for path in sorted(folder.glob(f"{name}.*.*")):
            calls = calls_of(read(path))
            yield path.name, {way: plain(difference(calls[base], calls[way])) for way, base in COMPARED.items()}


def calls_of(artifact: Artifact) -> dict[str, Call]:
    """All ways, on one loaded model."""
    target, port = artifact.manifest.target, artifact.manifest.inputs[0]
    loaded = registry.get(target.runtime).load(artifact, threads=1)
    session, turned = (FaceSession(loaded, artifact, target.runtime, layout=layout) for layout in LAYOUTS)
    engine = BARE[target.runtime](loaded)
    source = np.random.default_rng(0).random(port.source.shape, np.float32)
    own = by_hand(port, source)
    feed, raw = {port.source.name: source}, {port.source.name: own}
    lying = {port.source.name: np.ascontiguousarray(source if port.permutation is None else source.transpose(port.permutation))}
    return {
        "engine": lambda: engine(own),
        "control": lambda: engine(own),
        "by_hand": lambda: back(artifact, engine(by_hand(port, source))),
        "face": lambda: session.run(feed),
        "turned": lambda: turned.run(lying),
        "raw": lambda: session.run(raw, raw=True),
    }


def onnxruntime(loaded: Any) -> Engine:
    """What its users write, for one input."""
    session, names = loaded._session, [spec.name for spec in loaded.outputs]
    (name,) = (spec.name for spec in loaded.inputs)
    return lambda array: dict(zip(names, session.run(names, {name: array}), strict=True))


def litert(loaded: Any) -> Engine:
    """What its users write, for one input and one output."""
    interpreter, ((name, output),) = loaded._interpreter, loaded._output_index.items()
    (index,) = loaded._input_index.values()

    def run(array: NDArray[Any]) -> Arrays:
        interpreter.set_tensor(index, array)
        interpreter.invoke()
        return {name: interpreter.get_tensor(output)}

    return run


BARE: Mapping[str, Callable[[Any], Engine]] = {"onnxruntime": onnxruntime, "litert": litert}


def by_hand(port: Port, array: NDArray[Any]) -> NDArray[Any]:
    """The engine's array, as numpy's users write it."""
    turned = array if port.permutation is None else array.transpose(port.permutation)
    if port.engine.scale is None:
        return np.ascontiguousarray(turned, port.engine.dtype)
    limits = np.iinfo(port.engine.dtype)
    steps = np.round(turned / np.float32(port.engine.scale)) + np.float32(port.engine.zero_point or 0)
    return np.ascontiguousarray(np.clip(steps, limits.min, limits.max).astype(port.engine.dtype))


def back(artifact: Artifact, answers: Mapping[str, NDArray[Any]]) -> Arrays:
    """The source model's outputs, as numpy's users write it."""
    found = {}
    for port in artifact.manifest.outputs:
        array = answers[port.engine.name]
        if port.permutation is not None:
            array = array.transpose(tuple(int(axis) for axis in np.argsort(port.permutation)))
        if port.engine.scale is not None:
            array = (array.astype(np.float32) - np.float32(port.engine.zero_point or 0)) * np.float32(port.engine.scale)
        found[port.source.name] = array
    return found


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
