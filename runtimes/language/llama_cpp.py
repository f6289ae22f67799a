"""llama.cpp through the package llama-cpp-python, by its C functions: decoding, sampling, states, embeddings.

Not for several threads at once, and not for a process that must survive: `supervised` runs it in one of its own.
"""

from __future__ import annotations

import codecs
import ctypes
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.core.errors import InputError, MissingDependency
from edgekit.core.optional import need
from edgekit.runtimes.base import Probe
from edgekit.runtimes.language._chat_template import ChatTemplate, template_of
from edgekit.runtimes.language._llama_embedder import Embedder
from edgekit.runtimes.language._llama_vocabulary import Vocabulary
from edgekit.runtimes.language._preflight import Flight, preflight
from edgekit.runtimes.language._sampler import sampler
from edgekit.runtimes.language.state import Owner, fingerprint, pack, unpack
from edgekit.runtimes.language.stops import Stops
from edgekit.runtimes.machine import compute_threads
from edgekit.runtimes.text import (
    DEFAULTS,
    Done,
    EngineRefused,
    Piece,
    PromptTooLong,
    Reason,
    SavedState,
    TextEvent,
    TextModel,
    TextOptions,
    TextRequest,
    TextRuntime,
    TextSession,
    Timings,
)

NAME = "llama_cpp"
ABORTED = 2
"""What llama_decode answers when the abort callback said so."""
MEAN_POOLING = 1
_GET = 'pip install "edgekit[llama]" compiles it (minutes); "edgekit[llm]" needs no compiler'


