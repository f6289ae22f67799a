"""What crosses the pipe between a session and the process its engine runs in: a line of JSON each way."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from edgekit.core import errors
from edgekit.core.errors import DeviceError, EdgekitError
from edgekit.runtimes import text
from edgekit.runtimes.text import Done, Piece, TextModel, TextOptions, TextRequest

Name = Literal[
    "open", "generate", "render", "tokenize", "detokenize", "embed", "score", "save", "restore", "quantize", "check", "cancel"
]


class Call(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request to the process. `number` tells calls apart, so that a late `cancel` meets nobody."""

    name: Name
    number: int = 0
    engine: str = ""
    model: str = ""
    options: TextOptions | None = None
    limit_bytes: int = 0
    request: TextRequest | None = None
    text: str = ""
    special: bool = True
    tokens: tuple[int, ...] = ()
    texts: tuple[str, ...] = ()
    path: str = ""
    goal: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line back. A `generate` has many, of which the last has `done`; every other call has one."""

    number: int = 0
    piece: Piece | None = None
    done: Done | None = None
    model: TextModel | None = None
    text: str = ""
    tokens: tuple[int, ...] = ()
    rows: tuple[tuple[float, ...], ...] = ()
    count: int = 0
    bytes: int = 0
    error: str = ""
    message: str = ""
    hint: str = ""
    more: dict[str, Any] = {}

    @property
    def last(self) -> bool:
        """Whether the call is over."""
        return self.piece is None


def failed(number: int, exc: Exception) -> Answer:
    """An error as an answer."""
    if not isinstance(exc, EdgekitError):
        kind = "OutOfMemory" if isinstance(exc, MemoryError) else "EngineRefused"
        return Answer(number=number, error=kind, message=f"{type(exc).__name__}: {exc}")
    more = {name: getattr(exc, name) for name in ("tokens", "limit", "status", "retryable") if hasattr(exc, name)}
    return Answer(number=number, error=type(exc).__name__, message=exc.message, hint=exc.hint, more=more)


def raised(answer: Answer) -> EdgekitError:
    """The error an answer stands for."""
    kind = getattr(text, answer.error, None) or getattr(errors, answer.error, None)
    if isinstance(kind, type) and issubclass(kind, EdgekitError):
        return kind(answer.message, answer.hint, **answer.more)
    return DeviceError(answer.message, answer.hint)


def encode(line: Call | Answer) -> bytes:
    """A line."""
    return msgspec.json.encode(line) + b"\n"
