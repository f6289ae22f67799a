"""hawkBit's Direct Device Integration API, as a client: plain HTTP polling, JSON, and files with ranges.

https://eclipse.dev/hawkbit/apis/ddi_api and https://eclipse.dev/hawkbit/rest-api/ddi/ describe it; names here are theirs. The token goes
to the server alone: files may lie elsewhere, and whoever keeps them need not know it.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from typing import Any, Literal, TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from edgekit.core.errors import EdgekitError, InputError

TIMEOUT_S = 30.0
LIMIT_BYTES = 4 << 20
LEAST_SLEEP_S, MOST_SLEEP_S = 1.0, 86400.0
Execution = Literal["closed", "proceeding", "canceled", "scheduled", "rejected", "resumed", "downloaded", "download"]
Finished = Literal["success", "failure", "none"]
_Kind = TypeVar("_Kind", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A hawkBit server, and who this board is there. `kind` says whose token it is."""

    url: str
    tenant: str
    controller: str
    token: str = field(repr=False)
    kind: Literal["TargetToken", "GatewayToken"] = "TargetToken"

    @property
    def base(self) -> str:
        """The address that is polled."""
        return f"{self.url.rstrip('/')}/{quote(self.tenant)}/controller/v1/{quote(self.controller)}"


class Link(msgspec.Struct, frozen=True):
    """Where to ask next."""

    href: str


class Polling(msgspec.Struct, frozen=True):
    """How long to wait until the next poll, HH:MM:SS."""

    sleep: str = "00:05:00"


class Config(msgspec.Struct, frozen=True):
    """What the server wants of its clients."""

    polling: Polling = Polling()


class Base(msgspec.Struct, frozen=True):
    """The answer to a poll: links to what is to be done."""

    config: Config = Config()
    links: Mapping[str, Link] = msgspec.field(default_factory=dict, name="_links")

    @property
    def sleep_s(self) -> float:
        """Seconds until the next poll, within reason."""
        parts = self.config.polling.sleep.split(":")
        seconds = 300.0
        if len(parts) == 3 and all(part.isascii() and part.isdigit() for part in parts):
            seconds = float(sum(int(part) * unit for part, unit in zip(parts, (3600, 60, 1), strict=True)))
        return min(max(seconds, LEAST_SLEEP_S), MOST_SLEEP_S)


class Hashes(msgspec.Struct, frozen=True):
    """Of a file; only the one that is still worth something is asked for."""

    sha256: str


class File(msgspec.Struct, frozen=True):
    """A file of a software module."""

    filename: str
    hashes: Hashes
    size: int
    links: Mapping[str, Link] = msgspec.field(default_factory=dict, name="_links")


class Metadata(msgspec.Struct, frozen=True):
    """A key of a software module that the server lets its targets see."""

    key: str
    value: str


class Chunk(msgspec.Struct, frozen=True):
    """A software module."""

    part: str
    name: str
    version: str
    artifacts: tuple[File, ...] = ()
    metadata: tuple[Metadata, ...] = ()

    def said(self, key: str) -> str:
        """A key of the metadata; nothing when it is not there."""
        return next((each.value for each in self.metadata if each.key == key), "")


class Deployment(msgspec.Struct, frozen=True, rename={"maintenance_window": "maintenanceWindow"}):
    """What is to be installed, and whether it may be now."""

    chunks: tuple[Chunk, ...]
    download: Literal["skip", "attempt", "forced"] = "forced"
    update: Literal["skip", "attempt", "forced"] = "forced"
    maintenance_window: Literal["available", "unavailable", ""] = ""


class Action(msgspec.Struct, frozen=True):
    """An action of the server's."""

    id: str
    deployment: Deployment


class Stop(msgspec.Struct, frozen=True, rename={"stop_id": "stopId"}):
    """Which action is to be stopped."""

    stop_id: str


