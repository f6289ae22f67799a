"""Which drives may be written: the rules, on what lsblk prints for machines like those of readers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

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
    ],
)
def test_each_rule_refuses_what_it_is_for_and_nothing_else(change: dict[str, Any], wanted: Wanted, rule: str) -> None:
    broken = [each.__name__ for each in RULES if each(replace(CARD, **change), wanted)]
    assert broken == [rule]
    assert not refusals(CARD, Wanted())


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
