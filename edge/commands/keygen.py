"""`edgekit keygen`: a key pair for signing artifacts."""

from __future__ import annotations

import argparse
from pathlib import Path

from edgekit.commands._arguments import add_password, password_of

HELP = "make a key pair: NAME.key signs artifacts and stays here, NAME.pub goes onto the boards"


def configure(parser: argparse.ArgumentParser) -> None:
    """Where the two files go, and what hides the secret one."""
    parser.add_argument("name", metavar="NAME", type=Path, help="the two files are NAME.key and NAME.pub")
    add_password(parser)
    parser.add_argument(
        "--no-password", action="store_true", help="leave the secret key readable: for machines that sign alone"
    )


def run(args: argparse.Namespace) -> int:
    """Write both files, neither over an old one."""
    from edgekit.console import emit
    from edgekit.core.files import ensure_free, write_atomically
    from edgekit.signing.minisign import public_text
    from edgekit.signing.secret import generate, write_secret

    secret, public = (args.name.with_name(args.name.name + ending) for ending in (".key", ".pub"))
    ensure_free(public, replace=False)
    ensure_free(secret, replace=False)
    password = None if args.no_password else password_of(args, "Password for the new key: ", twice=True)
    key = generate()
    write_secret(secret, key, password)
    write_atomically(public, public_text(key.public).encode())
    result = {"key_id": key.public.name, "secret": str(secret), "public": str(public), "password": password is not None}
    emit(
        args,
        result,
        f"key {key.public.name}\n  {secret}  signs; keep it here and keep it safe\n  {public}  checks; give it to every board",
    )
    return 0
