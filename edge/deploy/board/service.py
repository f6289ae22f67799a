"""The app as a service of the board: started, watched and restarted by systemd, whose words these are."""

from __future__ import annotations

import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from edgekit.core import process
from edgekit.core.errors import EdgekitError, InputError
from edgekit.deploy.nouns import Health

UNIT = "edgekit-app.service"
_TIMEOUT_S = 120.0
_STEP_S, _SHORTEST_STEP_S = 0.25, 0.05


@cache
def opener() -> urllib.request.OpenerDirector:
    """Straight to the board itself, whatever proxies its environment names. It knows who answers there by the address alone:
    a certificate is for other names than `127.0.0.1`, and not yet valid while the clock stands in 1970.
    """
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trusting), _Here())


class _Here(urllib.request.HTTPRedirectHandler):
    """Follows no answer to another machine."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        try:
            ensure_local(newurl)
        except InputError as exc:
            raise ValueError(exc.message) from exc
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def restart() -> None:
    """Stop what runs and start what `current` points to. Raises `EdgekitError` when systemd refuses."""
    if is_failed():
        process.run(["systemctl", "reset-failed", UNIT], timeout_s=_TIMEOUT_S)
    process.run(["systemctl", "restart", UNIT], timeout_s=_TIMEOUT_S)


def stop() -> None:
    """Stop the service; one that does not run is no error."""
    process.run(["systemctl", "stop", UNIT], timeout_s=_TIMEOUT_S)


def is_active() -> bool:
    """Whether the service runs now."""
    return _answers("is-active")


def is_failed() -> bool:
    """Whether systemd has given the service up."""
    return _answers("is-failed")


def restarts() -> str:
    """How often systemd has restarted the service; a number that grows means it keeps dying."""
    with suppress(EdgekitError):
        return process.run(["systemctl", "show", "-p", "NRestarts", "--value", UNIT], timeout_s=_TIMEOUT_S).stdout.strip()
    return ""


def ensure_local(url: str) -> None:
    """What is asked how the app does is the board itself, and nobody else on its network. Raises `InputError`."""
    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or parts.hostname not in ("127.0.0.1", "::1", "localhost")):
        raise InputError(f"a health check asks the board itself, not {url!r}", "--health http://127.0.0.1:8080/health")


def wait_until_healthy(health: Health, *, now: Callable[[], float] = time.monotonic) -> str:
    """Nothing when the service stayed up for `settle_s` and its address answered by the deadline, else why not."""
    end, first = now() + health.deadline_s, restarts()
    since, count, reason = now(), first, "the service did not start"
    step_s = min(_STEP_S, max(health.settle_s, _SHORTEST_STEP_S))  # looked at no more often than it must stay up
    while now() < end:
        time.sleep(step_s)
        again = restarts()
        if not is_active() or again != count:
            since, count = now(), again
            continue
        reason = _asked(health.url)
        if not reason and now() - since >= health.settle_s:
            return ""
    if count != first:
        return "the service does not stay up: edgekit logs"
    return reason or f"the service was not up for {health.settle_s:g} s within {health.deadline_s:g} s"


def _asked(url: str) -> str:
    """Nothing when the address answers 200, else what it said."""
    if not url:
        return ""
    try:
        with opener().open(url, timeout=5) as answer:
            return "" if answer.status == 200 else f"{url} answers {answer.status}"
    except urllib.error.HTTPError as exc:
        exc.close()
        return f"{url} answers {exc.code}"
    except (OSError, ValueError) as exc:
        return f"{url} does not answer: {exc}"


def _answers(question: str) -> bool:
    try:
        process.run(["systemctl", question, "--quiet", UNIT], timeout_s=_TIMEOUT_S)
    except EdgekitError:
        return False
    return True
