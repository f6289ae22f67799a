"""`edgekit fleet init`, `site`, `prepare`, `enroll` and `revoke`: what needs the fleet's keys."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgekit.fleet.server.configuration import Listening
    from edgekit.fleet.trust.authority import Authority


def init(args: argparse.Namespace) -> int:
    """The folder, and what to do next."""
    from edgekit.console import emit
    from edgekit.fleet.trust.authority import founded

    authority = args.ca.read_text(encoding="ascii") if args.ca else ""
    made = founded(args.fleet, args.name, args.url, _listening(args, args.leaf_port), args.operator, authority)
    config, access = made.folder / "nats-server.conf", made.folder / "access" / f"{args.operator}.json"
    text = (
        f"{made.folder}  the keys of {args.name!r}: keep a copy where nobody else comes\n"
        f"  {config}  for the server: nats-server -c nats-server.conf\n"
        f"  {access}  the operator {args.operator}\n"
        f"then: edgekit fleet prepare --fleet {made.folder}"
    )
    emit(args, {"folder": str(made.folder), "server": str(config), "access": str(access)}, text)
    return 0


def site(args: argparse.Namespace) -> int:
    """A folder for the site's server."""
    from edgekit.console import emit
    from edgekit.fleet.server.configuration import Hub, hub_of
    from edgekit.fleet.trust.authority import Authority

    authority = Authority(args.fleet)
    vouching = args.folder / "fleet.pem" if authority.fleet.authority else None
    hub = Hub(
        url=args.hub or hub_of(authority.fleet.url),
        account=authority.account.public,
        credentials=args.folder / "site.creds",
        authority=vouching,
    )
    asyncio.run(told(authority))  # nothing is made for a server that is not there
    folder, public = authority.found_site(args.name, args.url, _listening(args), hub)
    asyncio.run(_enrolled(authority, args.name, "site", "", public))
    asyncio.run(told(authority))
    text = (
        f"{folder}  its files go into {args.folder} of the site's server: nats-server -c {args.folder}/nats-server.conf\n"
        f"then: edgekit fleet enroll BOARD --group GROUP --site {args.name}"
    )
    emit(args, {"name": args.name, "folder": str(folder), "hub": hub.url, "url": args.url, "public_key": public}, text)
    return 0


def prepare(args: argparse.Namespace) -> int:
    """Streams and buckets, and the account's newest token; a site's server has only the latter."""
    from edgekit.console import emit
    from edgekit.fleet.trust.authority import Authority

    authority = Authority(args.fleet)
    if args.site:
        asyncio.run(told(authority, args.site))
        emit(args, {"prepared": True, "site": args.site}, f"the server of {args.site} knows who was revoked")
        return 0
    asyncio.run(prepared(authority))
    emit(args, {"prepared": True}, "the server has the fleet's streams and knows who was revoked")
    return 0


async def prepared(authority: Authority) -> None:
    """Tell the server everything that the folder knows."""
    from edgekit.fleet.wire.bus import connected, prepare

    await told(authority)
    async with connected(authority.access("owner", "owner")[0]) as owner:
        await prepare(owner)


async def told(authority: Authority, site: str = "") -> None:
    """Tell a site's server, or the fleet's, whose tokens no longer count."""
    from edgekit.fleet.wire.bus import connected, tell_account

    async with connected(authority.access("system", "system", site=site)[0]) as system:
        for token in (authority.account_token(), *([] if site else authority.site_tokens())):
            await tell_account(system, token)