class Cancel(msgspec.Struct, frozen=True, rename={"cancel_action": "cancelAction"}):
    """The server takes an action back."""

    id: str
    cancel_action: Stop


@dataclass(frozen=True, slots=True)
class Client:
    """Speaks with one server as one target."""

    server: Server

    def poll(self) -> Base:
        """Whether there is something to do. Raises `EdgekitError` when the server does not answer, `InputError` for nonsense."""
        return self._asked(self.server.base, Base)

    def action(self, link: Link) -> Action:
        """What `deploymentBase` points to."""
        return self._asked(link.href, Action)

    def cancel(self, link: Link) -> Cancel:
        """What `cancelAction` points to."""
        return self._asked(link.href, Cancel)

    def configure(self, link: Link, data: Mapping[str, str]) -> None:
        """Tell the server what this target is (`configData`)."""
        self._sent("PUT", link.href, {"mode": "merge", "data": dict(data)})

    def feedback(self, what: str, action: str, execution: Execution, finished: Finished, details: tuple[str, ...] = ()) -> None:
        """How far an action is. `what` is deploymentBase or cancelAction; `closed` ends it."""
        status = {"execution": execution, "result": {"finished": finished}, "details": [detail[:500] for detail in details]}
        self._sent("POST", f"{self.server.base}/{what}/{quote(action)}/feedback", {"id": action, "status": status})

    def open(self, file: File, offset: int) -> tuple[int, HTTPResponse]:
        """The file's bytes from `offset` on, and where they really begin: 0 where the server knows no ranges."""
        link = file.links.get("download") or file.links.get("download-http")
        if link is None:
            raise InputError(f"the server gives no address for {file.filename!r}")
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        with _said(link.href):
            answer = self._open(link.href, headers=headers)
        return (offset if answer.status == 206 else 0), answer

    def _asked(self, url: str, kind: type[_Kind]) -> _Kind:
        with _said(url), self._open(url, headers={"Accept": "application/hal+json, application/json"}) as answer:
            data = answer.read(LIMIT_BYTES + 1)
        if len(data) > LIMIT_BYTES:
            raise InputError(f"{url} answers with more than {LIMIT_BYTES} bytes")
        try:
            return msgspec.json.decode(data, type=kind)
        except msgspec.DecodeError as exc:
            raise InputError(f"{url} does not answer as DDI does: {exc}", "is it a hawkBit server?") from exc

    def _sent(self, method: str, url: str, body: Mapping[str, Any]) -> None:
        headers = {"Content-Type": "application/json"}
        with _said(url), self._open(url, method=method, body=json.dumps(body).encode(), headers=headers) as answer:
            answer.read(LIMIT_BYTES)

    def _open(self, url: str, *, headers: Mapping[str, str], method: str = "GET", body: bytes | None = None) -> HTTPResponse:
        asked, own = urlsplit(url), urlsplit(self.server.url)
        if asked.scheme not in ("http", "https") or (own.scheme == "https" and asked.scheme != "https"):
            raise InputError(f"the server sends this board to {url!r}, which is not safe to follow")
        request = urllib.request.Request(url, method=method, data=body, headers=dict(headers))
        if (asked.scheme, asked.netloc) == (own.scheme, own.netloc):
            # unredirected: another host that the server redirects to does not get it
            request.add_unredirected_header("Authorization", f"{self.server.kind} {self.server.token}")
        answer: HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT_S)
        return answer


@contextmanager
def _said(url: str) -> Iterator[None]:
    """Python's errors as ours."""
    try:
        yield
    except urllib.error.HTTPError as exc:
        exc.close()
        hint = {401: "is the token right?", 404: "are tenant and controller right?"}.get(exc.code, "")
        raise EdgekitError(f"{url} answers {exc.code} {exc.reason}", hint) from exc
    except (OSError, HTTPException, ValueError) as exc:
        raise EdgekitError(f"{url} does not answer: {exc}", "is the server up?") from exc
