"""Events to an MQTT broker, and what lasts (is somebody there, is the camera well) as retained states beside them.

The connection is made and made again by the courier's tries alone; paho's own queue and reconnecting are not used, so that
there is one queue, the bounded one on the disk.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, Queue
from threading import Lock
from typing import Any

from edgekit.apps.vision.notify.courier import Unreachable
from edgekit.apps.vision.notify.message import Message, decoded
from edgekit.apps.vision.notify.outbox import Waiting
from edgekit.apps.vision.notify.settings import Mqtt as Settings
from edgekit.apps.vision.notify.topics import OFF, OFFLINE, ON, ONLINE, Topics, discovery, event_payload, first_states
from edgekit.apps.vision.rules.settings import Camera
from edgekit.core.errors import InputError
from edgekit.core.optional import need

CONNECT_S, CONFIRM_S, KEEPALIVE_S = 5.0, 5.0, 20


class Mqtt:
    """A site's connection. `said` and `seen` may be called from any thread; they do not wait for the broker."""

    def __init__(self, settings: Settings, password: str, cameras: Sequence[Camera], snapshots: Path) -> None:
        need("paho.mqtt.client")
        if settings.ca and not Path(settings.ca).is_file():
            raise InputError(
                f"the broker's authority {settings.ca!r} is no file", "notify: mqtt: ca: the certificate's PEM file"
            )
        self.name = "mqtt"
        self._settings, self._password, self._cameras, self._snapshots = settings, password, tuple(cameras), snapshots
        self._topics = Topics(prefix=settings.prefix)
        self._lock = Lock()
        self._open: dict[str, set[str]] = {}
        self._states = first_states(self._topics, self._cameras)
        self._unsaid = set(self._states)
        self._client: Any = None

    def said(self, message: Message) -> None:
        """An event begins or ends: its rule's state follows."""
        topic = self._topics.rule(message.event.camera, message.event.rule)
        with self._lock:
            lasting = self._open.setdefault(topic, set())
            (lasting.add if message.phase == "new" else lasting.discard)(message.id)
            self._change(topic, ON if lasting else OFF)

    def seen(self, camera: str, well: bool) -> None:
        """A camera gives frames, or no longer."""
        with self._lock:
            self._change(self._topics.status(camera), ONLINE if well else OFFLINE)

    def send(self, waiting: Waiting) -> None:
        """Publish an event and its picture; the broker has confirmed both when this returns."""
        message = decoded(waiting.body)
        self.tend()
        self._publish(self._topics.events, json.dumps(event_payload(message), default=float).encode())
        picture = self._snapshots / message.snapshot
        if message.snapshot and message.phase == "new" and picture.is_file():
            self._publish(self._topics.snapshot(message.event.camera), picture.read_bytes(), retain=True)

    def tend(self) -> None:
        """Be connected, and say what has changed."""
        if self._client is None or not self._client.is_connected():
            self._connect()
        with self._lock:
            changed = {topic: self._states[topic] for topic in self._unsaid}
            self._unsaid.clear()
        for topic, state in changed.items():
            self._publish(topic, state.encode(), retain=True)

    def close(self) -> None:
        """Say goodbye: a broker announces only those that leave without."""
        if self._client is not None and self._client.is_connected():
            with suppress(Unreachable):  # the broker then reads out the last will instead
                self._publish(self._topics.available, OFFLINE.encode(), retain=True)
        self._drop()

    def _change(self, topic: str, state: str) -> None:
        if self._states.get(topic) != state:
            self._states[topic] = state
            self._unsaid.add(topic)

    def _connect(self) -> None:
        """A new connection, with the last will made and everything that is retained said anew."""
        self._drop()
        answers: Queue[Any] = Queue()
        client = self._made()
        client.on_connect = lambda _client, _data, _flags, code, _properties: answers.put(code)
        try:
            client.connect(self._settings.host, self._settings.port, keepalive=KEEPALIVE_S)
            client.loop_start()
        except (OSError, ValueError) as exc:
            raise Unreachable(f"the broker at {self._where} does not answer: {getattr(exc, 'strerror', None) or exc}") from exc
        self._client = client
        self._ensure_let_in(answers)
        self._greet()

    def _ensure_let_in(self, answers: Queue[Any]) -> None:
        """Wait for the broker's answer. Raises `Unreachable` when it says no, or nothing."""
        try:
            answer = answers.get(timeout=CONNECT_S)
        except Empty:
            answer = None
        if answer is None or answer.is_failure:
            self._drop()
            raise Unreachable(f"the broker at {self._where} does not let us in: {answer or 'no answer'}")

    def _made(self) -> Any:
        paho, settings = need("paho.mqtt.client"), self._settings
        client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="", reconnect_on_failure=False)
        client.connect_timeout = CONNECT_S
        client.will_set(self._topics.available, OFFLINE, qos=1, retain=True)
        if settings.user:
            client.username_pw_set(settings.user, self._password or None)
        if settings.tls:
            client.tls_set(ca_certs=settings.ca or None)
        return client

    def _greet(self) -> None:
        if self._settings.discovery:
            topic = f"{self._settings.discovery_prefix}/device/{self._topics.prefix.replace('/', '_')}/config"
            self._publish(topic, json.dumps(discovery(self._topics, self._cameras)).encode(), retain=True)
        self._publish(self._topics.available, ONLINE.encode(), retain=True)
        with self._lock:
            self._unsaid = set(self._states)

    def _publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish and wait for the broker's word; a connection that does not bring it is given up."""
        try:
            sent = self._client.publish(topic, payload, qos=1, retain=retain)
            sent.wait_for_publish(CONFIRM_S)
            confirmed = sent.is_published()
        except (RuntimeError, ValueError) as exc:  # paho's words for a connection that broke, and for a queue that is full
            self._drop()
            raise Unreachable(f"the broker at {self._where} is gone: {exc}") from exc
        if not confirmed:
            self._drop()
            raise Unreachable(f"the broker at {self._where} does not confirm within {CONFIRM_S:.0f} s")

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.disconnect()
            client.loop_stop()

    @property
    def _where(self) -> str:
        return f"{self._settings.host}:{self._settings.port}"
