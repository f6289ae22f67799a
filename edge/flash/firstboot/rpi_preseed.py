"""`rpi-preseed.toml`, the one-file format of newer Raspberry Pi OS (rpi-preseed(5))."""

from __future__ import annotations

from edgekit.flash.firstboot import BOOT, BootFiles, toml_text
from edgekit.flash.settings import Settings, Wifi

HELP = "one TOML file (images with rpi-preseed)"
RUNS_COMMANDS = True


def boot_files(settings: Settings, install_script: str, stamp: str) -> BootFiles:
    """The file. `late` commands run after the network is up or given up, and are tried again when they fail."""
    lines = ['config_version = "1.0"', ""]
    if settings.hostname:
        lines += ["[system]", f"hostname = {toml_text(settings.hostname)}", ""]
    if settings.user:
        lines += _user(settings)
    if settings.wifi is not None:
        lines += _wlan(settings.wifi)
    lines += _locale(settings)
    if install_script:
        lines += ["[runcmd]", f"early = [{toml_text('systemctl daemon-reload')}]"]
        lines += [f"late = [{toml_text(f'sh {BOOT}/{install_script}')}]", "late_require_time_sync = false", ""]
    return BootFiles(files={"rpi-preseed.toml": "\n".join(lines).encode()})


def _user(settings: Settings) -> list[str]:
    lines = ["[user]", f"name = {toml_text(settings.user)}"]
    if settings.password_hash:
        lines += [f"password = {toml_text(settings.password_hash)}", "password_encrypted = true"]
    lines += [f"passwordless_sudo = {str(not settings.password_hash).lower()}", ""]
    keys = ", ".join(toml_text(key) for key in settings.ssh_keys)
    lines += ["[ssh]", "enabled = true", f"password_authentication = {str(bool(settings.password_hash)).lower()}"]
    return [*lines, f"authorized_keys = [{keys}]", ""]


def _wlan(network: Wifi) -> list[str]:
    lines = ["[wlan]", f"ssid = {toml_text(network.ssid)}", f"country = {toml_text(network.country)}"]
    lines.append(f"hidden = {str(network.hidden).lower()}")
    if not network.psk:
        return [*lines, 'key_mgmt = "none"', ""]
    return [*lines, f"password = {toml_text(network.psk)}", "password_encrypted = true", 'key_mgmt = "wpa-psk"', ""]


def _locale(settings: Settings) -> list[str]:
    given = [("keymap", settings.keymap), ("timezone", settings.timezone), ("lang", settings.locale)]
    lines = [f"{name} = {toml_text(value)}" for name, value in given if value]
    if settings.locale:
        lines.append(f"locales = [{toml_text(settings.locale)}]")
    return ["[locale]", *lines, ""] if lines else []
