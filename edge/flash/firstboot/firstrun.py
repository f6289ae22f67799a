"""`firstrun.sh`: a script that systemd runs once, called `systemd` in Raspberry Pi's catalogue (Bookworm, first Trixie)."""

from __future__ import annotations

import shlex
import uuid

from edgekit.flash.firstboot import BootFiles
from edgekit.flash.settings import Settings, Wifi

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
        steps += _wifi(settings.wifi, stamp)
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


def place_steps(settings: Settings) -> list[str]:
    """Time zone, locale and keyboard."""
    steps = []
    if settings.timezone:
        steps.append(f'step "set the time zone" timezone {shlex.quote(settings.timezone)}')
    if settings.locale:
        steps.append(f'step "set the locale" locale_by_hand {shlex.quote(settings.locale)}')
    if settings.keymap:
        keymap = shlex.quote(settings.keymap)
        steps.append(f'step "set the keyboard" sed -i s/^XKBLAYOUT=.*/XKBLAYOUT={keymap}/ /etc/default/keyboard')
    return steps


def _wifi(network: Wifi, stamp: str) -> list[str]:
    return [
        f'step "set the Wi-Fi country" raspi-config nonint do_wifi_country {network.country}',
        f'step "add the Wi-Fi network" connection {connection(network, stamp)}',
    ]


def connection(network: Wifi, stamp: str) -> str:
    """NetworkManager's file as one word of the shell. It is written by hand, the network's name as bytes: a name may hold what that
    file would read as its own."""
    name = "".join(f"{byte};" for byte in network.ssid.encode())
    lines = ["[connection]", "id=edgekit", f"uuid={uuid.uuid5(uuid.NAMESPACE_OID, stamp)}", "type=wifi"]
    lines += ["[wifi]", "mode=infrastructure", f"ssid={name}", f"hidden={str(network.hidden).lower()}"]
    if network.psk:
        lines += ["[wifi-security]", "key-mgmt=wpa-psk", f"psk={network.psk}"]
    lines += ["[ipv4]", "method=auto", "[ipv6]", "method=auto"]
    return shlex.quote("\n".join(lines) + "\n")


_HEAD = """#!/bin/sh
# Made by edgekit flash. Runs once as root; every step is tried, and what failed stands in edgekit-firstboot.log beside this file.
boot=/boot/firmware
[ -e "$boot/cmdline.txt" ] || boot=/boot
log="$boot/edgekit-firstboot.log"
"""
HELPERS = """step() {
    what="$1"; shift
    if "$@" >>"$log" 2>&1; then echo "ok      $what" >>"$log"; else echo "FAILED  $what" >>"$log"; return 1; fi
}
hostname_by_hand() {
    old=$(cat /etc/hostname); echo "$1" >/etc/hostname; sed -i "s/127.0.1.1.*$old/127.0.1.1\\t$1/" /etc/hosts
}
user_by_hand() {
    first=$(getent passwd 1000 | cut -d: -f1)
    if [ -z "$first" ]; then useradd -m -s /bin/bash -G sudo,video "$1"; elif [ "$first" != "$1" ]; then
        usermod -l "$1" "$first"; usermod -m -d "/home/$1" "$1"; groupmod -n "$1" "$first"; fi
    echo "$1:$2" | chpasswd -e
}
ssh_by_hand() {
    user="$1"; shift
    install -d -m 700 -o "$user" -g "$user" "/home/$user/.ssh"
    for key; do
        grep -qxF "$key" "/home/$user/.ssh/authorized_keys" 2>/dev/null || echo "$key" >>"/home/$user/.ssh/authorized_keys"
    done
    chmod 600 "/home/$user/.ssh/authorized_keys"; chown "$user:" "/home/$user/.ssh/authorized_keys"
    systemctl enable ssh
}
timezone() {
    [ -e "/usr/share/zoneinfo/$1" ] && ln -sf "/usr/share/zoneinfo/$1" /etc/localtime && echo "$1" >/etc/timezone
}
locale_by_hand() {
    sed -i "s/^# *\\($1\\)/\\1/" /etc/locale.gen && locale-gen && update-locale "LANG=$1"
}
connection() {
    file=/etc/NetworkManager/system-connections/edgekit.nmconnection
    umask 077 && printf %s "$1" >"$file" && chmod 600 "$file" && rfkill unblock wifi
}
"""
"""Steps by hand, for where a system has no tool of its own for them; what is done already may be done again."""
_TAIL = """
rm -f "$boot/firstrun.sh"
sed -i 's| systemd.run.*||g' "$boot/cmdline.txt"
sync
exit 0
"""
