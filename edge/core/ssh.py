"""The system's ssh as a program to run: keys, known hosts, jump hosts and defaults are those of its own configuration."""

from __future__ import annotations

import re

from edgekit.core.errors import UsageError

FAILED = 255
"""The status with which ssh itself fails; every other one is that of the program on the other side."""
_SIX = r"[0-9A-Fa-f]*(?::[0-9A-Fa-f.]*){2,}(?:%[A-Za-z0-9_.-]+)?"
_ADDRESS = re.compile(
    rf"(?:ssh://)?(?P<user>[A-Za-z0-9_][A-Za-z0-9_.+-]*@)?(?:\[(?P<boxed>{_SIX})\]|(?P<six>{_SIX})|(?P<name>[A-Za-z0-9_][A-Za-z0-9_.-]*))"
    r"(?::(?P<port>\d{1,5}))?"
)
_BROKE = "the link broke: again, when it holds"
_QUIET_S, _QUIET_TIMES = 15, 8
"""A link on which nothing came for so many times so many seconds is given up: a busy board may be silent for a minute."""


def ssh(host: str, command: str) -> list[str]:
    """The program that runs `command` in a shell on `host`, and asks nobody for a password.

    `host` is what ssh takes, or with a port: `ada@board:2222`, `ada@[2001:db8::1]:2222`. Raises `UsageError` for what is neither.
    """
    settings = ("BatchMode=yes", "ConnectTimeout=20", f"ServerAliveInterval={_QUIET_S}", f"ServerAliveCountMax={_QUIET_TIMES}")
    options = [word for setting in settings for word in ("-o", setting)]
    user, name, port = _parts(host)
    return ["ssh", *options, *(["-p", port] if port else []), "--", f"{user}{name}", command]


def by_hand(host: str, command: str) -> str:
    """The same for a person to type."""
    user, name, port = _parts(host)
    return " ".join(["ssh", *(["-p", port] if port else []), f"{user}{name}", command])


def hint(host: str, said: str) -> str:
    """What to try after ssh failed with these words on its standard error."""
    _, name, port = _parts(host)
    known = f"'[{name}]:{port}'" if port else name
    for signs, advice in (
        (("IDENTIFICATION HAS CHANGED",), f"if the board was flashed anew: ssh-keygen -R {known}; if not, who answers there?"),
        (("Host key verification failed",), f"{by_hand(host, 'true')}, once by hand: compare the key that it shows"),
        (("not responding", "Broken pipe", "Connection reset", "closed by remote"), _BROKE),
        (("timed out", "refused", "No route", "resolve"), "is it on, and is that its address and port?"),
    ):
        if any(sign in said for sign in signs):
            return advice
    if not said.strip():  # a link that died ends so where ssh is told to be quiet
        return _BROKE
    return f"does '{by_hand(host, 'true')}' work without asking for anything?"


def _parts(host: str) -> tuple[str, str, str]:
    """User with its `@`, name and port; what is not there is empty."""
    found = _ADDRESS.fullmatch(host)
    if found is None or not 0 < int(found["port"] or 22) < 1 << 16:
        raise UsageError(f"{host!r} is no host", "user@host, as for ssh, or user@host:port")
    return found["user"] or "", found["boxed"] or found["six"] or found["name"], found["port"] or ""
