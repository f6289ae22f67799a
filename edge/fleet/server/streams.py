"""The fleet's streams: what the server keeps of each, and for how long."""

from __future__ import annotations

from typing import Any

from edgekit.fleet.server.subjects import (
    ARTIFACTS,
    AUDIT,
    BELL,
    BUCKETS,
    DESIRED,
    EVENTS,
    OBJECTS,
    ROLLOUTS,
    TELEMETRY,
    stream_of,
    subject_of,
)

DAY_S = 86400.0
MAX_EVENT_AGE_S, MAX_READING_AGE_S = 400 * DAY_S, 30 * DAY_S
TWICE_S = 3600.0
"""A message that comes again within this time counts once."""


def streams() -> tuple[dict[str, Any], ...]:
    """All of them, in JetStream's words: the buckets, the store, what boards say, and what operators did."""
    return (*map(_bucket, BUCKETS), _store(), *_told(), _audit())


def _bucket(bucket: str) -> dict[str, Any]:
    return {
        "name": stream_of(bucket),
        "subjects": [subject_of(bucket, ">")],
        "max_msgs_per_subject": 64 if bucket == ROLLOUTS else 1,
        "allow_direct": True,
        "allow_rollup_hdrs": True,
        "deny_delete": True,
        "discard": "new",
        **(
            {"republish": {"src": subject_of(bucket, ">"), "dest": f"{BELL}.>", "headers_only": True}}
            if bucket == DESIRED
            else {}
        ),
    }


def _store() -> dict[str, Any]:
    subjects = [f"$O.{ARTIFACTS}.C.>", f"$O.{ARTIFACTS}.M.>"]
    return {"name": OBJECTS, "subjects": subjects, "allow_rollup_hdrs": True, "allow_direct": True, "discard": "new"}


def _told() -> list[dict[str, Any]]:
    kinds = ((TELEMETRY, "telemetry", MAX_READING_AGE_S), (EVENTS, "events", MAX_EVENT_AGE_S))
    kept = {"duplicate_window": TWICE_S, "deny_delete": True}
    return [{"name": name, "subjects": [f"edgekit.{word}.*"], "max_age": age, **kept} for name, word, age in kinds]


def _audit() -> dict[str, Any]:
    return {"name": AUDIT, "subjects": ["edgekit.audit.*"], "deny_delete": True, "deny_purge": True}
