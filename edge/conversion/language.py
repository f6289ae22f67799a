"""One language model, one board, one verified artifact with a GGUF in it; or an error and nothing written."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from edgekit import __version__
from edgekit import artifact as artifacts
from edgekit.conversion.language_board import best_that_fits
from edgekit.conversion.language_notes import fit, notes_of, substituted
from edgekit.converters.gguf import forward, sources
from edgekit.converters.gguf.convert import Written, convert, repackaged, write_floats
from edgekit.converters.gguf.model import Array, LanguageModel
from edgekit.converters.gguf.prune import pruned
from edgekit.converters.gguf.types import MIXTURES, Choice, bits_per_weight, choose, substitutions
from edgekit.core.errors import GateFailed, InputError, MissingDependency, Unsupported, UsageError
from edgekit.core.files import ensure_creatable, ensure_free, sha256_file
from edgekit.core.gguf_file import read_header
from edgekit.core.language import Shape, need_of, read_per_token, shape_of, weights_of
from edgekit.core.language_room import room_of, speed
from edgekit.core.progress import Event, Progress, silent
from edgekit.core.schema import (
    MANIFEST_VERSION,
    Artifact,
    Device,
    Language,
    Manifest,
    Parity,
    Source,
    Step,
    Substituted,
    Target,
)
from edgekit.language_parity import Spoken, golden_bytes, golden_tokens, judged, random_tokens, scored, spoken
from edgekit.runtimes.language.apart import quantize
from edgekit.runtimes.language.opening import LOCAL, open_text
from edgekit.runtimes.text import EngineLost, EngineRefused, TextOptions

MODEL_FILE, GOLDEN_FILE = "model.gguf", "golden.npz"
FORMAT = "gguf"
CONTEXT = 2048
MOST_COMPUTED = 4 << 30
"""Parameters up to which our own forward pass is the reference; beyond it takes too long."""
IMPORTANCE_TOKENS = 4096
IMPORTANCE_WINDOW = 256
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageRequest:
    """What the user asked of a language model, whatever the board. A context of 0 is `CONTEXT`."""

    precision: str = "auto"
    output: Path = Path()
    force: bool = False
    licence: str = ""
    prune: float | None = None
    context: int = 0
    imatrix: Path | None = None
    memory_bytes: int = 0


def is_language_model(path: Path) -> bool:
    """Whether `convert_language` is for it."""
    return sources.is_language_model(path)


def convert_language(path: Path, device: Device, request: LanguageRequest, progress: Progress = silent) -> Artifact:
    """Read, prune, choose, quantize, compare, write `output/NAME.TARGET.PRECISION`.

    Raises `GateFailed` when the file says something else than its source, `Unsupported` when nothing fits, `InputError`.
    """
    _ensure_askable(request)
    progress(Event(stage=f"read {path.name}"))
    with tempfile.TemporaryDirectory(prefix="edgekit-") as scratch:
        work = _Work(source=path, device=device, request=request, folder=Path(scratch), progress=progress)
        return work.done()


def _ensure_askable(request: LanguageRequest) -> None:
    if request.precision != "auto" and request.precision not in MIXTURES:
        raise UsageError(
            f"language models are not written in {request.precision}", f"--precision {', '.join(('auto', *MIXTURES))}"
        )
    if request.prune is not None and not 0 < request.prune < 1:
        raise UsageError(f"--prune {request.prune:.0%} would leave no model", "keep some layers: --prune 25%")


class _Work:
    """The steps of one conversion, which share a folder that vanishes."""

    def __init__(self, *, source: Path, device: Device, request: LanguageRequest, folder: Path, progress: Progress) -> None:
        self._path, self._device, self._request = source, device, request
        self._folder, self._progress = folder, progress
        self._room = room_of(device, request.memory_bytes)
        self._libllama = libllama_works()

    def done(self) -> Artifact:
        model = sources.load(self._path)
        shell = self._shell(model)
        shape = shape_of(read_header(shell))
        tokens, engine = self._tokens(model, shell, shape)
        weights = self._importance(model, shell)
        if self._request.prune is not None:
            model = pruned(model, self._request.prune, forward.influence(model, tokens))
            shape = replace(shape, layers=int(model.number("block_count")))
        precision, notes = self._precision(model, shape)
        goal = self._request.output / f"{_name(self._path)}.{self._device.name}.{precision}"
        ensure_free(goal, replace=self._request.force)
        ensure_creatable(self._request.output)
        self._say_before(model, shape, precision)
        written = self._written(model, precision, weights)
        source = self._reference(model, tokens)
        parity, notes_of_proof = self._proof(source, written, precision, engine)
        language = self._language(written, shape, model)
        manifest = self._manifest(model, precision, written, language, parity, (*notes, *notes_of_proof))
        self._progress(Event(stage=f"write {goal.name}"))
        files: Mapping[str, bytes | Path] = {MODEL_FILE: written.path, GOLDEN_FILE: golden_bytes(source)}
        described = artifacts.described(files, {MODEL_FILE: "model", GOLDEN_FILE: "golden"})
        return artifacts.write(goal, _with_files(manifest, described), files, replace=self._request.force)

    def _shell(self, model: LanguageModel) -> Path:
        """The model as a file that an engine can split text with: itself when it is a GGUF, else a float copy."""
        if model.framework == FORMAT:
            return model.path
        shell = self._folder / "source.gguf"
        write_floats(model, shell)
        return shell

    def _tokens(self, model: LanguageModel, shell: Path, shape: Shape) -> tuple[tuple[int, ...], str]:
        """The text that both are asked about, and the engine that split it."""
        begin = model.values.get("tokenizer.ggml.bos_token_id")
        try:
            return golden_tokens(shell, shape.context, begin.value if begin is not None else None), "auto"
        except (MissingDependency, EngineRefused, EngineLost) as exc:
            log.info("no engine splits the text: %s", exc)
            return random_tokens(shape.vocabulary, shape.context), ""

    def _importance(self, model: LanguageModel, shell: Path) -> Mapping[str, Array]:
        """How strongly the columns of each matrix are used by the text of `--imatrix`."""
        if self._request.imatrix is None:
            return {}
        self._progress(Event(stage="importance of columns"))
        text = _read_text(self._request.imatrix)
        session = open_text(shell, options=TextOptions(context=64))
        try:
            tokens = session.tokenize(text, special=False)[:IMPORTANCE_TOKENS]
        finally:
            session.close()
        if len(tokens) < 64:
            raise InputError(f"{self._request.imatrix.name!r} has {len(tokens)} tokens, too few to judge by", "at least 64")
        return forward.importance(model, tokens, IMPORTANCE_WINDOW)

    def _precision(self, model: LanguageModel, shape: Shape) -> tuple[str, tuple[str, ...]]:
        if self._request.precision != "auto":
            return self._request.precision, ()
        context = self._request.context or CONTEXT
        chosen = best_that_fits(model, shape, self._room, context, libllama=self._libllama)
        return chosen.precision, tuple(f"auto passed over {why}" for why in chosen.passed_over)

    def _written(self, model: LanguageModel, precision: str, weights: Mapping[str, Array]) -> Written:
        goal = self._folder / MODEL_FILE
        if model.framework == FORMAT and not weights and _is_already(model, precision):
            return repackaged(model, goal, self._progress)
        quantizer = quantize if self._libllama else None
        return convert(model, goal, precision, quantizer=quantizer, importance=weights, progress=self._progress)

    def _say_before(self, model: LanguageModel, shape: Shape, precision: str) -> None:
        """What is to be expected, before the work."""
        choices = choose(model, precision, libllama=self._libllama)
        size = sum(choice.bytes for choice in choices)
        need = need_of(shape, size, min(self._request.context or CONTEXT, shape.context))
        words = f"{precision}: about {size / 1e6:.1f} MB, {bits_per_weight(choices):.2f} bits per weight"
        for said in (words, *fit(need.total, need.context, self._room.usable), *substituted(_substituted(choices))):
            self._progress(Event(stage=said))

    def _reference(self, model: LanguageModel, tokens: Sequence[int]) -> Spoken:
        """What the source says: by our own forward pass, or by an engine on the source in float."""
        self._progress(Event(stage="ask the source"))
        try:
            if sum(tensor.size for tensor in model.tensors) > MOST_COMPUTED:
                raise Unsupported("this model is too large to be computed here")
            return spoken(tokens, forward.logits(model, tokens))
        except Unsupported as exc:
            log.info("%s; an engine answers for the source", exc)
        floats = self._folder / "reference.gguf"
        write_floats(model, floats)
        return spoken(tokens, scored(floats, tokens)[0])

    def _proof(self, source: Spoken, written: Written, precision: str, engine: str) -> tuple[Parity, tuple[str, ...]]:
        """Ask the file; in an engine where there is one, else by our own forward pass, which is then said."""
        self._progress(Event(stage=f"compare with {self._path.name}"))
        if engine:
            scores, used = scored(written.path, source.tokens, engine)
            notes: tuple[str, ...] = (f"compared in {used} on this machine",)
        else:
            scores = forward.logits(sources.load(written.path), source.tokens)
            notes = ("no language engine works here: the file was read back and computed by edgekit, but run in none",)
        found = judged(source, scores, precision)  # type: ignore[arg-type]
        if not found.ok:
            raise GateFailed(
                f"the {precision} file says something else than its source: {found.value:.3f} nats apart, {found.tolerance:g} allowed",
                "a precision with more bits, or --imatrix TEXT",
            )
        return found, notes

    def _language(self, written: Written, shape: Shape, model: LanguageModel) -> Language:
        header = read_header(written.path)
        context = min(self._request.context or CONTEXT, shape.context)
        read = read_per_token(header.tensors)
        return Language(
            architecture=shape.architecture,
            parameters=sum(tensor.size for tensor in header.tensors),
            layers=shape.layers,
            vocabulary=shape.vocabulary,
            trained_context=shape.context,
            context=context,
            bits_per_weight=round(bits_per_weight(written.choices), 3),
            kv_bytes_per_token=shape.kv_bytes_per_token,
            read_bytes_per_token=read,
            need_bytes=need_of(shape, weights_of(header), context).total,
            usable_bytes=self._room.usable,
            tokens_per_s=speed(self._room, read),
            tokens_per_s_from=self._room.known_from,
            substituted=_substituted(written.choices),
            tensor_errors={name: round(error, 6) for name, error in written.errors.items()},
            has_template="tokenizer.chat_template" in model.values,
        )

    def _manifest(
        self,
        model: LanguageModel,
        precision: str,
        written: Written,
        language: Language,
        parity: Parity,
        notes: tuple[str, ...],
    ) -> Manifest:
        target = Target(device=self._device.name, runtime=LOCAL[0], format=FORMAT, precision=precision)  # type: ignore[arg-type]
        return Manifest(
            schema_version=MANIFEST_VERSION,
            name=_name(self._path),
            target=target,
            runtimes=LOCAL,
            files=(),
            inputs=(),
            outputs=(),
            source=_source(self._path, model, self._request.licence),
            steps=(Step(name="quantize", tool="edgekit", version=__version__, detail=precision),),
            parity=parity,
            language=language,
            notes=(*model.notes, *notes, *notes_of(language, self._room)),
        )


def libllama_works() -> bool:
    """Whether llama-cpp-python is here and its library computes on this processor; tried in a process of its own."""
    if find_spec("llama_cpp") is None:
        return False
    from edgekit.runtimes.language.apart import library_works

    return library_works()


def _substituted(choices: Sequence[Choice]) -> tuple[Substituted, ...]:
    return tuple(
        Substituted(tensor=choice.name, wanted=choice.wanted, given=choice.kind, why=choice.why)
        for choice in substitutions(choices)
    )


def _is_already(model: LanguageModel, precision: str) -> bool:
    said = model.values.get("general.file_type")
    return said is not None and said.value == MIXTURES[precision].number


def _name(path: Path) -> str:
    found = path.resolve()
    return found.stem if found.is_file() else found.name


def _source(path: Path, model: LanguageModel, licence: str) -> Source:
    files = [path] if path.is_file() else sorted(path.glob("*.safetensors"))
    sha256 = sha256_file(files[0]) if len(files) == 1 else _joint(files)
    size = sum(file.stat().st_size for file in files)
    said = model.values.get("general.license")
    return Source(
        name=path.name,
        sha256=sha256,
        bytes=size,
        framework=model.framework,
        licence=licence or (str(said.value) if said else ""),
    )


def _joint(files: Sequence[Path]) -> str:
    from edgekit.core.files import sha256_bytes

    return sha256_bytes("".join(sha256_file(file) for file in files).encode())


def _with_files(manifest: Manifest, described: tuple[object, ...]) -> Manifest:
    import msgspec

    return msgspec.structs.replace(manifest, files=described)


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(16 << 20).decode("utf-8", errors="replace")
    except OSError as exc:
        raise InputError(f"{str(path)!r} cannot be read: {exc.strerror or exc}") from exc
