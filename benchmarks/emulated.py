"""How long an emulated board takes here: the gates for every profile, power-on to a correct answer, ten boards from one snapshot.

    python benchmarks/emulated.py gates
    python benchmarks/emulated.py make FOLDER       (once; minutes: wheels, card, first boot, snapshot)
    python benchmarks/emulated.py boot FOLDER
    python benchmarks/emulated.py ten FOLDER

Each part goes into results/emulated.json beside the others, with its own conditions. These are times of this computer, not of a board.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from common import RESULTS, conditions, edgekit, write

from edgekit import artifact as artifacts
from edgekit.core import profiles
from edgekit.emulate import boot, full, rootfs
from edgekit.emulate.boards import Board, Wanted, board_of
from edgekit.emulate.boot import HEALTH, Emulated, token
from edgekit.emulate.card import FOLDER, INITRD, KERNEL, Keys, base_image
from edgekit.emulate.machine import Hardware, running
from edgekit.emulate.proofs import proof_of
from edgekit.emulate.snapshots import Snapshot, saved, woken
from edgekit.flash import wheelhouse as wheelhouses
from edgekit.models import digits

PICTURE, NUMBER = Path(digits.__file__).parent / "number.png", "3141592653"
PROOF = proof_of("digits", PICTURE)
BOARD, SIZE_MIB, COUNT = "rpi5", 2048, 10
LIMIT_S = 600.0


def main() -> None:
    part, *more = sys.argv[1:]
    if part == "gates":
        keep("gates", gates())
    elif part == "make":
        make(Path(more[0]))
    elif part == "boot":
        keep("boot", booted(kept(Path(more[0])), Path(more[0]) / "token"))
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


def make(folder: Path) -> None:
    """A board whose first boot has installed the digits app, a token for it, and a snapshot in which it serves."""
    folder.mkdir(parents=True, exist_ok=True)
    board, seconds = _board(), {}
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


def kept(folder: Path) -> Emulated:
    """The board that `make` has left in the folder."""
    board = _board()
    base = base_image(board.system.name, rootfs.MIRROR, SIZE_MIB)
    keys = folder / "card.keys"
    return Emulated(
        hardware=Hardware(core=board.core, limits=board.limits, kernel=base.parent / KERNEL, initrd=base.parent / INITRD),
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
    cores = emulated.hardware.cores
    return {"board": BOARD, "cores": cores, "health_s": round(health_s, 1), "prediction_s": round(predicted_s, 1)}


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


def _board() -> Board:
    return board_of(profiles.find(BOARD))


if __name__ == "__main__":
    main()
