"""An artifact signed, and a signed artifact checked.

The signature is of `manifest.json`, which holds the hash of every payload file, and lies beside it as `manifest.json.minisig`:
`minisign -Vm manifest.json -p KEY.pub` checks it, too. Its trusted comment names the artifact and its release, a number that
grows, so that a board can refuse to go back.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from edgekit.artifact import MANIFEST
from edgekit.core.errors import GateFailed, InputError, NotFound
from edgekit.core.files import sha256_bytes, write_atomically
from edgekit.core.schema import Artifact, Value
from edgekit.signing.minisign import (
    PublicKey,
    Signature,
    check,
    message_to_sign,
    read_public,
    read_signature,
    signature_text,
)

SIGNATURE = f"{MANIFEST}.minisig"
FIRST_RELEASE = 1_700_000_000
"""November 2023 in seconds: a clock before it was never set."""


class Signer(Protocol):
    """Who can sign: a key in a file or in an agent."""

    @property
    def key_id(self) -> bytes: ...
    @property
    def public(self) -> PublicKey: ...
    def sign(self, message: bytes) -> bytes: ...


class Signed(Value, frozen=True, kw_only=True, omit_defaults=False):
    """Who vouches for an artifact, and for which release of it."""

    key_id: str
    name: str
    release: int
    comment: str


def sign(artifact: Artifact, signer: Signer, *, release: int | None = None) -> Signed:
    """Sign an artifact that has just been read; `release` is the time in seconds unless given. Replaces an older signature.

    Raises `InputError` when the clock was never set and no release is given, and when the manifest changes meanwhile.
    """
    number = _release(release)
    if not artifact.manifest.name.isprintable():
        raise InputError(f"an artifact called {artifact.manifest.name!r} cannot be signed: its name has control characters")
    message = _manifest_of(artifact)
    comment = f"timestamp:{int(time.time())}\tfile:{MANIFEST}\thashed\tname:{artifact.manifest.name}\trelease:{number}"
    raw = signer.sign(message_to_sign(message))
    signature = Signature(
        key_id=signer.key_id, hashed=True, raw=raw, comment=comment, comment_raw=signer.sign(raw + comment.encode())
    )
    check(signature, message, signer.public)
    write_atomically(artifact.path / SIGNATURE, signature_text(signature).encode())
    return _signed(signature, signer.public, artifact)


def signature_of(artifact: Artifact) -> Signature | None:
    """The signature beside the manifest, unchecked; None when there is none. Raises `InputError` for one that is damaged."""
    path = artifact.path / SIGNATURE
    return read_signature(path) if path.is_file() else None


def ensure_signed(artifact: Artifact, keys: Sequence[PublicKey], *, newer_than: int | None = None) -> Signed:
    """Check that one of `keys` signed this very artifact, and a release after `newer_than` when given.

    Raises `GateFailed` when it is unsigned, signed by a stranger, changed since, of another name or an older release.
    """
    try:
        signature = read_signature(artifact.path / SIGNATURE)
    except NotFound:
        raise GateFailed(
            f"the artifact {artifact.manifest.name!r} is not signed", "'edgekit sign ARTIFACT --secret KEY' signs it"
        ) from None
    key = next((key for key in keys if key.id == signature.key_id), keys[0])
    check(signature, _manifest_of(artifact), key)
    signed = _signed(signature, key, artifact)
    if newer_than is not None and signed.release <= newer_than:
        raise GateFailed(
            f"{signed.name!r} is release {signed.release}, not newer than {newer_than}, which is here already",
            "sign it again to bring an old model back: 'edgekit sign' gives it a new release",
        )
    return signed


def _release(given: int | None) -> int:
    number = int(time.time()) if given is None else given
    if number < 1 or (given is None and number < FIRST_RELEASE):
        raise InputError(
            f"the release would be {number}: releases are counted by the clock, and it was never set",
            "set it, or give --release N",
        )
    return number


def _manifest_of(artifact: Artifact) -> bytes:
    """The manifest's bytes, those that were read and checked and no others."""
    text = (artifact.path / MANIFEST).read_bytes()
    if sha256_bytes(text) != artifact.sha256:
        raise InputError(f"{str(artifact.path / MANIFEST)!r} changed while it was being read", "is another program writing it?")
    return text


def _signed(signature: Signature, key: PublicKey, artifact: Artifact) -> Signed:
    """What the trusted comment says. Signatures made by minisign itself name no release: theirs is their time, and 0 without one."""
    said = dict(part.split(":", 1) for part in signature.comment.split("\t") if ":" in part)
    name = said.get("name", artifact.manifest.name)
    if name != artifact.manifest.name:
        raise GateFailed(f"the signature is of {name!r}, the artifact calls itself {artifact.manifest.name!r}", "copy it again")
    release = said.get("release", said.get("timestamp", "0"))
    number = int(release) if release.isascii() and release.isdigit() and len(release) < 19 else 0
    return Signed(key_id=key.name, name=name, release=number, comment=signature.comment)


def public_keys(paths: Sequence[Path]) -> tuple[PublicKey, ...]:
    """The keys in `.pub` files, and in every `.pub` file of a folder. Raises `NotFound` and `InputError`."""
    files = [file for path in paths for file in (sorted(path.glob("*.pub")) if path.is_dir() else [path])]
    if not files:
        raise NotFound(f"no public key in {', '.join(map(str, paths))}", "put a .pub file there")
    return tuple(read_public(file) for file in files)
