"""`edgekit flash` for boards without a card: the steps with their maker's tools, and the files of the app for the first boot."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgekit.core.schema import Device
    from edgekit.flash.install import Install
    from edgekit.flash.usb import Guide


def show(args: argparse.Namespace, device: Device, install: Install | None) -> int:
    """Print the steps; with an app, write its files into the folder `--output`, unless it is a dry run."""
    from edgekit.console import emit
    from edgekit.flash import usb

    _ensure_sayable(args)
    if install is not None:
        usb.ensure_installable(device, install)
    folder = args.output if install is not None else None
    wish = usb.Wish(device=device, storage=args.storage, user=args.user, hostname=args.hostname, folder=folder)
    found = usb.guide(wish)
    if install is not None and not args.dry_run:
        write(install, args.output, replace=args.force)
    steps = [{"do": step.do, "run": step.run or None} for step in found.steps]
    result = {
        "target": device.name,
        "system": found.system,
        "storage": found.storage,
        "folder": folder and str(folder),
        "steps": steps,
    }
    emit(args, result, text(device, found))
    return 0


OF_IMAGES = ("device", "bmap", "catalogue", "first_boot", "sha256")
OF_CARDS = (
    "password_file",
    "ssh_key",
    "wifi",
    "wifi_password_file",
    "wifi_country",
    "wifi_hidden",
    "timezone",
    "locale",
    "keymap",
)


def _ensure_sayable(args: argparse.Namespace) -> None:
    """Nothing that was asked for is dropped in silence. Raises `UsageError`, and `InputError` for a name that is none."""
    from edgekit.core.errors import UsageError
    from edgekit.flash.settings import ensure_names

    for name in (*OF_IMAGES, *OF_CARDS):
        if getattr(args, name):
            said = f"--{name.replace('_', '-')} is of boards with a card, this one is flashed over USB"
            raise UsageError(
                said, "add --image FILE" if name in OF_IMAGES else "set it on the board; --user and --hostname can be"
            )
    if (args.app is None) != (args.output is None):
        raise UsageError("over USB, --app needs --output DIR for the files of its first boot, and only --app does")
    ensure_names(args.hostname, args.user)


def write(install: Install, folder: Path, *, replace: bool) -> None:
    """The app's files, the script that installs them, and its service, in a new folder: whole, or not there."""
    from edgekit.core.files import new_folder
    from edgekit.flash.firstboot import jetson
    from edgekit.flash.install import files

    with new_folder(folder, replace=replace) as made:
        for name, content in files(install).items():
            place = made / name
            place.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                place.write_bytes(content)
            else:
                shutil.copyfile(content, place)
        (made / jetson.SERVICE).write_text(jetson.service("install.sh"))


def text(device: Device, found: Guide) -> str:
    """The steps, numbered, each with its command under it."""
    lines = [
        f"{device.title}, {found.system}, onto its {found.storage}: nothing of this is run by edgekit, and no board has seen it yet"
    ]
    for number, step in enumerate(found.steps, 1):
        lines.append(f"{number:2}. {step.do}")
        lines += [f"      {step.run}"] if step.run else []
    return "\n".join(lines)
