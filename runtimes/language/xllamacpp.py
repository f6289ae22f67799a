"""llama.cpp's own server in this process, through the package xllamacpp, whose wheels need no compiler.

It listens on a socket file in a folder of this user's, never on a port, and only for as long as the session lives.
"""

from __future__ import annotations

import secrets
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.core.errors import InputError, MissingDependency
from edgekit.core.optional import need
from edgekit.runtimes.base import Probe
from edgekit.runtimes.language._chat_template import ChatTemplate, template_of
from edgekit.runtimes.language._grammar import ensure_biases, grammar_of
from edgekit.runtimes.language._http import Server
from edgekit.runtimes.language._preflight import Flight, preflight
from edgekit.runtimes.language._xllama_answers import Answers
from edgekit.runtimes.language._xllama_server import NAME, complaints, started
from edgekit.runtimes.language.state import Owner, fingerprint, pack, unpack
from edgekit.runtimes.machine import compute_threads
from edgekit.runtimes.text import (
    DEFAULTS,
    Done,
    EngineLost,
    Piece,
    Sampling,
    SavedState,
    TextEvent,
    TextModel,
    TextOptions,
    TextRequest,
    TextRuntime,
    TextSession,
)

STATE = "conversation"
"""Name of a saved state in the folder while it is packed."""
TOP = 2048
"""So many next tokens are asked for when scoring; the rest of the distribution is spread evenly."""


