"""A task of MediaPipe as an artifact: its own file, untouched, and what edgekit must know to ask it."""

from __future__ import annotations

import io
import math
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from edgekit import __version__
from edgekit import artifact as artifacts
from edgekit.converters.graph import Array
from edgekit.converters.tflite_file.read import IDENTIFIER, TFLiteFile, parse
from edgekit.core.errors import GateFailed, InputError, NotFound, Unsupported
from edgekit.core.files import ensure_creatable, ensure_free, sha256_bytes
from edgekit.core.schema import (
    MANIFEST_VERSION,
    Artifact,
    Device,
    Manifest,
    Parity,
    Port,
    Precision,
    Preprocess,
    Source,
    Step,
    Target,
    TensorSpec,
)
from edgekit.loading import open_artifact
from edgekit.parity import Golden, Run, golden_bytes, golden_of, parity
from edgekit.runtimes._mediapipe_tasks import MOST, TASKS, boxes_of
from edgekit.runtimes.litert import execute
from edgekit.runtimes.mediapipe import FORMAT, NAME
from edgekit.tasks.use import use_by_shape

SUFFIX = ".task"
LIMIT_BYTES = 512 << 20
"""Of one network in a bundle, unpacked."""
POSE = "pose-landmarker"
BUNDLES: Mapping[frozenset[str], str] = {
    frozenset({"pose_detector.tflite", "pose_landmarks_detector.tflite"}): POSE,
}
"""The tasks that are several networks, by the names these have in the bundle."""
FACE_ANCHORS = 896
COLOURS = 3
SAMPLES = 4
MODEL_FILE, GOLDEN_FILE = "model.task", "golden.npz"
DETECTIONS = "TFLite_Detection_PostProcess"
PASSING = frozenset({"RESHAPE", "SQUEEZE", "QUANTIZE", "DEQUANTIZE"})
SCORING = frozenset({"SOFTMAX", "LOGISTIC"})
USED = frozenset({"image-classifier", "object-detector", POSE})
"""The tasks that edgekit's own heads understand."""
WITHOUT = "convert it for LiteRT, without --format mediapipe"
AS_LITERT = "packaged as it came; MediaPipe's answers are LiteRT's"
BY_ITSELF = "packaged as it came; parity is with MediaPipe's own answers where it was packaged: no other engine computes what the task adds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """What a file holds: the task it is for, its networks, and the shapes of what the task gives."""

    task: str
    networks: tuple[TFLiteFile, ...]
    outputs: Mapping[str, tuple[int, ...]]

    @property
    def picture(self) -> TensorSpec:
        """The largest picture that any of its networks wants, as bytes: MediaPipe scales it for the others."""
        shapes = (network.tensors[network.inputs[0]].shape for network in self.networks)
        return TensorSpec(name="image", shape=max(shapes), dtype="uint8")

    @property
    def precision(self) -> Precision:
        """As the numbers in the networks are stored."""
        tensors = [tensor for network in self.networks for tensor in network.tensors]
        if any(tensor.scale for tensor in tensors):
            return "int8"
        return "fp16" if any(tensor.constant and tensor.dtype == "float16" for tensor in tensors) else "fp32"


def is_task(path: Path, wanted: str = "auto") -> bool:
    """Whether `package` is for it: a `.task` bundle, or any file that is wanted in MediaPipe's format."""
    return wanted == FORMAT or path.suffix.lower() == SUFFIX


