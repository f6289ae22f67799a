"""Whom a site tells of its events. Secrets are not written here: `*_env` names the environment variable that holds one."""

from __future__ import annotations

import os
from typing import Annotated

import msgspec

from edgekit.apps.vision.events import Severity
from edgekit.core.errors import InputError
from edgekit.core.schema import Value

Variable = Annotated[str, msgspec.Meta(pattern=r"^([A-Za-z_][A-Za-z0-9_]{0,127})?$")]
Topic = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$", max_length=128)]
Line = Annotated[str, msgspec.Meta(min_length=1, max_length=2048)]


class Mqtt(Value, frozen=True, kw_only=True):
    """A broker. With `discovery` Home Assistant makes a device of the site by itself."""

    host: Annotated[str, msgspec.Meta(min_length=1, max_length=253)]
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 1883
    tls: bool = False
    ca: str = ""
    """A file with the certificate of the broker's authority, where the system does not know it."""
    user: str = ""
    password_env: Variable = ""
    prefix: Topic = "edgekit"
    discovery: bool = True
    discovery_prefix: Topic = "homeassistant"
    least: Severity = "low"


class Webhook(Value, frozen=True, kw_only=True):
    """An address that gets every event as signed JSON."""

    url: Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s@]+$", max_length=2048)]
    secret_env: Variable = ""
    least: Severity = "low"


class Apprise(Value, frozen=True, kw_only=True):
    """Apprise's addresses (one a line or separated by blanks) in an environment variable: they hold tokens and passwords."""

    urls_env: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]
    least: Severity = "medium"


class Notify(Value, frozen=True, kw_only=True):
    """Everybody who is told. `most` bounds each queue."""

    mqtt: Mqtt | None = None
    webhooks: tuple[Webhook, ...] = ()
    apprise: Apprise | None = None
    most: Annotated[int, msgspec.Meta(ge=10, le=1_000_000)] = 2000


def secret(variable: str, what: str) -> str:
    """The secret in that environment variable; nothing where none is named. Raises `InputError` for one that is not set."""
    if not variable:
        return ""
    found = os.environ.get(variable, "")
    if not found:
        raise InputError(
            f"the environment variable {variable!r} ({what}) is not set", f"export {variable}=…, or EnvironmentFile="
        )
    return found
