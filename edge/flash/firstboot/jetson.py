"""Jetson's card images (JetPack 4 to 6): a script and a service in the root file system, which is the partition `APP`.

NVIDIA's own wizard wants a screen and keeps the board from starting anything else (`nv-oem-config.target` conflicts with
`multi-user.target`). Where a user is made here it is passed by, as NVIDIA's `l4t_create_default_user.sh` does.
"""

from __future__ import annotations

import shlex
from pathlib import PurePosixPath

from edgekit.flash.firstboot import BootFiles
from edgekit.flash.firstboot._steps import HELPERS, place_steps, wifi_steps
from edgekit.flash.settings import Settings

HELP = "Jetson's card images, in the partition APP (passing NVIDIA's wizard by accepts its licence)"
RUNS_COMMANDS = True
PARTITION = "APP"
FOLDER = "usr/share/edgekit-install"
"""Where script and app lie in the root file system."""
SERVICE = "edgekit-firstboot.service"
_UNITS = "etc/systemd/system"
_WIZARD = ("nv-oem-config.service", "nv-oem-config-gui.service")


def boot_files(settings: Settings, install_script: str, stamp: str) -> BootFiles:
    """The script, its service, and links: one starts the service, and with a user others keep the wizard away."""
    links = {f"{_UNITS}/multi-user.target.wants/{SERVICE}": f"/{_UNITS}/{SERVICE}"}
    if settings.user:
        links |= {f"{_UNITS}/default.target": "/lib/systemd/system/graphical.target"}
        links |= {f"{_UNITS}/{name}": "/dev/null" for name in _WIZARD}
    files = {f"{FOLDER}/firstrun.sh": _script(settings, install_script, stamp), f"{_UNITS}/{SERVICE}": service()}
    return BootFiles(
        files={name: text.encode() for name, text in files.items()}, links=links, partition=PARTITION, app_folder=FOLDER
    )


def service(script: str = "firstrun.sh") -> str:
    """The unit that runs a script at the first boot. One that fails or is cut off runs again at the next start."""
    return f"""[Unit]
Description=Install the app that this board was flashed with
After=local-fs.target

[Service]
Type=oneshot
ExecStart=/bin/sh /{FOLDER}/{script}
ExecStartPost=/bin/systemctl disable {SERVICE}

[Install]
WantedBy=multi-user.target
"""


def _script(settings: Settings, install_script: str, stamp: str) -> str:
    steps = [*_host(settings), *_user(settings), *place_steps(settings)]
    if settings.wifi is not None:
        steps += wifi_steps(settings.wifi, stamp, country="country")
    if install_script:
        steps.append(f'step "install the app" sh "/{FOLDER}/{PurePosixPath(install_script).name}" || exit 1')
    return "\n".join([_HEAD + HELPERS, *steps, "sync", "exit 0", ""])


def _host(settings: Settings) -> list[str]:
    return [f'step "set the hostname" hostname_by_hand {shlex.quote(settings.hostname)}'] if settings.hostname else []


def _user(settings: Settings) -> list[str]:
    """Without a password, sudo could ask for none."""
    if not settings.user:
        return []
    user, secret = shlex.quote(settings.user), shlex.quote(settings.password_hash or "!")
    keys = " ".join(shlex.quote(key) for key in settings.ssh_keys)
    steps = [f'step "name the user" user_by_hand {user} {secret}', f'step "enable ssh" ssh_by_hand {user} {keys}']
    if not settings.password_hash:
        steps.append(f'step "let {user} use sudo" sudo_by_key {user}')
    return steps


_HEAD = f"""#!/bin/sh
# Made by edgekit flash. Runs as root until it ends well; every step is tried, and what failed stands in firstboot.log beside this file.
log=/{FOLDER}/firstboot.log
sudo_by_key() {{
    echo "$1 ALL=(ALL) NOPASSWD:ALL" >/etc/sudoers.d/edgekit && chmod 440 /etc/sudoers.d/edgekit
}}
country() {{
    echo "options cfg80211 ieee80211_regdom=$1" >/etc/modprobe.d/edgekit-wifi.conf
}}
"""