def package(path: Path, device: Device, output: Path, *, force: bool = False, licence: str = "") -> Artifact:
    """Write `output/NAME.DEVICE.PRECISION-mediapipe` around the bytes of a task's file.

    It is opened and run before anything is written. Of a network of bytes with one output the answers must be LiteRT's; of the
    other tasks MediaPipe's own answers are recorded, so that `edgekit verify` holds the board's to them.
    Raises `NotFound`, `InputError` for no such file, `Unsupported` for a task without an adapter, `GateFailed` when the answers differ,
    and what MediaPipe complains about.
    """
    data = _read(path)
    bundle = recognise(data, path.name)
    goal = output / f"{path.stem}.{device.name}.{bundle.precision}-{FORMAT}"
    ensure_creatable(output)
    ensure_free(goal, replace=force)
    plain = _manifest(path, data, bundle, device, licence)
    found, golden = _proven(plain, data, bundle)
    if not found.ok:
        raise GateFailed(
            f"{path.name!r}: MediaPipe answers otherwise than LiteRT ({found.metric} {found.value:g}, tolerance {found.tolerance:g})",
            "is its metadata right? run it as it is: edgekit convert without --format mediapipe",
        )
    files = {MODEL_FILE: data, GOLDEN_FILE: golden_bytes(golden)}
    described = artifacts.described(files, {MODEL_FILE: "model", GOLDEN_FILE: "golden"})
    manifest = msgspec.structs.replace(plain, files=described, parity=found)
    return artifacts.write(goal, manifest, files, replace=force)


def recognise(data: bytes, name: str) -> Bundle:
    """What a file holds. Raises `InputError` for what is neither a network nor a bundle, `Unsupported` for other tasks."""
    if data[4:8] == IDENTIFIER:
        return _single(parse(data), name)
    networks = _unpacked(data, name)
    task = next((task for names, task in BUNDLES.items() if names <= networks.keys()), None)
    if task is None:
        raise Unsupported(
            f"{name!r} holds {', '.join(sorted(networks)) or 'no network'}: edgekit has no adapter for that task",
            f"the bundles it knows: {'; '.join(BUNDLES.values())}",
        )
    return Bundle(task=task, networks=tuple(map(parse, networks.values())), outputs=TASKS[task].outputs)


def _single(network: TFLiteFile, name: str) -> Bundle:
    """A task of one network, by the shapes of what it gives."""
    outputs = network.of(network.outputs)
    shapes = sorted(tensor.shape for tensor in outputs)
    picture = network.tensors[network.inputs[0]].shape if len(network.inputs) == 1 else ()
    if len(picture) != 4 or picture[0] != 1 or picture[3] != COLOURS:
        raise Unsupported(
            f"{name!r} takes no single picture in RGB, which is all that edgekit's adapter gives MediaPipe", WITHOUT
        )
    if len(shapes) == 4 and any(one.custom_code == DETECTIONS for one in network.operators):
        most = min(MOST, max((shape[1] for shape in shapes if len(shape) > 1), default=MOST))
        return Bundle(task="object-detector", networks=(network,), outputs=boxes_of(most))
    if [shape[:2] for shape in shapes] == [(1, FACE_ANCHORS)] * 2:
        return Bundle(task="face-detector", networks=(network,), outputs=TASKS["face-detector"].outputs)
    if len(shapes) == 1 and math.prod(shapes[0]) == shapes[0][-1] > 1:
        task, gives = ("image-classifier", "scores") if _scored(network) else ("image-embedder", "embedding")
        return Bundle(task=task, networks=(network,), outputs={gives: (1, shapes[0][-1])})
    raise Unsupported(f"{name!r} gives {shapes}: edgekit has no adapter for that task", WITHOUT)


def _scored(network: TFLiteFile) -> bool:
    """Whether its numbers are scores of classes: what makes them is a softmax or a sigmoid, whatever reshapes or stores them."""
    by_output = {output: operator for operator in network.operators for output in operator.outputs}
    last = by_output.get(network.outputs[0])
    while last is not None and last.op in PASSING:
        last = by_output.get(last.inputs[0])
    return last is not None and last.op in SCORING


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise NotFound(f"no model at {str(path)!r}", "is the path right?")
    if path.stat().st_size > LIMIT_BYTES:
        raise InputError(f"{path.name!r} has {path.stat().st_size} bytes, more than {LIMIT_BYTES}", "is it a task's file?")
    return path.read_bytes()


