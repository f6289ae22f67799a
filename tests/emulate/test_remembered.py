"""What passed is remembered by everything that it hangs on; what failed never is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.core import profiles
from edgekit.emulate.cores import core_of
from edgekit.emulate.gate import Check
from edgekit.emulate.limits import Limits
from edgekit.emulate.qemu import Guest
from edgekit.emulate.remembered import Found, Question, remembered

ROOMY = Limits(memory_bytes=None, cores=None, storage_bytes=1 << 40)


class Asked:
    """A board that is asked, and how often it was."""

    def __init__(self, *, ok: bool = True) -> None:
        self.ok, self.times = ok, 0

    def __call__(self) -> Found:
        self.times += 1
        return Found(checks=(Check(name="import numpy", ok=self.ok, said="2.4"),), versions={"numpy": "2.4"})


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def question(wheels: str = "site-1", board: str = "rpi4") -> Question:
    guest = Guest(
        core=core_of(profiles.find(board)),
        tree=Path("cache/rootfs-1/tree"),
        python="3.11",
        packages=(Path("own"), Path("cache") / wheels / "site"),
    )
    return Question(guest=guest, limits=ROOMY, qemu=(10, 0), artifacts=("a" * 64,))


def test_what_passed_is_told_again_with_its_day_and_nothing_is_run() -> None:
    board = Asked()
    first, second = remembered(question(), board), remembered(question(), board)
    assert board.times == 1 and first.since == "" and second.since
    assert (second.checks, second.versions) == (first.checks, first.versions)


@pytest.mark.parametrize(
    "other",
    [
        question(wheels="site-2"),
        question(board="rpi5"),
        replace(question(), qemu=(10, 1)),
        replace(question(), artifacts=("b" * 64,)),
        replace(question(), limits=replace(ROOMY, memory_bytes=1 << 30)),
        replace(question(), app="digits", picture="c" * 64),
    ],
    ids=["wheels", "core", "emulator", "artifact", "limits", "picture"],
)
def test_another_question_is_asked_anew(other: Question) -> None:
    board = Asked()
    remembered(question(), board)
    remembered(other, board)
    assert board.times == 2


def test_what_failed_is_asked_each_time_and_anybody_may_ask_again() -> None:
    failing, passing = Asked(ok=False), Asked()
    assert [remembered(question(), failing).since for _ in range(2)] == ["", ""] and failing.times == 2
    remembered(question(), passing)
    assert remembered(question(), passing, again=True).since == "" and passing.times == 2


def test_a_damaged_memory_is_no_answer(tmp_path: Path) -> None:
    board = Asked()
    remembered(question(), board)
    (kept,) = (tmp_path / "cache/edgekit/emulate").glob("passed-*.json")
    kept.write_text("{")
    remembered(question(), board)
    assert board.times == 2
