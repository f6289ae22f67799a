"""What nats-server is told, in one file: it knows the operator's token and the accounts', and nobody's key."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

PORT, MQTT_PORT = 4222, 1883
STORE_BYTES = 20 << 30
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
    monitor_port: int = 0
    certificate: tuple[Path, Path] | None = None


def server_text(name: str, trust: Trust, listening: Listening) -> str:
    """The server's configuration: JetStream, the fleet's accounts, and beside its own port the one for MQTT."""
    parts = [
        *_head(name, listening),
        _trust(trust, f"{{ type: full, dir: {_quoted(listening.store / 'accounts')}, allow_delete: false }}"),
        f"jetstream {{ store_dir: {_quoted(listening.store / 'jetstream')}, max_file_store: {STORE_BYTES} }}",
        f"max_connections: {CONNECTIONS}",
    ]
    if listening.mqtt_port:
        parts.append(f"mqtt {{ listen: {_address(listening.host, listening.mqtt_port)}{_tls(listening)} }}")
    return "\n".join(parts) + "\n"


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
