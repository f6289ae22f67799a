"""Steps of a script that gives a board its settings, for the formats that are such scripts."""

from __future__ import annotations

import shlex
import uuid

from edgekit.flash.settings import Settings, Wifi


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


def wifi_steps(network: Wifi, stamp: str, *, country: str) -> list[str]:
    """The network, after its country was set by the command that the system has for it."""
    return [
        f'step "set the Wi-Fi country" {country} {network.country}',
        f'step "add the Wi-Fi network" connection {_connection(network, stamp)}',
    ]


def _connection(network: Wifi, stamp: str) -> str:
    """NetworkManager's file as one word of the shell. It is written by hand, the network's name as bytes: a name may hold what that
    file would read as its own."""
    name = "".join(f"{byte};" for byte in network.ssid.encode())
    lines = ["[connection]", "id=edgekit", f"uuid={uuid.uuid5(uuid.NAMESPACE_OID, stamp)}", "type=wifi"]
    lines += ["[wifi]", "mode=infrastructure", f"ssid={name}", f"hidden={str(network.hidden).lower()}"]
    if network.psk:
        lines += ["[wifi-security]", "key-mgmt=wpa-psk", f"psk={network.psk}"]
    lines += ["[ipv4]", "method=auto", "[ipv6]", "method=auto"]
    return shlex.quote("\n".join(lines) + "\n")


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