class XllamaSession:
    """One model, one slot: its prompt memory serves the next prompt that begins alike."""

    def __init__(self, flight: Flight) -> None:
        self._flight = flight
        self._path = flight.header.path
        self._folder = tempfile.TemporaryDirectory(prefix="edgekit-")
        threads = compute_threads(flight.options.threads)
        self.model: TextModel = flight.model(NAME, threads)
        self._server, self._http = self._started("text", embedding=False)
        self._embedder: tuple[Any, Server] | None = None
        self._special = {key: self._special_text(key) for key in ("bos", "eos")}
        values = {key: typed.value for key, typed in flight.header.values.items()}
        self._template: ChatTemplate = template_of(values, self._special["bos"], self._special["eos"])
        self._answers = Answers(self._server)
        self._evaluated = ""
        self._restored: tuple[int, ...] = ()

    def generate(self, request: TextRequest, *, cancel: threading.Event | None = None) -> Iterator[TextEvent]:
        """See `TextSession`. Raises `PromptTooLong`, and `InputError` for a grammar or a schema that cannot be."""
        ensure_biases(request.sampling, self.model.vocabulary)
        prompt, stop = self._prompt(request), cancel or threading.Event()
        ends_at = time.monotonic() + request.deadline_s if request.deadline_s is not None else float("inf")
        self._evaluated, self._restored = prompt, ()
        answer = self._answers.ask({"prompt": prompt, **_sampling(request.sampling)})
        with complaints():
            for events in answer.events(stop, ends_at):
                texts = [event.text for event in events if event.text]
                if text := "".join(texts):
                    self._evaluated += text
                    yield Piece(text=text, tokens=len(texts))
                if reason := events[-1].reason:
                    yield Done(reason=reason, timings=events[-1].timings or answer.so_far())
                    return
        if not stop.is_set() and time.monotonic() < ends_at:
            raise EngineLost(f"{NAME} ended its answer without saying so")
        yield Done(reason="cancelled" if stop.is_set() else "deadline", timings=answer.so_far())

    def render(self, request: TextRequest) -> str:
        """See `TextSession`."""
        return self._template.render(request)

    def tokenize(self, text: str, *, special: bool = True) -> tuple[int, ...]:
        """Without the token that begins a prompt."""
        return tuple(self._tokens(text, begin=False, special=special))

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Raises `InputError` for an id out of range."""
        for token in tokens:
            if not 0 <= token < self.model.vocabulary:
                raise InputError(f"there is no token {token}: the vocabulary has {self.model.vocabulary}")
        return str(self._http.ask("/detokenize", {"tokens": list(tokens)})["content"])

    def embed(self, texts: Sequence[str]) -> NDArray[Any]:
        """Rows of length 1, from a second server on the same file that is started at the first call."""
        if not texts:
            return np.zeros((0, self.model.embedding_length), np.float32)
        for text in texts:
            count = len(self._tokens(text, begin=True, special=False))
            if not 0 < count <= self.model.context:
                raise InputError(f"a text of {count} tokens cannot be embedded: 1 to {self.model.context} can", "split it")
        if self._embedder is None:
            self._embedder = self._started("embed", embedding=True)
        with complaints():
            answer = self._embedder[1].ask("/v1/embeddings", {"input": list(texts)})
        rows = np.array([row["embedding"] for row in answer["data"]], np.float32)
        lengths: NDArray[Any] = np.linalg.norm(rows, axis=1, keepdims=True)
        unit: NDArray[Any] = rows / np.where(lengths, lengths, 1)
        return unit

    def score(self, tokens: Sequence[int]) -> NDArray[Any]:
        """The logarithms of the probabilities after each token, float32 [len(tokens), vocabulary]; see `TOP`."""
        rows = np.empty((len(tokens), self.model.vocabulary), np.float32)
        # Probabilities come with a token that is said only, which the end and a half character are not: the choice is pushed to a
        # letter. They themselves are those from before it was pushed.
        letter = self._tokens("a", begin=False, special=False)[-1]
        asked = {"n_predict": 1, "temperature": 0.0, "logit_bias": [[letter, 1e4]], "n_probs": min(TOP, self.model.vocabulary)}
        for index in range(len(tokens)):
            with complaints():
                answer = self._http.ask("/completion", {"prompt": list(tokens[: index + 1]), "id_slot": 0, **asked})
            rows[index] = _spread(answer["completion_probabilities"][0]["top_logprobs"], self.model.vocabulary)
        return rows

    def save(self, path: Path) -> SavedState:
        """See `TextSession`."""
        with complaints():
            self._http.ask("/slots/0?action=save", {"filename": STATE})
        raw = Path(self._folder.name) / STATE
        try:
            evaluated = self._tokens(self._evaluated, begin=True, special=True) if self._evaluated else []
            return pack(path, raw, self._owner(), (*self._restored, *evaluated))
        finally:
            raw.unlink(missing_ok=True)

    def restore(self, path: Path) -> int:
        """See `TextSession`."""
        raw = Path(self._folder.name) / STATE
        try:
            self._evaluated, self._restored = "", unpack(path, self._owner())
            raw.symlink_to(path.absolute())
            with complaints():
                return int(self._http.ask("/slots/0?action=restore", {"filename": STATE})["n_restored"])
        finally:
            raw.unlink(missing_ok=True)

    def close(self) -> None:
        """Closing again does nothing."""
        self._answers.close()
        self._server = self._embedder = None
        self._folder.cleanup()

    def _owner(self) -> Owner:
        return Owner(engine=NAME, version=version(NAME), model=fingerprint(self._path), context=self.model.context)

    def _started(self, name: str, *, embedding: bool) -> tuple[Any, Server]:
        return started(self._flight, Path(self._folder.name), name, threads=self.model.threads, embedding=embedding)

    def _special_text(self, key: str) -> str:
        token = self._flight.header.get(f"tokenizer.ggml.{key}_token_id", -1)
        if not isinstance(token, int) or not 0 <= token < self.model.vocabulary:
            return ""
        return str(self._http.ask("/detokenize", {"tokens": [token]})["content"])

    def _tokens(self, text: str, *, begin: bool, special: bool) -> list[int]:
        asked = {"content": text, "add_special": begin, "parse_special": special}
        return list(self._http.ask("/tokenize", asked)["tokens"])

    def _prompt(self, request: TextRequest) -> str:
        """The prompt without the token it begins with, which the server puts before it; counting tokens first would be one more way there."""
        text = self.render(request).removeprefix(self._special["bos"])
        if not text and not self._special["bos"]:
            raise InputError("the prompt is empty, and this model has no token to begin with", "ask it something")
        return text


def _sampling(wanted: Sampling) -> dict[str, Any]:
    """A request in llama-server's words."""
    body: dict[str, Any] = {
        "n_predict": wanted.max_tokens,
        "temperature": wanted.temperature,
        "top_k": wanted.top_k,
        "top_p": wanted.top_p,
        "min_p": wanted.min_p,
        "repeat_penalty": wanted.repeat_penalty,
        "presence_penalty": wanted.presence_penalty,
        "frequency_penalty": wanted.frequency_penalty,
        "seed": wanted.seed if wanted.seed >= 0 else secrets.randbits(31),
        "stop": list(wanted.stop),
        "logit_bias": [[token, bias] for token, bias in wanted.logit_bias.items()],
        "id_slot": 0,
        "cache_prompt": True,
    }
    if grammar := grammar_of(wanted):
        body["grammar"] = grammar
    return body


def _spread(top: Sequence[Mapping[str, Any]], vocabulary: int) -> NDArray[Any]:
    """Logarithms of all probabilities, from those of the likeliest."""
    given = {int(entry["id"]): float(entry["logprob"]) for entry in top}
    left = max(1e-12, 1 - float(np.sum(np.exp(list(given.values())))))
    row = np.full(vocabulary, np.log(left / max(1, vocabulary - len(given))), np.float32)
    row[list(given)] = list(given.values())
    return row


class _Xllamacpp:
    name = NAME

    def probe(self) -> Probe:
        """Whether the package imports here."""
        try:
            need("xllamacpp")
        except MissingDependency as missing:
            return Probe(ok=False, reason=missing.message, hint=missing.hint)
        return Probe(ok=True, version=version(NAME))

    def open(self, model: Path | str, options: TextOptions = DEFAULTS) -> TextSession:
        """Load the GGUF file at `model`."""
        return XllamaSession(preflight(Path(model), options))


runtime: TextRuntime = _Xllamacpp()
