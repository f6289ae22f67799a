"""`edgekit devices` lists the boards, and shows one with the source of every figure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgekit.cli import main
from edgekit.core import profiles


@pytest.fixture(autouse=True)
def nobody_elses_profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["devices", *arguments]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(said(capsys, *arguments, "--json"))
    return found


def test_every_board_has_a_line_and_the_columns_stand_under_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys).splitlines()
    boards = lines[1 : lines.index("")]
    assert [line.split()[0] for line in boards] == [device.name for device in profiles.devices()]
    column = lines[0].index("BOARD")
    assert all(line[column - 1] == " " and line[column] != " " for line in boards)
    assert max(len(line) for line in lines) <= 100


def test_the_short_names_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert "rpi = rpi5" in said(capsys)


def test_one_board_is_shown_with_its_figures_and_sources(capsys: pytest.CaptureFixture[str]) -> None:
    page = said(capsys, "jetson-orin-nano-super")
    assert page.startswith("jetson-orin-nano-super: Jetson Orin Nano Super 8 GB\n")
    assert "102 GB/s" in page and "204.8 GB/s, which is AGX Orin" in page
    assert "25W" in page and "default" in page
    assert "(read 2026-11-22)" in page
    assert "read the live clocks" in page


def test_every_source_of_a_board_is_on_its_page(capsys: pytest.CaptureFixture[str]) -> None:
    for device in profiles.devices():
        page = said(capsys, device.name)
        assert all(fact.source in page for fact in device.facts.values()), device.name
        assert all(note in page for note in device.notes), device.name


def test_an_alias_shows_its_board(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "coral") == said(capsys, "coral-usb")


def test_json_is_one_object_with_all_boards(capsys: pytest.CaptureFixture[str]) -> None:
    devices = told(capsys)["devices"]
    assert [device["name"] for device in devices] == [device.name for device in profiles.devices()]
    assert all(set(device) >= {"name", "title", "family", "engines", "aliases", "facts", "notes"} for device in devices)


def test_json_of_one_board_has_value_source_and_day_of_each_fact(capsys: pytest.CaptureFixture[str]) -> None:
    (device,) = told(capsys, "rpi")["devices"]
    assert device["name"] == "rpi5"
    assert device["engines"][0] == {"runtime": "litert", "format": "tflite", "precisions": ["int8", "fp16", "fp32"]}
    assert device["facts"]["cpu_mhz_max"]["value"] == 2400
    assert all({"value", "source", "read"} <= set(fact) for fact in device["facts"].values())


def test_an_unknown_board_is_an_expected_error_with_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices", "pi55"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "error: no device named 'pi55'\n  try: did you mean 'rpi5'?\n"


def test_a_profile_of_ones_own_is_in_the_table_and_said_to_be_ones_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "hardware_profiles"
    folder.mkdir()
    shipped = (profiles.shipped_folder() / "rpi4.yaml").read_text()
    mine = shipped.replace("rpi4", "my-pi").replace("raspberrypi,4-model-b", "mine,my-pi")
    (folder / "my-pi.yaml").write_text(mine)
    table = said(capsys)
    assert "\nYour own: my-pi (hardware_profiles/my-pi.yaml)\n" in table
    assert any(line.startswith("my-pi ") for line in table.splitlines())
    assert told(capsys, "my-pi")["devices"][0]["profile"] == "hardware_profiles/my-pi.yaml"


def test_a_broken_profile_of_ones_own_is_an_expected_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "hardware_profiles"
    folder.mkdir()
    (folder / "my-pi.yaml").write_text("name: my-pi\ntitle: on\n")
    assert main(["devices"]) == 1
    assert capsys.readouterr().err == (
        "error: hardware_profiles/my-pi.yaml, line 2: YAML reads 'on' as true or false\n"
        "  try: write true or false, or put it in quotes\n"
    )
