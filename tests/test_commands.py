"""Option types, and the apps of other people."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from edgekit.cli import main
from edgekit.commands._arguments import named_shape, numbers, percentage, share
from edgekit.commands.run import find_app
from edgekit.core.errors import MissingDependency, NotFound


@pytest.mark.parametrize(("text", "value"), [("1%", 0.01), ("0.5%", 0.005), ("0.01", 0.01), ("0", 0.0), ("100%", 1.0)])
def test_a_percentage_and_a_share_are_the_same(text: str, value: float) -> None:
    assert percentage(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["1", "1.0", "2", "-1%", "nan", "nan%", "inf", "one", "", "%", "101%"])
def test_what_is_no_percentage_or_could_be_two_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"%"):
        percentage(text)


def test_a_share_may_be_more_than_all() -> None:
    assert share("150%") == 1.5


@pytest.mark.parametrize("text", ["=1x3", "x=", "x=1x-3", "x=1x0", "x", "x=1x3.5"])
def test_what_is_no_named_shape_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="NAME=1x3x416x416"):
        named_shape(text)


def test_shapes_and_numbers_are_read() -> None:
    assert named_shape("a=b=1x3x8x8") == ("a=b", (1, 3, 8, 8))
    assert numbers("1,2.5,-3") == (1.0, 2.5, -3.0)


WAVE = """
from edgekit.apps.base import Answer
HELP = "waves"

def configure(parser):
    parser.add_argument("--times", type=int, default=1, help="how often")
    parser.add_argument("--no-serve", action="store_true", help="wave without a page")

def run(options):
    return Answer(result={**options.own, "port": options.port, "runtime": options.runtime}, text="waved")
"""


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package `guests` with one app that works and one that does not import."""
    info = tmp_path / "guests-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: guests\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[edgekit.apps]\nwave = guest_wave\nbroken = guest_broken\n")
    (tmp_path / "guest_wave.py").write_text(WAVE)
    (tmp_path / "guest_broken.py").write_text("import no_such_module_anywhere\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_apps_of_other_packages_are_found(foreign: Path) -> None:
    assert find_app("wave").HELP == "waves"
    with pytest.raises(NotFound, match="no app named 'waves'") as caught:
        find_app("waves")
    assert caught.value.hint == "did you mean 'wave'?"


def test_an_app_of_another_package_that_does_not_import_is_a_sentence(foreign: Path) -> None:
    with pytest.raises(MissingDependency, match="'broken' of guests does not load: No module named 'no_such_module"):
        find_app("broken")


OWN = [
    pytest.param(["wave"], {"times": 1, "no_serve": False, "port": 8080, "runtime": "auto"}, id="its defaults"),
    pytest.param(["wave", "--times", "3", "--no-serve"], {"times": 3, "no_serve": True}, id="its options"),
    pytest.param(
        ["--port", "81", "wave", "--runtime", "r", "--times", "2"], {"port": 81, "runtime": "r", "times": 2}, id="both"
    ),
]


@pytest.mark.parametrize(("arguments", "expected"), OWN)
def test_an_app_may_have_options_of_its_own(
    foreign: Path, arguments: list[str], expected: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    for asked in (["run", *arguments, "--json"], ["run", "--json", *arguments]):
        assert main(asked) == 0
        result = json.loads(capsys.readouterr().out)
        assert {name: result[name] for name in expected} == expected


def test_the_help_of_an_app_lists_its_own_options(foreign: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "wave", "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert [part for part in ("edgekit run wave", "--times", "how often", "--artifact", "--json") if part not in said] == []


def test_an_option_of_another_app_is_refused(foreign: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "digits", "--times", "3"])
    assert ended.value.code == 2
    assert "unrecognized arguments: --times 3" in capsys.readouterr().err


def test_a_misspelt_app_is_named_whatever_options_follow(foreign: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "waev", "--times", "3", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {"error": "no app named 'waev'", "hint": "did you mean 'wave'?"}


def test_a_server_is_no_artifact_of_an_app_that_runs_one_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "detect", "--artifact", "http://localhost:8080/v1"]) == 2
    assert "detect runs an artifact that is here, not 'http://localhost:8080/v1'" in capsys.readouterr().err
