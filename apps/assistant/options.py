"""What `edgekit run assistant` may be asked, beside what every app takes."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from edgekit.apps.assistant.documents.text import storable
from edgekit.apps.assistant.fallback import TRIGGERS, FallbackOptions
from edgekit.apps.assistant.grounding.ways import WAYS, VectorSearch
from edgekit.apps.base import RunOptions
from edgekit.apps.web import options as web
from edgekit.core.errors import EdgekitError, UsageError

KEY, SERVER_KEY = "EDGEKIT_FALLBACK_KEY", "EDGEKIT_SERVER_KEY"
"""Where the keys of servers come from: the fallback's, and that of a server that is the artifact."""
EMBEDDING_EXAMPLE = "edgekit run assistant --documents DIR --embedding FILE.gguf"
EXAMPLE = 'edgekit run assistant --documents DIR --ask "QUESTION"'


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceOptions:
    """A model of whisper.cpp, a voice of Piper, and the language of both; without the files what needs none."""

    speech_model: Path | None = None
    piper_voice: Path | None = None
    language: str = "en"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked, checked. `data` holds what the app keeps: index, conversations, log."""

    ask: str | None
    search: str | None
    top: int
    terminal: bool
    artifact: str | None
    key: str = field(repr=False)
    engine: str
    documents: Path | None
    data: Path
    embedding: Path | None
    vocabulary: Path | None
    vectors: VectorSearch
    context: int
    deadline_s: float | None
    fallback: FallbackOptions
    voice: VoiceOptions
    log: bool
    log_days: float | None
    keep_days: float
    states_bytes: int | None


def configure(parser: argparse._ActionsContainer) -> None:
    """The app's own options."""
    _configure_questions(parser)
    _configure_grounding(parser)
    _configure_answers(parser)
    _configure_fallback(parser)
    _configure_voice(parser)
    _configure_keeping(parser)
    web.configure(parser)


def _configure_questions(parser: argparse._ActionsContainer) -> None:
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--ask", metavar="QUESTION", help="answer one question and end")
    what.add_argument("--search", metavar="QUESTION", help="print the passages nearest to a question and end")
    what.add_argument("--terminal", action="store_true", help="chat in this terminal instead of serving pages")


def _configure_grounding(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--documents", type=Path, metavar="DIR", help="answer from the txt, md, html, pdf and docx files in DIR"
    )
    parser.add_argument(
        "--top", type=int, default=5, metavar="K", help="how many passages --search prints (default: %(default)s)"
    )
    parser.add_argument(
        "--embedding",
        type=Path,
        metavar="FILE|ARTIFACT",
        help="an embedding model for the search, beside words: a GGUF file, or an artifact of one of BERT's family",
    )
    parser.add_argument(
        "--vocabulary",
        type=Path,
        metavar="FILE",
        help="tokenizer.json or vocab.txt of an embedding artifact (default: tokenizer.json beside its folder)",
    )
    parser.add_argument(
        "--vector-search",
        choices=WAYS,
        default="auto",
        help="an embedding model's vectors: each compared, or through an index (edgekit[vectors]); auto: where it pays",
    )


