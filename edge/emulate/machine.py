"""A whole emulated board: qemu-system-aarch64 with the board's core, memory and number of cores, its card, and forwarded ports."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.core import process as processes
from edgekit.core.errors import DeviceError
from edgekit.emulate.card import Keys
from edgekit.emulate.cores import Core
from edgekit.emulate.kernels import Kernel
from edgekit.emulate.limits import Limits
from edgekit.emulate.machines import VIRT, MachineType
from edgekit.emulate.qemu import SYSTEM
from edgekit.emulate.served import Served

LARGEST_BYTES = 4 << 30
"""Memory that an emulated machine is given at most: a Jetson has more than many a computer."""
HTTP, SSH = 8080, 22
HERE = "10.0.2.2"
"""This machine's loopback, as a board sees it that is connected (QEMU's user network)."""
TRANSLATED_MIB = 256
PATIENT = "systemd.default_timeout_start_sec=1800"
"""On a busy computer an emulated board takes minutes for what systemd gives a service a minute and a half for."""
_STEP_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """What the machine is made of. A snapshot can only be woken in the very same."""

    core: Core
    limits: Limits
    kernel: Kernel
    machine: MachineType = VIRT

    @property
    def cores(self) -> int:
        """The board's, but no more than this machine has: guests whose cores wait for one another take minutes to boot."""
        return min(self.limits.cores or 1, len(os.sched_getaffinity(0)))

    @property
    def memory_mib(self) -> int:
        """The board's, as far as there is that much."""
        most = self.machine.memory_mib << 20 if self.machine.memory_mib else LARGEST_BYTES
        return min(self.limits.memory_bytes or most, most) >> 20

    @property
    def words(self) -> str:
        """What the kernel is told beside the card's words: to be patient, and to leave alone what the machine has more of than the board."""
        fixed = (self.machine.cores, f"maxcpus={self.cores}"), (self.machine.memory_mib, f"mem={self.memory_mib}M")
        return " ".join(filter(None, (PATIENT, self.machine.words, *(word for has, word in fixed if has))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One start: the card, the kernel's words, and where the ports and the console go; `snapshot` wakes a saved machine.

    One that is `connected` reaches what this machine reaches, and this machine itself as `HERE`; others reach nothing.
    """

    card: Path
    words: str
    folder: Path
    http: int
    ssh: int
    snapshot: str = ""
    connected: bool = False

    @property
    def console(self) -> Path:
        return self.folder / "console.log"


class Machine:
    """A machine that runs."""

    def __init__(self, start: Start, process: subprocess.Popen[bytes]) -> None:
        self.start = start
        self._process = process

    @property
    def served(self) -> Served:
        """The app, through the forwarded port."""
        return Served(f"http://127.0.0.1:{self.start.http}")

    def wait_until_off(self, timeout_s: float) -> None:
        """Until it switches itself off or wants to start again. Raises `DeviceError` with the console's last line at the deadline."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired as exc:
            raise DeviceError(
                f"the emulated board was still running: {self.last_words()}", f"see {self.start.console}"
            ) from exc

    def wait_until_serving(self, path: str, timeout_s: float) -> None:
        """Until the app answers 200. Raises `DeviceError` when it never does, or the machine ends."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            self._ensure_on()
            if self.served.answers(path):
                return
            time.sleep(_STEP_S)
        raise DeviceError(f"the emulated board does not answer at {path}: {self.last_words()}", f"see {self.start.console}")

    def asked(self, path: str, data: bytes | None = None, token: str = "") -> Any:
        """What the app answers, as JSON. Raises `DeviceError`."""
        return self.served.asked(path, data, token)

    def cut(self) -> None:
        """Cut the power: nothing is told to anybody, what was not flushed to the card is lost."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def save(self, name: str) -> None:
        """Save the whole running machine into its card, which must be a qcow2 file. Raises `DeviceError`."""
        said = self._monitor("human-monitor-command", {"command-line": f"savevm {name}"})
        if said:
            raise DeviceError(f"the emulated board cannot be saved: {said}")

    def last_words(self) -> str:
        """The last line on its console."""
        with suppress(OSError):
            lines = self.start.console.read_bytes().decode(errors="replace").strip().splitlines()
            return lines[-1][:200] if lines else "nothing on its console"
        return "no console"

    def _ensure_on(self) -> None:
        if self._process.poll() is not None:
            raise DeviceError(f"the emulated board went off: {self.last_words()}", f"see {self.start.console}")

    def _monitor(self, command: str, arguments: dict[str, str]) -> str:
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(self.start.folder / "monitor"))
            answers = line.makefile("r")
            answers.readline()
            for name, given in (("qmp_capabilities", {}), (command, arguments)):
                line.sendall(json.dumps({"execute": name, "arguments": given}).encode())
                answer = self._answer(answers)
        return str(answer).strip()

    def _answer(self, answers: Any) -> Any:
        for said in answers:
            found = json.loads(said)
            if "error" in found:
                raise DeviceError(f"the emulator refuses: {found['error'].get('desc')}")
            if "return" in found:
                return found["return"] or ""
        raise DeviceError(f"the emulator ended: {self.last_words()}")


@contextmanager
def running(hardware: Hardware, start: Start) -> Iterator[Machine]:
    """The machine, for the length of the block. It ends with the thread that started it, even one that is killed."""
    start.folder.mkdir(parents=True, exist_ok=True)
    with (start.folder / "emulator.log").open("wb") as log:
        process = subprocess.Popen(
            processes.bound(command(hardware, start)), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    machine = Machine(start, process)
    try:
        yield machine
    finally:
        if process.poll() is None:
            machine.cut()


def command(hardware: Hardware, start: Start) -> list[str]:
    """The emulator's arguments. It ends where the board would start again, so that the card's words are read anew each time."""
    forward = f"hostfwd=tcp:127.0.0.1:{start.http}-:{HTTP},hostfwd=tcp:127.0.0.1:{start.ssh}-:{SSH}"
    packing = "qcow2" if start.card.suffix == ".qcow2" else "raw"
    machine, kernel = hardware.machine, hardware.kernel
    cores, memory = machine.cores or hardware.cores, machine.memory_mib or hardware.memory_mib
    argv = [SYSTEM, "-M", machine.name, "-cpu", hardware.core.model, "-smp", str(cores), "-m", str(memory)]
    argv += ["-global", f"{machine.cores_on}={hardware.cores}"] if machine.cores_on else []
    argv += ["-accel", f"tcg,thread=multi,tb-size={TRANSLATED_MIB}", "-no-reboot", "-display", "none", "-monitor", "none"]
    argv += ["-kernel", str(kernel.image), "-initrd", str(kernel.initrd), "-append", f"{start.words} {hardware.words}"]
    argv += ["-dtb", str(kernel.device_tree)] if kernel.device_tree else []
    argv += ["-drive", f"file={start.card},format={packing},{machine.card},cache=unsafe"]
    argv += ["-netdev", f"user,id=net,restrict={'off' if start.connected else 'on'},{forward}"]
    argv += [word for device in machine.devices for word in ("-device", device)]
    argv += ["-serial", f"file:{start.console}", "-qmp", f"unix:{start.folder / 'monitor'},server=on,wait=off"]
    return [*argv, *(["-loadvm", start.snapshot] if start.snapshot else [])]


def ssh_config(folder: Path, keys: Keys, port: int) -> Path:
    """A configuration under which `ssh board` reaches the machine, and only one that has its key."""
    known = folder / "known_hosts"
    known.write_text(f"[127.0.0.1]:{port} {keys.known_as}\n")
    made = folder / "ssh_config"
    settings = {
        "HostName": "127.0.0.1",
        "Port": str(port),
        "User": "root",
        "IdentityFile": str(keys.private),
        "IdentitiesOnly": "yes",
    }
    settings |= {"StrictHostKeyChecking": "yes", "UserKnownHostsFile": str(known), "LogLevel": "ERROR", "ConnectTimeout": "60"}
    made.write_text("Host board\n" + "".join(f"  {name} {value}\n" for name, value in settings.items()))
    return made


def ssh_command(config: Path, words: str) -> list[str]:
    """Run `words` in a shell of the machine."""
    return ["ssh", "-F", str(config), "-o", "BatchMode=yes", "board", words]


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on now."""
    with_sockets = [socket.socket() for _ in range(count)]
    try:
        for each in with_sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in with_sockets]
    finally:
        for each in with_sockets:
            each.close()
