"""The full boot: a flashed card starts an emulated board, installs itself, serves, and survives a power cut in mid-write."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgekit.core import process
from edgekit.core.errors import DeviceError, NotFound
from edgekit.core.progress import Event, Progress, silent
from edgekit.deploy.board.layout import ROOT
from edgekit.emulate.card import Keys, base_image, boot_words, new_card
from edgekit.emulate.cores import Core
from edgekit.emulate.gate import Check
from edgekit.emulate.kernels import Kernel, kernel_in, kernel_of
from edgekit.emulate.limits import Limits
from edgekit.emulate.machine import Hardware, Machine, Start, free_ports, running, ssh_command, ssh_config
from edgekit.emulate.machines import VIRT, MachineType
from edgekit.emulate.proofs import Proof
from edgekit.flash import fat
from edgekit.flash.install import Install
from edgekit.flash.partitions import boot_partition

INSTALL_S, SERVE_S, SSH_S = 1800.0, 600.0, 300.0
CARD_MIB = 2048
"""A power of two, which QEMU asks of SD cards."""
HEALTH = "/health"
LOG, INSTALLED = "edgekit-firstboot.log", "install the app"
USERS = f"HOME=/var/lib/edgekit setpriv --reuid edgekit --regid edgekit --clear-groups {ROOT}/venv/bin/python -m edgekit users"
WRITER = "cd /opt/edgekit && while :; do head -c 8M /dev/urandom >half && sync half && mv half whole && echo written; done"
"""Something is always being written and renamed while the power goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Emulated:
    """A board with its card: what starts it, and how it is reached."""

    hardware: Hardware
    card: Path
    keys: Keys
    folder: Path

    def start(self, number: int = 0, *, card: Path | None = None, snapshot: str = "", connected: bool = False) -> Start:
        """The next start, on free ports."""
        http, ssh = free_ports(2)
        return Start(
            card=card or self.card,
            words=boot_words(self.card),
            folder=self.folder / f"start-{number}",
            http=http,
            ssh=ssh,
            snapshot=snapshot,
            connected=connected,
        )


def flashed(
    folder: Path,
    core: Core,
    limits: Limits,
    install: Install,
    *,
    suite: str,
    mirror: str,
    machine: MachineType = VIRT,
    progress: Progress = silent,
) -> Emulated:
    """A new card with the app on it, in `folder`, and the board that it goes into."""
    base = base_image(suite, mirror, CARD_MIB, progress=progress)
    card = folder / "card.img"
    keys = new_card(base, card, install, limits, progress=progress)
    kernel = started_from(base, machine, suite, mirror, progress=progress)
    hardware = Hardware(core=core, limits=limits, kernel=kernel, machine=machine)
    return Emulated(hardware=hardware, card=card, keys=keys, folder=folder)


def started_from(base: Path, machine: MachineType, suite: str, mirror: str, *, progress: Progress = silent) -> Kernel:
    """What the machine starts from: the card's own kernel where that knows the machine, else one made for it."""
    return kernel_in(base.parent, machine) if machine == VIRT else kernel_of(machine, suite, mirror, progress=progress)


def proven(board: Emulated, proof: Proof, expected: str, *, progress: Progress = silent) -> tuple[Check, ...]:
    """Everything a full boot shows: it installs, serves, says what is `expected`, and does so again after a power cut."""
    checks = [first_boot(board, progress=progress)]
    if not checks[0].ok:
        return tuple(checks)
    with serving(board, 1, progress=progress) as machine:
        key = token(board, machine)
        checks.append(asked(machine, key, proof, expected))
        cut_while_writing(board, machine)
    with serving(board, 2, progress=progress) as machine:
        again = asked(machine, key, proof, expected)
    cut = Check(name="power cut while writing", ok=again.ok, said=f"it started again and {again.said}")
    return (*checks, cut)


def first_boot(board: Emulated, *, progress: Progress = silent) -> Check:
    """The first start, which installs from the card and ends where the board starts again. Raises `DeviceError` when it never ends."""
    progress(Event(stage="first boot: install from the card"))
    with running(board.hardware, board.start(0)) as machine:
        machine.wait_until_off(INSTALL_S)
        last = machine.last_words()
    try:
        log = fat.read_file(board.card, boot_partition(board.card), LOG).decode(errors="replace")
    except NotFound:
        return Check(name="first boot", ok=False, said=f"it wrote no {LOG}; the console's last line: {last}")
    ok = any(line.split() == ["ok", *INSTALLED.split()] for line in log.splitlines())
    said = "installed from the card, without a network" if ok else f"{LOG} ends: {' / '.join(log.strip().splitlines()[-3:])}"
    return Check(name="first boot", ok=ok, said=said)


@contextmanager
def serving(board: Emulated, number: int = 1, *, progress: Progress = silent) -> Iterator[Machine]:
    """The board, started and answering over HTTP."""
    progress(Event(stage=f"start {number}"))
    with running(board.hardware, board.start(number)) as machine:
        machine.wait_until_serving(HEALTH, SERVE_S)
        yield machine


def shell(board: Emulated, machine: Machine, words: str) -> str:
    """What a command says that is run on the board over ssh. Raises `DeviceError`."""
    config = ssh_config(machine.start.folder, board.keys, machine.start.ssh)
    done = process.run(ssh_command(config, words), timeout_s=SSH_S, exits=range(-64, 256))
    if done.status:
        raise DeviceError(
            f"the emulated board's shell {process.ending(done.status)}: {(done.stderr or done.stdout).strip()[-300:]}"
        )
    return done.stdout


def token(board: Emulated, machine: Machine) -> str:
    """A token that opens the app's interface, made on the board."""
    lines = shell(board, machine, f"{USERS} token admin").splitlines()
    return next(line for line in lines if line.strip())


def asked(machine: Machine, key: str, proof: Proof, expected: str) -> Check:
    """What the app on the emulated board says over HTTP to who has a token, compared with what it says on this machine."""
    found = proof.ask(machine.served, key)
    said = f"said {found!r}, " + ("as this machine" if found == expected else f"this machine {expected!r}")
    return Check(name=f"asked over HTTP: {proof.about}", ok=found == expected, said=said)


def cut_while_writing(board: Emulated, machine: Machine) -> None:
    """Cut the power while files are being written on the card. Raises `DeviceError` when nothing was written."""
    config = ssh_config(machine.start.folder, board.keys, machine.start.ssh)
    with subprocess.Popen(
        ssh_command(config, WRITER), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    ) as writer:
        first = writer.stdout.readline() if writer.stdout else b""
        machine.cut()
        writer.kill()
    if not first:
        raise DeviceError("nothing was written on the emulated board before its power was cut")
