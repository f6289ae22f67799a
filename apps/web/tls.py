"""A certificate of the machine's own, for HTTPS without an authority: browsers ask once whether it is to be trusted."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from edgekit.apps.web.options import Certificate
from edgekit.core.errors import EdgekitError
from edgekit.core.files import write_atomically
from edgekit.core.optional import need

CHAIN, KEY = "certificate.pem", "key.pem"
VALID, RENEWED_BEFORE = timedelta(days=397), timedelta(days=30)
"""Browsers refuse certificates that are valid longer."""


def self_signed(folder: Path, names: Iterable[str]) -> Certificate:
    """The certificate in `folder` when it is still good for `names` (host names and addresses), else a new one."""
    certificate = Certificate(chain=folder / CHAIN, key=folder / KEY)
    wanted = sorted(set(names))
    if not _is_good(certificate, wanted):
        _make(certificate, wanted)
    return certificate


def fingerprint(certificate: Certificate) -> str:
    """SHA-256 of the certificate, as browsers show it."""
    hashes = need("cryptography.hazmat.primitives.hashes")
    digest: bytes = _loaded(certificate.chain).fingerprint(hashes.SHA256())
    return digest.hex(":").upper()


def _loaded(path: Path) -> Any:
    return need("cryptography.x509").load_pem_x509_certificate(path.read_bytes())


def _is_good(certificate: Certificate, names: list[str]) -> bool:
    x509 = need("cryptography.x509")
    if not (certificate.chain.is_file() and certificate.key.is_file()):
        return False
    try:
        found = _loaded(certificate.chain)
        covered = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except ValueError as exc:
        hint = f"remove {str(certificate.chain.parent / '*.pem')!r} for a new one"
        raise EdgekitError(f"{str(certificate.chain)!r} is not a certificate: {exc}", hint) from exc
    fresh = found.not_valid_after_utc - datetime.now(timezone.utc) > RENEWED_BEFORE
    return fresh and sorted(str(name.value) for name in covered) == names


def _make(certificate: Certificate, names: list[str]) -> None:
    x509, serialization = need("cryptography.x509"), need("cryptography.hazmat.primitives.serialization")
    key = need("cryptography.hazmat.primitives.asymmetric.ec").generate_private_key(
        need("cryptography.hazmat.primitives.asymmetric.ec").SECP256R1()
    )
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_atomically(certificate.key, private, mode=0o600)
    subject = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "edgekit")])
    now = datetime.now(timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    signed = builder.sign(key, need("cryptography.hazmat.primitives.hashes").SHA256())
    write_atomically(certificate.chain, signed.public_bytes(serialization.Encoding.PEM))


def _general(name: str) -> Any:
    x509 = need("cryptography.x509")
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
