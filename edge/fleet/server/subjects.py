"""Where everything lies on the server: streams, buckets, and the subjects that each kind of credential may use.

A board listens for changes of its own keys and its group's, and fetches values by direct reads, which leave no state in the server
per board. It asks JetStream by its domain, so that a site's own server in between passes the question on. Subjects are the permissions: what is not listed for a board, the server refuses, whatever the board's program wants.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from edgekit.core.errors import InputError

DESIRED = "edgekit_desired"
REPORTED = "edgekit_reported"
MEMBERS = "edgekit_members"
ROLLOUTS = "edgekit_rollouts"
BUCKETS = (DESIRED, REPORTED, MEMBERS, ROLLOUTS)
ARTIFACTS = "edgekit_artifacts"
OBJECTS = f"OBJ_{ARTIFACTS}"
TELEMETRY, EVENTS, AUDIT = "EDGEKIT_TELEMETRY", "EDGEKIT_EVENTS", "EDGEKIT_AUDIT"
DOMAIN = "edgekit"
"""Of the fleet's own server: the servers of sites have JetStream, too, for their MQTT clients, in a domain of their own."""
API = f"$JS.{DOMAIN}.API"
DIRECT = f"{API}.DIRECT.GET"
BELL = "edgekit.wish"
"""Under it the server says that a wish was written: the keys themselves stay within a domain."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Permissions:
    """Subjects that a credential may publish to and subscribe to; none at all means all."""

    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()


def crossings() -> dict[str, Literal["service", "stream"]]:
    """What crosses between a site's account and the fleet's, as the fleet's server knows it: what any board may say and hear.

    The server holds a site to it, whatever the site's server is: it lets a leaf node's messages pass unasked within an account.
    """
    asks = (
        telemetry("*"),
        events("*"),
        subject_of(REPORTED, "*"),
        resolved(read_of(DESIRED, ">")),
        resolved(f"{DIRECT}.{OBJECTS}"),
        resolved(f"{DIRECT}.{OBJECTS}.$O.{ARTIFACTS}.M.*"),
    )
    return {**dict.fromkeys(asks, "service"), bell(">"): "stream"}


def named(name: str, kind: str = "board") -> str:
    """`name` itself. Raises `InputError` for one that could be more than one word of a subject."""
    if not _NAME.fullmatch(name):
        raise InputError(f"{name[:70]!r} cannot be the name of a {kind}", "letters, digits, '-' and '_', at most 63")
    return name


def stream_of(bucket: str) -> str:
    """The stream behind a bucket."""
    return f"KV_{bucket}"


def subject_of(bucket: str, key: str) -> str:
    """The subject behind a key."""
    return f"$KV.{bucket}.{key}"


def write_of(bucket: str, key: str) -> str:
    """The subject that takes a key's new value."""
    return f"{API}.{subject_of(bucket, key)}"


def read_of(bucket: str, key: str) -> str:
    """The subject that answers with a key's value."""
    return f"{DIRECT}.{stream_of(bucket)}.{subject_of(bucket, key)}"


def device_key(device: str) -> str:
    """The key of what one board is to run."""
    return f"device.{device}"


def group_key(group: str) -> str:
    """The key of what a group is to run."""
    return f"group.{group}"


def resolved(subject: str) -> str:
    """A question to the domain as the fleet's own server puts it to itself: there permissions are of this, at a site of the other."""
    asked = subject.removeprefix(f"{API}.")
    return asked if asked.startswith("$KV.") else f"$JS.API.{asked}"


def bell(key: str) -> str:
    """What rings when a wish is written."""
    return f"{BELL}.{key}"


def telemetry(device: str) -> str:
    """Where a board's readings go."""
    return f"edgekit.telemetry.{device}"


def events(device: str) -> str:
    """Where a board says what happened to it."""
    return f"edgekit.events.{device}"


def audit(operator: str) -> str:
    """Where what an operator did is written down."""
    return f"edgekit.audit.{operator}"


def inbox(name: str) -> str:
    """Where answers to this credential come in: nobody else may listen there."""
    return f"_INBOX.{name}"


def for_device(device: str, group: str) -> Permissions:
    """What one board may say and hear."""
    wishes = (device_key(device), group_key(group))
    asks = (
        write_of(REPORTED, device),
        *(read_of(DESIRED, wish) for wish in wishes),
        f"{DIRECT}.{OBJECTS}",
        f"{DIRECT}.{OBJECTS}.$O.{ARTIFACTS}.M.*",
    )
    return Permissions(
        publish=(telemetry(device), events(device), *asks, *map(resolved, asks)),
        subscribe=(*map(bell, wishes), f"{inbox(device)}.>"),
    )


def for_operator(operator: str) -> Permissions:
    """What an operator may: all of the fleet's subjects, but the audit log only under its own name, and no stream is taken away.

    Whoever holds the fleet's folder may also do the rest.
    """
    return Permissions(
        publish=(
            "$KV.>",
            f"$O.{ARTIFACTS}.>",
            audit(operator),
            resolved(f"{DIRECT}.>"),
            "$JS.API.INFO",
            "$JS.API.STREAM.INFO.*",
            "$JS.API.STREAM.NAMES",
            "$JS.API.STREAM.MSG.GET.*",
            f"$JS.API.STREAM.PURGE.{OBJECTS}",
            "$JS.API.CONSUMER.>",
            "$JS.ACK.>",
            "$JS.FC.>",
        ),
        subscribe=("edgekit.>", "$KV.>", f"{inbox(operator)}.>"),
    )


def for_reader(reader: str) -> Permissions:
    """What a listener may, over MQTT or otherwise: hear telemetry and events, and say nothing."""
    return Permissions(
        publish=("$MQTT.sub.>",),
        subscribe=("edgekit.telemetry.>", "edgekit.events.>", "$MQTT.sub.>", f"{inbox(reader)}.>"),
    )
