"""The shape of an app: one module or folder in `apps/` with `HELP` and `run(options) -> Answer`.

An app with options that no other has also defines `configure(parser)`, which adds them; `options.own` holds what they were given.
One with `TAKES_ADDRESS = True` may be given a server's address as its artifact, in `options.address`; the others refuse it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What `edgekit run APP` was asked: every app takes the same options and refuses those it has no use for.

    `own` holds the values of the options that the app itself declared, by their names, defaults included.
    """

    artifact: Path | None = None
    address: str = ""
    """A server that was named as the artifact: `http://HOST:PORT/v1`."""
    image: Path | None = None
    source: str | None = None
    config: Path | None = None
    runtime: str = "auto"
    output: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    own: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an app found: `result` is the JSON object of CLI.md, `text` the same for a person."""

    result: Mapping[str, Any]
    text: str


class App(Protocol):
    """An app module."""

    HELP: str

    def run(self, options: RunOptions) -> Answer: ...
