"""`serve(shell, serving)`: answer until somebody says stop."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any

from edgekit.apps.base import Answer
from edgekit.apps.web.lean import import_fastapi
from edgekit.apps.web.options import Certificate, Serving
from edgekit.apps.web.security.accounts import FIRST, Accounts
from edgekit.apps.web.security.origins import own_names
from edgekit.apps.web.shell import Shell, checked
from edgekit.apps.web.tls import fingerprint, self_signed
from edgekit.core.errors import EdgekitError, InputError
from edgekit.core.optional import ensure_installed, need

if TYPE_CHECKING:
    import uvicorn

Say = Callable[[str], None]

PACKAGES, LATER = ("uvicorn", "fastapi", "prometheus_client"), "nicegui"
"""What a server imports before it answers, and what its pages import when the first browser comes."""
CONNECTIONS = 128
LAST_WORDS_S = 3


def _to_stderr(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def serve(shell: Shell, serving: Serving, *, say: Say = _to_stderr) -> Answer:
    """Serve `shell` until an interrupt or SIGTERM; the first user's password is said once, when that user is made.

    Raises `MissingDependency` without the extra `web`, `EdgekitError` for a port that is taken or accounts that cannot be
    read, `InputError` for a certificate that does not load.
    """
    ensure_packages()
    checked(shell)
    with closing(Accounts(serving.state)) as accounts, closing(_listening(serving)) as listener:
        url = _url(serving, listener)
        server = _server(shell, serving, accounts)
        _announce(url, shell, accounts, say)
        _run(server, listener)
    return Answer(result={"served": url}, text="")


def ensure_packages() -> None:
    """Raise `MissingDependency` for what serving needs and is not here."""
    import_fastapi()
    for package in PACKAGES:
        need(package)
    ensure_installed(LATER)


def _listening(serving: Serving) -> socket.socket:
    """The socket, bound before anything is announced. Raises `EdgekitError` when the address cannot be had."""
    family = socket.AF_INET6 if ":" in serving.host else socket.AF_INET
    try:
        return socket.create_server((serving.host, serving.port), family=family)
    except OSError as exc:
        reason = exc.strerror or str(exc)
        raise EdgekitError(
            f"cannot listen on {serving.host} port {serving.port}: {reason}", "another --port or --host"
        ) from exc


def _url(serving: Serving, listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if serving.is_tls else 'http'}://{shown}:{port}"


def _announce(url: str, shell: Shell, accounts: Accounts, say: Say) -> None:
    password = accounts.first_password()
    if password:
        say(f"the first user is {FIRST!r} with the password {password} (said this once; change it on the page Account)")
    say(f"{shell.title}: {url}")


def _server(shell: Shell, serving: Serving, accounts: Accounts) -> uvicorn.Server:
    from edgekit.apps.web.pages.application import application

    certificate = _certificate(serving)
    files: dict[str, Any] = {"ssl_certfile": certificate.chain, "ssl_keyfile": certificate.key} if certificate else {}
    try:
        config = need("uvicorn").Config(
            application(shell, serving, accounts),
            proxy_headers=False,
            server_header=False,
            access_log=False,
            log_level="warning",
            limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=LAST_WORDS_S,
            ws_max_size=1_000_000,
            **files,
        )
        config.load()
    except OSError as exc:
        raise InputError(f"the certificate {str(certificate and certificate.chain)!r} does not load: {exc}") from exc
    server: uvicorn.Server = need("uvicorn").Server(config)
    return server


def _certificate(serving: Serving) -> Certificate | None:
    if not serving.self_signed:
        return serving.certificate
    names = (
        own_names(serving.names) | {"127.0.0.1", "::1"} | ({serving.host} if serving.host not in ("0.0.0.0", "::") else set())
    )
    certificate = self_signed(serving.state, names)
    _to_stderr(f"certificate made here, SHA-256 {fingerprint(certificate)}")
    return certificate


def _run(server: uvicorn.Server, listener: socket.socket) -> None:
    """Answer until told to stop, which is how a server ends, and no error."""
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        return
