"""Webhooks: each event POSTed as JSON, signed so that the receiver knows who sent it and that it is not an old one sent again.

The signature is `v1=` and the hexadecimal HMAC-SHA256 of `TIMESTAMP.BODY` under the shared secret, in `X-Edgekit-Signature`;
the timestamp (seconds since 1970) stands in `X-Edgekit-Timestamp`. `verified` is what a receiver does with them.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from time import time
from urllib.parse import urlsplit

from edgekit import __version__
from edgekit.apps.vision.notify.courier import Refused, Unreachable
from edgekit.apps.vision.notify.message import decoded
from edgekit.apps.vision.notify.outbox import Waiting

SIGNATURE, TIMESTAMP, EVENT_ID = "X-Edgekit-Signature", "X-Edgekit-Timestamp", "X-Edgekit-Event"
FRESH_S = 300.0
TIMEOUT_S = 10.0
LATER = (408, 425, 429)
"""Refusals that are about now, not about what was sent."""


class Webhook:
    """One address. Without a secret nothing is signed."""

    def __init__(self, name: str, url: str, secret: str = "", *, clock: Callable[[], float] = time) -> None:
        self.name, self._url, self._secret, self._clock = name, url, secret, clock
        self._opener = urllib.request.build_opener(_NoRedirects)

    def send(self, waiting: Waiting) -> None:
        """Deliver; the receiver has it when it answers 2xx."""
        message = decoded(waiting.body)
        body = json.dumps(message.as_json(), default=float).encode()
        request = urllib.request.Request(self._url, data=body, headers=self._headers(body, message.id), method="POST")
        try:
            with self._opener.open(request, timeout=TIMEOUT_S):
                return
        except urllib.error.HTTPError as exc:
            exc.close()
            raise self._answered(exc.code) from None
        except (OSError, HTTPException) as exc:  # URLError, timeouts and broken connections among them
            raise Unreachable(f"{self._host} does not answer: {getattr(exc, 'reason', exc)}") from None

    def tend(self) -> None:
        """Nothing is held open."""

    def close(self) -> None:
        """Nothing is held open."""

    @property
    def _host(self) -> str:
        """What may be said of the address: its path may be a secret."""
        return urlsplit(self._url).netloc

    def _headers(self, body: bytes, event_id: str) -> dict[str, str]:
        at = str(int(self._clock()))
        signed = {SIGNATURE: signature(self._secret, at, body)} if self._secret else {}
        known = {"Content-Type": "application/json", "User-Agent": f"edgekit/{__version__}", TIMESTAMP: at}
        return {**known, EVENT_ID: event_id, **signed}

    def _answered(self, status: int) -> Exception:
        kind = Refused if 400 <= status < 500 and status not in LATER else Unreachable
        return kind(f"{self._host} answers {status}")


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """An address that moves is an answer of 3xx: what is signed for one host is not shown to another."""

    def redirect_request(self, *_: object) -> None:
        return None


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """What stands in `X-Edgekit-Signature`."""
    return "v1=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def verified(secret: str, timestamp: str, given: str, body: bytes, now_s: float) -> bool:
    """Whether a request is ours and of the last five minutes: what a receiver asks before it believes one."""
    fresh = timestamp.isascii() and timestamp.isdigit() and abs(now_s - int(timestamp)) <= FRESH_S
    return fresh and hmac.compare_digest(signature(secret, timestamp, body), given)
