"""Errors in OpenAI's shape."""

from __future__ import annotations

from typing import Any

from edgekit.core.errors import EdgekitError, InputError, MissingDependency, NotFound, Unsupported, UsageError
from edgekit.runtimes.text import BadStream, EngineLost, EngineRefused, OutOfMemory, PromptTooLong, RemoteRefused

INVALID, SERVER = "invalid_request_error", "server_error"
_KINDS: tuple[tuple[type[EdgekitError], int, str, str], ...] = (
    (PromptTooLong, 400, INVALID, "context_length_exceeded"),
    (NotFound, 404, INVALID, "model_not_found"),
    (Unsupported, 400, INVALID, "unsupported"),
    (InputError, 400, INVALID, "invalid_value"),
    (UsageError, 400, INVALID, "invalid_value"),
    (OutOfMemory, 503, SERVER, "out_of_memory"),
    (EngineLost, 503, SERVER, "engine_lost"),
    (EngineRefused, 503, SERVER, "engine_refused"),
    (BadStream, 502, SERVER, "bad_stream"),
    (RemoteRefused, 502, SERVER, "remote_refused"),
    (MissingDependency, 503, SERVER, "not_installed"),
)


class Refused(EdgekitError):
    """A request that is wrong in itself: `param` names the field."""

    def __init__(self, message: str, *, param: str = "", status: int = 400, code: str = "invalid_value") -> None:
        super().__init__(message)
        self.param, self.status, self.code = param, status, code


def described(exc: EdgekitError) -> tuple[int, dict[str, Any]]:
    """The HTTP status and the body of an error."""
    message = exc.message + (f" ({exc.hint})" if exc.hint else "")
    if isinstance(exc, Refused):
        kind = "rate_limit_error" if exc.status == 429 else INVALID
        return exc.status, _body(message, kind, exc.code, exc.param)
    for error, status, kind, code in _KINDS:
        if isinstance(exc, error):
            return status, _body(message, kind, code, "model" if error is NotFound else "")
    return 500, _body(message, SERVER, "error", "")


def _body(message: str, kind: str, code: str, param: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param or None, "code": code}}
