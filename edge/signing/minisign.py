"""Public keys and signatures as minisign writes them (https://jedisct1.github.io/minisign/, "Signature format").

A public key is `Ed`, an 8-byte key id and the 32-byte Ed25519 key; a signature is `ED` (of the BLAKE2b-512 of the message) or the
older `Ed` (of the message itself), the key id and 64 bytes, followed by a trusted comment with a signature of its own.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from pathlib import Path

from edgekit.core.errors import GateFailed, InputError, NotFound
from edgekit.core.optional import need

LIMIT_BYTES = 8192
"""A key or signature file has four lines of a few hundred characters."""
UNTRUSTED, TRUSTED = "untrusted comment: ", "trusted comment: "


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """Whose signatures are believed: `id` (8 bytes) and the Ed25519 key `raw` (32 bytes)."""

    id: bytes
    raw: bytes

    @property
    def name(self) -> str:
        """The key id as minisign prints it: the bytes as a little-endian number in capitals."""
        return shown(self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """`raw` (64 bytes) by the key `key_id` over the message, and `comment_raw` over `raw` and the trusted comment."""

    key_id: bytes
    hashed: bool
    raw: bytes
    comment: str
    comment_raw: bytes


def shown(key_id: bytes) -> str:
    """A key id in the form that people compare."""
    return f"{int.from_bytes(key_id, 'little'):016X}"


def read_public(path: Path) -> PublicKey:
    """The public key in a file. Raises `NotFound` when there is none, `InputError` when it is not one."""
    lines = lines_of(path, "public key")
    data = decoded(lines[1], path, "public key") if len(lines) == 2 else b""
    if len(data) != 42 or data[:2] != b"Ed":
        raise InputError(
            f"{str(path)!r} is not a minisign public key", "pass the .pub file, not the secret key or the signature"
        )
    return PublicKey(id=data[2:10], raw=data[10:])


def public_text(key: PublicKey) -> str:
    """The text of a public key file."""
    return f"{UNTRUSTED}minisign public key {key.name}\n{encoded(b'Ed' + key.id + key.raw)}\n"


def read_signature(path: Path) -> Signature:
    """The signature in a file. Raises `NotFound` when there is none, `InputError` when it is not one."""
    return signature_in(lines_of(path, "signature"), path)


def signature_in(lines: list[str], path: Path | str) -> Signature:
    """The signature in the lines of a file, or of what came over a network; `path` is what to call it. Raises `InputError`."""
    if len(lines) != 4 or not lines[2].startswith(TRUSTED):
        raise InputError(f"{str(path)!r} is not a minisign signature: it has {len(lines)} lines, not four", "sign it again")
    data, comment_raw = (decoded(line, path, "signature") for line in (lines[1], lines[3]))
    if len(data) != 74 or data[:2] not in (b"ED", b"Ed") or len(comment_raw) != 64:
        raise InputError(f"{str(path)!r} is not a minisign signature: its lines hold other data", "sign it again")
    return Signature(
        key_id=data[2:10],
        hashed=data[:2] == b"ED",
        raw=data[10:],
        comment=lines[2].removeprefix(TRUSTED),
        comment_raw=comment_raw,
    )


def signature_text(signature: Signature) -> str:
    """The text of a signature file."""
    data = (b"ED" if signature.hashed else b"Ed") + signature.key_id + signature.raw
    return (
        f"{UNTRUSTED}signature by edgekit, key {shown(signature.key_id)}\n{encoded(data)}\n"
        f"{TRUSTED}{signature.comment}\n{encoded(signature.comment_raw)}\n"
    )


def message_to_sign(message: bytes, *, hashed: bool = True) -> bytes:
    """What Ed25519 is applied to: the BLAKE2b-512 of the message, or for older signatures the message."""
    return hashlib.blake2b(message).digest() if hashed else message


def check(signature: Signature, message: bytes, key: PublicKey) -> None:
    """Raise `GateFailed` unless `key` signed both `message` and the trusted comment."""
    if signature.key_id != key.id:
        raise GateFailed(f"signed by key {shown(signature.key_id)}, not by {key.name}", "which key should have signed it?")
    if not _holds(key, signature.raw, message_to_sign(message, hashed=signature.hashed)):
        raise GateFailed(
            f"the signature of key {key.name} does not fit: the file was changed after it was signed", "copy it again"
        )
    if not _holds(key, signature.comment_raw, signature.raw + signature.comment.encode()):
        raise GateFailed(f"the trusted comment was changed after key {key.name} signed it", "copy the signature again")


def _holds(key: PublicKey, raw: bytes, message: bytes) -> bool:
    ed25519 = need("cryptography.hazmat.primitives.asymmetric.ed25519")
    invalid = need("cryptography.exceptions").InvalidSignature
    try:
        ed25519.Ed25519PublicKey.from_public_bytes(key.raw).verify(raw, message)
    except invalid:
        return False
    return True


def lines_of(path: Path, kind: str) -> list[str]:
    """The lines of a small text file. Raises `NotFound` and `InputError`."""
    if not path.is_file():
        raise NotFound(f"no {kind} at {str(path)!r}", "'edgekit keygen NAME' makes a key pair, 'edgekit sign' a signature")
    with path.open("rb") as file:
        data = file.read(LIMIT_BYTES + 1)
    if len(data) > LIMIT_BYTES:
        raise InputError(f"{str(path)!r} is larger than a {kind} file can be ({LIMIT_BYTES} bytes)")
    try:
        return data.decode("utf-8").removesuffix("\n").split("\n")
    except UnicodeDecodeError as exc:
        raise InputError(f"{str(path)!r} is not a {kind}: byte {exc.start} is not text") from exc


def decoded(line: str, path: Path | str, kind: str) -> bytes:
    """The bytes behind a line of base64. Raises `InputError`."""
    try:
        return base64.b64decode(line.strip(), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise InputError(f"{str(path)!r} is not a {kind}: {exc}") from exc


def encoded(data: bytes) -> str:
    """`data` as a line of base64."""
    return base64.b64encode(data).decode("ascii")
