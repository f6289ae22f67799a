"""`userconf.txt` and `ssh`: the oldest headless way of Raspberry Pi OS, a user with a password and nothing else."""

from __future__ import annotations

from edgekit.core.errors import Unsupported
from edgekit.flash.firstboot import BootFiles
from edgekit.flash.settings import Settings

HELP = "a user with a password and SSH, nothing else (any Raspberry Pi OS since 2022)"
RUNS_COMMANDS = False


def boot_files(settings: Settings, install_script: str, stamp: str) -> BootFiles:
    """Both files. Raises `Unsupported` for every setting beyond user and password."""
    more = [
        name
        for name, value in (
            ("a hostname", settings.hostname),
            ("SSH keys", settings.ssh_keys),
            ("Wi-Fi", settings.wifi),
            ("a time zone", settings.timezone),
            ("a locale", settings.locale),
            ("a keyboard layout", settings.keymap),
        )
        if value
    ]
    if more:
        raise Unsupported(f"userconf.txt knows a user and a password, not {' or '.join(more)}", "--first-boot firstrun")
    if not settings.user:
        return BootFiles()
    return BootFiles(files={"userconf.txt": f"{settings.user}:{settings.password_hash}\n".encode(), "ssh": b""})
