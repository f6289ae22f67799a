"""The parts of the assistant, put together as they were asked for."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgekit.apps.assistant.analytics import Log
from edgekit.apps.assistant.assistant import Assistant
from edgekit.apps.assistant.conversations import Conversations
from edgekit.apps.assistant.engine import Engine
from edgekit.apps.assistant.fallback import Fallback
from edgekit.apps.assistant.generation import Writer
from edgekit.apps.assistant.grounding.embedder import Embedder, ModelEmbedder
from edgekit.apps.assistant.grounding.grams import GramEmbedder
from edgekit.apps.assistant.grounding.network import open_network
from edgekit.apps.assistant.library import Library
from edgekit.apps.assistant.options import Request, index_path
from edgekit.apps.assistant.states import States, room_for_states
from edgekit.artifact import read
from edgekit.core.errors import NotFound, UsageError
from edgekit.core.files import sha256_file
from edgekit.runtimes.base import model_file
from edgekit.runtimes.language.opening import is_address, open_text
from edgekit.runtimes.text import DEFAULTS, TextOptions, TextSession

PARROT = "parrot"


def assistant(request: Request, stack: ExitStack) -> Assistant:
    """The assistant, closed with `stack`. No model is loaded yet, and no document read."""
    library = _library(request, stack) if request.documents is not None else None
    writer = Writer(_engine(request), _fallback(request))
    log = Log(request.data / "queries.sqlite" if request.log else None, keep_days=request.log_days)
    made = Assistant(writer, library, log, deadline_s=request.deadline_s)
    stack.callback(made.close)
    return made


def conversations(request: Request, stack: ExitStack) -> Conversations:
    """The conversations on disk, closed with `stack`."""
    kept = Conversations(request.data / "conversations.sqlite", keep_days=request.keep_days)
    stack.callback(kept.close)
    return kept


def keep_states(request: Request, made: Assistant, kept: Conversations) -> None:
    """Keep what the engine remembers of conversations, where that was not turned off: then nothing of it is left."""
    folder = request.data / "states"
    most = room_for_states(request.data) if request.states_bytes is None else request.states_bytes
    states = States(folder, most, kept.exists)
    states.keep_only(kept.ids() if most else ())
    if most and made.generator.engine is not None:
        made.generator.states = states
    kept.on_forget = states.forget


def model_of(artifact: str) -> str:
    """The model behind `--artifact`: an address and a file as they are, the model file of an artifact folder."""
    if is_address(artifact):
        return artifact
    path = Path(artifact)
    if not path.exists():
        raise NotFound(f"there is no artifact {artifact!r}", "a GGUF file, an artifact folder, or http://HOST:PORT/v1")
    return model_file(read(path)) if path.is_dir() else artifact


def _engine(request: Request) -> Engine | None:
    """The language model, if one was named. `--runtime parrot` needs no file; its artifact is how many seconds it thinks."""
    if request.artifact is None and request.engine == "auto":
        return None
    options = replace(DEFAULTS, context=request.context or DEFAULTS.context, key=request.key)
    is_parrot = request.engine == PARROT
    if request.artifact is None and not is_parrot:
        raise UsageError(f"--runtime {request.engine} needs --artifact", "edgekit run assistant --artifact MODEL.gguf")
    named = request.artifact or ""
    model = named if is_parrot else model_of(named)
    name = PARROT if is_parrot else (model if is_address(model) else Path(named).stem)

    def opened(path: str, chosen: TextOptions) -> TextSession:
        return open_text(path, engine=request.engine, options=chosen)

    return Engine(model, options, opened, name=name)


def _fallback(request: Request) -> Fallback | None:
    if not request.fallback.url:
        return None
    return Fallback(request.fallback, lambda url, options: open_text(url, options=options))


def _library(request: Request, stack: ExitStack) -> Library:
    assert request.documents is not None  # asked only then
    if not request.documents.is_dir():
        raise NotFound(f"there is no folder {str(request.documents)!r}", "which folder holds the documents?")
    embedder = _embedder(request.embedding, request.vocabulary, stack)
    return Library(request.documents, index_path(request.data, request.documents), embedder, request.vectors)


def _embedder(model: Path | None, vocabulary: Path | None, stack: ExitStack) -> Embedder:
    """Words and pieces of words, or the model that was named: vectors of different ones are never compared."""
    if model is None:
        return GramEmbedder()
    if model.is_dir():
        return _network(model, vocabulary or model.resolve().parent / "tokenizer.json", stack)
    if not model.is_file():
        raise NotFound(f"there is no embedding model {str(model)!r}", "--embedding FILE.gguf")
    session = open_text(model)
    stack.callback(session.close)

    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        rows: NDArray[np.float32] = session.embed(texts)
        return rows

    return ModelEmbedder(name=f"{model.name} {sha256_file(model)[:16]}", embed=embed)


def _network(artifact: Path, vocabulary: Path, stack: ExitStack) -> Embedder:
    """An embedding artifact through edgekit's own runtimes."""
    network = open_network(artifact, vocabulary)
    stack.callback(network.close)
    name = f"{artifact.name} {read(artifact).sha256[:16]} {sha256_file(vocabulary)[:16]}"
    return ModelEmbedder(name=name, embed=network)
