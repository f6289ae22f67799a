"""`edgekit fleet`: many boards on one NATS server."""

from __future__ import annotations

import argparse
from pathlib import Path

from edgekit.commands._arguments import add_password, percentage, percentages

HELP = "many boards on one NATS server: enrol them, roll releases out in waves, watch, halt, go back"
_ACCESS = "an operator's access (default: the only one in edgekit-fleet/access)"
_FOLDER = Path("edgekit-fleet")


def configure(parser: argparse.ArgumentParser) -> None:
    """One parser per verb."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    _configure_owner(verbs)
    _configure_operator(verbs)
    _configure_board(verbs)
    for each in verbs.choices.values():
        each.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object on stdout")


def _configure_owner(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """What needs the fleet's folder: its keys."""
    init = verbs.add_parser("init", help="a new fleet: its keys, the server's configuration, a first operator")
    init.add_argument("--name", default="fleet", help="name of the fleet (default: %(default)s)")
    init.add_argument("--url", required=True, metavar="URL", help="where boards reach the server: tls://host:4222, nats://…")
    init.add_argument("--operator", default="owner", metavar="NAME", help="the first operator (default: %(default)s)")
    init.add_argument("--ca", type=Path, metavar="FILE", help="PEM of who vouches for that certificate, for the boards")
    init.add_argument("--leaf-port", type=int, default=7422, metavar="P", help="for sites; default: %(default)s; 0 closes it")
    site = verbs.add_parser("site", help="the configuration of a site's own server, between its boards and the fleet's")
    site.add_argument("name", metavar="NAME", help="its name")
    site.add_argument("--url", required=True, metavar="URL", help="where the site's boards reach its server: nats://host:4222")
    site.add_argument("--hub", default="", metavar="URL", help="where it reaches the fleet's (default: that host, port 7422)")
    site.add_argument(
        "--folder", type=Path, default=Path("/etc/nats"), metavar="DIR", help="of its files there (default: %(default)s)"
    )
    for each in (init, site):
        _configure_server(each)
    prepare = verbs.add_parser("prepare", help="make the streams on the running server, and tell it who was revoked")
    prepare.add_argument("--site", default="", metavar="NAME", help="tell that site's server who was revoked")
    enroll = verbs.add_parser("enroll", help="a credential for a board, an operator or a listener")
    enroll.add_argument("name", metavar="NAME", help="its name")
    enroll.add_argument("--group", default="", help="group of a board")
    enroll.add_argument("--site", default="", metavar="NAME", help="it reaches the fleet through this site's server")
    enroll.add_argument("--role", choices=("board", "operator", "reader"), default="board", help="default: %(default)s")
    enroll.add_argument("--days", type=float, metavar="N", help="days until it no longer counts (default: never)")
    enroll.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: edgekit-fleet/access/NAME.json")
    revoke = verbs.add_parser("revoke", help="a board's or an operator's credential no longer counts")
    revoke.add_argument("name", metavar="NAME", help="its name")
    for each in (init, site, prepare, enroll, revoke):
        each.add_argument(
            "--fleet", type=Path, default=_FOLDER, metavar="DIR", help="the fleet's folder (default: %(default)s)"
        )


def _configure_server(parser: argparse.ArgumentParser) -> None:
    """Where a nats-server listens and keeps its files."""
    parser.add_argument("--store", type=Path, default=Path("/var/lib/nats"), metavar="DIR", help="the server's folder for data")
    parser.add_argument("--host", default="0.0.0.0", help="address the server listens on (default: %(default)s)")
    for name, port in (("port", 4222), ("mqtt-port", 1883), ("monitor-port", 0)):
        parser.add_argument(f"--{name}", type=int, default=port, metavar="P", help="default: %(default)s; 0 closes it")
    parser.add_argument("--tls", metavar="CERT,KEY", help="certificate and key on the server, PEM")


