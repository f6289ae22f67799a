"""Keys that stay in an SSH agent: it signs with an Ed25519 key that no file of ours ever holds.

Messages are those of draft-miller-ssh-agent, sections 3.2 (identities) and 3.6 (signing).
"""

from __future__ import annotations

import hashlib
import os
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from edgekit.core.errors import EdgekitError, InputError, NotFound
from edgekit.signing.minisign import PublicKey

_ASK_IDENTITIES, _IDENTITIES, _ASK_SIGNATURE, _SIGNATURE = 11, 12, 13, 14
_LIMIT_BYTES = 256 << 10
_TIMEOUT_S = 60.0
"""Long enough for a person to touch a security key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentKey:
    """An Ed25519 key in the agent behind `socket_path`; its id is the start of the SHA-256 of its public half."""

    socket_path: str
    blob: bytes
    comment: str
    public: PublicKey

    @property
    def key_id(self) -> bytes:
        """The id that signatures carry."""
        return self.public.id

    def sign(self, message: bytes) -> bytes:
        """The 64-byte Ed25519 signature of `message`. Raises `EdgekitError` when the agent refuses."""
        answer = _ask(self.socket_path, bytes([_ASK_SIGNATURE]) + _string(self.blob) + _string(message) + struct.pack(">I", 0))
        if answer[:1] != bytes([_SIGNATURE]):
            raise EdgekitError(f"the SSH agent would not sign with {self.comment!r}", "is it locked, or did you refuse?")
        kind, rest = _cut(_cut(answer[1:])[0])
        raw = _cut(rest)[0]
        if kind != b"ssh-ed25519" or len(raw) != 64:
            raise EdgekitError(f"the SSH agent answered with a signature of kind {kind!r}", "use an Ed25519 key")
        return raw


def agent_key(comment: str = "", *, socket_path: str | None = None) -> AgentKey:
    """The agent's Ed25519 key whose comment holds `comment`; with none given, its only one.

    Raises `NotFound` when there is no agent or no such key, `InputError` when several fit.
    """
    path = socket_path or os.environ.get("SSH_AUTH_SOCK", "")
    if not path or not Path(path).exists():
        raise NotFound("no SSH agent: SSH_AUTH_SOCK names no socket", "eval $(ssh-agent); ssh-add KEY")
    keys = [key for key in _identities(path) if comment in key.comment]
    if not keys:
        raise NotFound(f"the SSH agent holds no Ed25519 key called {comment!r}", "ssh-add -l shows what it holds")
    if len(keys) > 1:
        raise InputError(f"the SSH agent holds {len(keys)} keys that fit: {', '.join(key.comment for key in keys)}", "name one")
    return keys[0]


def _identities(path: str) -> list[AgentKey]:
    answer = _ask(path, bytes([_ASK_IDENTITIES]))
    if answer[:1] != bytes([_IDENTITIES]) or len(answer) < 5:
        raise EdgekitError("the SSH agent does not list its keys", "ssh-add -l")
    (count,), rest = struct.unpack(">I", answer[1:5]), answer[5:]
    found = []
    for _ in range(min(count, 1000)):
        blob, rest = _cut(rest)
        comment, rest = _cut(rest)
        kind, body = _cut(blob)
        if kind == b"ssh-ed25519":
            raw = _cut(body)[0]
            public = PublicKey(id=hashlib.sha256(raw).digest()[:8], raw=raw)
            found.append(AgentKey(socket_path=path, blob=blob, comment=comment.decode(errors="replace"), public=public))
    return found


def _ask(path: str, message: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_TIMEOUT_S)
        try:
            connection.connect(path)
            connection.sendall(_string(message))
            (length,) = struct.unpack(">I", _received(connection, 4))
            if not 0 < length <= _LIMIT_BYTES:
                raise EdgekitError(f"the SSH agent announced an answer of {length} bytes", "ssh-add -l")
            return _received(connection, length)
        except OSError as exc:
            raise EdgekitError(f"the SSH agent at {path!r} does not answer: {exc}", "ssh-add -l") from exc


def _received(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise EdgekitError("the SSH agent hung up in the middle of its answer", "ssh-add -l")
        data += piece
    return data


def _string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _cut(data: bytes) -> tuple[bytes, bytes]:
    """The string at the start of `data`, and the rest."""
    size = struct.unpack(">I", data[:4])[0] if len(data) >= 4 else len(data)
    if len(data) < 4 + size:
        raise EdgekitError("the SSH agent sent an answer that breaks off", "ssh-add -l")
    return data[4 : 4 + size], data[4 + size :]
