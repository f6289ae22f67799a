"""How long an emulated board takes here: the gates for every profile, power-on to a correct answer, ten boards from one snapshot.

    python benchmarks/emulated.py gates
    python benchmarks/emulated.py make FOLDER       (once; minutes: wheels, card, first boot, snapshot)
    python benchmarks/emulated.py parts              (a root file system and the image of a card, anew)
    python benchmarks/emulated.py boot FOLDER
    python benchmarks/emulated.py raspi3b FOLDER     (the same card in QEMU's Raspberry Pi 3)
    python benchmarks/emulated.py ten FOLDER

Each part goes into results/emulated.json beside the others, with its own conditions. These are times of this computer, not of a board.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import RESULTS, conditions, edgekit, write

from edgekit import artifact as artifacts
from edgekit.core import process, profiles
from edgekit.emulate import boot, full, rootfs
from edgekit.emulate.boards import Wanted, board_of
from edgekit.emulate.boot import CARD_MIB, HEALTH, Emulated, token
from edgekit.emulate.card import FOLDER, PACKAGES, Keys, assemble, base_image
from edgekit.emulate.machine import Hardware, running
from edgekit.emulate.machines import VIRT, MachineType, machine_type
from edgekit.emulate.proofs import proof_of
from edgekit.emulate.rootfs import TAR, Recipe
from edgekit.emulate.snapshots import Snapshot, saved, woken
from edgekit.flash import wheelhouse as wheelhouses
from edgekit.models import digits

PICTURE, NUMBER = Path(digits.__file__).parent / "number.png", "3141592653"
PROOF = proof_of("digits", PICTURE)
BOARD, COUNT = "rpi5", 10
RASPI3B = machine_type("raspi3b")
LIMIT_S = 600.0


def main() -> None:
    part, *more = sys.argv[1:]
    if part == "gates":
        keep("gates", gates())
    elif part == "make":
        make(Path(more[0]))
    elif part == "parts":
        keep("parts", parts())
    elif part == "boot":
        keep("boot", booted(kept(Path(more[0])), Path(more[0]) / "token"))
    elif part == RASPI3B.name:
        keep(RASPI3B.name, booted(kept(Path(more[0]), "rpi3b-plus", RASPI3B), Path(more[0]) / "token"))
    else:
        keep("ten", ten(Snapshot(board=kept(Path(more[0])), card=Path(more[0]) / "saved.qcow2")))


def keep(part: str, found: dict[str, Any]) -> None:
    path = RESULTS / "emulated.json"
    before = json.loads(path.read_text()) if path.exists() else {}
    write("emulated", {**before, part: {"conditions": conditions(), **found}})


def gates() -> dict[str, Any]:
    """Every profile with a core, both shipped digit networks: anew, and from what is remembered."""
    began = time.perf_counter()
    first = json.loads(edgekit("emulate", "--target", "all", "--again", "--json").stdout)
    anew_s, began = time.perf_counter() - began, time.perf_counter()
    again = json.loads(edgekit("emulate", "--target", "all", "--json").stdout)
    assert first["ok"] and again["ok"], (first, again)
    return {"boards": len(first["boards"]), "anew_s": round(anew_s, 1), "remembered_s": round(time.perf_counter() - began, 1)}


def parts() -> dict[str, Any]:
    """A root file system from Debian's packages, fetched from the mirror, and the image of a card from it: both anew, nothing out of the cache."""
    suite, seconds = board_of(profiles.find(BOARD)).system.name, {}
    with tempfile.TemporaryDirectory() as scratch:
        folder, began = Path(scratch), time.perf_counter()
        process.run(rootfs.build_command(Recipe(suite=suite, packages=PACKAGES), folder / TAR), timeout_s=rootfs.TIMEOUT_S)
        seconds["root_file_system_s"], began = time.perf_counter() - began, time.perf_counter()
        assemble(folder / TAR, folder, CARD_MIB, suite)
        seconds["card_image_s"] = time.perf_counter() - began
    return {name: round(took_s, 1) for name, took_s in seconds.items()}


def make(folder: Path) -> None:
    """A board whose first boot has installed the digits app, a token for it, and a snapshot in which it serves."""
    folder.mkdir(parents=True, exist_ok=True)
    board, seconds = board_of(profiles.find(BOARD)), {}
    int8 = next(path for path in digits.artifacts() if path.name.endswith("int8"))
    began = time.perf_counter()
    wheelhouses.make(board.device, folder / "wheels", extras=PROOF.extras, system=board.system.name)
    seconds["wheelhouse_s"], began = time.perf_counter() - began, time.perf_counter()
    wanted = Wanted(artifacts=(artifacts.read(int8),), app="digits", picture=PICTURE)
    emulated = full.flashed(folder, board, full.install(wanted, folder / "wheels", PROOF), mirror=rootfs.MIRROR)
    seconds["card_s"], began = time.perf_counter() - began, time.perf_counter()
    first = boot.first_boot(emulated)
    assert first.ok, first
    seconds["first_boot_s"] = time.perf_counter() - began
    with boot.serving(emulated) as machine:
        (folder / "token").write_text(token(emulated, machine))
    saved(emulated)
    keep("make", {name: round(took_s, 1) for name, took_s in seconds.items()})


def kept(folder: Path, name: str = BOARD, machine: MachineType = VIRT) -> Emulated:
    """The card that `make` has left in the folder, in the board of that name."""
    board, keys = board_of(profiles.find(name)), folder / "card.keys"
    base = base_image(board.system.name, rootfs.MIRROR, CARD_MIB)
    kernel = boot.started_from(base, machine, board.system.name, rootfs.MIRROR)
    return Emulated(
        hardware=Hardware(core=board.core, limits=board.limits, kernel=kernel, machine=machine),
        card=folder / "card.img",
        keys=Keys(private=keys / "operator", known_as=(keys / "boot" / FOLDER / "host_key.pub").read_text().strip()),
        folder=folder,
    )


def booted(emulated: Emulated, key: Path) -> dict[str, Any]:
    """Power-on to the app's first sign, and to a number read right over HTTP by somebody who has a token."""
    began = time.perf_counter()
    with running(emulated.hardware, emulated.start(1)) as machine:
        machine.wait_until_serving(HEALTH, LIMIT_S)
        health_s = time.perf_counter() - began
        number = PROOF.ask(machine.served, key.read_text())
        predicted_s = time.perf_counter() - began
    assert number == NUMBER, number
    hardware = emulated.hardware
    return {
        "core": hardware.core.name,
        "cores": hardware.cores,
        "health_s": round(health_s, 1),
        "prediction_s": round(predicted_s, 1),
    }


def ten(snapshot: Snapshot) -> dict[str, Any]:
    """So many boards, woken at once, until all answer."""
    began = time.perf_counter()
    with woken(snapshot, 1):
        one_s, began = time.perf_counter() - began, time.perf_counter()
    began = time.perf_counter()
    with woken(snapshot, COUNT) as machines:
        took_s = time.perf_counter() - began
        assert all(machine.asked(HEALTH) == {"status": "ok"} for machine in machines)
    return {"boards": COUNT, "one_s": round(one_s, 1), "all_s": round(took_s, 1)}


if __name__ == "__main__":
    main()
