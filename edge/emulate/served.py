"""An app that answers over HTTP, wherever it runs: on an emulated board, or on this machine."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from edgekit.core.errors import DeviceError

ANSWER_S = 600.0
"""The first answer may wait for imports that an emulated core takes a minute for."""


@dataclass(frozen=True, slots=True)
class Served:
    """Where it answers."""

    url: str

    def answers(self, path: str, timeout_s: float = 5.0) -> bool:
        """Whether it says 200 there, now."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=timeout_s) as answer:
                return bool(answer.status == 200)
        except (OSError, ValueError):
            return False

    def asked(self, path: str, data: bytes | None = None, token: str = "", kind: str = "image/png") -> Any:
        """Its answer, as JSON. Raises `DeviceError`."""
        text = self.text(path, data, token, kind)
        try:
            return json.loads(text)
        except ValueError as exc:
            raise DeviceError(f"{self.url} answers no JSON at {path}: {text[:80]!r}") from exc

    def text(self, path: str, data: bytes | None = None, token: str = "", kind: str = "image/png") -> str:
        """Its answer, as it is; `data` is posted, as a body of that kind. Raises `DeviceError`."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        headers |= {"content-type": kind} if data is not None else {}
        request = urllib.request.Request(self.url + path, data=data, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:
                found: bytes = answer.read()
                return found.decode()
        except urllib.error.HTTPError as exc:
            with exc:
                raise DeviceError(f"{self.url} answers {exc.code} at {path}: {exc.read()[:200]!r}") from exc
        except (OSError, ValueError) as exc:
            raise DeviceError(f"{self.url} gives no answer at {path}: {exc}") from exc
