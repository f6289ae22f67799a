"""The fleet's folder on its owner's machine: the keys that vouch for boards and operators, and the server's configuration.

Whoever has this folder is the fleet. Enrolling needs no server: a board's token is signed here and believed there.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from edgekit.core.errors import InputError, NotFound
from edgekit.core.files import ensure_free, new_folder, write_atomically
from edgekit.core.schema import Value
from edgekit.fleet.server.configuration import Hub, Listening, Trust, server_text, site_text
from edgekit.fleet.server.subjects import Permissions, for_device, for_operator, for_reader, named
from edgekit.fleet.trust.keys import (
    KeyPair,
    account_token,
    credentials,
    key_from,
    new_key,
    operator_token,
    site_token,
    user_token,
)

Role = Literal["board", "operator", "reader", "owner", "system"]
FOLDER = Path("edgekit-fleet")
FILE = "fleet.json"


class Access(Value, frozen=True, kw_only=True):
    """How somebody reaches the fleet: a board, an operator, a listener. The file that holds it is a secret."""

    fleet: str
    name: str
    role: Role
    url: str
    credentials: str
    group: str = ""
    authority: str = ""
    """PEM text of who vouches for the server's certificate; empty: the system's own list."""

    def __repr__(self) -> str:
        return f"Access({self.role} {self.name!r} of {self.fleet!r})"


class Site(Value, frozen=True, kw_only=True):
    """A site's server: where its boards reach it, and the seed of its account at the fleet's server."""

    url: str
    account: str

    def __repr__(self) -> str:
        return f"Site({self.url!r})"


class Fleet(Value, frozen=True, kw_only=True):
    """`fleet.json` of the folder: the fleet's name, where its server is, its seeds, and whose tokens no longer count."""

    name: str
    url: str
    operator: str
    account: str
    system: str
    authority: str = ""
    revoked: Mapping[str, int] = {}
    sites: Mapping[str, Site] = {}


