"""`edgekit fleet agent`, `hawkbit`, `unit` and `emit`: what runs on boards, and other ways to run them."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from edgekit.fleet.board.place import Board


def agent(args: argparse.Namespace) -> int:
    """Runs until it is stopped."""
    from contextlib import closing

    from edgekit.core.errors import UsageError
    from edgekit.fleet.agent.agent import Agent
    from edgekit.fleet.agent.spool import Spool
    from edgekit.fleet.agent.unit import ACCESS
    from edgekit.fleet.board.place import spool_path, trusted
    from edgekit.fleet.trust.authority import read_access

    access = read_access(args.root / ACCESS)
    if access.role != "board":
        raise UsageError(f"{args.root / ACCESS} is the access of a {access.role}, not of a board", "edgekit fleet enroll NAME")
    place = _board(args)
    with closing(Spool(spool_path(args.root))) as spool:
        asyncio.run(Agent(access, place, spool, lambda: trusted(place.layout), heartbeat_s=args.heartbeat).run())
    return 0


def hawkbit(args: argparse.Namespace) -> int:
    """Polls until it is stopped, or once."""
    from edgekit.commands._arguments import password_in
    from edgekit.fleet.hawkbit.ddi import Client, Server
    from edgekit.fleet.hawkbit.polling import poll_always, poll_once

    kind: Literal["TargetToken", "GatewayToken"] = "GatewayToken" if args.gateway else "TargetToken"
    server = Server(
        url=args.server, tenant=args.tenant, controller=args.controller, token=password_in(args.token_file), kind=kind
    )
    client, board = Client(server), _board(args)
    if args.once:
        poll_once(client, board, args.app)
    else:
        poll_always(client, board, args.app)
    return 0


def unit(args: argparse.Namespace) -> int:
    """The unit's text."""
    from edgekit.console import emit
    from edgekit.fleet.agent.unit import UNIT
    from edgekit.fleet.agent.unit import unit as text_of

    text = text_of(args.root)
    emit(args, {"name": UNIT, "text": text}, text)
    return 0


def emit(args: argparse.Namespace) -> int:
    """A folder with what was asked for."""
    from edgekit.artifact import read
    from edgekit.console import emit as say
    from edgekit.core.errors import UsageError
    from edgekit.core.files import new_folder
    from edgekit.fleet.emit import ansible, kubernetes

    artifact = read(args.artifact)
    arguments = tuple(args.app_argument)
    if args.kind == "kubernetes":
        if not args.image:
            raise UsageError("Kubernetes runs images, and edgekit does not build one", "--image REGISTRY/NAME:TAG")
        files = kubernetes.manifests(artifact, app=args.app, image=args.image, arguments=arguments, port=args.port)
    else:
        files = ansible.playbook(artifact, app=args.app, hosts=tuple(args.host), arguments=arguments, port=args.port)
    with new_folder(args.output) as folder:
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
    listed = "\n".join(f"  {name}" for name in sorted(files))
    say(args, {"folder": str(args.output), "files": sorted(files)}, f"{args.output}\n{listed}")
    return 0


def _board(args: argparse.Namespace) -> Board:
    from edgekit.commands._arguments import password_in
    from edgekit.deploy.board.layout import Layout
    from edgekit.fleet.board.place import Board

    token = password_in(Path(args.figures_token)) if args.figures_token else ""
    return Board(layout=Layout(args.root), figures_url=args.figures, token=token)
