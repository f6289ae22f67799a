"""Which drives may be written: the rules, on what lsblk prints for machines like those of readers."""

from __future__ import annotations

import io
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from boards import executable

from edgekit.cli import main
from edgekit.core.errors import EdgekitError, NotFound
from edgekit.flash.drives import RULES, Drive, Wanted, find, parse, refusals

CARD = Drive(
    path=Path("/dev/sdb"),
    type="disk",
    number="8:16",
    bytes=32 * 10**9,
    read_only=False,
    removable=True,
    transport="usb",
    title="Generic MassStorageClass",
    serial="000000001536",
    mounted=(),
)


def listed(**more: Any) -> dict[str, Any]:
    """One device of lsblk --json."""
    plain = {"ro": False, "rm": False, "hotplug": False, "tran": None, "vendor": None, "model": None, "serial": None}
    return {**plain, "type": "disk", "mountpoints": [None], "fstype": None, **more}


LAPTOP = json.dumps(
    {
        "blockdevices": [
            listed(
                path="/dev/nvme0n1",
                **{"maj:min": "259:0"},
                size=512110190592,
                tran="nvme",
                model="SAMSUNG MZVL2512",
                children=[
                    listed(path="/dev/nvme0n1p1", type="part", **{"maj:min": "259:1"}, size=1, mountpoints=["/boot/efi"]),
                    listed(
                        path="/dev/nvme0n1p2",
                        type="part",
                        **{"maj:min": "259:2"},
                        size=2,
                        children=[
                            listed(path="/dev/mapper/root", type="crypt", **{"maj:min": "254:0"}, size=2, mountpoints=["/"])
                        ],
                    ),
                ],
            ),
            listed(
                path="/dev/sda",
                **{"maj:min": "8:0"},
                size=4000787030016,
                tran="usb",
                hotplug=True,
                vendor="WD      ",
                model="Elements 25A3",
                serial="575832",
            ),
            listed(path="/dev/sdb", **{"maj:min": "8:16"}, size=31914983424, rm=True, hotplug=True, tran="usb", model="SD/MMC"),
            listed(path="/dev/sdc", **{"maj:min": "8:32"}, size=0, rm=True, hotplug=True, tran="usb", model="SD/MMC"),
            listed(
                path="/dev/mmcblk0",
                **{"maj:min": "179:0"},
                size=31914983424,
                children=[
                    listed(
                        path="/dev/mmcblk0p1", type="part", **{"maj:min": "179:1"}, size=9, mountpoints=["/media/ada/bootfs"]
                    )
                ],
            ),
            listed(path="/dev/loop0", type="loop", **{"maj:min": "7:0"}, size=4096, ro=True),
        ]
    }
)


def test_on_a_laptop_only_the_free_card_may_be_written() -> None:
    drives = parse(LAPTOP)
    free = [str(drive.path) for drive in drives if not refusals(drive, Wanted())]
    assert free == ["/dev/sdb"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/dev/nvme0n1", "this system runs from it: /, /boot/efi"),
        ("/dev/sda", "more than a card"),
        ("/dev/sdc", "no medium"),
        ("/dev/mmcblk0", "mounted at /media/ada/bootfs"),
        ("/dev/loop0", "it is a loop"),
    ],
)
def test_each_of_the_others_is_refused_for_its_own_reason(path: str, said: str) -> None:
    drive = find(Path(path), parse(LAPTOP))
    assert any(said in reason for reason in refusals(drive, Wanted()))


@pytest.mark.parametrize(
    ("change", "wanted", "rule"),
    [
        ({"type": "part"}, Wanted(), "is_whole"),
        ({"read_only": True}, Wanted(), "is_writable"),
        ({"bytes": 0}, Wanted(), "has_medium"),
        ({}, Wanted(bytes=33 * 10**9), "is_large_enough"),
        ({"mounted": ("/usr",)}, Wanted(), "is_no_system_drive"),
        ({"mounted": ("[SWAP]",)}, Wanted(), "is_no_system_drive"),
        ({"mounted": ("/media/x",)}, Wanted(), "is_unmounted"),
        ({"removable": False, "transport": "sata"}, Wanted(), "is_removable"),
        ({"bytes": 600 * 10**9}, Wanted(), "is_not_too_large"),
        ({"sector_bytes": 4096}, Wanted(), "has_usual_sectors"),
    ],
)
def test_each_rule_refuses_what_it_is_for_and_nothing_else(change: dict[str, Any], wanted: Wanted, rule: str) -> None:
    broken = [each.__name__ for each in RULES if each(replace(CARD, **change), wanted)]
    assert broken == [rule]
    assert not refusals(CARD, Wanted())


