"""The units a board gets: hardened, and words that systemd understands."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from edgekit.deploy.board.layout import Layout
from edgekit.deploy.board.service import UNIT
from edgekit.deploy.board.units import SETTLE, units
from edgekit.deploy.nouns import State


def test_the_app_is_kept_alive_and_kept_from_what_is_not_its_business() -> None:
    text = units()[UNIT]
    for wanted in ("NoNewPrivileges=yes", "ProtectSystem=strict", "Restart=always", "User=edgekit", "CapabilityBoundingSet="):
        assert wanted in text.splitlines()
    assert "ExecStart=/opt/edgekit/venv/bin/python -m edgekit.deploy.board.start /opt/edgekit" in text


def test_an_interrupted_switch_is_settled_once_after_the_app_started() -> None:
    text = units()[SETTLE]
    assert f"After={UNIT}" in text and "Type=oneshot" in text


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not on this machine")
def test_systemd_finds_nothing_wrong_with_them(tmp_path: Path) -> None:
    for name, text in units().items():
        (tmp_path / name).write_text(text.replace("/opt/edgekit/venv/bin/python", "/bin/true"))
    files = [str(tmp_path / name) for name in units()]
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "edgekit" not in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("state", "settles"),
    [(State(previous="a", pending="b"), True), (State(previous="a"), False), (State(), False), (None, False)],
)
def test_at_a_start_of_the_board_nothing_is_settled_unless_a_switch_is_pending(
    tmp_path: Path, state: State | None, settles: bool
) -> None:
    if state is not None:
        Layout(tmp_path).save(state)
    line = next(line for line in units(tmp_path)[SETTLE].splitlines() if line.startswith("ExecCondition="))
    done = subprocess.run(shlex.split(line.removeprefix("ExecCondition=")), check=False)
    assert (done.returncode == 0) is settles
