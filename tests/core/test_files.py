"""Folders appear whole or not at all, whatever is killed in between and whoever else writes beside."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgekit.core.errors import EdgekitError, InputError
from edgekit.core.files import ensure_creatable, ensure_writable, new_folder, write_atomically


def filled(path: Path, text: str = "old") -> Path:
    with new_folder(path) as folder:
        (folder / "file").write_text(text)
    return path


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_folder_appears_when_the_block_ends_well(tmp_path: Path) -> None:
    assert (filled(tmp_path / "deep/goal") / "file").read_text() == "old"
    assert names(tmp_path / "deep") == ["goal"]


def test_a_folder_vanishes_when_the_block_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "goal") as folder:
        (folder / "file").write_text("half")
        raise ZeroDivisionError
    assert names(tmp_path) == []


def test_what_stands_there_is_replaced_only_when_asked(tmp_path: Path) -> None:
    goal = filled(tmp_path / "goal")
    with pytest.raises(InputError, match="exists already"), new_folder(goal):
        pass
    with new_folder(goal, replace=True) as folder:
        (folder / "other").write_text("new")
    assert names(goal) == ["other"]
    assert names(tmp_path) == ["goal"]


def test_a_replacement_that_fails_leaves_the_old_folder(tmp_path: Path) -> None:
    goal = filled(tmp_path / "goal")
    with pytest.raises(KeyboardInterrupt), new_folder(goal, replace=True):
        raise KeyboardInterrupt
    assert (goal / "file").read_text() == "old"


def test_what_a_killed_replacement_had_moved_aside_comes_back(tmp_path: Path) -> None:
    goal = filled(tmp_path / "goal")
    goal.rename(tmp_path / ".goal.abcd_123.old.partial")
    with pytest.raises(InputError, match="exists already"), new_folder(goal):
        pass
    assert (goal / "file").read_text() == "old"
    assert names(tmp_path) == ["goal"]


def test_what_a_killed_process_had_half_written_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".goal.abcd_123.partial").mkdir()
    filled(tmp_path / "goal")
    assert names(tmp_path) == ["goal"]


@pytest.mark.parametrize("other", [".goal.coral.abcd_123.partial", ".goal.abcd_123.partial.txt", ".goal.short.partial"])
def test_what_belongs_to_another_name_is_left_alone(other: str, tmp_path: Path) -> None:
    (tmp_path / other).mkdir()
    filled(tmp_path / "goal")
    assert names(tmp_path) == sorted([other, "goal"])


def test_names_with_brackets_are_names_and_not_patterns(tmp_path: Path) -> None:
    (tmp_path / ".goal[1].abcd_123.partial").mkdir()
    filled(tmp_path / "goal[1]")
    assert names(tmp_path) == ["goal[1]"]


@pytest.mark.skipif(sys.platform == "win32", reason="folders cannot be locked there")
def test_what_a_living_process_is_writing_is_left_alone_and_removed_once_it_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from edgekit.core.files import new_folder\n"
        "with new_folder(Path(sys.argv[1])) as folder: print(folder.name, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "goal")], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        theirs = other.stdout.readline().strip()
        filled(tmp_path / "goal")
        assert names(tmp_path) == sorted([theirs, "goal"])
        other.send_signal(signal.SIGKILL)
    with new_folder(tmp_path / "goal", replace=True):
        pass
    assert names(tmp_path) == ["goal"]


def test_a_file_that_the_block_could_not_read_is_not_called_unwritable(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), new_folder(tmp_path / "goal"):
        (tmp_path / "absent").read_bytes()


def test_a_full_disk_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(EdgekitError, match=r"could not write .*goal.*No space left"), new_folder(tmp_path / "goal"):
        raise OSError(28, "No space left on device")


def test_a_goal_inside_a_file_is_said_plainly(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for attempt in (lambda path: write_atomically(path, b""), ensure_writable, ensure_creatable):
        with pytest.raises(EdgekitError, match="could not write"):
            attempt(tmp_path / "file/goal")
    with pytest.raises(EdgekitError, match="could not write"), new_folder(tmp_path / "file/goal"):
        pass


def test_a_file_is_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "a/file"
    write_atomically(path, b"old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert names(path.parent) == ["file"]
    assert time.time() - path.stat().st_mtime < 60
