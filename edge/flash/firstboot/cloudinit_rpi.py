"""cloud-init with Raspberry Pi's module `rpi`, as current Raspberry Pi OS Trixie takes it."""

from __future__ import annotations

from edgekit.flash.firstboot import BootFiles, cloudinit
from edgekit.flash.settings import Settings

HELP = "cloud-init as Raspberry Pi OS has it (Trixie after 2025-10-01)"
RUNS_COMMANDS = True


def boot_files(settings: Settings, install_script: str, stamp: str) -> BootFiles:
    """The same files as for `cloudinit`: nothing edgekit sets needs the module `rpi`, and its absence means its defaults."""
    return cloudinit.boot_files(settings, install_script, stamp)