def _configure_operator(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """What an operator's access is enough for."""
    listing = verbs.add_parser("list", help="every board: what runs there, how it is, when it was last heard")
    listing.add_argument("--group", default="", help="only these")
    status = verbs.add_parser("status", help="every group's rollout, and who did what last")
    status.add_argument("group", nargs="?", default="", help="one group")
    rollout = verbs.add_parser("rollout", help="a release for a group, in waves; halted and taken back when it is worse")
    rollout.add_argument("group", help="the group")
    rollout.add_argument("--app", metavar="APP", help="app to run")
    rollout.add_argument("--artifact", type=Path, metavar="A", help="its artifact")
    rollout.add_argument("--resume", action="store_true", help="go on with the one under way, whoever began it")
    rollout.add_argument("--app-argument", metavar="ARG", action="append", default=[], help="one more argument for the app")
    rollout.add_argument("--health", metavar="URL", default="", help="address on the board that must answer 200")
    rollout.add_argument("--deadline", type=float, default=90.0, metavar="S", help="the app must work by then")
    rollout.add_argument("--settle", type=float, default=5.0, metavar="S", help="and stay up this long")
    rollout.add_argument("--waves", type=percentages, default=(0.01, 0.1, 0.5, 1.0), metavar="1%,10%,50%,100%", help="shares")
    rollout.add_argument("--soak", type=float, default=120.0, metavar="S", help="how long each wave is watched")
    rollout.add_argument("--wave-deadline", type=float, default=1800.0, metavar="S", help="boards must have answered by then")
    rollout.add_argument("--absent", type=float, default=180.0, metavar="S", help="silent boards are left for later after this")
    rollout.add_argument("--max-failed", type=percentage, default=0.02, metavar="P", help="share that may fail (default: 2%%)")
    rollout.add_argument("--gate", action="append", default=[], metavar="G", help="'latency_ms<=1.2x', 'temperature_c<=80'")
    rollout.add_argument("--bench", type=float, default=0.0, metavar="S", help="measure latency_ms on the board for so long")
    rollout.add_argument("--secret", metavar="KEY", type=Path, help="sign the order with this key")
    rollout.add_argument("--agent", metavar="COMMENT", help="sign it with the SSH agent's key of this comment")
    add_password(rollout)
    changes = [verbs.add_parser(verb, help=text) for verb, text in _CHANGES.items()]
    for each in changes:
        each.add_argument("group", help="the group")
    clean = verbs.add_parser("clean", help="take files out of the store that no wish and none of the last releases names")
    clean.add_argument(
        "--keep", type=int, default=3, metavar="N", help="releases of each group that stay (default: %(default)s)"
    )
    clean.add_argument(
        "--older-than", type=float, default=1.0, metavar="DAYS", help="younger files stay (default: %(default)s)"
    )
    clean.add_argument("--dry-run", action="store_true", help="only say which")
    serve = verbs.add_parser("serve", help="the fleet's page; it also drives rollouts that are under way")
    _configure_page(serve)
    for each in (listing, status, rollout, clean, serve, *changes):
        each.add_argument("--access", type=Path, metavar="FILE", help=_ACCESS)


_CHANGES = {
    "pause": "no further board gets the release until resume",
    "resume": "go on with a rollout that was paused",
    "abort": "end a rollout; boards that have the release go back",
}


def _configure_board(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """What runs on the boards, and other ways to run them."""
    agent = verbs.add_parser("agent", help="the agent: runs on every board")
    agent.add_argument("--heartbeat", type=float, default=60.0, metavar="S", help="seconds between readings")
    hawkbit = verbs.add_parser("hawkbit", help="the agent for a fleet that Eclipse hawkBit runs: polls its DDI over HTTP")
    hawkbit.add_argument("--server", required=True, metavar="URL", help="https://hawkbit.example")
    hawkbit.add_argument("--tenant", default="DEFAULT", help="default: %(default)s")
    hawkbit.add_argument("--controller", required=True, metavar="ID", help="this board's name there")
    hawkbit.add_argument("--token-file", required=True, type=Path, metavar="FILE", help="its target or gateway token")
    hawkbit.add_argument("--gateway", action="store_true", help="it is a gateway token")
    hawkbit.add_argument("--app", default="", metavar="APP", help="app to run, where the software module names none")
    hawkbit.add_argument("--once", action="store_true", help="poll once, do what is to be done, end")
    for each in (agent, hawkbit):
        each.add_argument("--root", type=Path, default=Path("/opt/edgekit"), metavar="DIR", help="edgekit's folder")
        each.add_argument(
            "--figures", default="", metavar="URL", help="where the app tells its figures: http://127.0.0.1:8080/metrics"
        )
        each.add_argument("--figures-token", type=Path, metavar="FILE", help="the token to show there")
    unit = verbs.add_parser("unit", help="print the agent's systemd unit")
    unit.add_argument("--root", type=Path, default=Path("/opt/edgekit"), metavar="DIR", help="edgekit's folder")
    emit = verbs.add_parser("emit", help="Kubernetes manifests or an Ansible playbook for the same artifact")
    emit.add_argument("kind", choices=("kubernetes", "ansible"), help="for whom")
    emit.add_argument("--app", required=True, metavar="APP", help="app to run")
    emit.add_argument("--artifact", required=True, type=Path, metavar="A", help="its artifact")
    emit.add_argument("--app-argument", metavar="ARG", action="append", default=[], help="one more argument for the app")
    emit.add_argument("--image", default="", help="kubernetes: image with edgekit and the artifact")
    emit.add_argument("--port", type=int, default=8080, help="port of the app (default: %(default)s)")
    emit.add_argument("--host", action="append", default=[], metavar="USER@HOST", help="ansible: a board (may be repeated)")
    emit.add_argument("-o", "--output", required=True, type=Path, metavar="DIR", help="a new folder")


def _configure_page(parser: argparse.ArgumentParser) -> None:
    from edgekit.apps.web.options import configure

    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8080, help="port to listen on (default: %(default)s)")
    configure(parser)


def run(args: argparse.Namespace) -> int:
    """Each verb is a function of the modules beside."""
    from importlib import import_module

    module, verb = _WHERE[args.verb]
    code: int = getattr(import_module(f"edgekit.commands.{module}"), verb)(args)
    return code


_WHERE = {
    **{verb: ("_fleet_owner", verb) for verb in ("init", "site", "prepare", "enroll", "revoke")},
    **{verb: ("_fleet_operator", verb) for verb in ("status", "rollout", "pause", "resume", "abort", "clean", "serve")},
    "list": ("_fleet_operator", "boards"),
    **{verb: ("_fleet_board", verb) for verb in ("agent", "hawkbit", "unit", "emit")},
}
