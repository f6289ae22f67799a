"""`custom.toml`, which Raspberry Pi OS Bookworm reads on its first boot (raspberrypi-sys-mods, init_config)."""

from __future__ import annotations

from edgekit.core.errors import Unsupported
from edgekit.flash.firstboot import BootFiles, toml_text
from edgekit.flash.settings import Settings

HELP = "one TOML file, settings only (Raspberry Pi OS Bookworm)"
RUNS_COMMANDS = False


def boot_files(settings: Settings, install_script: str, stamp: str) -> BootFiles:
    """The file. Raises `Unsupported` for a locale, which the format has no key for."""
    if settings.locale:
        raise Unsupported("custom.toml has no key for the locale", "leave out --locale, or use --first-boot firstrun")
    lines = ["config_version = 1", ""]
    if settings.hostname:
        lines += ["[system]", f"hostname = {toml_text(settings.hostname)}", ""]
    if settings.user:
        lines += ["[user]", f"name = {toml_text(settings.user)}"]
        if settings.password_hash:
            lines += [f"password = {toml_text(settings.password_hash)}", "password_encrypted = true"]
        keys = ", ".join(toml_text(key) for key in settings.ssh_keys)
        lines += ["", "[ssh]", "enabled = true"]
        lines += [f"password_authentication = {str(bool(settings.password_hash)).lower()}", f"authorized_keys = [{keys}]", ""]
    if settings.wifi is not None:
        lines += ["[wlan]", f"ssid = {toml_text(settings.wifi.ssid)}", f"country = {toml_text(settings.wifi.country)}"]
        lines += [f"hidden = {str(settings.wifi.hidden).lower()}"]
        if settings.wifi.psk:
            lines += [f"password = {toml_text(settings.wifi.psk)}", "password_encrypted = true"]
        lines.append("")
    place = [("keymap", settings.keymap), ("timezone", settings.timezone)]
    given = [f"{name} = {toml_text(value)}" for name, value in place if value]
    lines += ["[locale]", *given, ""] if given else []
    return BootFiles(files={"custom.toml": "\n".join(lines).encode()})
