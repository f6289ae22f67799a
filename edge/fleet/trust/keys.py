"""Keys and tokens as NATS has them: Ed25519 keys in base32, and JSON Web Tokens signed with them.

https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_intro/jwt: an operator vouches for accounts, an account
for users, and a user's token says what it may publish and subscribe to. The server needs to know the operator alone.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from edgekit.core.errors import InputError
from edgekit.core.optional import need
from edgekit.fleet.server.subjects import Permissions, crossings

Kind = Literal["OPERATOR", "ACCOUNT", "USER"]
_UNLIMITED = {"subs": -1, "data": -1, "payload": -1}
_ACCOUNT_LIMITS = {
    **_UNLIMITED,
    **dict.fromkeys(("imports", "exports", "conn", "leaf", "mem_storage", "disk_storage", "streams", "consumer"), -1),
    "wildcards": True,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """A key: its public name (`O…`, `A…` or `U…`) and its seed, which is kept out of every printed form."""

    public: str
    seed: str = field(repr=False)

    def sign(self, message: bytes) -> bytes:
        """The 64-byte Ed25519 signature."""
        signed: bytes = need("nkeys").from_seed(self.seed.encode()).sign(message)
        return signed


def new_key(kind: Kind) -> KeyPair:
    """A new key from the operating system's randomness."""
    nkeys = need("nkeys")
    prefix = getattr(nkeys, f"PREFIX_BYTE_{kind}")
    return key_from(bytes(nkeys.encode_seed(secrets.token_bytes(32), prefix=prefix)).decode())


def key_from(seed: str) -> KeyPair:
    """The key of a seed. Raises `InputError`."""
    try:
        pair = need("nkeys").from_seed(seed.encode())
        return KeyPair(public=bytes(pair.public_key).decode(), seed=seed)
    except Exception as exc:  # the package's errors have no common base
        raise InputError(f"this is no NATS seed: {exc}", "the fleet's folder is damaged; use a copy of it") from exc


def operator_token(operator: KeyPair, system: str, name: str) -> str:
    """The operator vouches for itself, and names the account that runs the server."""
    return _token(operator, operator.public, name, {"type": "operator", "system_account": system})


def account_token(operator: KeyPair, account: str, name: str, revoked: Mapping[str, int], *, limits: bool = True) -> str:
    """The operator vouches for the fleet's account; `revoked` are users whose tokens of before a time (in seconds) no longer count.

    Without `limits` for one that keeps no streams: the server's own.
    """
    exports = [{"name": subject, "subject": subject, "type": kind} for subject, kind in crossings().items()]
    return _account(operator, account, name, revoked, {"exports": exports} if limits else {}, streams=limits)


def site_token(operator: KeyPair, account: str, name: str, revoked: Mapping[str, int], fleet: str) -> str:
    """The operator vouches for a site's account, in which nothing of the fleet's is but what crosses."""
    imports = [{"name": subject, "subject": subject, "account": fleet, "type": kind} for subject, kind in crossings().items()]
    return _account(operator, account, name, revoked, {"imports": imports}, streams=False)


def _account(
    operator: KeyPair, account: str, name: str, revoked: Mapping[str, int], more: Mapping[str, Any], *, streams: bool
) -> str:
    claims: dict[str, Any] = {
        "type": "account",
        "limits": _ACCOUNT_LIMITS,
        "default_permissions": {"pub": {}, "sub": {}},
        **more,
    }
    if not streams:
        claims["limits"] = {key: value for key, value in _ACCOUNT_LIMITS.items() if "storage" not in key and key != "streams"}
    if revoked:
        claims["revocations"] = dict(revoked)
    return _token(operator, account, name, claims)


def user_token(
    account: KeyPair, user: str, name: str, may: Permissions, *, expires: int | None = None, bearer: bool = False
) -> str:
    """The account vouches for a user. A `bearer` needs no key, only this text: for MQTT clients, which cannot sign."""
    claims: dict[str, Any] = {"type": "user", **_UNLIMITED, "pub": _allowed(may.publish), "sub": _allowed(may.subscribe)}
    return _token(account, user, name, {**claims, **({"bearer_token": True} if bearer else {})}, expires)


def credentials(token: str, user: KeyPair) -> str:
    """The text of a `.creds` file, as every NATS client reads it."""
    return (
        f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n"
    )


def _allowed(subjects: tuple[str, ...]) -> dict[str, list[str]]:
    return {"allow": list(subjects)} if subjects else {}


def _token(signer: KeyPair, subject: str, name: str, claims: Mapping[str, Any], expires: int | None = None) -> str:
    body: dict[str, Any] = {"iat": int(time.time()), "iss": signer.public, "name": name, "sub": subject}
    body["nats"] = {**claims, "version": 2}
    if expires is not None:
        body["exp"] = expires
    digest = hashlib.sha256(_json(body)).digest()
    body["jti"] = base64.b32encode(digest).decode().rstrip("=")
    text = ".".join(_coded(_json(part)) for part in ({"typ": "JWT", "alg": "ed25519-nkey"}, body))
    return f"{text}.{_coded(signer.sign(text.encode()))}"


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _coded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
