"""`firstrun.sh`: a script that systemd runs once, called `systemd` in Raspberry Pi's catalogue (Bookworm, first Trixie)."""

from __future__ import annotations

import shlex

from edgekit.flash.firstboot import BootFiles
from edgekit.flash.firstboot._steps import HELPERS, place_steps, wifi_steps
from edgekit.flash.settings import Settings

HELP = "a script that runs once (Raspberry Pi OS Bookworm, and Trixie of 2025-10-01)"
RUNS_COMMANDS = True
_CUSTOM = "/usr/lib/raspberrypi-sys-mods/imager_custom"


def boot_files(settings: Settings, install_script: str, stamp: str) -> BootFiles:
    """The script, and the kernel arguments that make systemd run it before anything else and reboot."""
    words = "systemd.run=/boot/firstrun.sh systemd.run_success_action=reboot systemd.unit=kernel-command-line.target"
    return BootFiles(files={"firstrun.sh": _script(settings, install_script, stamp).encode()}, cmdline=words)


def _script(settings: Settings, install_script: str, stamp: str) -> str:
    steps = [*_host(settings), *_user(settings), *place_steps(settings)]
    if settings.wifi is not None:
        steps += wifi_steps(settings.wifi, stamp, country="raspi-config nonint do_wifi_country")
    if install_script:
        steps.append(f'step "install the app" sh "$boot/{install_script}"')
    return _HEAD + HELPERS + "\n".join(steps) + _TAIL


def _host(settings: Settings) -> list[str]:
    if not settings.hostname:
        return []
    name = shlex.quote(settings.hostname)
    return [f'step "set the hostname" {_CUSTOM} set_hostname {name} || hostname_by_hand {name}']


def _user(settings: Settings) -> list[str]:
    if not settings.user:
        return []
    user, secret = shlex.quote(settings.user), shlex.quote(settings.password_hash or "!")
    steps = [f'step "name the user" /usr/lib/userconf-pi/userconf {user} {secret} || user_by_hand {user} {secret}']
    keys = " ".join(shlex.quote(key) for key in settings.ssh_keys)
    how = "-p" if settings.password_hash else "-k"
    steps.append(f'step "enable ssh" {_CUSTOM} enable_ssh {how} {keys} || ssh_by_hand {user} {keys}')
    return steps


_HEAD = """#!/bin/sh
# Made by edgekit flash. Runs once as root; every step is tried, and what failed stands in edgekit-firstboot.log beside this file.
boot=/boot/firmware
[ -e "$boot/cmdline.txt" ] || boot=/boot
log="$boot/edgekit-firstboot.log"
"""
_TAIL = """
sync
sed -i 's| systemd.run.*||g' "$boot/cmdline.txt"
sync
rm -f "$boot/firstrun.sh" # last: a board that is told to run what is gone switches itself off at every start
sync
exit 0
"""