class LlamaSession:
    """One model with one conversation's memory: a prompt that begins like the last one is evaluated from where it differs."""

    def __init__(self, flight: Flight) -> None:
        self._c = need("llama_cpp")
        self._flight = flight
        self._path = flight.header.path
        self._c.llama_backend_init()
        self._handle = self._loaded(flight)
        threads = compute_threads(flight.options.threads)
        self.model: TextModel = flight.model(NAME, threads)
        self._vocabulary = Vocabulary(self._c, self._handle, self.model.vocabulary)
        self._stop = threading.Event()
        self._ends_at = float("inf")
        self._abort = self._c.ggml_abort_callback(lambda _: self._stop.is_set() or time.monotonic() >= self._ends_at)
        self._context = self._opened(flight, threads)
        self._embedder: Embedder | None = None
        self._memory = self._c.llama_get_memory(self._context)
        self._known: list[int] = []
        self._template = self._found_template()

    def generate(self, request: TextRequest, *, cancel: threading.Event | None = None) -> Iterator[TextEvent]:
        """See `TextSession`. Raises `PromptTooLong`, `InputError` for a grammar or a bias that cannot be."""
        self._stop = cancel or threading.Event()
        self._ends_at = time.monotonic() + request.deadline_s if request.deadline_s is not None else float("inf")
        prompt = self._prompt(request)
        chain = sampler(self._c, self._vocabulary.pointer, self.model.vocabulary, request.sampling)
        try:
            yield from self._answered(prompt, request, chain)
        finally:
            self._c.llama_sampler_free(chain)

    def _answered(self, prompt: list[int], request: TextRequest, chain: Any) -> Iterator[TextEvent]:
        begun = time.perf_counter()
        cached = self._evaluate(prompt)
        read = time.perf_counter()
        known = len(prompt) - max(cached, 0)
        said, reason = 0, self._interrupted() if cached < 0 else None
        decoder, stops = codecs.getincrementaldecoder("utf-8")("replace"), Stops(request.sampling.stop)
        pending = 0
        while reason is None:
            if said >= request.sampling.max_tokens or len(self._known) >= self.model.context:
                reason = "length"
                break
            token = self._c.llama_sampler_sample(chain, self._context, -1)
            said, pending = said + 1, pending + 1
            if self._vocabulary.is_end(token):
                reason = "stop"
                break
            if text := stops.push(decoder.decode(self._vocabulary.piece(token))):
                yield Piece(text=text, tokens=pending)
                pending = 0
            if stops.found:
                reason = "stop"
            elif not self._decode([token]):
                reason = self._interrupted()
        if text := stops.push(decoder.decode(b"", final=True)) + stops.flush():
            yield Piece(text=text, tokens=pending)
        timings = Timings(
            cache_n=max(cached, 0),
            prompt_n=known if cached >= 0 else 0,
            prompt_ms=1000 * (read - begun),
            predicted_n=said,
            predicted_ms=1000 * (time.perf_counter() - read),
        )
        yield Done(reason=reason, timings=timings)

    def render(self, request: TextRequest) -> str:
        """See `TextSession`."""
        return self._template.render(request)

    def tokenize(self, text: str, *, special: bool = True) -> tuple[int, ...]:
        """Without the token that begins a prompt."""
        return tuple(self._vocabulary.tokens(text, begin=False, special=special))

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Raises `InputError` for an id out of range, which would end the process."""
        for token in tokens:
            self._vocabulary.ensure(token)
        return b"".join(self._vocabulary.piece(token, special=True) for token in tokens).decode("utf-8", errors="replace")

    def embed(self, texts: Sequence[str]) -> NDArray[Any]:
        """Rows of length 1, from a context of their own that is made at the first call."""
        if self._embedder is None:
            context = self._opened(self._flight, self.model.threads, embeddings=True)
            self._embedder = Embedder(self._c, context, self.model)
        self._stop, self._ends_at = threading.Event(), float("inf")
        rows = [self._embedder.row(self._vocabulary.tokens(text, begin=True, special=False)) for text in texts]
        return np.stack(rows) if rows else np.zeros((0, self.model.embedding_length), np.float32)

    def score(self, tokens: Sequence[int]) -> NDArray[Any]:
        """The logits after each token, float32 [len(tokens), vocabulary]."""
        self._forget()
        self._stop, self._ends_at = threading.Event(), float("inf")
        rows = []
        for token in tokens:
            self._vocabulary.ensure(token)
            if not self._decode([token]):
                raise EngineRefused(f"{NAME} stopped while scoring")
            pointer = self._c.llama_get_logits_ith(self._context, -1)
            rows.append(np.ctypeslib.as_array(pointer, (self.model.vocabulary,)).copy())
        return np.stack(rows) if rows else np.zeros((0, self.model.vocabulary), np.float32)

    def save(self, path: Path) -> SavedState:
        """See `TextSession`."""
        with tempfile.TemporaryDirectory(dir=path.parent if path.parent.is_dir() else None) as folder:
            raw, tokens = Path(folder) / "raw", (ctypes.c_int32 * len(self._known))(*self._known)
            if not self._c.llama_state_seq_save_file(self._context, os.fsencode(raw), 0, tokens, len(self._known)):
                raise EngineRefused(f"{NAME} could not save the conversation to {str(path)!r}", "is the disk full?")
            return pack(path, raw, self._owner(), tuple(self._known))

    def restore(self, path: Path) -> int:
        """See `TextSession`. On an error nothing is remembered."""
        self._forget()
        tokens = unpack(path, self._owner())
        room, count = (ctypes.c_int32 * len(tokens))(), ctypes.c_size_t()
        read = self._c.llama_state_seq_load_file(self._context, os.fsencode(path), 0, room, len(tokens), ctypes.byref(count))
        if not read or count.value != len(tokens) or tuple(room) != tokens:
            self._forget()
            raise InputError(f"{NAME} does not take back {path.name!r}", "the conversation is read again instead")
        self._known = list(tokens)
        return len(tokens)

    def close(self) -> None:
        """Closing again does nothing."""
        if self._embedder is not None:
            self._embedder.close()
        if self._context is not None:
            self._c.llama_free(self._context)
        if self._handle is not None:
            self._c.llama_model_free(self._handle)
        self._embedder = self._context = self._handle = None

    def _loaded(self, flight: Flight) -> Any:
        settings = self._c.llama_model_default_params()
        settings.n_gpu_layers = flight.options.gpu_layers
        handle = self._c.llama_model_load_from_file(os.fsencode(self._path), settings)
        if not handle:
            raise EngineRefused(f"{NAME} does not load {self._path.name!r}")
        return handle

    def _opened(self, flight: Flight, threads: int, *, embeddings: bool = False) -> Any:
        options = flight.options
        settings = self._c.llama_context_default_params()
        settings.n_ctx = options.context
        settings.n_batch = settings.n_ubatch = min(options.batch, options.context)
        settings.n_threads = threads
        settings.n_threads_batch = options.batch_threads or threads
        settings.abort_callback = self._abort
        settings.no_perf = True
        if embeddings:
            settings.embeddings, settings.pooling_type = True, MEAN_POOLING
            settings.n_batch = settings.n_ubatch = options.context
        context = self._c.llama_init_from_model(self._handle, settings)
        if not context:
            raise EngineRefused(f"{NAME} could not make a context of {options.context} tokens")
        return context

    def _found_template(self) -> ChatTemplate:
        values = {key: typed.value for key, typed in self._flight.header.values.items()}
        return template_of(values, *self._vocabulary.ends())

    def _owner(self) -> Owner:
        version = str(self._c.__version__)
        return Owner(engine=NAME, version=version, model=fingerprint(self._path), context=self.model.context)

    def _prompt(self, request: TextRequest) -> list[int]:
        text = self.render(request)
        begun = bool(self._template.bos) and text.startswith(self._template.bos)
        tokens = self._vocabulary.tokens(text, begin=not begun, special=True)
        if not tokens:
            raise InputError("the prompt is empty, and this model has no token to begin with", "ask it something")
        if len(tokens) >= self.model.context:
            raise PromptTooLong(
                f"the prompt has {len(tokens)} tokens, the context {self.model.context}",
                "a shorter prompt, or a larger context",
                tokens=len(tokens),
                limit=self.model.context,
            )
        return tokens

    def _evaluate(self, prompt: Sequence[int]) -> int:
        """Evaluate what is new of the prompt; how many tokens were known, or -1 when it was interrupted."""
        known = min(_shared(prompt, self._known), len(prompt) - 1)
        if not self._c.llama_memory_seq_rm(self._memory, 0, known, -1):
            self._c.llama_memory_clear(self._memory, True)  # a model that cannot forget a part forgets all
            known = 0
        self._known = list(prompt[:known])
        step = min(self._flight.options.batch, self.model.context)
        for start in range(known, len(prompt), step):
            if not self._decode(prompt[start : start + step]):
                return -1
        return known

    def _decode(self, tokens: Sequence[int]) -> bool:
        """Evaluate tokens after those known; False when interrupted, and then they count as unknown."""
        count = len(tokens)
        array = (ctypes.c_int32 * count)(*tokens)  # the batch points into it, and so it must live as long
        status = self._c.llama_decode(self._context, self._c.llama_batch_get_one(array, count))
        if status == 0:
            self._known += tokens
            return True
        if not self._c.llama_memory_seq_rm(self._memory, 0, len(self._known), -1):
            self._forget()
        if status == ABORTED or self._stop.is_set() or time.monotonic() >= self._ends_at:
            return False
        raise EngineRefused(f"{NAME}: llama_decode answered {status} for {count} tokens after {len(self._known)}")

    def _forget(self) -> None:
        self._c.llama_memory_clear(self._memory, True)
        self._known = []

    def _interrupted(self) -> Reason:
        return "cancelled" if self._stop.is_set() else "deadline"


def _shared(left: Sequence[int], right: Sequence[int]) -> int:
    """How many tokens both begin with."""
    return next((n for n, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))


class _LlamaCpp:
    name = NAME

    def probe(self) -> Probe:
        """Whether the package imports here."""
        try:
            return Probe(ok=True, version=str(need("llama_cpp").__version__))
        except MissingDependency as missing:
            return Probe(ok=False, reason=missing.message, hint=_GET)

    def open(self, model: Path | str, options: TextOptions = DEFAULTS) -> TextSession:
        """Load the GGUF file at `model`."""
        return LlamaSession(preflight(Path(model), options))


runtime: TextRuntime = _LlamaCpp()
