"""Orders sealed and opened: the same Ed25519 signatures as an artifact's, over the order's own bytes.

A board with a public key obeys what its owner sealed for this fleet and this group, and never an order older than its last: no
clock is asked, so one that stands in 1970 changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from edgekit.core.errors import GateFailed, InputError
from edgekit.core.files import sha256_bytes
from edgekit.fleet.nouns import Order, Sealed

if TYPE_CHECKING:
    from edgekit.signing.minisign import PublicKey
    from edgekit.signing.sign import Signer


def sealed(order: Order, signer: Signer | None = None) -> Sealed:
    """The order as it is sent; signed when there is a signer."""
    text = msgspec.json.encode(order, order="deterministic")
    if signer is None:
        return Sealed(text=text.decode())
    from edgekit.signing.minisign import Signature, check, message_to_sign, signature_text

    comment = f"timestamp:{int(time.time())}\tfleet:{order.fleet}\tserial:{order.serial}"
    raw = signer.sign(message_to_sign(text))
    signature = Signature(
        key_id=signer.key_id, hashed=True, raw=raw, comment=comment, comment_raw=signer.sign(raw + comment.encode())
    )
    check(signature, text, signer.public)
    return Sealed(text=text.decode(), signature=signature_text(signature))


def opened(seal: Sealed, keys: Sequence[PublicKey], *, fleet: str, group: str) -> Order:
    """The order in a seal, for a board of this fleet and group. Without keys a signature is not asked for.

    Raises `GateFailed` for one that is unsigned, by a stranger, changed or meant for others, `InputError` for one that does not
    parse.
    """
    if keys:
        _ensure_signed(seal, keys)
    try:
        order = msgspec.json.decode(seal.text, type=Order)
    except msgspec.DecodeError as exc:
        raise InputError(f"the order does not parse: {exc}", "is this board's edgekit older than the operator's?") from exc
    if (order.fleet, order.group) != (fleet, group):
        raise GateFailed(
            f"the order is for group {order.group!r} of fleet {order.fleet!r}, this board is of {group!r} of {fleet!r}"
        )
    if order.serial < 1:
        raise InputError(f"an order's serial is a number from 1, not {order.serial}")
    return order


def digest(seal: Sealed) -> str:
    """What tells two orders of one serial apart."""
    return sha256_bytes(seal.text.encode())


def encoded(seal: Sealed) -> bytes:
    """A seal as the value of a key."""
    return msgspec.json.encode(seal)


def decoded(value: bytes) -> Sealed:
    """The seal in a key's value. Raises `InputError`."""
    try:
        return msgspec.json.decode(value, type=Sealed)
    except msgspec.DecodeError as exc:
        raise InputError(f"what is to run here does not parse: {exc}") from exc


def _ensure_signed(seal: Sealed, keys: Sequence[PublicKey]) -> None:
    from edgekit.signing.minisign import check, signature_in

    if not seal.signature:
        raise GateFailed("the order is not signed, and this board has a key", "edgekit fleet rollout --secret KEY")
    signature = signature_in(seal.signature.removesuffix("\n").split("\n"), "the order's signature")
    check(signature, seal.text.encode(), next((key for key in keys if key.id == signature.key_id), keys[0]))
