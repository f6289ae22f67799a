"""Secret keys as minisign writes them: an Ed25519 seed, hidden behind a password by scrypt, or plain for machines."""

from __future__ import annotations

import hashlib
import os
import secrets
import struct
from dataclasses import dataclass, field
from pathlib import Path

from edgekit.core.errors import InputError
from edgekit.core.files import ensure_free, said_plainly
from edgekit.core.optional import need
from edgekit.signing.minisign import UNTRUSTED, PublicKey, decoded, encoded, lines_of

OPSLIMIT, MEMLIMIT = 1 << 22, 1 << 27
"""scrypt with N = 2^17, r = 8, p = 1: 128 MiB and about half a second, which a small board can still afford."""
MOST_MEMORY = 2 << 30
_PLAIN, _SCRYPT = b"\0\0", b"Sc"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretKey:
    """A key pair: its id, the Ed25519 seed (kept out of every printed form), and the public half."""

    id: bytes
    seed: bytes = field(repr=False)
    public: PublicKey

    @property
    def key_id(self) -> bytes:
        """The id that signatures carry."""
        return self.id

    def sign(self, message: bytes) -> bytes:
        """The 64-byte Ed25519 signature of `message`."""
        ed25519 = need("cryptography.hazmat.primitives.asymmetric.ed25519")
        signed: bytes = ed25519.Ed25519PrivateKey.from_private_bytes(self.seed).sign(message)
        return signed


def generate() -> SecretKey:
    """A new key pair from the operating system's randomness."""
    return _pair(secrets.token_bytes(8), secrets.token_bytes(32))


def write_secret(path: Path, key: SecretKey, password: str | None) -> None:
    """Write a secret key that only its owner may read, hidden behind `password` unless that is None. Never replaces a file."""
    with said_plainly(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    ensure_free(path, replace=False)
    with said_plainly(path):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(secret_text(key, password))
            file.flush()
            os.fsync(file.fileno())


def secret_text(key: SecretKey, password: str | None) -> str:
    """The text of a secret key file."""
    body = key.id + key.seed + key.public.raw
    body += _checksum(body)
    salt = secrets.token_bytes(32) if password is not None else bytes(32)
    limits = (OPSLIMIT, MEMLIMIT) if password is not None else (0, 0)
    if password is not None:
        body = _hidden(body, password, salt, *limits)
    kdf = _SCRYPT if password is not None else _PLAIN
    return f"{UNTRUSTED}edgekit secret key\n{encoded(b'Ed' + kdf + b'B2' + salt + struct.pack('<QQ', *limits) + body)}\n"


def is_hidden(path: Path) -> bool:
    """Whether the secret key in a file needs a password."""
    return _data(path)[2:4] == _SCRYPT


def read_secret(path: Path, password: str | None) -> SecretKey:
    """The secret key in a file. Raises `NotFound`, and `InputError` for another file or the wrong password."""
    data = _data(path)
    kdf, salt, (opslimit, memlimit), body = data[2:4], data[6:38], struct.unpack("<QQ", data[38:54]), data[54:]
    if kdf == _SCRYPT:
        if password is None:
            raise InputError(f"the secret key {str(path)!r} is behind a password", "give it with --password-file")
        body = _hidden(body, password, salt, opslimit, memlimit)
    core, checksum = body[:72], body[72:]
    unchecked = kdf == _PLAIN and checksum == bytes(32)  # minisign -W writes no checksum
    if not unchecked and checksum != _checksum(core):
        raise InputError(f"the password does not open {str(path)!r}", "is it the password of this key?")
    key = _pair(core[:8], core[8:40])
    if key.public.raw != core[40:72]:
        raise InputError(f"{str(path)!r} is damaged: its two halves do not belong together", "use a copy of the key")
    return key


def _data(path: Path) -> bytes:
    lines = lines_of(path, "secret key")
    data = decoded(lines[1], path, "secret key") if len(lines) == 2 else b""
    if len(data) != 158 or data[:2] != b"Ed" or data[2:4] not in (_PLAIN, _SCRYPT) or data[4:6] != b"B2":
        raise InputError(f"{str(path)!r} is not a minisign secret key", "'edgekit keygen NAME' makes one")
    return data


def _pair(key_id: bytes, seed: bytes) -> SecretKey:
    ed25519 = need("cryptography.hazmat.primitives.asymmetric.ed25519")
    raw = ed25519.Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    return SecretKey(id=key_id, seed=seed, public=PublicKey(id=key_id, raw=raw))


def _checksum(core: bytes) -> bytes:
    return hashlib.blake2b(b"Ed" + core, digest_size=32).digest()


def _hidden(body: bytes, password: str, salt: bytes, opslimit: int, memlimit: int) -> bytes:
    """`body` combined with scrypt's stream: the same call hides and shows."""
    n, r, p = scrypt_cost(opslimit, memlimit)
    if 128 * n * r > MOST_MEMORY or p > 16:
        raise InputError(
            f"the secret key asks scrypt for {128 * n * r >> 20} MiB, more than {MOST_MEMORY >> 20}", "use another key"
        )
    stream = hashlib.scrypt(
        password.encode(), salt=salt, n=n, r=r, p=p, maxmem=128 * r * (n + p + 2) + (1 << 20), dklen=len(body)
    )
    return bytes(one ^ other for one, other in zip(body, stream, strict=True))


def scrypt_cost(opslimit: int, memlimit: int) -> tuple[int, int, int]:
    """scrypt's N, r and p for limits as libsodium's crypto_pwhash_scryptsalsa208sha256 picks them (its `pickparams`)."""
    r, opslimit = 8, max(opslimit, 32768)
    by_operations = opslimit < memlimit // 32
    most = opslimit // (r * 4) if by_operations else memlimit // (r * 128)
    n_log2 = next(power for power in range(1, 64) if power == 63 or 1 << power > most // 2)
    p = 1 if by_operations else min(opslimit // 4 >> n_log2, 0x3FFFFFFF) // r
    return 1 << n_log2, r, p
