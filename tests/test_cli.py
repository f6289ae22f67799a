"""The command line's manners: results on stdout, one JSON object with --json, sentences for mistakes, and exit codes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from edgekit import __version__, cli, commands
from edgekit.core.errors import DeviceError, EdgekitError, GateFailed, NotFound, UsageError


def _edgekit(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edgekit", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
    )


def test_help_names_every_subcommand_and_says_what_each_does() -> None:
    done = _edgekit("--help")
    assert done.returncode == 0
    assert done.stderr == ""
    for name in cli.command_names():
        assert re.search(rf"\n    {name}\s+\w", done.stdout), name


def test_the_subcommands_are_the_files_in_the_folder() -> None:
    files = {path.stem for folder in commands.__path__ for path in Path(folder).glob("*.py")}
    assert set(cli.command_names()) == {name for name in files if not name.startswith("_")}


def test_the_version_is_printed() -> None:
    assert _edgekit("--version").stdout == f"edgekit {__version__}\n"


@pytest.mark.parametrize("arguments", [(), ("no-such-command",), ("devices", "--no-such-option")])
def test_a_wrong_command_line_ends_with_2_and_the_usage(arguments: tuple[str, ...]) -> None:
    done = _edgekit(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("usage: edgekit")


def test_a_mistake_is_one_sentence_and_one_thing_to_try() -> None:
    done = _edgekit("devices", "pi55")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == "error: no device named 'pi55'\n  try: did you mean 'rpi5'?\n"


def test_with_json_a_mistake_is_an_object_too() -> None:
    done = _edgekit("devices", "pi55", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout) == {"error": "no device named 'pi55'", "hint": "did you mean 'rpi5'?"}
    assert done.stderr.startswith("error: no device named 'pi55'")


def test_with_json_stdout_is_one_object() -> None:
    done = _edgekit("devices", "--json")
    assert done.returncode == 0
    assert done.stdout.count("\n") == 1
    assert set(json.loads(done.stdout)) >= {"devices"}


def test_two_vs_show_where_a_mistake_was_noticed() -> None:
    done = _edgekit("devices", "pi55", "-vv")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [(EdgekitError("x"), 1), (NotFound("x"), 1), (UsageError("x"), 2), (DeviceError("x"), 3), (GateFailed("x"), 4)],
    ids=lambda value: type(value).__name__,
)
def test_every_kind_of_failure_has_its_exit_code(
    error: EdgekitError, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _failing_with(error, monkeypatch) == code
    assert capsys.readouterr().err == "error: x\n"


def test_ctrl_c_is_not_a_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert _failing_with(KeyboardInterrupt(), monkeypatch) == 130
    assert capsys.readouterr().err == "stopped; nothing half-written was left behind\n"
    assert _failing_with(KeyboardInterrupt("half of it is there"), monkeypatch) == 130
    assert capsys.readouterr().err == "stopped; half of it is there\n", "where something was, that is said"


def test_a_bug_is_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZeroDivisionError):
        _failing_with(ZeroDivisionError(), monkeypatch)


def test_a_reader_who_goes_away_is_no_error() -> None:
    """More is printed than a pipe holds, so that the writer notices."""
    command = f"{sys.executable} -m edgekit devices --json | head -c 1"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_broken_pipe_of_our_own_making_is_not_passed_over_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BrokenPipeError):
        _failing_with(BrokenPipeError(), monkeypatch)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_on_a_terminal_a_mistake_stands_on_a_line_of_its_own(tmp_path: Path) -> None:
    import pty

    pytest.importorskip("onnx")
    controller, terminal = pty.openpty()
    command = [sys.executable, "-m", "edgekit", "convert", "missing.onnx", "--target", "rpi"]
    subprocess.run(command, cwd=tmp_path, stderr=terminal, stdin=subprocess.DEVNULL, check=False)
    shown = os.read(controller, 4096).decode()
    assert "import missing.onnx" in shown
    assert "\r\x1b[Kerror: no model file at 'missing.onnx'" in shown


def _failing_with(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run a command whose work raises `error`, through the door that turns errors into sentences."""
    from edgekit.commands import devices

    def run(args: object) -> int:
        raise error

    monkeypatch.setattr(devices, "run", run)
    return cli.main(["devices"])


@pytest.mark.parametrize("precision", ["fp8", "fp4", "bf16", "int4"])
def test_a_precision_that_is_not_written_is_refused_by_its_name(precision: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["convert", "model.onnx", "--target", "jetson", "--precision", precision]) == 2
    said = capsys.readouterr().err
    assert f"--precision '{precision}' is not one of" in said
    assert "edgekit writes no" in said