def _configure_answers(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--context", type=int, default=0, metavar="N", help="tokens of prompt and answer (default: the engine's)"
    )
    parser.add_argument("--deadline", type=float, metavar="S", help="seconds after which an answer is cut off")
    parser.add_argument("--data", type=Path, metavar="DIR", help="where index, conversations and log are kept")


def _configure_keeping(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--no-log", action="store_true", help="keep no log of queries (it never holds what was asked)")
    parser.add_argument(
        "--log-days", type=float, metavar="N", help="days the log is kept (default: as chosen on its page, at first 90)"
    )
    parser.add_argument(
        "--keep-days", type=float, default=0, metavar="N", help="days conversations are kept (default: for ever)"
    )
    parser.add_argument(
        "--keep-states",
        type=float,
        metavar="MB",
        help="disk for what the model has read of each conversation, so that a restart need not read it again (0: none;"
        " default: a tenth of what is free, 2,000 at most)",
    )


def _configure_fallback(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--fallback-url",
        default="",
        metavar="URL",
        help=f"an OpenAI-compatible server to ask when the local model fails (key: ${KEY}; default: none)",
    )
    parser.add_argument("--fallback-documents", action="store_true", help="passages of documents may be sent there as well")
    parser.add_argument(
        "--fallback-on",
        default=",".join(TRIGGERS),
        metavar="LIST",
        help="when it is asked: refused to load or answer, deadline, memory, stream malformed, engine lost (default: %(default)s)",
    )


def _configure_voice(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--speech-model",
        type=Path,
        metavar="FILE",
        help="a model of whisper.cpp (ggml-*.bin) that hears questions (default: PocketSphinx and its small English model)",
    )
    parser.add_argument(
        "--piper-voice", type=Path, metavar="FILE", help="a voice of Piper that reads answers aloud (default: espeak-ng)"
    )
    parser.add_argument("--language", default="en", metavar="CODE", help="what is spoken (default: %(default)s)")


def requested(options: RunOptions) -> Request:
    """The options, checked. Raises `UsageError`."""
    own: Mapping[str, Any] = options.own
    for name in ("image", "source", "config", "output"):
        if getattr(options, name) is not None:
            raise UsageError(f"assistant has no use for --{name}", EXAMPLE)
    top = own.get("top", 5)
    if not 1 <= top <= 100:
        raise UsageError(f"--top {top} is not one of 1 to 100", EXAMPLE)
    documents = own.get("documents")
    _check_numbers(own)
    if own.get("search") is not None and documents is None:
        raise UsageError("--search needs --documents", 'edgekit run assistant --documents DIR --search "QUESTION"')
    _check_embedding(own)
    return Request(
        ask=_said(own.get("ask"), "--ask"),
        search=_said(own.get("search"), "--search"),
        top=top,
        terminal=bool(own.get("terminal")),
        artifact=options.address or (str(options.artifact) if options.artifact is not None else None),
        key=os.environ.get(SERVER_KEY, "") if options.address else "",
        engine=options.runtime,
        documents=documents,
        data=own.get("data") or default_data(),
        embedding=own.get("embedding"),
        vocabulary=own.get("vocabulary"),
        vectors=own.get("vector_search") or "auto",
        context=own.get("context") or 0,
        deadline_s=own.get("deadline"),
        fallback=_fallback(own),
        voice=_voice(own),
        log=not own.get("no_log"),
        log_days=own.get("log_days"),
        keep_days=own.get("keep_days", 0.0),
        states_bytes=None if own.get("keep_states") is None else int(own["keep_states"] * 1e6),
    )


def index_path(data: Path, documents: Path) -> Path:
    """The index of a folder: one each, by its whole path."""
    name = sha256(str(documents.resolve()).encode()).hexdigest()[:16]
    return data / f"documents-{name}.sqlite"


def default_data() -> Path:
    """The user's data folder for the assistant. Raises `EdgekitError` where there is no home."""
    base = os.environ.get("XDG_DATA_HOME", "")
    try:
        return (Path(base) if base else Path.home() / ".local" / "share") / "edgekit" / "assistant"
    except RuntimeError as exc:
        raise EdgekitError("there is no home folder to keep conversations in", "--data DIR") from exc


def _check_numbers(own: Mapping[str, Any]) -> None:
    """Raise `UsageError` for a length of time, or a context, that is none."""
    context, deadline = own.get("context") or 0, own.get("deadline")
    if context < 0:
        raise UsageError(f"--context {context} is no number of tokens", "--context 2048")
    if deadline is not None and not 0 < deadline < math.inf:
        raise UsageError(f"--deadline {deadline:g} is no time to answer in", "--deadline 60")
    states = own.get("keep_states") or 0.0
    if not 0 <= states < math.inf:
        raise UsageError(f"--keep-states {states:g} is no number of megabytes", "0 keeps none")
    for name in ("log_days", "keep_days"):
        days = own.get(name) or 0.0
        if not 0 <= days < math.inf:
            raise UsageError(f"--{name.replace('_', '-')} {days:g} is no number of days", "0 keeps them for ever")


def _check_embedding(own: Mapping[str, Any]) -> None:
    """Raise `UsageError` for parts of a search without what they belong to."""
    for name, needed in (("embedding", "documents"), ("vocabulary", "embedding")):
        if own.get(name) is not None and own.get(needed) is None:
            raise UsageError(f"--{name} needs --{needed}", EMBEDDING_EXAMPLE)
    if own.get("vector_search") == "approximate" and own.get("embedding") is None:
        raise UsageError("--vector-search approximate needs --embedding", EMBEDDING_EXAMPLE)


def _said(text: str | None, option: str) -> str | None:
    if text is None:
        return None
    if not text.strip():
        raise UsageError(f"{option} needs a question", EXAMPLE)
    return storable(text)  # what is typed need not be UTF-8


def _voice(own: Mapping[str, Any]) -> VoiceOptions:
    return VoiceOptions(
        speech_model=own.get("speech_model"), piper_voice=own.get("piper_voice"), language=own.get("language") or "en"
    )


def _fallback(own: Mapping[str, Any]) -> FallbackOptions:
    url = own.get("fallback_url") or ""
    if url and not url.startswith(("http://", "https://")):
        raise UsageError(f"{url!r} is not the address of an API", "--fallback-url http://HOST:PORT/v1")
    if own.get("fallback_documents") and not url:
        raise UsageError("--fallback-documents needs --fallback-url", "--fallback-url http://HOST:PORT/v1")
    named = tuple(part.strip() for part in (own.get("fallback_on") or "").split(",") if part.strip())
    if odd := next((name for name in named if name not in TRIGGERS), None):
        raise UsageError(f"--fallback-on knows no {odd!r}", f"there are: {', '.join(TRIGGERS)}")
    triggers = tuple(trigger for trigger in TRIGGERS if trigger in named)
    documents = bool(own.get("fallback_documents"))
    return FallbackOptions(url=url, key=os.environ.get(KEY, ""), documents=documents, triggers=triggers)
