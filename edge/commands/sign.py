"""`edgekit sign`: vouch for an artifact, so that boards with the public key accept it and nothing else."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.commands._arguments import add_password, password_of

if TYPE_CHECKING:
    from edgekit.signing.sign import Signer

HELP = "sign an artifact with a key in a file or in an SSH agent (minisign's format)"


def configure(parser: argparse.ArgumentParser) -> None:
    """Which artifact, which key, which release."""
    parser.add_argument("artifact", metavar="ARTIFACT", type=Path, help="a folder that 'edgekit convert' wrote")
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--secret", metavar="KEY", type=Path, help="secret key, as 'edgekit keygen' or minisign wrote it")
    who.add_argument(
        "--agent", metavar="COMMENT", help="the SSH agent's Ed25519 key whose comment holds this ('' for its only one)"
    )
    who_else = parser.add_argument_group("with a key in a file")
    add_password(who_else)
    parser.add_argument(
        "--release",
        metavar="N",
        type=int,
        help="number of this release; boards refuse to go back (default: the time in seconds)",
    )
    parser.add_argument(
        "--public", metavar="PUB", type=Path, help="also write the public key here: that of an agent's key, say"
    )


def run(args: argparse.Namespace) -> int:
    """Check the artifact's hashes, sign its manifest, say who signed what."""
    import msgspec

    from edgekit import artifact as artifacts
    from edgekit.console import emit
    from edgekit.core.files import write_atomically
    from edgekit.signing.minisign import public_text
    from edgekit.signing.sign import SIGNATURE, sign

    artifact = artifacts.read(args.artifact)
    signer = signer_of(args)
    signed = sign(artifact, signer, release=args.release)
    if args.public is not None:
        write_atomically(args.public, public_text(signer.public).encode())
    path = artifact.path / SIGNATURE
    text = f"{path}\n  release {signed.release} of {signed.name}, by key {signed.key_id}"
    emit(args, {"signature": str(path), **msgspec.to_builtins(signed)}, text)
    return 0


def signer_of(args: argparse.Namespace) -> Signer:
    """The key in `--secret`, or the SSH agent's."""
    from edgekit.signing.agent import agent_key
    from edgekit.signing.secret import is_hidden, read_secret

    if args.secret is None:
        return agent_key(args.agent)
    password = password_of(args, f"Password of {args.secret}: ") if is_hidden(args.secret) else None
    return read_secret(args.secret, password)
