"""Webhooks and Apprise against a real HTTP server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from edgekit.apps.vision.events import Event
from edgekit.apps.vision.notify.courier import Refused, Unreachable
from edgekit.apps.vision.notify.message import encoded, message_of
from edgekit.apps.vision.notify.outbox import Waiting
from edgekit.apps.vision.notify.through_apprise import Apprise
from edgekit.apps.vision.notify.webhook import EVENT_ID, SIGNATURE, TIMESTAMP, Webhook, signature, verified

EVENT = Event(
    type="presence", rule="visitor", camera="yard", start_s=100.0, end_s=None, score=0.9, track=3, severity="low", evidence={}
)
WAITING = Waiting(id=1, channel="webhook 0", noticed_s=0.0, tries=0, body=encoded(message_of(EVENT)), progress=b"")


@dataclass
class Receiver:
    """What came, and what is answered."""

    url: str = ""
    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    came: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.came.append((dict(self.headers), body))
            self.send_response(found.status)
            for name, value in found.headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found.url = f"http://127.0.0.1:{server.server_port}/hook/secret-path"
    yield found
    server.shutdown()
    server.server_close()


def test_a_webhook_is_signed_and_its_receiver_can_tell(receiver: Receiver) -> None:
    Webhook("webhook 0", receiver.url, "s3cret", clock=lambda: 1_000_000.0).send(WAITING)
    headers, body = receiver.came[0]
    given, at = headers[SIGNATURE], headers[TIMESTAMP]
    assert json.loads(body)["camera"] == "yard" and headers[EVENT_ID] == message_of(EVENT).id
    assert verified("s3cret", at, given, body, 1_000_100.0)
    assert not verified("other", at, given, body, 1_000_100.0)
    assert not verified("s3cret", at, given, body + b" ", 1_000_100.0)
    assert not verified("s3cret", str(int(at) + 1), given, body, 1_000_100.0)
    assert not verified("s3cret", at, given, body, 1_000_400.0), "an old request sent again"
    assert not verified("s3cret", "nan", given, body, 1_000_000.0)


def test_the_signature_is_the_one_that_is_documented() -> None:
    assert signature("key", "1700000000", b'{"a":1}') == "v1=a438e398bfafc57e4396bb7fc2304422f0f768e965d073ca313cb52e22e6ad03"


def test_without_a_secret_nothing_is_signed(receiver: Receiver) -> None:
    Webhook("webhook 0", receiver.url).send(WAITING)
    assert SIGNATURE not in receiver.came[0][0]


@pytest.mark.parametrize(
    ("status", "kind"), [(500, Unreachable), (503, Unreachable), (429, Unreachable), (400, Refused), (410, Refused)]
)
def test_what_is_wrong_with_us_is_refused_and_what_is_wrong_with_them_is_tried_again(
    receiver: Receiver, status: int, kind: type[Exception]
) -> None:
    receiver.status = status
    with pytest.raises(kind) as said:
        Webhook("webhook 0", receiver.url, "s3cret").send(WAITING)
    assert str(status) in str(said.value) and "secret" not in str(said.value)


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    receiver.status, receiver.headers = 302, {"Location": receiver.url}
    with pytest.raises(Unreachable, match="302"):
        Webhook("webhook 0", receiver.url).send(WAITING)
    assert len(receiver.came) == 1


def test_a_receiver_that_is_gone_is_tried_again_later() -> None:
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9"):
        Webhook("webhook 0", "http://127.0.0.1:9/hook/secret-path").send(WAITING)


@pytest.mark.filterwarnings("ignore:.*imghdr.*:DeprecationWarning")  # apprise imports it
def test_apprise_delivers_and_says_when_it_cannot(receiver: Receiver, tmp_path: Path) -> None:
    pytest.importorskip("apprise", reason="apprise (extra notify) is not installed")
    url = receiver.url.replace("http", "json", 1)
    Apprise("apprise 0", url, tmp_path).send(WAITING)
    assert json.loads(receiver.came[0][1])["title"] == "yard: presence"
    receiver.status = 500
    with pytest.raises(Unreachable):
        Apprise("apprise 0", url, tmp_path).send(WAITING)
