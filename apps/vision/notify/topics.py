"""Which MQTT topics there are, in the layout of Frigate's conventions, and what Home Assistant is told of them.

PREFIX/available                 online, or offline by the broker's own word when the connection breaks (retained)
PREFIX/events                    every event, {"type": "new" | "end", "before": {…}, "after": {…}}
PREFIX/CAMERA/RULE               ON while an event of the rule lasts, else OFF (retained)
PREFIX/CAMERA/status/detect      online while the camera gives frames, else offline (retained)
PREFIX/CAMERA/snapshot           the picture of the camera's last event, JPEG (retained)
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgekit import __version__
from edgekit.apps.vision.notify.message import Message
from edgekit.apps.vision.rules.settings import DEFAULT_RULES, Camera, Rule

ON, OFF, ONLINE, OFFLINE = "ON", "OFF", "online", "offline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """The topics below one prefix."""

    prefix: str

    @property
    def available(self) -> str:
        return f"{self.prefix}/available"

    @property
    def events(self) -> str:
        return f"{self.prefix}/events"

    def rule(self, camera: str, rule: str) -> str:
        return f"{self.prefix}/{camera}/{slug(rule)}"

    def status(self, camera: str) -> str:
        return f"{self.prefix}/{camera}/status/detect"

    def snapshot(self, camera: str) -> str:
        return f"{self.prefix}/{camera}/snapshot"


def slug(name: str) -> str:
    """A rule's name as one level of a topic: no '/', no wildcards, no blanks."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_") or "rule"


def event_payload(message: Message) -> dict[str, Any]:
    """What `events` says: the event as it was told first and as it is now, under the names that Frigate's readers know."""
    event = message.event
    after = {
        "id": message.id,
        "camera": event.camera,
        "label": event.type,
        "sub_label": event.rule,
        "score": round(float(event.score), 3),
        "top_score": round(float(event.score), 3),
        "start_time": event.start_s,
        "end_time": event.end_s,
        "false_positive": False,
        "has_clip": bool(message.clip),
        "has_snapshot": bool(message.snapshot),
        "severity": event.severity,
        "track": event.track,
        "evidence": dict(event.evidence),
    }
    return {"type": message.phase, "before": {**after, "end_time": None}, "after": after}


def first_states(topics: Topics, cameras: Sequence[Camera]) -> dict[str, str]:
    """What is true of a site that has just started: no event lasts, and no frame has come yet."""
    rules = {topics.rule(camera.name, rule.name): OFF for camera in cameras for rule in rules_of(camera)}
    return rules | {topics.status(camera.name): OFFLINE for camera in cameras}


def rules_of(camera: Camera) -> tuple[Rule, ...]:
    """The camera's rules, or those that stand in for none."""
    return camera.rules or DEFAULT_RULES


def discovery(topics: Topics, cameras: Sequence[Camera]) -> dict[str, Any]:
    """Home Assistant's description of the site as one device (its form since 2024.11)."""
    node = topics.prefix.replace("/", "_")
    parts: dict[str, Mapping[str, Any]] = {}
    for camera in cameras:
        parts |= _camera(topics, node, camera)
    return {
        "dev": {"ids": [node], "name": f"edgekit {topics.prefix}", "mf": "edgekit", "sw": __version__},
        "o": {"name": "edgekit", "sw": __version__},
        "cmps": {name: {**part, "unique_id": name, "availability_topic": topics.available} for name, part in parts.items()},
        "qos": 1,
    }


def _camera(topics: Topics, node: str, camera: Camera) -> dict[str, Mapping[str, Any]]:
    """A camera's parts: whether it gives frames, its last picture, and every rule."""
    base = f"{node}_{camera.name}"
    status = {"payload_on": ONLINE, "payload_off": OFFLINE, "device_class": "connectivity"}
    parts: dict[str, Mapping[str, Any]] = {
        f"{base}_status": {
            "p": "binary_sensor",
            "name": f"{camera.name} picture",
            "state_topic": topics.status(camera.name),
            **status,
        },
        f"{base}_snapshot": {
            "p": "image",
            "name": f"{camera.name} last event",
            "image_topic": topics.snapshot(camera.name),
            "content_type": "image/jpeg",
        },
    }
    for rule in rules_of(camera):
        parts[f"{base}_{slug(rule.name)}"] = {
            "p": "binary_sensor",
            "name": f"{camera.name} {rule.name}",
            "state_topic": topics.rule(camera.name, rule.name),
            "device_class": "safety" if rule.activity else "occupancy",
        }
    return parts