def test_the_size_of_a_drives_sectors_is_what_lsblk_says(tmp_path: Path) -> None:
    text = json.dumps(
        {"blockdevices": [listed(path="/dev/sdd", **{"maj:min": "8:48", "log-sec": 4096}, size=1 << 30, rm=True)]}
    )
    (drive,) = parse(text)
    assert refusals(drive, Wanted()) == ("its sectors have 4096 bytes, those of an image 512: no board would boot from it",)


def test_a_person_can_lift_two_rules_and_never_that_of_the_running_system() -> None:
    lifted = Wanted(allow_fixed=True, allow_large=True)
    big = replace(CARD, removable=False, transport="sata", bytes=10**13)
    assert refusals(big, Wanted()) and not refusals(big, lifted)
    assert refusals(replace(big, mounted=("/",)), lifted)


def test_a_drive_is_found_by_its_stable_name_too(tmp_path: Path) -> None:
    link = tmp_path / "usb-Generic-0:0"
    link.symlink_to("/dev/sdb")
    assert find(link, (CARD,)) is CARD
    with pytest.raises(NotFound) as refusal:
        find(Path("/dev/sdz"), (CARD,))
    assert "/dev/sdb" in refusal.value.hint


def test_a_drive_is_described_so_that_a_person_knows_which_it_is() -> None:
    assert CARD.described == "/dev/sdb  32.0 GB  Generic MassStorageClass, serial 000000001536"


@pytest.mark.parametrize("text", ["", "[]", '{"blockdevices": [{"path": "/dev/sda"}]}', '{"blockdevices": 3}'])
def test_an_lsblk_that_says_something_else_is_no_reason_to_guess(text: str) -> None:
    with pytest.raises(EdgekitError, match="something unknown"):
        parse(text)


# The command


@pytest.fixture
def stick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What lsblk calls a stick and is a file, so that nothing can be written to it after all."""
    path = (tmp_path / "sdx").resolve()
    path.write_bytes(b"somebody's pictures")
    said = json.dumps(
        {"blockdevices": [listed(path=str(path), **{"maj:min": "8:16"}, size=32 << 30, rm=True, tran="usb", model="Stick")]}
    )
    programs = tmp_path / "programs"
    programs.mkdir()
    executable(programs / "lsblk", f"cat <<'END'\n{said}\nEND")
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return path


def flash_onto(stick: Path, *more: str) -> int:
    image = stick.with_name("some.img")
    image.write_bytes(b"\0" * 510 + b"\x55\xaa" + bytes(4 << 20))
    return main(["flash", "--image", str(image), "--device", str(stick), *more])


@pytest.mark.parametrize("more", [(), ("--confirm", "/dev/sda"), ("--confirm", "")])
def test_nothing_is_written_to_a_drive_whose_name_was_not_said_again(
    stick: Path, more: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())  # a script, of which nobody can ask anything
    assert flash_onto(stick, *more) == 2
    assert f"{stick} was not confirmed, so nothing was written" in capsys.readouterr().err
    assert stick.read_bytes() == b"somebody's pictures"


@pytest.mark.parametrize("typed", ["", "y", "/dev/sda"])
def test_a_person_is_shown_the_drive_and_types_its_name_before_anything_is_written(
    stick: Path, typed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(f"{typed}\n"))
    assert flash_onto(stick) == 2
    said = capsys.readouterr()
    assert f"EVERYTHING ON {stick}  34.4 GB  Stick WILL BE LOST" in said.err and f"type {stick} to go on" in said.out
    assert stick.read_bytes() == b"somebody's pictures"


class Terminal(io.StringIO):
    """Somebody who types."""

    def isatty(self) -> bool:
        return True


@pytest.mark.skipif(not hasattr(os, "O_DIRECT"), reason="drives are written on Linux")
def test_what_is_opened_must_be_the_drive_that_was_looked_at(
    stick: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stick was pulled out after lsblk had listed it, and something else has its name now."""
    monkeypatch.setattr("sys.stdin", Terminal(f"{stick}\n"))
    assert flash_onto(stick) == 1
    assert "is not the drive that was looked at" in capsys.readouterr().err
    assert stick.read_bytes() == b"somebody's pictures"
