"""`edgekit flash`: a blank card becomes a board that boots into an app."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.commands._arguments import password_in

if TYPE_CHECKING:
    from edgekit.core.schema import Device
    from edgekit.flash.drives import Drive
    from edgekit.flash.flash import Flashed
    from edgekit.flash.plan import Plan
    from edgekit.flash.settings import Settings, Wifi

HELP = "write an image to a card, read it back, and give the board its settings and its app: no root, no mounting"


def configure(parser: argparse.ArgumentParser) -> None:
    """What, where, with which settings."""
    parser.add_argument("--image", type=Path, metavar="FILE", help="disk image: raw, .xz, .gz, .zst or .zip")
    parser.add_argument("-t", "--target", metavar="BOARD", help="the board it is for: images of other boards are refused")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("-o", "--output", type=Path, metavar="CARD.img", help="write a file")
    where.add_argument("--device", type=Path, metavar="/dev/sdX", help="write a card or stick")
    where.add_argument("--drives", action="store_true", help="list the drives of this machine, and which may be written")
    parser.add_argument(
        "--storage",
        choices=("emmc", "nvme", "sd"),
        default="",
        help="of a Jetson or Coral that is flashed over USB, without --image",
    )
    parser.add_argument("--force", action="store_true", help="replace an output file that exists")
    parser.add_argument("--dry-run", action="store_true", help="print every step and do none")
    parser.add_argument("--confirm", metavar="/dev/sdX", help="the drive's name once more, for scripts (else it is asked for)")
    parser.add_argument("--allow-fixed", action="store_true", help="write to a built-in disk")
    parser.add_argument("--allow-large", action="store_true", help="write to a disk larger than any card")
    _configure_image(parser.add_argument_group("what is known of the image"))
    _configure_settings(parser.add_argument_group("first-boot settings"))
    _configure_app(parser.add_argument_group("an app that the board boots into"))


def _configure_image(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--sha256", metavar="HEX", default="", help="published hash of the image file")
    group.add_argument("--bmap", type=Path, metavar="FILE", help="block map of the image: write only what it lists")
    group.add_argument(
        "--catalogue", type=Path, metavar="JSON", help="Raspberry Pi Imager's list: hashes and first-boot format"
    )
    group.add_argument(
        "--first-boot", metavar="FORMAT", default="", help="format of the settings; it cannot be told from the image"
    )


def _configure_settings(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--hostname", default="")
    group.add_argument("--user", default="", metavar="NAME")
    group.add_argument("--password-file", type=Path, metavar="FILE", help="the user's password is its first line")
    group.add_argument("--ssh-key", type=Path, metavar="FILE.pub", action="append", default=[], help="may log in as the user")
    group.add_argument("--wifi", default="", metavar="SSID")
    group.add_argument("--wifi-password-file", type=Path, metavar="FILE", help="the passphrase is its first line (none: open)")
    group.add_argument("--wifi-country", default="", metavar="CC")
    group.add_argument("--wifi-hidden", action="store_true")
    group.add_argument("--timezone", default="", metavar="Europe/Berlin")
    group.add_argument("--locale", default="", metavar="en_GB.UTF-8")
    group.add_argument("--keymap", default="", metavar="gb")


def _configure_app(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--app", metavar="APP", help="app to start with the board")
    group.add_argument("--artifact", type=Path, metavar="A", help="the app's artifact")
    group.add_argument("--wheelhouse", type=Path, metavar="DIR", help="wheels for the board, edgekit's and pip's among them")
    group.add_argument("--app-argument", metavar="ARG", action="append", default=[], help="one more argument for the app")


def run(args: argparse.Namespace) -> int:
    """List drives, or plan, ask, flash, say what was done."""
    from edgekit.console import emit, note, progress_on_stderr
    from edgekit.flash import drives
    from edgekit.flash.flash import flash
    from edgekit.flash.plan import checked, steps

    if args.drives:
        listed = drives.list_drives()
        emit(args, {"drives": [_as_json(drive) for drive in listed]}, "\n".join(map(_line, listed)))
        return 0
    if args.image is None and args.target and (device := _without_card(args.target)):
        from edgekit.commands._flash_usb import show

        return show(args, device, _install(args))
    plan = checked(_plan(args))
    planned = steps(plan)
    if args.dry_run:
        emit(args, {"target": str(plan.target), "steps": list(planned)}, "\n".join(planned))
        return 0
    for line in planned:
        note(line)
    if plan.drive is not None:
        _ensure_meant(plan.drive, args.confirm)
    done = flash(plan, progress=progress_on_stderr())
    emit(args, _result(done), _text(done))
    return 0


def _without_card(target: str) -> Device | None:
    """The board, where it is one that its maker's tools flash over USB."""
    from edgekit.core import profiles

    device = profiles.find(target)
    return device if device.family in ("jetson", "coral") else None


