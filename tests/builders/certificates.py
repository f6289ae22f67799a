"""An authority and a certificate that it signed for this machine's loopback address, by openssl."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def signed(folder: Path, name: str) -> tuple[Path, Path, Path]:
    """A certificate for 127.0.0.1, its key, and the certificate of the authority that signed it, made here."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here (Debian package openssl)")
    folder.mkdir()
    (folder / "san").write_text("subjectAltName=IP:127.0.0.1\n")
    for line in (
        f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={name} -keyout ca.key -out ca.pem",
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=server -keyout key.pem -out asked.pem",
        "x509 -req -in asked.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out server.pem",
    ):
        subprocess.run(["openssl", *line.split()], cwd=folder, check=True, capture_output=True)
    (folder / "key.pem").chmod(0o644)
    return folder / "server.pem", folder / "key.pem", folder / "ca.pem"
