"""A board in software from blank card to rollback: flashed, boots, serves, is updated over ssh and by its fleet, refuses what does not
hold, goes back.

`make test-boards` runs this file. It takes minutes, and needs QEMU 10, mmdebstrap, a Debian mirror and a package index.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from boards import executable
from nats_fleet import Server, enrolled, rolled_out

from edgekit import artifact as artifacts
from edgekit.core import process, profiles
from edgekit.core.errors import EdgekitError, GateFailed
from edgekit.core.schema import Artifact
from edgekit.deploy.board.layout import ROOT
from edgekit.deploy.nouns import Health, Release
from edgekit.deploy.push import Board, deploy_to_all, proposal_of, status
from edgekit.emulate import boot, full, qemu, rootfs
from edgekit.emulate.boards import Wanted, board_of
from edgekit.emulate.boot import SERVE_S, Emulated, asked, cut_while_writing, serving, shell, token
from edgekit.emulate.kernels import kernel_of
from edgekit.emulate.machine import HERE, Hardware, Machine, ssh_config
from edgekit.emulate.machines import ensure_stands_for, machine_type
from edgekit.emulate.proofs import proof_of
from edgekit.emulate.snapshots import Snapshot, copy_command, saved, woken
from edgekit.flash import wheelhouse as wheelhouses
from edgekit.fleet.agent.unit import ACCESS, UNIT, unit
from edgekit.fleet.nouns import Plan
from edgekit.fleet.rollout.drive import Wish
from edgekit.fleet.trust.authority import Access
from edgekit.fleet.wire.bus import connected
from edgekit.models import digits
from edgekit.parity import Golden, golden_bytes, read_golden

pytestmark = pytest.mark.slow
PICTURE, NUMBER = Path(digits.__file__).parent / "number.png", "3141592653"
INT8 = next(path for path in digits.artifacts() if path.name.endswith("int8"))
HEALTH = Health(url="http://127.0.0.1:8080/health", settle_s=3, deadline_s=600)
BOARD = Board(host="board")
PROOF = proof_of("digits", PICTURE)
FLEET_S = 900.0
"""For a rollout to one board, which proves, restarts and maybe goes back: an emulated one takes a minute for each."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Emulated:
    """A Raspberry Pi 5 whose card was flashed with the digit app and whose first boot has installed it."""
    folder = tmp_path_factory.mktemp("board")
    board = board_of(profiles.find("rpi5"))
    try:
        for program in (qemu.USER, qemu.SYSTEM, "qemu-img"):
            qemu.ensure(program)
        wheels = folder / "wheels"
        wheelhouses.make(board.device, wheels, extras=(*PROOF.extras, "fleet"), system=board.system.name)
        wanted = Wanted(artifacts=(artifacts.read(INT8),), app="digits", picture=PICTURE)
        emulated = full.flashed(folder, board, full.install(wanted, wheels, PROOF), mirror=rootfs.MIRROR)
    except EdgekitError as exc:
        pytest.skip(f"no card can be made here: {exc.message}")
    first = boot.first_boot(emulated)
    assert first.ok, first.said
    return emulated


@pytest.fixture(scope="module")
def snapshot(installed: Emulated) -> Snapshot:
    return saved(installed)