def _plan(args: argparse.Namespace) -> Plan:
    from edgekit.core import profiles
    from edgekit.core.errors import UsageError
    from edgekit.flash import bmap, catalogue, drives
    from edgekit.flash.image import look_at
    from edgekit.flash.plan import Plan
    from edgekit.flash.write import Expected

    if args.image is None:
        raise UsageError("flash needs --image", "edgekit flash --image raspios.img.xz -o card.img")
    if args.storage:
        raise UsageError("--storage is of boards flashed over USB: an image goes to --output or --device", "leave it out")
    image = look_at(args.image)
    entry = catalogue.find(catalogue.read(args.catalogue), args.image) if args.catalogue else None
    settings = _settings(args)
    wants_settings = settings != _nothing() or args.app
    return Plan(
        image=image,
        output=args.output,
        drive=drives.find(args.device, drives.list_drives()) if args.device else None,
        replace=args.force,
        wanted=drives.Wanted(
            bytes=entry.extract_size if entry else image.bytes if image.packing == "raw" else 0,
            allow_fixed=args.allow_fixed,
            allow_large=args.allow_large,
        ),
        expected=Expected(
            file_sha256=args.sha256 or (entry.image_download_sha256 if entry else ""),
            sha256=entry.extract_sha256 if entry else "",
        ),
        bmap=bmap.read(args.bmap) if args.bmap else None,
        first_boot=args.first_boot or (entry.first_boot if entry and wants_settings else ""),
        settings=settings,
        install=_install(args),
        device=profiles.find(args.target) if args.target else None,
    )


def _nothing() -> Settings:
    from edgekit.flash.settings import Settings

    return Settings()


def _settings(args: argparse.Namespace) -> Settings:
    from edgekit.flash.settings import Settings, checked, password_hash

    keys = tuple(line for file in args.ssh_key for line in _lines(file))
    return checked(
        Settings(
            hostname=args.hostname,
            user=args.user,
            password_hash=password_hash(password_in(args.password_file)) if args.password_file else "",
            ssh_keys=keys,
            wifi=_wifi(args),
            timezone=args.timezone,
            locale=args.locale,
            keymap=args.keymap,
        )
    )


def _lines(file: Path) -> list[str]:
    from edgekit.core.errors import NotFound

    if not file.is_file():
        raise NotFound(f"no SSH key at {str(file)!r}", "ssh-keygen -t ed25519 makes one")
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _wifi(args: argparse.Namespace) -> Wifi | None:
    from edgekit.core.errors import UsageError
    from edgekit.flash.settings import wifi

    if not args.wifi:
        if args.wifi_password_file or args.wifi_country or args.wifi_hidden:
            raise UsageError("Wi-Fi settings without a network", "add --wifi SSID")
        return None
    passphrase = password_in(args.wifi_password_file) if args.wifi_password_file else ""
    return wifi(args.wifi, passphrase, args.wifi_country, hidden=args.wifi_hidden)


def _install(args: argparse.Namespace) -> Any:
    from edgekit.core.errors import UsageError
    from edgekit.flash.install import install_of

    if args.app is None:
        if args.artifact or args.wheelhouse or args.app_argument:
            raise UsageError("an artifact or wheels without an app", "add --app APP")
        return None
    if args.artifact is None or args.wheelhouse is None:
        raise UsageError("an app needs its artifact and wheels for the board", "add --artifact A --wheelhouse DIR")
    return install_of(args.app, args.artifact, args.wheelhouse, args.app_argument)


def _ensure_meant(drive: Drive, confirmed: str | None) -> None:
    """Ask for the drive's name again; everything on it will be gone. Raises `UsageError` where it is not said."""
    import sys

    from edgekit.console import note
    from edgekit.core.errors import UsageError

    if confirmed is None and sys.stdin.isatty():
        note(f"EVERYTHING ON {drive.described} WILL BE LOST")
        confirmed = input(f"type {drive.path} to go on: ")
    if confirmed != str(drive.path):
        raise UsageError(f"{drive.path} was not confirmed, so nothing was written", f"--confirm {drive.path}")


def _as_json(drive: Drive) -> dict[str, Any]:
    from edgekit.flash.drives import Wanted, refusals

    return {
        "path": str(drive.path),
        "title": drive.title,
        "serial": drive.serial,
        "bytes": drive.bytes,
        "mounted": list(drive.mounted),
        "refused": list(refusals(drive, Wanted())),
    }


def _line(drive: Drive) -> str:
    from edgekit.flash.drives import Wanted, refusals

    reasons = refusals(drive, Wanted())
    return f"{'no ' if reasons else 'yes'}  {drive.described}" + (f"\n     {'; '.join(reasons)}" if reasons else "")


def _result(done: Flashed) -> dict[str, Any]:
    return {
        "target": str(done.target),
        "bytes": done.written.bytes,
        "sha256": done.written.sha256,
        "file_sha256": done.written.file_sha256,
        "first_boot": done.first_boot or None,
        "added": list(done.added),
        "seconds": dict(done.seconds),
    }


def _text(done: Flashed) -> str:
    lines = [f"{done.target}: {done.written.bytes} bytes written and read back", f"  sha256 {done.written.sha256}"]
    if done.added:
        lines.append(f"  {len(done.added)} files added for the first boot ({done.first_boot}), each read back")
    return "\n".join(lines)