def _unpacked(data: bytes, name: str) -> dict[str, bytes]:
    """The networks in a bundle, which is a zip file, by name."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as bundle:
            inside = [entry for entry in bundle.infolist() if entry.filename.endswith(".tflite")]
            if sum(entry.file_size for entry in inside) > LIMIT_BYTES:
                raise InputError(f"{name!r} unpacks to more than {LIMIT_BYTES} bytes", "is it a task's file?")
            return {entry.filename: bundle.read(entry) for entry in inside}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, zlib.error, EOFError, OSError) as exc:
        raise InputError(f"{name!r} is neither a TFLite file nor a bundle: {exc}", "download it again") from exc


def _manifest(path: Path, data: bytes, bundle: Bundle, device: Device, licence: str) -> Manifest:
    """Everything but the files and the parity."""
    picture = bundle.picture
    outputs = tuple(TensorSpec(name=name, shape=shape, dtype="float32") for name, shape in bundle.outputs.items())
    _, height, width, _ = picture.shape
    known = use_by_shape([picture], outputs, {})[1]
    return Manifest(
        schema_version=MANIFEST_VERSION,
        name=path.stem,
        target=Target(device=device.name, runtime=NAME, format=FORMAT, precision=bundle.precision, dialect=bundle.task),
        runtimes=(NAME,),
        files=(),
        inputs=(Port(source=picture, engine=picture),),
        outputs=tuple(Port(source=spec, engine=spec) for spec in outputs),
        source=Source(name=path.name, sha256=sha256_bytes(data), bytes=len(data), framework=NAME, licence=licence),
        steps=(Step(name="package", tool="edgekit", version=__version__, detail=bundle.task),),
        preprocess=Preprocess(
            input=picture.name,
            height=height,
            width=width,
            layout="nhwc",
            resize="letterbox-center" if bundle.task == POSE else "stretch",
        ),
        postprocess=known if bundle.task in USED else None,
        notes=(AS_LITERT if _comparable(bundle) else BY_ITSELF,),
    )


def _proven(manifest: Manifest, data: bytes, bundle: Bundle) -> tuple[Parity, Golden]:
    """MediaPipe's answers to random pictures, held to LiteRT's where that computes the same, else to its own a second time."""
    generator = np.random.default_rng(0)
    pictures = [{"image": generator.integers(0, 256, bundle.picture.shape, np.uint8)} for _ in range(SAMPLES)]
    with tempfile.TemporaryDirectory(prefix="edgekit-mediapipe-") as scratch:
        files = {MODEL_FILE: data}
        bare = msgspec.structs.replace(manifest, files=artifacts.described(files, {MODEL_FILE: "model"}))
        artifact = artifacts.write(Path(scratch) / "artifact", bare, files)
        with open_artifact(artifact, runtime=NAME) as session:
            golden = golden_of(
                _litert(artifact.file("model"), bundle) if _comparable(bundle) else session.run, pictures, SAMPLES
            )
            return parity(golden, session.run, bundle.precision), golden


def _comparable(bundle: Bundle) -> bool:
    """Whether a network takes bytes as they are and gives one row of numbers: MediaPipe then adds nothing to it."""
    network = bundle.networks[0]
    return len(bundle.outputs) == 1 and network.tensors[network.inputs[0]].dtype == "uint8"


def _litert(model: Path, bundle: Bundle) -> Run:
    """The network in LiteRT, by MediaPipe's names, as the floats that its numbers stand for."""
    network, (name,) = bundle.networks[0], bundle.outputs
    tensor, run = network.tensors[network.outputs[0]], execute(model)

    def answer(feed: Mapping[str, Array]) -> Mapping[str, Array]:
        (found,) = run([feed["image"]])
        if tensor.scale:
            found = (found.astype(np.float32) - tensor.zero_point[0]) * np.float32(tensor.scale[0])
        return {name: found.reshape(bundle.outputs[name])}

    return answer
