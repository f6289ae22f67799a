"""A power cut at every step of a deployment, as an ext4 disk sees it: what was not brought to the disk by then is gone.

Killing a process loses nothing that it wrote. Here the disk is a file, and a copy of it is what would be left: mounted, its journal
is replayed, and the board's folder is looked at.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from boards import MakeBoard, MakeNamed, Place

from edgekit import artifact as artifacts
from edgekit.core.schema import Artifact
from edgekit.deploy.board import receiving, switching
from edgekit.deploy.board.layout import Layout
from edgekit.deploy.nouns import Proposal, State

DISK_MIB = 32
NAME = "cut"
MUTATIONS = ("os.rename", "os.link", "os.symlink", "os.mkdir", "os.remove", "os.rmdir", "os.truncate", "shutil.rmtree")


@contextmanager
def mounted(disk: Path, place: Path) -> Iterator[Path]:
    place.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", "-o", "loop", str(disk), str(place)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """An ext4 on which the board's folder lies."""
    if os.getuid() != 0 or shutil.which("mke2fs", path="/usr/sbin:/sbin:/usr/bin") is None:
        pytest.skip("mounting a disk needs root and e2fsprogs")
    made = tmp_path / "disk.img"
    with made.open("wb") as file:
        file.truncate(DISK_MIB << 20)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", str(made)], env={"PATH": "/usr/sbin:/sbin:/usr/bin"}, check=True)
    with mounted(made, tmp_path / NAME / "edgekit"):
        yield made


def found_after_a_cut(disk: Path, scratch: Path) -> tuple[str, State]:
    """Which release would run after a cut now, whole and with its files' hashes right, and what was written down."""
    left = scratch / "left.img"
    subprocess.run(["cp", "--sparse=always", str(disk), str(left)], check=True)
    with mounted(left, scratch / "left") as place:
        layout = Layout(place)
        running = layout.running()
        layout.release(running)
        artifacts.read(layout.releases / running / "artifact")
        state = msgspec.json.decode((place / "state.json").read_bytes(), type=State)
        for name in layout.known():
            artifacts.read(layout.releases / name / "artifact")
        assert state.pending in ("", *layout.known()) and state.previous in ("", *layout.known()), state
    return running, state


def at_every_step(work: Callable[[], object], look: Callable[[], None]) -> None:
    """Do the work in a child, and `look` there before each of its changes to the disk, and after the last."""
    child = os.fork()
    if child == 0:
        looking = False

        def hook(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal looking
            writes = event == "open" and isinstance(arguments[1], str) and any(sign in arguments[1] for sign in "wax+")
            if not looking and (event in MUTATIONS or writes):
                looking = True
                look()
                looking = False

        code = 2
        try:
            sys.addaudithook(hook)
            work()
            looking = True
            look()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0, (status, "what the child said stands above")


def deploy(place: Place, artifact: Artifact, proposal: Proposal) -> str:
    with place.layout.locked():
        for each in receiving.lacking(place.layout, proposal):
            part = next(part for part in proposal.parts if part.sha256 == each.sha256)
            with (artifact.path / part.name).open("rb") as file:
                receiving.put(place.layout, part, 0, file)
        answer = switching.deploy(place.layout, proposal)
    assert answer.ok, answer.message
    return answer.release


def test_after_a_power_cut_at_any_step_the_old_or_the_new_release_is_there_whole(
    disk: Path, make_board: MakeBoard, make_artifact: MakeNamed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(receiving, "RESERVE_BYTES", 1 << 20)
    place = make_board(NAME)
    monkeypatch.setenv("PATH", place.path)
    before, new = make_artifact("before"), make_artifact("new")
    old = deploy(place, before, place.proposal(before))
    os.sync()
    proposal, log = place.proposal(new), tmp_path / "seen"

    def look() -> None:
        running, state = found_after_a_cut(disk, tmp_path)
        with log.open("a") as file:
            file.write(f"{running} {state.pending or '-'}\n")

    at_every_step(lambda: deploy(place, new, proposal), look)
    seen = log.read_text().splitlines()
    runs = [line.split()[0] for line in seen]
    assert len(seen) > 10 and set(runs) == {old, place.layout.running()}
    assert runs == sorted(runs, key=lambda name: name != old), "once it is switched it stays switched"
    assert {line.split()[1] for line in seen} == {"-", place.layout.running()}, "the switch was written down before it was made"
