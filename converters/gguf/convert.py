"""One language model at one precision into one new file, measured tensor by tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.converters.gguf import gguf_source
from edgekit.converters.gguf.model import Array, LanguageModel, WeightTensor, count
from edgekit.converters.gguf.quants import OWN, error, quantized
from edgekit.converters.gguf.types import MIXTURES, Choice, choose, found_in, is_matrix
from edgekit.converters.gguf.writer import Entry, write
from edgekit.core.errors import InputError, Unsupported
from edgekit.core.files import said_plainly
from edgekit.core.gguf_file import Typed, read_header
from edgekit.core.progress import Event, Progress, silent

QUANTIZATION_VERSION = 2
Importance = Mapping[str, Array]
"""For a tensor's name: how strongly each of its columns is used."""

Quantizer = Callable[[Path, Path, int, Importance], None]
"""libllama's: from a float file to a new one of that mixture. Given, since converters know no engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A file that was written: its tensors' types, and by how much each differs from the source (relative RMS)."""

    path: Path
    choices: tuple[Choice, ...]
    errors: Mapping[str, float]

    @property
    def bytes(self) -> int:
        """Size of the file."""
        return self.path.stat().st_size


def needs_libllama(model: LanguageModel, precision: str, importance: Importance) -> bool:
    """Whether numpy alone cannot write that mixture of this model."""
    kinds = {choice.kind for choice in choose(model, precision, libllama=True)}
    return bool(importance) or MIXTURES[precision].kind not in OWN or not kinds <= OWN


def convert(
    model: LanguageModel,
    path: Path,
    precision: str,
    *,
    quantizer: Quantizer | None = None,
    importance: Importance | None = None,
    progress: Progress = silent,
) -> Written:
    """Write `model` at that precision to `path`, a file that does not exist yet and that the source is not.

    Without a `quantizer`, K types are refused; a Q6_K output layer in another mixture becomes Q8_0, which is said.
    """
    ensure_elsewhere(model.path, path)
    weights = importance or {}
    if quantizer is not None and needs_libllama(model, precision, weights):
        return _by_libllama(model, path, precision, quantizer, weights, progress)
    if MIXTURES[precision].kind not in OWN or weights:
        what = "an importance matrix" if weights else precision
        raise Unsupported(f"{what} needs libllama, which is not here", 'pip install "edgekit[llama]", or --precision q4_0')
    return _by_numpy(model, path, precision, progress)


def repackaged(model: LanguageModel, path: Path, progress: Progress = silent) -> Written:
    """Write the model with its tensors as they are."""
    ensure_elsewhere(model.path, path)
    entries = [Entry(name=t.name, shape=t.shape, kind=t.kind, data=t.stored) for t in model.tensors]
    progress(Event(stage="write"))
    write(path, model.values, entries)
    choices = tuple(Choice(name=t.name, shape=t.shape, kind=t.kind) for t in model.tensors)
    return Written(path=path, choices=choices, errors={})


def ensure_elsewhere(source: Path, path: Path) -> None:
    """Raise `InputError` when the goal is the source: quantizing in place destroys it while it is read."""
    if path.exists() and source.exists() and path.samefile(source):
        raise InputError(f"{str(path)!r} is the source itself; it is never written in place", "choose another -o")


def _by_numpy(model: LanguageModel, path: Path, precision: str, progress: Progress) -> Written:
    choices = choose(model, precision, libllama=False)
    errors: dict[str, float] = {}

    def entry(index: int, tensor: WeightTensor, choice: Choice) -> Entry:
        def data() -> Array:
            progress(Event(stage=f"quantize to {precision}", done=index, total=len(choices)))
            if tensor.kind == choice.kind:
                return tensor.stored()
            values = tensor.values()
            stored = quantized(values, choice.kind)
            if is_matrix(tensor.name, tensor.shape):
                errors[tensor.name] = error(values, stored.reshape(-1, stored.shape[-1]), choice.kind)
            return stored

        return Entry(name=tensor.name, shape=tensor.shape, kind=choice.kind, data=data)

    pairs = zip(model.tensors, choices, strict=True)
    entries = [entry(index, tensor, choice) for index, (tensor, choice) in enumerate(pairs)]
    write(path, _said(model, precision), entries)
    return Written(path=path, choices=choices, errors=errors)


def _by_libllama(
    model: LanguageModel, path: Path, precision: str, quantizer: Quantizer, importance: Importance, progress: Progress
) -> Written:
    floats = path.with_name(f"{path.name}.float")
    try:
        write_floats(model, floats)
        progress(Event(stage=f"quantize to {precision} with libllama"))
        with said_plainly(path):
            quantizer(floats, path, MIXTURES[precision].number, importance)
    finally:
        floats.unlink(missing_ok=True)
    header = read_header(path)
    choices = found_in([(entry.name, entry.shape, entry.kind) for entry in header.tensors], precision)
    return Written(path=path, choices=choices, errors=_errors(model, gguf_source.load(path).tensors, progress))


def write_floats(model: LanguageModel, path: Path) -> None:
    """The model with every tensor in float: as it is where it is float already, else in float32."""
    entries = [
        Entry(name=t.name, shape=t.shape, kind=t.kind, data=t.stored)
        if t.kind in ("F32", "F16", "BF16")
        else Entry(name=t.name, shape=t.shape, kind="F32", data=t.values)
        for t in model.tensors
    ]
    write(path, model.values, entries)


def _errors(model: LanguageModel, made: Sequence[WeightTensor], progress: Progress) -> Mapping[str, float]:
    """Relative error of every matrix of the file that was made."""
    found = {}
    for index, tensor in enumerate(made):
        source = model.tensor(tensor.name)
        progress(Event(stage="compare tensors", done=index, total=len(made)))
        if source is not None and is_matrix(tensor.name, tensor.shape):
            found[tensor.name] = error(source.values(), tensor.stored(), tensor.kind)
    return found


def _said(model: LanguageModel, precision: str) -> Mapping[str, Typed]:
    more = {"general.file_type": count(MIXTURES[precision].number)}
    if MIXTURES[precision].kind not in ("F32", "F16"):
        more["general.quantization_version"] = count(QUANTIZATION_VERSION)
    return {**model.values, **more}
