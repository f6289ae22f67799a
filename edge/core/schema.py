"""The nouns of edgekit: frozen values, readable in two minutes.

Values that cross a file boundary (a profile, a manifest, a report) are `msgspec.Struct`s: unknown keys are refused, types
are checked while parsing, and the published JSON Schema is generated from these very classes. Units are in field names.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

Precision = Literal[
    "fp32", "fp16", "int8", "mixed", "int16x8", "dynamic",
    "q8_0", "q6_k", "q5_k_m", "q5_k_s", "q5_1", "q5_0", "q4_k_m", "q4_k_s", "q4_1", "q4_0", "iq4_nl", "q3_k_m", "q2_k",
]  # fmt: skip
"""Of networks in the first line; of language models beside fp32 and fp16 in the second, as llama.cpp names them."""
MANIFEST_VERSION = 1


class Value(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of every noun: immutable, keyword-only, unknown keys refused, defaults left out of files."""


class TensorSpec(Value, frozen=True, kw_only=True, omit_defaults=False):
    """One tensor at an interface.

    `scale` and `zero_point` are set when it is quantized (per tensor): real = (q - zero_point) * scale.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None = None
    zero_point: int | None = None


class Port(Value, frozen=True, kw_only=True):
    """An input or output of an artifact: how the source model names it, and how the engine stores it.

    `engine array = source array transposed by permutation, then quantized with the engine spec's scale and zero point`.
    """

    source: TensorSpec
    engine: TensorSpec
    permutation: tuple[int, ...] | None = None


class Accelerator(Value, frozen=True, kw_only=True):
    """What computes beside the CPU: a GPU, an Edge TPU, a DLA."""

    kind: str
    name: str
    count: int = 1


class Engine(Value, frozen=True, kw_only=True):
    """One way a device can run an artifact, with the precisions it is good at, best first."""

    runtime: str
    format: str
    precisions: tuple[Precision, ...]
    dialect: str = ""
    version: str = ""
    """Version of the vendor runtime on the board's default OS image (TensorRT '10.3', ...)."""


class Fact(Value, frozen=True, kw_only=True):
    """One figure about a device, where it was read, and when."""

    value: bool | int | float | str
    source: str
    read: str
    note: str = ""


class PowerMode(Value, frozen=True, kw_only=True):
    """A named power mode and the share of the accelerator's peak it leaves (active units x clock)."""

    name: str
    peak_fraction: float | None = None
    power_mw: int | None = None
    default: bool = False
    source: str = ""


class AddOn(Value, frozen=True, kw_only=True):
    """A part that can be put on a board, and what is known of it. What edgekit can do with it is in its notes."""

    name: str
    title: str
    facts: Mapping[str, Fact] = {}
    notes: tuple[str, ...] = ()


class Device(Value, frozen=True, kw_only=True):
    """A board: what it is called, what can run on it, and sourced facts. One YAML file each in `hardware_profiles/`."""

    name: str
    title: str
    family: Literal["jetson", "coral", "raspberry-pi", "host"]
    isa: str
    engines: tuple[Engine, ...]
    aliases: tuple[str, ...] = ()
    matches: tuple[str, ...] = ()
    """Device-tree `compatible` strings of this board; `*` stands for anything."""
    accelerators: tuple[Accelerator, ...] = ()
    facts: Mapping[str, Fact] = {}
    """By name, out of the vocabulary of `edgekit.core.facts`; what is not known is absent."""
    power_modes: tuple[PowerMode, ...] = ()
    add_ons: tuple[AddOn, ...] = ()
    notes: tuple[str, ...] = ()


class Preprocess(Value, frozen=True, kw_only=True):
    """How a picture becomes the model's input: resize, reorder, then `(pixel * scale - mean) / std` per channel."""

    input: str
    height: int
    width: int
    layout: Literal["nchw", "nhwc"] = "nchw"
    color: Literal["rgb", "bgr", "gray"] = "rgb"
    resize: Literal["stretch", "letterbox", "letterbox-center"] = "stretch"
    pad_value: float = 0.0
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)


class Postprocess(Value, frozen=True, kw_only=True):
    """How the outputs become an answer: the task, the head that was recognised, and its labels."""

    task: Literal["classification", "detection"]
    head: str
    labels: tuple[str, ...] = ()
    score_threshold: float = 0.3
    iou_threshold: float = 0.45
    parameters: Mapping[str, float] = {}


class Recipe(Value, frozen=True, kw_only=True):
    """The user's wish for one conversion."""

    precision: Precision | Literal["auto"] = "auto"
    format: str = "auto"
    max_drop: float | None = None
    """Largest accepted accuracy loss in points of the metric (0.01 = one percentage point)."""
    max_steps: int = 12
    """How many plans of mixed precision are tried when int8 misses the budget; 0: none."""
    weights: Literal["per-channel", "per-tensor"] = "per-channel"
    ranges: Literal["mse", "min-max"] = "mse"
    """How an activation's range is chosen: least squared error, or all that was seen."""
    adaround: bool = False
    """Round the weights of wide layers together, too: minutes, for a little less noise."""
    allow_cpu_ops: bool = False
    segments: int = 1
    """Edge TPUs that the compiled model is spread over, one after another."""
    calibration_limit: int = 128


