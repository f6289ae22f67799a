"""cloud-init's NoCloud files, as Ubuntu Server and current Raspberry Pi OS take them from the boot partition."""

from __future__ import annotations

import json
import shlex
from typing import Any

from edgekit.deploy.board.layout import INSTALLED, ROOT
from edgekit.flash.firstboot import BOOT, BootFiles
from edgekit.flash.settings import Settings, Wifi

HELP = "cloud-init (Ubuntu Server)"
RUNS_COMMANDS = True
SERVICE = "edgekit-install.service"


def boot_files(settings: Settings, install_script: str, stamp: str) -> BootFiles:
    """`meta-data`, `user-data` and `network-config`. JSON is YAML, and leaves nothing to a quoting rule of our own."""
    instance = f"edgekit-{stamp}"
    files = {
        "meta-data": _yaml({"instance-id": instance}),
        "user-data": "#cloud-config\n" + _yaml(user_data(settings, install_script)),
        "network-config": _yaml(_network(settings.wifi)),
    }
    country = f" cfg80211.ieee80211_regdom={settings.wifi.country}" if settings.wifi else ""
    return BootFiles(files={name: text.encode() for name, text in files.items()}, cmdline=f"ds=nocloud;i={instance}{country}")


def user_data(settings: Settings, install_script: str) -> dict[str, Any]:
    """What cloud-init's modules take (https://cloudinit.readthedocs.io/en/latest/reference/modules.html)."""
    data: dict[str, Any] = {}
    if settings.hostname:
        data |= {"hostname": settings.hostname, "manage_etc_hosts": True}
    if settings.user:
        data["user"] = _user(settings)  # `users:` would make an account without the groups of the image's own
        data["ssh_pwauth"] = bool(settings.password_hash)
    if settings.timezone:
        data["timezone"] = settings.timezone
    if settings.locale:
        data["locale"] = settings.locale
    if settings.keymap:
        data["keyboard"] = {"layout": settings.keymap}
    commands: list[list[str]] = []
    if settings.enables_ssh:
        commands.append(["systemctl", "enable", "--now", "ssh"])
    if commands:
        data["runcmd"] = commands
    if install_script:
        data["bootcmd"] = [["sh", "-c", start_until_installed(install_script)]]
    return data


def start_until_installed(install_script: str, units: str = "/run/systemd/system") -> str:
    """What each start of the board does until the app is installed.

    cloud-init writes down that it ran `runcmd` before it does: a board whose power goes meanwhile would never install anything.
    """
    unit = shlex.quote(service(install_script))
    done = shlex.quote(str(ROOT / INSTALLED))
    started = f"systemctl daemon-reload && systemctl start --no-block {SERVICE}"
    return f"[ -e {done} ] || {{ mkdir -p {units} && printf %s {unit} >{units}/{SERVICE} && {started}; }}"


def service(install_script: str) -> str:
    """The unit that installs the app, after the stage of cloud-init that makes users, and beside all that comes later."""
    return f"""[Unit]
Description=Install the app that this board was flashed with
RequiresMountsFor={BOOT}
After=local-fs.target cloud-init.service cloud-init-network.service

[Service]
Type=oneshot
ExecStart=/bin/sh {BOOT}/{install_script}
"""


def _user(settings: Settings) -> dict[str, Any]:
    user: dict[str, Any] = {"name": settings.user, "shell": "/bin/bash", "lock_passwd": not settings.password_hash}
    user["sudo"] = None if settings.password_hash else "ALL=(ALL) NOPASSWD:ALL"  # without a password sudo could ask for none
    if settings.password_hash:
        user["passwd"] = settings.password_hash
    if settings.ssh_keys:
        user["ssh_authorized_keys"] = list(settings.ssh_keys)
    return user


def _network(wifi: Wifi | None) -> dict[str, Any]:
    """Netplan's version 2. The wired port stays in it: a file that leaves it out would switch it off."""
    network: dict[str, Any] = {"version": 2, "ethernets": {"eth0": {"dhcp4": True, "optional": True}}}
    if wifi is not None:
        auth = {"key-management": "psk", "password": wifi.psk} if wifi.psk else {"key-management": "none"}
        point: dict[str, Any] = {"auth": auth} | ({"hidden": True} if wifi.hidden else {})
        network["wifis"] = {
            "wlan0": {
                "dhcp4": True,
                "optional": True,
                "regulatory-domain": wifi.country,
                "access-points": {wifi.ssid: point},
            }
        }
    return {"network": network}


def _yaml(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, indent=2) + "\n"
