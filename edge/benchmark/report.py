"""The nouns of a benchmark report. Its published JSON Schema (`docs/schema`) is generated from these classes.

Times are in the unit of their name; a value that could not be measured is null, never zero. Scenarios, meters and
stages that come later are fields with defaults: an old report stays readable.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from edgekit.core.errors import InputError, NotFound
from edgekit.core.files import write_atomically
from edgekit.core.schema import Accuracy, Parity, Precision, Value
from edgekit.pages import embedded_data

REPORT_VERSION = 1
REPORT_LIMIT_BYTES = 256 << 20
Scenario = Literal["single-stream", "multi-stream", "offline", "server", "periodic"]
Count = Annotated[int, Meta(ge=0)]


class Full(Value, frozen=True, kw_only=True, omit_defaults=False):
    """A value that is written with all its fields, so that readers of a report need no knowledge of defaults."""


class Percentile(Full, frozen=True, kw_only=True):
    """A percentile of the pooled latencies. Each bound alone holds with the method's confidence."""

    level: float
    value_ms: float
    lower_ms: float
    upper_ms: float


class Reading(Full, frozen=True, kw_only=True):
    """What the sensors said between two inferences, `at_s` seconds after the timed region began."""

    at_s: float
    rss_bytes: int | None = None
    temperature_c: float | None = None
    clock_mhz: float | None = None
    """The fastest core's."""
    gpu_mhz: float | None = None
    throttled: int | None = None
    """A Raspberry Pi firmware's flags: bits 0 to 3 under-voltage, clock capped, throttled, soft temperature limit now; bits 16
    to 19 the same at any time since boot."""


class Warmup(Full, frozen=True, kw_only=True):
    """What ran before the timed region, and whether it ended because latency had settled."""

    runs: int
    seconds: float
    steady: bool | None
    """Whether latency had settled; null where it is not judged: a language model gives one answer."""
    temperature_steady: bool | None = None
    """Whether temperature had; null where no sensor tells, or the warm-up was too short to tell."""
    temperatures_c: tuple[float, ...] = ()
    """Read once a second."""


class Energy(Full, frozen=True, kw_only=True):
    """What a board took while the same inferences went on after the timed region. Its idle power is in it."""

    meter: str
    """Where it was measured, and by what."""
    readings_w: tuple[float, ...]
    mean_w: float
    seconds: float
    inferences: int
    mj_per_inference: float


class Stages(Full, frozen=True, kw_only=True):
    """Medians of the parts of an answer, each timed by itself after the timed region. Null: the artifact has no such part."""

    picture: tuple[int, int] | None
    """Width and height of the frame that was prepared."""
    runs: int
    pre_ms: float | None
    """From the frame to the model's input: resize, reorder, scale."""
    into_ms: float
    """The input's numbers to the engine: layout and quantization."""
    infer_ms: float
    out_ms: float
    """The engine's numbers back."""
    post_ms: float | None
    """From the outputs to classes or boxes."""


class Answer(Full, frozen=True, kw_only=True):
    """One answer of a language model to a prompt that it had not seen."""

    prompt_tokens: Count
    """Tokens of the prompt that were evaluated."""
    cached_tokens: Count
    """Tokens that the engine knew from the prompt before: in no rate."""
    prompt_ms: float
    """What the engine says that it took to evaluate them."""
    tokens: Count
    """Tokens of the answer after its first, which comes of the prompt."""
    generation_ms: float
    """What the engine says that it took from the first token to the last."""
    total_ms: float
    """From the request to the end, by the clock of whoever asks."""


class Run(Full, frozen=True, kw_only=True):
    """One process: cold start, warm-up, timed region. `latencies_ns` are the raw samples in the order they were taken.

    A language model's latency is the time to the first piece of its answer.
    """

    load_ms: float
    first_ms: float
    warmup: Warmup
    timed_s: float
    latencies_ns: Annotated[tuple[Count, ...], Meta(min_length=1)]
    readings: tuple[Reading, ...]
    start_rss_bytes: int | None
    peak_rss_bytes: int | None
    loop_overhead_ns: int
    """Median of what the timer reads when there is nothing to time."""
    stride: int = 1
    """Every `stride`-th inference was recorded (more than 1 only where a report would grow without bound)."""
    missed: int = 0
    """Periodic: ticks that passed while an inference was still running."""
    streams: int = 1
    """Sessions that worked at once."""
    rate_hz: float | None = None
    """Server: the highest mean rate of random arrivals that held, where it was searched."""
    stages: Stages | None = None
    energy: Energy | None = None
    """Null where the board has no meter."""
    answers: tuple[Answer, ...] = ()
    """Of a language model, one for every latency."""


class Rate(Full, frozen=True, kw_only=True):
    """Tokens per second: mean and standard deviation over the answers."""

    per_s: float
    deviation: float | None
    """Null for a single answer."""


class Tokens(Full, frozen=True, kw_only=True):
    """A language model's rates over all restarts: reading prompts and writing answers apart."""

    answers: int
    prompt_tokens: int
    """Median of those that were evaluated."""
    cached_tokens: int
    """The most that any answer found known already; they are in no rate."""
    answer_tokens: int
    """Median of those that came after the first."""
    prompt: Rate
    generation: Rate


