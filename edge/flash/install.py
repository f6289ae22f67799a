"""What is put on the card beside the settings: wheels, artifact, a service, and the script that installs them without a network."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.artifact import read
from edgekit.core.schema import Artifact
from edgekit.flash import wheelhouse as wheelhouses

FOLDER = "edgekit"
"""Of the boot partition: everything of ours lies in it."""
SCRIPT = f"{FOLDER}/install.sh"
HOME = "/opt/edgekit"
SERVICE = "edgekit-app.service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Install:
    """An app that the board shall boot into: its artifact, its arguments, and wheels for the board's Python."""

    app: str
    artifact: Artifact
    wheels: tuple[Path, ...]
    arguments: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """Room it needs in the boot partition."""
        files = [*self.wheels, *(self.artifact.path / file.name for file in self.artifact.manifest.files)]
        return sum(path.stat().st_size for path in files) + (1 << 20)


def install_of(app: str, artifact: Path, folder: Path, arguments: Sequence[str] = ()) -> Install:
    """The parts, their hashes checked. Raises what `wheelhouse.read` and `artifact.read` do."""
    wheels = tuple(folder / wheel.name for wheel in wheelhouses.read(folder).wheels)
    return Install(app=app, artifact=read(artifact), wheels=wheels, arguments=tuple(arguments))


def files(install: Install) -> dict[str, Path | bytes]:
    """Everything by its path in the boot partition: files to copy, and the text of those that are made here."""
    artifact = install.artifact
    copied: dict[str, Path | bytes] = {f"{FOLDER}/wheels/{wheel.name}": wheel for wheel in install.wheels}
    for file in artifact.path.iterdir():
        if file.is_file() and not file.is_symlink():
            copied[f"{FOLDER}/artifact/{file.name}"] = file
    copied[SCRIPT] = script(install).encode()
    copied[f"{FOLDER}/{SERVICE}"] = service(install.app, install.arguments).encode()
    return copied


def script(install: Install) -> str:
    """The POSIX script that installs everything; it may run any number of times, and after a power cut begins again."""
    release = f"{HOME}/releases/{install.artifact.sha256[:16]}"
    return f"""#!/bin/sh
# Installs edgekit from this folder, without a network. Run as root: {SCRIPT} FOLDER_OF_THIS_SCRIPT
set -eu
here="${{1:-$(dirname "$0")}}"
home={HOME}
release={shlex.quote(release)}
id edgekit >/dev/null 2>&1 || useradd --system --home-dir "$home" --shell /usr/sbin/nologin --groups video,render,dialout,plugdev edgekit 2>/dev/null || useradd --system --home-dir "$home" --shell /usr/sbin/nologin edgekit
mkdir -p "$home/releases" "$home/state"
chown edgekit: "$home/state"
if [ ! -e "$home/venv/.done" ]; then
    rm -rf "$home/venv"
    python3 -m venv --without-pip --system-site-packages "$home/venv"
    PYTHONPATH=$(echo "$here"/wheels/pip-*.whl) "$home/venv/bin/python" -m pip install --no-index \\
        --find-links "$here/wheels" "$here"/wheels/*.whl
    "$home/venv/bin/python" -c 'import edgekit'
    sync
    touch "$home/venv/.done"
fi
if [ ! -e "$release" ]; then
    rm -rf "$release.new"
    cp -r "$here/artifact" "$release.new"
    "$home/venv/bin/edgekit" verify "$release.new"
    sync
    mv -T "$release.new" "$release"
fi
ln -sfn "$release" "$home/current.new"
mv -T "$home/current.new" "$home/current"
cp "$here/{SERVICE}" /etc/systemd/system/{SERVICE}
systemctl daemon-reload
systemctl enable {SERVICE}
systemctl start --no-block {SERVICE} || true
sync
echo "edgekit: {install.app} is installed and starts with the board"
"""


def service(app: str, arguments: Sequence[str] = ()) -> str:
    """The systemd unit of an app: started with the board, kept alive, kept from everything it has no business with."""
    command = [f"{HOME}/venv/bin/edgekit", "run", app, "--artifact", f"{HOME}/current", *arguments]
    return f"""[Unit]
Description=edgekit {app}
After=network.target time-sync.target
StartLimitIntervalSec=0

[Service]
ExecStart={" ".join(_unit_word(word) for word in command)}
User=edgekit
StateDirectory=edgekit
Environment=HOME=/var/lib/edgekit PYTHONUNBUFFERED=1
WorkingDirectory=/var/lib/edgekit
Restart=always
RestartSec=2
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
RestrictSUIDSGID=yes
RestrictRealtime=yes
RestrictNamespaces=yes
LockPersonality=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
CapabilityBoundingSet=
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
"""


def _unit_word(word: str) -> str:
    """A word of an ExecStart line: systemd's own quoting, its `%` and `$` doubled (systemd.service(5), "Command lines")."""
    doubled = word.replace("%", "%%").replace("$", "$$")
    plain = doubled and all(sign.isalnum() or sign in "@%$+=:,./-_" for sign in doubled)
    escaped = doubled.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return doubled if plain else f'"{escaped}"'