def enroll(args: argparse.Namespace) -> int:
    """Sign a credential; a board is also written down as a member, for which the server must be there."""
    from edgekit.console import emit
    from edgekit.core.errors import UsageError
    from edgekit.core.files import ensure_free
    from edgekit.fleet.trust.authority import Authority, write_access

    if (args.role == "board") != bool(args.group):
        raise UsageError("a board belongs to a group, and nobody else does", "--group NAME, or --role operator")
    authority = Authority(args.fleet)
    path = args.output or args.fleet / "access" / f"{args.name}.json"
    ensure_free(path, replace=False)
    access, public = authority.access(args.name, args.role, group=args.group, site=args.site, days=args.days)
    asyncio.run(_enrolled(authority, args.name, args.role, args.group, public))
    write_access(path, access)
    found = {"name": args.name, "role": args.role, "group": args.group, "public_key": public, "access": str(path)}
    emit(args, found, f"{path}\n  {_NEXT[args.role]}")
    return 0


async def _enrolled(authority: Authority, name: str, role: str, group: str, public: str) -> None:
    """Members are those the server lists; a name that was taken is replaced, and its old key no longer counts."""
    import msgspec

    from edgekit.fleet.nouns import Member
    from edgekit.fleet.rollout.drive import note
    from edgekit.fleet.server import subjects
    from edgekit.fleet.wire.bus import connected

    async with connected(authority.access("owner", "owner")[0]) as owner:
        if role == "board":
            member = Member(device=name, group=group, public_key=public)
            await owner.put(subjects.MEMBERS, name, msgspec.json.encode(member))
        await note(owner, "enroll", name, f"{role} {group} {public}".strip())


def revoke(args: argparse.Namespace) -> int:
    """Out, at once: the server ends its connections, too."""
    from edgekit.console import emit
    from edgekit.fleet.trust.authority import Authority

    authority = Authority(args.fleet)
    public = asyncio.run(_revoked(authority, args.name))
    sites = authority.fleet.sites
    later = "".join(f"\n  a site's server is told by: edgekit fleet prepare --site {each}" for each in sites)
    emit(args, {"name": args.name, "public_key": public, "sites": sorted(sites)}, f"{args.name} is out ({public}){later}")
    return 0


async def _revoked(authority: Authority, name: str) -> str:
    """The key by which a name was enrolled last, as the audit log has it; it no longer counts afterwards."""
    import msgspec

    from edgekit.core.errors import NotFound
    from edgekit.fleet.nouns import Deed
    from edgekit.fleet.rollout.drive import note
    from edgekit.fleet.server import subjects
    from edgekit.fleet.wire.bus import connected

    async with connected(authority.access("owner", "owner")[0]) as owner:
        log = await owner.history(subjects.audit("owner"), subjects.AUDIT)
        deeds = [msgspec.json.decode(entry.value, type=Deed) for entry in log]
        keys = [deed.detail.split()[-1] for deed in deeds if (deed.verb, deed.about) == ("enroll", name)]
        if not keys:
            raise NotFound(f"nobody called {name!r} was enrolled", "edgekit fleet list")
        for key in keys:
            authority.revoke(key)
        await owner.purge(subjects.MEMBERS, name)
        await note(owner, "revoke", name, keys[-1])
    await prepared(authority)
    return keys[-1]


_NEXT = {
    "board": "goes to the board as /opt/edgekit/fleet.json; 'edgekit fleet unit' prints the service that uses it",
    "operator": "is that operator's --access",
    "reader": "its token is a password over MQTT, with any user name; topics edgekit/telemetry/NAME and edgekit/events/NAME",
}


def _listening(args: argparse.Namespace, leaf_port: int = 0) -> Listening:
    from edgekit.core.errors import UsageError
    from edgekit.fleet.server.configuration import Listening

    chain, _, key = (args.tls or "").partition(",")
    if bool(chain) != bool(key):
        raise UsageError(f"--tls wants a certificate and a key, not {args.tls!r}", "--tls CERT.pem,KEY.pem")
    return Listening(
        store=args.store,
        host=args.host,
        port=args.port,
        mqtt_port=args.mqtt_port,
        leaf_port=leaf_port,
        monitor_port=args.monitor_port,
        certificate=(Path(chain), Path(key)) if chain else None,
    )
