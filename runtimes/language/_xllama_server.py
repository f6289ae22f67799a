"""llama.cpp's server out of the package xllamacpp: how it is started on a socket file, and what its refusals mean."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgekit.core.errors import InputError
from edgekit.core.optional import need
from edgekit.runtimes.language._http import Refused, Server, SocketFile, Unreachable
from edgekit.runtimes.language._preflight import Flight
from edgekit.runtimes.text import EngineLost, EngineRefused, PromptTooLong

NAME = "xllamacpp"


def started(flight: Flight, folder: Path, name: str, *, threads: int, embedding: bool) -> tuple[Any, Server]:
    """The server, which lives as long as this value, and how it is asked. Raises `EngineRefused`."""
    package, options = need("xllamacpp"), flight.options
    socket, key = folder / f"{name}.sock", secrets.token_hex(16)
    settings = package.CommonParams()
    settings.model.path = str(flight.header.path)
    settings.n_ctx, settings.n_parallel = options.context, 1
    settings.n_batch = settings.n_ubatch = options.context if embedding else min(options.batch, options.context)
    settings.n_gpu_layers = options.gpu_layers
    settings.cpuparams.n_threads = threads
    settings.cpuparams_batch.n_threads = options.batch_threads or threads
    settings.hostnames, settings.api_keys = [str(socket)], [key]
    settings.slot_save_path = f"{folder}/"
    settings.n_threads_http = 3
    settings.cache_ram_mib = 0
    settings.ui = settings.warmup = settings.fit_params = False
    # Messages are rendered here, by the same sandbox for every engine; a broken template must not keep a model from loading.
    settings.use_jinja, settings.chat_template = False, "chatml"
    settings.embedding = embedding
    if embedding:
        settings.pooling_type = package.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    try:
        server = package.Server(settings)
    except Exception as exc:  # whatever its C++ throws
        raise EngineRefused(f"{NAME} does not load {flight.header.path.name!r}") from exc
    return server, Server(lambda: SocketFile(socket), key)


@contextmanager
def complaints() -> Iterator[None]:
    """What the server refuses, as one of our errors."""
    try:
        yield
    except Refused as exc:
        if exc.told.get("type") == "exceed_context_size_error":
            raise _too_long(int(exc.told.get("n_prompt_tokens", 0)), int(exc.told.get("n_ctx", 0))) from exc
        error = InputError if 400 <= exc.status < 500 else EngineRefused
        raise error(f"{NAME}: {exc}") from exc
    except Unreachable as exc:
        raise EngineLost(f"{NAME}: its server broke off: {exc}") from exc


def _too_long(tokens: int, limit: int) -> PromptTooLong:
    reason = f"the prompt has {tokens} tokens, the context {limit}"
    return PromptTooLong(reason, "a shorter prompt, or a larger context", tokens=tokens, limit=limit)
