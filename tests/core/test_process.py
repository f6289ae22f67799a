"""Programs get their input, and a killed one is said to have been killed."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import child_of, outlived

from edgekit.core.errors import EdgekitError, MissingDependency
from edgekit.core.process import bound, run


def test_a_program_reads_what_it_is_given() -> None:
    done = run([sys.executable, "-c", "import sys; print(sys.stdin.read().upper())"], timeout_s=30, stdin="hello")
    assert done.stdout.strip() == "HELLO"


def test_a_program_killed_by_a_signal_is_said_to_have_been_killed() -> None:
    with pytest.raises(EdgekitError, match="was killed by SIGKILL"):
        run([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], timeout_s=30)


def test_a_program_that_fails_is_quoted_with_its_last_line() -> None:
    with pytest.raises(EdgekitError, match="ended with status 3: no such thing"):
        run([sys.executable, "-c", "import sys; print('no such thing', file=sys.stderr); sys.exit(3)"], timeout_s=30)


def test_a_program_that_overruns_is_ended_with_the_children_it_started(tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    script = f"(sleep 1.5; touch {alive}) & wait"
    with pytest.raises(EdgekitError, match=r"sh was still running after 0\.2 s"):
        run(["sh", "-c", script], timeout_s=0.2)
    time.sleep(1.8)
    assert not alive.exists()


def test_a_child_that_outlives_its_program_and_keeps_talking_is_ended_too(tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    with pytest.raises(EdgekitError, match="still running"):
        run(["sh", "-c", f"(sleep 1.5; touch {alive}) &"], timeout_s=0.3)
    time.sleep(1.6)
    assert not alive.exists()


def test_a_program_without_input_does_not_wait_for_the_keyboard() -> None:
    assert run([sys.executable, "-c", "import sys; print(repr(sys.stdin.read()))"], timeout_s=30).stdout.strip() == "''"


def test_an_absent_program_is_named() -> None:
    with pytest.raises(MissingDependency, match="'no-such-program' is not on this machine"):
        run(["no-such-program"], timeout_s=5)


def test_an_absent_folder_is_not_taken_for_an_absent_program(tmp_path: Path) -> None:
    with pytest.raises(EdgekitError, match="there is no such folder") as caught:
        run([sys.executable, "-c", ""], timeout_s=5, cwd=tmp_path / "gone")
    assert not isinstance(caught.value, MissingDependency)


def test_a_file_that_is_no_program_is_said_not_to_start(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a program")
    text.chmod(0o755)
    with pytest.raises(EdgekitError, match="does not start"):
        run([str(text)], timeout_s=5)


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="Linux with util-linux's setpriv")
def test_a_bound_program_is_gone_when_the_process_that_started_it_is_killed() -> None:
    code = "from edgekit.core.process import bound, run; run(bound(['sleep', '600']), timeout_s=600)"
    with subprocess.Popen([sys.executable, "-c", code], text=True) as parent:
        assert not outlived(parent, child_of(parent.pid, "sleep"))


def test_a_bound_program_runs_as_it_would_otherwise() -> None:
    assert run(bound([sys.executable, "-c", "print('hello')"]), timeout_s=30).stdout.strip() == "hello"