class Summary(Full, frozen=True, kw_only=True):
    """The runs of one artifact taken together."""

    samples: int
    mean_ms: float
    minimum_ms: float
    maximum_ms: float
    variation: float
    """Standard deviation over mean of the pooled samples."""
    percentiles: tuple[Percentile, ...]
    throughput_per_s: float | None
    """Inferences per second: those of a query over its mean time; null where the rate is given, or found, instead."""
    restart_medians_ms: tuple[float, ...]
    restart_spread: float | None
    """Largest restart median over the smallest, minus one; null for a single restart."""
    load_ms: float
    first_ms: float
    peak_rss_bytes: int | None
    model_rss_bytes: int | None
    """Peak resident memory above that of the Python process before the model was loaded."""
    mj_per_inference: float | None = None
    """Median over the restarts."""
    mean_w: float | None = None
    tokens: Tokens | None = None
    """Null for models with tensors."""


class Flag(Full, frozen=True, kw_only=True):
    """Something a careful reader should know before quoting the numbers."""

    code: str
    severity: Literal["warning", "note"]
    """"warning": do not quote the number without this; "note": part of the conditions."""
    text: str


class Subject(Full, frozen=True, kw_only=True):
    """The artifact that was measured. Its accuracy stands here, beside its speed."""

    name: str
    folder: str
    sha256: str
    device: str
    target_runtime: str
    precision: Precision
    format: str
    bytes: int
    parity: Parity | None
    accuracy: Accuracy | None


class Engine(Full, frozen=True, kw_only=True):
    """What ran the artifact, with how many threads."""

    runtime: str
    version: str
    threads: int


class Environment(Full, frozen=True, kw_only=True):
    """The machine and the software. Unknown is null."""

    machine: str
    compatible: tuple[str, ...]
    """The device tree's `compatible` strings, by which boards are recognised; empty where there is no device tree."""
    cpu: str
    isa: str
    cores: int
    usable_cores: int
    memory_bytes: int | None
    virtual: bool
    governor: str | None
    maximum_mhz: float | None
    os: str
    kernel: str
    python: str
    edgekit: str
    load_average: float | None
    cap_mhz: float | None = None
    """What the fastest core may run at by its present policy or power mode; below `maximum_mhz` where it is capped."""
    gpu_cap_mhz: float | None = None
    power_mode: str = ""
    l4t: str = ""
    """Jetson Linux release."""
    supply_ma: int | None = None
    """What the power supply of a Raspberry Pi 5 agreed to give."""


class Method(Full, frozen=True, kw_only=True):
    """How it was measured."""

    scenario: Scenario
    duration_s: float
    restarts: int
    warmup_limit_s: float
    rate_hz: float | None
    confidence: float
    timed: str
    """What is inside the timer."""
    query: int = 1
    """Inferences in one timed query: more than one in multi-stream and offline."""
    bound_ms: float | None = None
    """Server: the latency that the 99th percentile must stay below at the rate that is searched."""
    prompt_tokens: int = 0
    """Language models: tokens of a prompt."""
    answer_tokens: int = 0
    """Language models: tokens of an answer."""


class Result(Full, frozen=True, kw_only=True):
    """One artifact's measurement."""

    subject: Subject
    engine: Engine
    on_target: bool
    """Whether this machine and engine are what the artifact was made for."""
    input: Literal["golden", "random"]
    """Where the input came from: the artifact's own recorded sample, or a seeded generator."""
    summary: Summary
    flags: tuple[Flag, ...]
    runs: Annotated[tuple[Run, ...], Meta(min_length=1)]


class Report(Full, frozen=True, kw_only=True):
    """`edgekit bench`: everything that was measured, and the conditions."""

    schema_version: int
    created: str
    """UTC, ISO 8601."""
    method: Method
    environment: Environment
    results: Annotated[tuple[Result, ...], Meta(min_length=1)]


def encode(report: Report) -> str:
    """The report as JSON text."""
    return msgspec.json.encode(report).decode()


def as_json(report: Report) -> dict[str, Any]:
    """The report as the plain values that JSON has."""
    plain: dict[str, Any] = msgspec.to_builtins(report)
    return plain


def read(path: Path | str) -> Report:
    """Read a report: a JSON file, or an HTML page, which carries its own data.

    Raises `NotFound` when there is no file, `InputError` when it is not a report or a newer edgekit wrote it.
    """
    file = Path(path)
    if not file.is_file():
        raise NotFound(f"no report at {str(file)!r}", "make one with 'edgekit bench ARTIFACT -o report.json'")
    if (size := file.stat().st_size) > REPORT_LIMIT_BYTES:
        raise InputError(f"{str(file)!r} has {size} bytes, more than the {REPORT_LIMIT_BYTES} a report may have", _MAKE)
    text = file.read_text("utf-8", errors="replace")
    return _parsed(embedded_data(text) or text, file)


def _parsed(text: str, file: Path) -> Report:
    try:
        version = msgspec.json.decode(text, type=_Versioned).schema_version
        if version > REPORT_VERSION:
            message = (
                f"{str(file)!r} was written by a newer edgekit (report version {version}, this one reads {REPORT_VERSION})"
            )
            raise InputError(message, 'pip install --upgrade "edgekit"')
        return msgspec.json.decode(text, type=Report)
    except msgspec.DecodeError as exc:
        raise InputError(f"{str(file)!r} is not a benchmark report: {exc}", _MAKE) from exc


def write(path: Path, text: str) -> None:
    """Write a report's text, in whatever form, whole or not at all."""
    write_atomically(path, text.encode())


class _Versioned(msgspec.Struct):
    """The one field that every report version has."""

    schema_version: int


_MAKE = "make one with 'edgekit bench ARTIFACT -o report.json'"
