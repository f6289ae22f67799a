"""`edgekit users`: who may open the apps' pages on this machine."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.console import emit

if TYPE_CHECKING:
    from edgekit.apps.web.security.accounts import Accounts

HELP = "users of the apps' pages: list, add, remove, new password, token"
ACTIONS = ("list", "add", "remove", "password", "token")


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `edgekit users`."""
    parser.add_argument("action", nargs="?", choices=ACTIONS, default="list", help="what to do (default: %(default)s)")
    parser.add_argument("name", nargs="?", metavar="NAME", help="the user")
    parser.add_argument("--role", choices=("viewer", "admin"), default="viewer", help="of a new user (default: %(default)s)")
    parser.add_argument("--label", default="made with 'edgekit users token'", metavar="TEXT", help="what a token is for")
    parser.add_argument("--state", type=Path, metavar="DIR", help="where users are kept (default: your state folder)")


def run(args: argparse.Namespace) -> int:
    """Do it; passwords and tokens are made here and shown once."""
    from contextlib import closing

    from edgekit.apps.web.options import default_state
    from edgekit.apps.web.security.accounts import Accounts
    from edgekit.core.errors import UsageError

    if args.action != "list" and not args.name:
        raise UsageError(f"whom? {args.action} needs a name", f"edgekit users {args.action} NAME")
    with closing(Accounts(args.state or default_state())) as accounts:
        result, text = _done(accounts, args)
    emit(args, result, text)
    return 0


def _done(accounts: Accounts, args: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from edgekit.apps.web.security import passwords

    name: str = args.name
    if args.action == "list":
        users = [{"name": user.name, "role": user.role} for user in accounts.users()]
        listed = "\n".join(f"{user['name']}  {user['role']}" for user in users)
        return {"users": users}, listed or "no users yet: the first start of an app makes one"
    if args.action == "remove":
        accounts.remove(name)
        return {"removed": name}, f"{name} is gone, with all sessions and tokens"
    if args.action == "token":
        token = accounts.new_token(name, args.label)
        return {"name": name, "token": token}, f"{token}\nshown once; send it as 'Authorization: Bearer TOKEN'"
    password = passwords.generated()
    if args.action == "add":
        accounts.add(name, password, args.role)
    else:
        accounts.set_password(name, password)
    return {"name": name, "password": password}, f"{name} has the password {password} (shown once)"