@dataclass(frozen=True, slots=True)
class Authority:
    """A fleet's folder."""

    folder: Path

    @property
    def fleet(self) -> Fleet:
        """What the folder says. Raises `NotFound` and `InputError`."""
        path = self.folder / FILE
        try:
            return msgspec.json.decode(path.read_bytes(), type=Fleet)
        except FileNotFoundError as exc:
            raise NotFound(f"no fleet in {str(self.folder)!r}", "edgekit fleet init --url nats://SERVER") from exc
        except (OSError, msgspec.DecodeError) as exc:
            raise InputError(f"{str(path)!r} cannot be read: {exc}", "use a copy of the folder") from exc

    @property
    def account(self) -> KeyPair:
        """The key that vouches for boards and operators."""
        return key_from(self.fleet.account)

    def trust(self) -> Trust:
        """The tokens that a server is given."""
        fleet, operator = self.fleet, key_from(self.fleet.operator)
        account, system = key_from(fleet.account).public, key_from(fleet.system).public
        return Trust(
            operator=operator_token(operator, system, fleet.name),
            system=system,
            accounts={account: self.account_token(), system: account_token(operator, system, "SYS", {}, limits=False)},
        )

    def account_token(self) -> str:
        """The fleet's account as every server knows it, those who were revoked included."""
        fleet = self.fleet
        return account_token(key_from(fleet.operator), key_from(fleet.account).public, fleet.name, fleet.revoked)

    def site_tokens(self) -> list[str]:
        """The accounts of sites as the fleet's server knows them."""
        fleet, operator, account = self.fleet, key_from(self.fleet.operator), self.account.public
        return [
            site_token(operator, key_from(site.account).public, name, fleet.revoked, account)
            for name, site in fleet.sites.items()
        ]

    def access(
        self, name: str, role: Role, *, group: str = "", site: str = "", days: float | None = None, key: KeyPair | None = None
    ) -> tuple[Access, str]:
        """A new credential and its public key. `days` is how long it counts; for ever when None. At a `site`, its server is asked."""
        fleet, user = self.fleet, key or new_key("USER")
        signer = key_from(fleet.system) if role == "system" else self.account
        expires = None if days is None else int(time.time() + days * 86400)
        token = user_token(
            signer, user.public, named(name, role), _permissions(name, role, group), expires=expires, bearer=role == "reader"
        )
        access = Access(
            fleet=fleet.name,
            name=name,
            role=role,
            group=group,
            url=self.url(site),
            credentials=credentials(token, user),
            authority=fleet.authority,
        )
        return access, user.public

    def url(self, site: str = "") -> str:
        """Where a site's server is, or the fleet's own. Raises `NotFound`."""
        fleet = self.fleet
        if site and site not in fleet.sites:
            raise NotFound(f"the fleet {fleet.name!r} has no site {site!r}", f"edgekit fleet site {site} --url nats://SERVER")
        return fleet.sites[site].url if site else fleet.url

    def found_site(self, name: str, url: str, listening: Listening, hub: Hub) -> tuple[Path, str]:
        """A new site: a folder with its server's configuration and its credential, whose public key is the answer's other half.

        `hub.credentials` and `hub.authority` are where the folder's files will lie on that server.
        """
        fleet, account, user = self.fleet, new_key("ACCOUNT"), new_key("USER")
        token = user_token(account, user.public, named(name, "site"), Permissions())
        with new_folder(self.folder / "sites" / name) as made:
            config = site_text(name, self.trust(), listening, hub)
            write_atomically(made / "nats-server.conf", config.encode(), mode=0o600)
            write_atomically(made / hub.credentials.name, credentials(token, user).encode(), mode=0o600)
            if hub.authority:
                write_atomically(made / hub.authority.name, fleet.authority.encode())
        self._save(msgspec.structs.replace(fleet, sites={**fleet.sites, name: Site(url=url, account=account.seed)}))
        return self.folder / "sites" / name, user.public

    def revoke(self, public_key: str) -> None:
        """Tokens of this key no longer count, once the server has been told (`prepare`)."""
        fleet = self.fleet
        revoked = {**fleet.revoked, public_key: int(time.time())}
        self._save(msgspec.structs.replace(fleet, revoked=revoked))

    def _save(self, fleet: Fleet) -> None:
        write_atomically(self.folder / FILE, msgspec.json.format(msgspec.json.encode(fleet)), mode=0o600)


def founded(folder: Path, name: str, url: str, listening: Listening, owner: str, authority: str = "") -> Authority:
    """A new fleet: its folder with keys, the server's configuration, and the first operator's access."""
    fleet = Fleet(
        name=named(name, "fleet"),
        url=url,
        operator=new_key("OPERATOR").seed,
        account=new_key("ACCOUNT").seed,
        system=new_key("ACCOUNT").seed,
        authority=authority,
    )
    with new_folder(folder) as made:
        draft = Authority(made)
        draft._save(fleet)
        write_atomically(made / "nats-server.conf", server_text(name, draft.trust(), listening).encode(), mode=0o600)
        write_access(made / "access" / f"{owner}.json", draft.access(owner, "operator")[0])
    folder.chmod(0o700)
    return Authority(folder)


def write_access(path: Path, access: Access) -> None:
    """Write an access where only its owner reads it. Never replaces a file."""
    ensure_free(path, replace=False)
    write_atomically(path, msgspec.json.format(msgspec.json.encode(access)), mode=0o600)


def read_access(path: Path) -> Access:
    """The access in a file. Raises `NotFound` and `InputError`."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Access)
    except FileNotFoundError as exc:
        raise NotFound(f"no access to a fleet at {str(path)!r}", "edgekit fleet enroll NAME makes one") from exc
    except (OSError, msgspec.DecodeError) as exc:
        raise InputError(f"{str(path)!r} is no access to a fleet: {exc}", "enrol it again") from exc


def _permissions(name: str, role: Role, group: str) -> Permissions:
    made = {"operator": for_operator, "reader": for_reader}
    if role == "board":
        return for_device(name, named(group, "group"))
    return made[role](name) if role in made else Permissions()