@pytest.fixture
def board(snapshot: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """A booted board, which `ssh board` reaches: its host key is known and no other is taken."""
    with woken(snapshot) as (machine,):
        config = ssh_config(machine.start.folder, snapshot.board.keys, machine.start.ssh)
        executable(tmp_path / "ssh", f'exec {shutil.which("ssh")} -F {config} "$@"')
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        yield machine


def named(folder: Path, name: str, *, spoilt: bool = False) -> Artifact:
    """A copy of the shipped artifact under another name; `spoilt`: its recorded answers are another network's."""
    place = shutil.copytree(INT8, folder / name)
    manifest = msgspec.structs.replace(artifacts.read(place).manifest, name=name)
    if spoilt:
        golden = read_golden(place / "golden.npz")
        wrong = tuple({key: np.roll(value, 3, axis=-1) for key, value in answer.items()} for answer in golden.answers)
        data = golden_bytes(Golden(feeds=golden.feeds, answers=wrong))
        (place / "golden.npz").write_bytes(data)
        payload = {file.name: place / file.name for file in manifest.files}
        roles = {file.name: file.role for file in manifest.files}
        manifest = msgspec.structs.replace(manifest, files=artifacts.described(payload, roles))
    (place / artifacts.MANIFEST).write_bytes(artifacts.encode(manifest))
    return artifacts.read(place)


def release(artifact: Artifact, port: int = 8080) -> Release:
    return Release(app="digits", artifact=artifact.sha256, arguments=("--host", "0.0.0.0", "--port", str(port)), health=HEALTH)


def served_until_cut(board: Emulated) -> str:
    """The board's first start: it reads the number, then loses its power while it writes. What it is asked with."""
    with serving(board, 1) as machine:
        key = token(board, machine)
        check = asked(machine, key, PROOF, NUMBER)
        assert check.ok, check.said
        cut_while_writing(board, machine)
    return key


def test_it_serves_over_http_and_again_after_the_power_was_cut_in_mid_write(installed: Emulated, tmp_path: Path) -> None:
    key = served_until_cut(installed)
    with serving(installed, 2) as machine:
        check = asked(machine, key, PROOF, NUMBER)
        assert check.ok, check.said


def test_its_card_serves_in_qemus_raspberry_pi_3_too_and_again_after_the_power_was_cut(
    installed: Emulated, tmp_path: Path
) -> None:
    machine, board = machine_type("raspi3b"), board_of(profiles.find("rpi3b-plus"))
    ensure_stands_for(machine, board.device, board.limits)
    hardware = Hardware(
        core=board.core, limits=board.limits, kernel=kernel_of(machine, board.system.name, rootfs.MIRROR), machine=machine
    )
    process.run(copy_command(installed.card, tmp_path / "card.img"), timeout_s=600.0)
    pi3 = Emulated(hardware=hardware, card=tmp_path / "card.img", keys=installed.keys, folder=tmp_path)
    key = served_until_cut(pi3)
    with serving(pi3, 2) as running:
        assert "Raspberry Pi 3 Model B" in shell(pi3, running, "cat /proc/device-tree/model")
        check = asked(running, key, PROOF, NUMBER)
        assert check.ok, check.said
        shell(pi3, running, "systemctl --no-block reboot")
        running.wait_until_off(SERVE_S)  # as at the end of a first boot


def test_it_is_updated_refuses_what_does_not_hold_and_goes_back_from_what_does_not_work(
    board: Machine, snapshot: Snapshot, tmp_path: Path
) -> None:
    first = status(BOARD)
    assert first.active and first.artifact_name == artifacts.read(INT8).manifest.name
    good = named(tmp_path, "good")
    (updated,) = deploy_to_all([BOARD], good, release(good))
    assert updated.ok and updated.sent_bytes == (good.path / "manifest.json").stat().st_size, "only what changed was sent"
    assert status(BOARD).artifact_name == "good"

    bad = named(tmp_path, "bad", spoilt=True)
    (refused,) = deploy_to_all([BOARD], bad, release(bad))
    assert isinstance(refused.error, GateFailed) and "does not hold on this board" in refused.error.message
    assert status(BOARD).artifact_name == "good"

    elsewhere = named(tmp_path, "elsewhere")
    unhealthy = msgspec.structs.replace(release(elsewhere, port=9090), health=msgspec.structs.replace(HEALTH, deadline_s=15))
    (taken_back,) = deploy_to_all([BOARD], elsewhere, unhealthy)
    assert taken_back.answer is not None and taken_back.answer.rolled_back and "does not answer" in taken_back.answer.message
    assert status(BOARD).artifact_name == "good"
    board.wait_until_serving("/health", SERVE_S)
    check = asked(board, token(snapshot.board, board), PROOF, NUMBER)
    assert check.ok, check.said


def with_agent(board: Emulated, machine: Machine, access: Access) -> None:
    """The fleet's agent as a service of the board, with what an owner gives it."""
    there = {f"{ROOT}/{ACCESS}": msgspec.json.encode(access).decode(), f"/etc/systemd/system/{UNIT}": unit()}
    for path, text in there.items():
        shell(board, machine, f"umask 077; cat >{path} <<'END'\n{text}\nEND")
    shell(board, machine, f"systemctl daemon-reload && systemctl start {UNIT}")


def test_as_one_of_a_fleet_it_takes_a_rollout_and_goes_back_from_a_bad_one(
    snapshot: Snapshot, server: Server, tmp_path: Path
) -> None:
    """Its own agent, a real server on this machine, and between them the emulated network."""
    good, bad = named(tmp_path, "good"), named(tmp_path, "bad")
    unhealthy = msgspec.structs.replace(release(bad, port=9090), health=msgspec.structs.replace(HEALTH, deadline_s=15))
    plan = Plan(waves=(1.0,), soak_s=1, deadline_s=FLEET_S, absent_s=FLEET_S, max_failed=0.0)

    def wished(artifact: Artifact, what: Release) -> Wish:
        return Wish(group="cameras", proposal=proposal_of(artifact, what), name=artifact.manifest.name, plan=plan)

    async def story(machine: Machine) -> None:
        access = (await enrolled(server, "emulated"))["emulated"]
        there = msgspec.structs.replace(access, url=f"nats://{HERE}:{server.listening.port}")
        await asyncio.to_thread(with_agent, snapshot.board, machine, there)
        async with connected(server.access("ada")) as bus:
            first = await rolled_out(bus, wished(good, release(good)), good, limit_s=FLEET_S)
            assert (first.phase, first.failed) == ("done", ()), first.reason
            second = await rolled_out(bus, wished(bad, unhealthy), bad, limit_s=FLEET_S)
            assert second.phase == "returned" and "does not answer" in second.reason
        runs = await asyncio.to_thread(shell, snapshot.board, machine, f"readlink {ROOT}/current")
        assert runs.strip().endswith(first.release)

    with woken(snapshot, connected=True) as (machine,):
        asyncio.run(story(machine))
        machine.wait_until_serving("/health", SERVE_S)
        check = asked(machine, token(snapshot.board, machine), PROOF, NUMBER)
        assert check.ok, check.said


def test_ten_boards_wake_from_one_snapshot_and_answer(snapshot: Snapshot) -> None:
    with woken(snapshot, 10) as machines:
        assert len({machine.start.http for machine in machines}) == 10
        assert [machine.asked("/health") for machine in machines] == [{"status": "ok"}] * 10
