"""What `session.run` costs over the engine's own call, in turns on the same input arrays. Writes results/face.json.

    python benchmarks/face.py

Four sizes of networks, in both engines and both precisions, each called in five ways:

- engine: the vendor's own call on arrays that are in its layout and integers already: what no converting caller can reach;
- by hand: the vendor's own call by somebody who has the source model's array, and transposes and quantizes it with numpy;
- face: `session.run(feed)` on that same array, checks and conversion in both directions included;
- turned: `session.run(feed)` of a session with `layout="engine"`, on float pictures in the engine's order of axes;
- raw: `session.run(feed, raw=True)` on the engine's arrays.

One thread, timed by that thread's own clock, which other processes do not disturb.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np
from common import conditions, write
from numpy.typing import NDArray

from edgekit.calibration.artifacts import made
from edgekit.calibration.calibrate import targets_here
from edgekit.calibration.sketch import Sketch
from edgekit.calibration.timing import Call, latencies_ms
from edgekit.core.profiles import find
from edgekit.core.schema import Artifact, Port
from edgekit.loading import open_artifact
from edgekit.runtimes import registry

Arrays = dict[str, NDArray[Any]]
Engine = Callable[[NDArray[Any]], Arrays]
ROUNDS = 24


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


def main() -> int:
    """Convert, call in turns, write."""
    targets = targets_here(find("host"))
    with made({name: sketch().model(name) for name, sketch in MODELS.items()}, targets) as artifacts, ExitStack() as stack:
        rows = [row for each in artifacts.values() for artifact in each for row in measured(artifact, stack)]
    write("face", {"conditions": {**conditions("onnxruntime", "ai-edge-litert"), "threads": "1", "clock": "cpu"}, "rows": rows})
    return 0


def measured(artifact: Artifact, stack: ExitStack) -> Iterator[dict[str, Any]]:
    """One artifact in its engine, all ways in turns."""
    target, port = artifact.manifest.target, artifact.manifest.inputs[0]
    session = stack.enter_context(open_artifact(artifact, runtime=target.runtime, threads=1))
    turned = stack.enter_context(open_artifact(artifact, runtime=target.runtime, threads=1, layout="engine"))
    loaded = registry.get(target.runtime).load(artifact, threads=1)
    stack.callback(loaded.close)
    engine = BARE[target.runtime](loaded)
    source = np.random.default_rng(0).random(port.source.shape, np.float32)
    own = by_hand(port, source)
    feed = {port.source.name: source}
    raw = {port.source.name: own}
    lying = {port.source.name: np.ascontiguousarray(source if port.permutation is None else source.transpose(port.permutation))}
    ways: dict[str, Call] = {
        "engine": lambda: engine(own),
        "by_hand": lambda: back(artifact, engine(by_hand(port, source))),
        "face": lambda: session.run(feed),
        "turned": lambda: turned.run(lying),
        "raw": lambda: session.run(raw, raw=True),
    }
    found = dict(zip(ways, latencies_ms(list(ways.values()), "cpu", rounds=ROUNDS), strict=True))
    yield {
        "model": artifact.manifest.name,
        "runtime": target.runtime,
        "precision": target.precision,
        "input": list(port.source.shape),
        "layout_changes": port.permutation is not None,
        "engine_ms": round(found["engine"], 4),
        **{f"{way}_over_engine": round(found[way] / found["engine"], 3) for way in ("by_hand", "face", "turned", "raw")},
        **{f"{way}_extra_us": round(1e3 * (found[way] - found["engine"]), 1) for way in ("by_hand", "face", "turned", "raw")},
        "face_over_by_hand": round(found["face"] / found["by_hand"], 3),
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
    raise SystemExit(main())
