"""What a person wants of the new board: name, user, network, place. Checked here, so that every first-boot format may trust it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from edgekit.core import process
from edgekit.core.errors import InputError

_HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
_TIMEZONE = re.compile(r"[A-Za-z][A-Za-z0-9+_-]*(/[A-Za-z0-9+_-]+){0,2}")
_LOCALE = re.compile(r"[a-z]{2,3}_[A-Z]{2}(\.UTF-8)?")
_KEYMAP = re.compile(r"[a-z]{2,8}")
_COUNTRY = re.compile(r"[A-Z]{2}")
_HASH = re.compile(r"\$(y|gy|7|2[aby]|6|5)\$[A-Za-z0-9./$=,-]{20,200}")
_KEY_KINDS = ("ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521")
_SECURITY_KEYS = ("sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wifi:
    """A wireless network: `psk` is WPA's 64 hex digits, never the passphrase; empty for an open one."""

    ssid: str
    psk: str = ""
    country: str
    hidden: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """First-boot settings; what is empty stays as the image has it. `password_hash` is crypt's, never the password."""

    hostname: str = ""
    user: str = ""
    password_hash: str = ""
    ssh_keys: tuple[str, ...] = ()
    wifi: Wifi | None = None
    timezone: str = ""
    locale: str = ""
    keymap: str = ""

    @property
    def enables_ssh(self) -> bool:
        """Whether somebody can log in over the network at all."""
        return bool(self.user and (self.password_hash or self.ssh_keys))


def checked(settings: Settings) -> Settings:
    """The same settings. Raises `InputError` naming the first that cannot be."""
    ensure_names(settings.hostname, settings.user)
    _must(settings.password_hash, _HASH, "password hash", "what 'openssl passwd -6' prints")
    _must(settings.timezone, _TIMEZONE, "time zone", "Europe/Berlin")
    _must(settings.locale, _LOCALE, "locale", "en_GB.UTF-8")
    _must(settings.keymap, _KEYMAP, "keyboard layout", "gb")
    if (settings.password_hash or settings.ssh_keys) and not settings.user:
        raise InputError("a password or key was given, but no user who has it", "--user NAME")
    if settings.user and not settings.enables_ssh:
        raise InputError(f"nobody could log in as {settings.user!r}: it has neither password nor key", "--ssh-key FILE")
    for key in settings.ssh_keys:
        ensure_public_key(key)
    if settings.wifi is not None:
        _ensure_wifi(settings.wifi)
    return settings


def ensure_names(hostname: str, user: str) -> None:
    """Raises `InputError` for a host or user name that cannot be; empty ones are none."""
    _must(hostname, _HOSTNAME, "hostname", "letters, digits and hyphens, 63 at most: edge-01")
    _must(user, _USER, "user name", "small letters, digits, - and _, 31 at most, no digit first: ada")
    if user == "root":
        raise InputError("the first user cannot be root", "choose a name, and use sudo")


def wifi(ssid: str, passphrase: str, country: str, *, hidden: bool = False) -> Wifi:
    """A network by its passphrase (8 to 63 bytes; empty: an open network). Raises `InputError`.

    The 256-bit key is PBKDF2-HMAC-SHA1 of passphrase and SSID, 4096 rounds (IEEE 802.11-2020, annex J.4).
    """
    psk = ""
    if passphrase:
        secret = passphrase.encode()
        if not 8 <= len(secret) <= 63:
            raise InputError(f"the Wi-Fi passphrase has {len(secret)} bytes; WPA takes 8 to 63", "is it complete?")
        psk = hashlib.pbkdf2_hmac("sha1", secret, ssid.encode(), 4096, 32).hex()
    network = Wifi(ssid=ssid, psk=psk, country=country, hidden=hidden)
    _ensure_wifi(network)
    return network


def password_hash(password: str) -> str:
    """SHA-512 crypt of a password, by openssl; it travels through a pipe, not through the list of processes."""
    if not password or not password.isprintable():
        raise InputError("a password must have characters, and no control characters", "choose another")
    done = process.run(["openssl", "passwd", "-6", "-stdin"], timeout_s=60.0, stdin=password + "\n")
    return done.stdout.strip()


def ensure_public_key(line: str) -> None:
    """Raise `InputError` unless `line` is one public key of OpenSSH: kind, base64, and perhaps a comment."""
    parts = line.split(" ", 2)
    if "PRIVATE KEY" in line:
        raise InputError("that is a private SSH key: it must not leave this machine", "pass the .pub file beside it")
    if len(parts) < 2 or parts[0] not in (*_KEY_KINDS, *_SECURITY_KEYS) or not line.isprintable():
        raise InputError(f"{line[:40]!r} is not an SSH public key", "a line of ~/.ssh/id_ed25519.pub")
    try:
        blob = base64.b64decode(parts[1], validate=True)
    except (binascii.Error, ValueError) as exc:
        raise InputError(f"the SSH key {line[:40]!r} is damaged: {exc}", "copy the whole line") from exc
    kind = parts[0].encode()
    if blob[: 4 + len(kind)] != len(kind).to_bytes(4, "big") + kind:
        raise InputError(f"the SSH key {line[:40]!r} is damaged: its data is of another kind", "copy the whole line")


def _ensure_wifi(network: Wifi) -> None:
    size = len(network.ssid.encode())
    if not 1 <= size <= 32:
        raise InputError(f"the network's name has {size} bytes; Wi-Fi takes 1 to 32", "is it the right name?")
    if not network.ssid.isprintable():
        raise InputError("the network's name has control characters", "is it the right name?")
    _must(network.country, _COUNTRY, "Wi-Fi country", "two capitals, which decide the allowed channels: DE", empty=False)
    if network.psk and not re.fullmatch(r"[0-9a-f]{64}", network.psk):
        raise InputError("a Wi-Fi key is 64 hex digits", "give the passphrase instead")


def _must(value: str, pattern: re.Pattern[str], what: str, example: str, *, empty: bool = True) -> None:
    if not (empty and value == "") and not pattern.fullmatch(value):
        raise InputError(f"{value!r} cannot be a {what}", example)
