"""`open_text`: a GGUF file or an address, and the engine for it."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path

from edgekit.core.errors import EdgekitError, MissingDependency
from edgekit.runtimes.language import openai_url, registry
from edgekit.runtimes.language._preflight import preflight
from edgekit.runtimes.language.supervised import SupervisedSession
from edgekit.runtimes.text import DEFAULTS, EngineLost, EngineRefused, TextOptions, TextSession

AUTO = "auto"
LOCAL = ("llama_cpp", "xllamacpp")
"""Tried in this order: a build for this very processor reads prompts faster than a wheel for all of them."""
log = logging.getLogger(__name__)


def open_text(model: Path | str, *, engine: str = AUTO, options: TextOptions = DEFAULTS) -> TextSession:
    """A session on a GGUF file, in a watched process of its own, or on the server at an `http(s)://` address.

    Raises what `runtimes.text` defines; `MissingDependency` when no engine is installed.
    """
    if engine == openai_url.NAME or (engine == AUTO and is_address(model)):
        return openai_url.runtime.open(str(model), options)
    if engine != AUTO:
        return _opened(engine, model, options)
    preflight(Path(model), options)  # what is wrong with the file is no engine's fault
    return _first_that_works(model, options)


def is_address(model: Path | str) -> bool:
    """Whether it names a server, not a file."""
    return str(model).startswith(("http://", "https://"))


def _opened(engine: str, model: Path | str, options: TextOptions) -> TextSession:
    runtime = registry.get(engine)
    # Looked for, not imported: what an engine's libraries do to a process, they do to the child.
    if engine in LOCAL and find_spec(engine) is None:
        probe = runtime.probe()
        raise MissingDependency(probe.reason, probe.hint)
    return SupervisedSession(engine, model, options)


def _first_that_works(model: Path | str, options: TextOptions) -> TextSession:
    """The first engine that opens the model; why the ones before did not is logged, or told when none does."""
    passed_over: list[tuple[str, EdgekitError]] = []
    for name in LOCAL:
        try:
            session = _opened(name, model, options)
        except (MissingDependency, EngineRefused, EngineLost) as exc:
            passed_over.append((name, exc))
            continue
        for other, reason in passed_over:
            log.info("%s was passed over: %s", other, reason.message)
        return session
    raise _none_works(model, passed_over)


def _none_works(model: Path | str, passed_over: list[tuple[str, EdgekitError]]) -> EdgekitError:
    reasons = "".join(f"\n  {name}: {reason.message}" for name, reason in passed_over)
    absent = all(isinstance(reason, MissingDependency) for _, reason in passed_over)
    kind: type[EdgekitError] = MissingDependency if absent else EngineRefused
    hint = 'pip install "edgekit[llm]"' if absent else passed_over[-1][1].hint
    return kind(f"no language engine opens {Path(model).name!r} here:{reasons}", hint)
