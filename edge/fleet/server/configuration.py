"""What nats-server is told, in one file: it knows the operator's token and the accounts', and nobody's key.

A site may have a server of its own between its boards and the fleet's: a leaf node. It knows the same tokens, lets boards in by
itself, serves MQTT when the fleet's server is away, and passes on what its credential allows.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from edgekit.fleet.server.subjects import DOMAIN

PORT, MQTT_PORT, LEAF_PORT = 4222, 1883, 7422
STORE_BYTES, SITE_STORE_BYTES = 20 << 30, 1 << 30
CONNECTIONS = 250_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Tokens that a server of this fleet holds: the operator's, and those of its two accounts by their public keys."""

    operator: str
    system: str
    accounts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Where a server listens and keeps its files; a port of 0 is one that is not opened."""

    store: Path
    host: str = "0.0.0.0"
    port: int = PORT
    mqtt_port: int = MQTT_PORT
    leaf_port: int = LEAF_PORT
    monitor_port: int = 0
    certificate: tuple[Path, Path] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hub:
    """The fleet's server as a site joins it: `account` is the fleet's, which boards are let into; the site's own, which it enters there,
    is in its credential. Both files lie on the site's server.
    """

    url: str
    account: str
    credentials: Path
    authority: Path | None = None


def server_text(name: str, trust: Trust, listening: Listening) -> str:
    """The fleet's server: JetStream, the fleet's accounts, and beside its own port those for MQTT and for sites."""
    parts = _common(name, trust, listening, DOMAIN, STORE_BYTES)
    if listening.leaf_port:
        parts.append(f"leafnodes {{ listen: {_address(listening.host, listening.leaf_port)}{_tls(listening)} }}")
    return "\n".join(parts) + "\n"


def site_text(name: str, trust: Trust, listening: Listening, hub: Hub) -> str:
    """A site's server: the same accounts, and JetStream in a domain of its own, which holds what its MQTT clients need and no more."""
    tls = f", tls {{ ca_file: {_quoted(hub.authority)} }}" if hub.authority else ""
    remote = f"url: {json.dumps(hub.url)}, account: {hub.account}, credentials: {_quoted(hub.credentials)}{tls}"
    parts = _common(name, trust, listening, f"site-{name}", SITE_STORE_BYTES)
    return "\n".join([*parts, f"leafnodes {{ remotes: [ {{ {remote} }} ] }}"]) + "\n"


def hub_of(url: str) -> str:
    """Where a site's server reaches the fleet's: where boards do, at the port for sites."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{'tls' if parts.scheme == 'tls' else 'nats-leaf'}://{host}:{LEAF_PORT}"


def _common(name: str, trust: Trust, listening: Listening, domain: str, most_bytes: int) -> list[str]:
    store = _quoted(listening.store / "jetstream")
    parts = [
        *_head(name, listening),
        _trust(trust, f"{{ type: full, dir: {_quoted(listening.store / 'accounts')}, allow_delete: false }}"),
        f"jetstream {{ domain: {domain}, store_dir: {store}, max_file_store: {most_bytes} }}",
        f"max_connections: {CONNECTIONS}",
    ]
    if listening.mqtt_port:
        parts.append(f"mqtt {{ listen: {_address(listening.host, listening.mqtt_port)}{_tls(listening)} }}")
    return parts


def _head(name: str, listening: Listening) -> list[str]:
    parts = [f"server_name: {json.dumps(name)}", f"listen: {_address(listening.host, listening.port)}"]
    if listening.monitor_port:
        parts.append(f'http: "127.0.0.1:{listening.monitor_port}"')
    if listening.certificate:
        parts.append(_tls(listening).removeprefix(", "))
    return parts


def _trust(trust: Trust, resolver: str) -> str:
    known = ", ".join(f"{account}: {token}" for account, token in trust.accounts.items())
    return f"operator: {trust.operator}\nsystem_account: {trust.system}\nresolver: {resolver}\nresolver_preload: {{ {known} }}"


def _tls(listening: Listening) -> str:
    if not listening.certificate:
        return ""
    chain, key = listening.certificate
    return f", tls {{ cert_file: {_quoted(chain)}, key_file: {_quoted(key)} }}"


def _address(host: str, port: int) -> str:
    return json.dumps(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")


def _quoted(path: Path) -> str:
    return json.dumps(str(path), ensure_ascii=False)
