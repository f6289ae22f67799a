"""How a server is reached, and where it keeps its users: the options that every app with pages takes."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.apps.base import RunOptions
from edgekit.core.errors import EdgekitError, UsageError

SELF_SIGNED = "self-signed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """The files of a certificate chain and its key, both PEM."""

    chain: Path
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """Where to listen (port 0: any free one), where users are kept, under which names browsers may ask, and TLS if any.

    `certificate` is None for plain HTTP; `self_signed` makes one in the state folder instead.
    """

    state: Path
    host: str = "127.0.0.1"
    port: int = 8080
    names: tuple[str, ...] = ()
    certificate: Certificate | None = None
    self_signed: bool = False

    @property
    def is_tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.self_signed or self.certificate is not None


def configure(parser: argparse._ActionsContainer) -> None:
    """The options of the server; an app's `configure` calls this."""
    parser.add_argument(
        "--tls",
        metavar="CERT[,KEY]",
        help=f"serve HTTPS with this PEM certificate (and key, when it is another file), or with one made here: {SELF_SIGNED}",
    )
    parser.add_argument(
        "--server-name",
        action="append",
        default=[],
        metavar="NAME",
        help="a name by which browsers reach this machine, beside its own and its addresses (may be repeated)",
    )
    parser.add_argument(
        "--state", type=Path, metavar="DIR", help="where users and sessions are kept (default: your state folder)"
    )


def serving(options: RunOptions) -> Serving:
    """What `edgekit run APP` was asked about serving. Raises `UsageError` for a certificate that is not there."""
    own: Mapping[str, Any] = options.own
    if not 0 <= options.port <= 65535:
        raise UsageError(f"port {options.port} is not one of 0 to 65535")
    tls = own.get("tls")
    return Serving(
        state=own.get("state") or default_state(),
        host=options.host,
        port=options.port,
        names=tuple(own.get("server_name") or ()),
        certificate=None if tls in (None, SELF_SIGNED) else _certificate(str(tls)),
        self_signed=tls == SELF_SIGNED,
    )


def default_state() -> Path:
    """The user's state folder for edgekit's pages. Raises `EdgekitError` where there is no home."""
    base = os.environ.get("XDG_STATE_HOME", "")
    try:
        return (Path(base) if base else Path.home() / ".local" / "state") / "edgekit" / "web"
    except RuntimeError as exc:
        raise EdgekitError("there is no home folder to keep users in", "--state DIR") from exc


def _certificate(text: str) -> Certificate:
    chain, _, key = text.partition(",")
    found = Certificate(chain=Path(chain), key=Path(key or chain))
    for path in (found.chain, found.key):
        if not path.is_file():
            raise UsageError(f"no certificate at {str(path)!r}", f"--tls CERT.pem,KEY.pem, or --tls {SELF_SIGNED}")
    return found