class Target(Value, frozen=True, kw_only=True):
    """What the plan chose: this device, through this engine, at this precision."""

    device: str
    runtime: str
    format: str
    precision: Precision
    dialect: str = ""
    version: str = ""


class Parity(Value, frozen=True, kw_only=True, omit_defaults=False):
    """How near the artifact's outputs are to the source model's, on the recorded samples (worst output)."""

    metric: Literal["max_relative_error", "sqnr_db", "kl_nats"]
    value: float
    tolerance: float
    ok: bool
    worst_output: str
    samples: int


class Accuracy(Value, frozen=True, kw_only=True, omit_defaults=False):
    """A task metric of the source model and of the artifact on the same labelled data."""

    metric: str
    source: float
    artifact: float
    drop: float
    max_drop: float | None
    ok: bool
    samples: int
    data_sha256: str = ""
    """Hash of the labelled data: the source's value holds on this data alone."""


class KeptLayer(Value, frozen=True, kw_only=True):
    """A layer that stays in float, and its share of the model's multiply-accumulates."""

    name: str
    macs_share: float


class RecoveryStep(Value, frozen=True, kw_only=True, omit_defaults=False):
    """One plan of mixed precision that was tried: the worst `blocks` kept in float, and what came of it."""

    blocks: int
    layers: int
    macs_share: float
    parity: float
    accuracy: float | None
    ok: bool


class Recovery(Value, frozen=True, kw_only=True):
    """How int8 that missed its gates was rescued: every plan that was tried, in order, and the layers the last good one keeps."""

    blocks: int
    steps: tuple[RecoveryStep, ...]
    layers: tuple[KeptLayer, ...]
    macs_share: float


class Substituted(Value, frozen=True, kw_only=True):
    """A tensor of a language model that could not be stored in the type that was wanted, and why."""

    tensor: str
    wanted: str
    given: str
    why: str


class Language(Value, frozen=True, kw_only=True):
    """A language model: its sizes, how it was quantized, and what it takes on the board it was made for."""

    architecture: str
    parameters: int
    layers: int
    vocabulary: int
    trained_context: int
    context: int
    """Tokens of conversation that memory was reckoned with."""
    bits_per_weight: float
    kv_bytes_per_token: int
    read_bytes_per_token: int
    """Weights that every token makes the engine read."""
    need_bytes: int
    usable_bytes: int | None
    """Of the board; None where its memory is not known."""
    tokens_per_s: float | None
    """What the board's memory allows; None where its bandwidth is not known."""
    tokens_per_s_from: str = ""
    substituted: tuple[Substituted, ...] = ()
    tensor_errors: Mapping[str, float] = {}
    """Root mean square of what quantizing changed, relative to the tensor's own."""
    has_template: bool = False

    @property
    def fits(self) -> bool | None:
        """Whether it fits the board."""
        return None if self.usable_bytes is None else self.need_bytes <= self.usable_bytes


class File(Value, frozen=True, kw_only=True):
    """One payload file of an artifact."""

    name: str
    role: Literal["model", "compiled", "golden", "recipe", "calibration-cache", "report", "licence"]
    sha256: str
    bytes: int


class Source(Value, frozen=True, kw_only=True):
    """The trained model an artifact was made from."""

    name: str
    sha256: str
    bytes: int
    framework: str
    licence: str = ""


class Step(Value, frozen=True, kw_only=True):
    """One step of the conversion and the tool that did it."""

    name: str
    tool: str
    version: str
    detail: str = ""


class Manifest(Value, frozen=True, kw_only=True):
    """`manifest.json` of an artifact: everything needed to run it, trust it, and trace it."""

    schema_version: int
    name: str
    target: Target
    runtimes: tuple[str, ...]
    """Runtimes that can load the model file, the board's own first."""
    files: tuple[File, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    source: Source
    steps: tuple[Step, ...]
    parity: Parity | None = None
    accuracy: Accuracy | None = None
    recovery: Recovery | None = None
    preprocess: Preprocess | None = None
    postprocess: Postprocess | None = None
    language: Language | None = None
    calibration_sha256: str = ""
    float_layers: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def file(self, role: str) -> File | None:
        """The first file with that role, or None."""
        return next((file for file in self.files if file.role == role), None)


class Artifact(Value, frozen=True, kw_only=True):
    """A folder on disk with a manifest that has been read and checked."""

    path: Path
    manifest: Manifest
    sha256: str
    """SHA-256 of manifest.json, which in turn holds the hash of every payload file."""

    def file(self, role: str) -> Path:
        """Path of the payload file with that role; `KeyError` when there is none."""
        found = self.manifest.file(role)
        if found is None:
            raise KeyError(role)
        return self.path / found.name


class Measurement(Value, frozen=True, kw_only=True):
    """A timed quantity with the conditions it was taken under. Percentiles without enough samples are absent."""

    name: str
    unit: str
    samples: int
    mean: float
    minimum: float
    percentiles: Mapping[str, float] = {}
    conditions: Mapping[str, Any] = {}
