"""The fleet's page as a server: one connection to NATS for all who look, which also drives rollouts that are under way."""

from __future__ import annotations

import argparse

from edgekit.apps.base import RunOptions
from edgekit.apps.web import options as web_options
from edgekit.apps.web.serve import ensure_packages, serve
from edgekit.fleet.trust.authority import Access


def serve_page(access: Access, args: argparse.Namespace) -> int:
    """Serve until an interrupt. Raises `MissingDependency` without the extra `web`."""
    ensure_packages()
    from edgekit.fleet.pages.shell import shell

    own = {name: getattr(args, name) for name in ("tls", "server_name", "state")}
    serve(shell(access), web_options.serving(RunOptions(host=args.host, port=args.port, own=own)))
    return 0
