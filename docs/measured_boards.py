"""The tables of what boards cost that are flashed, deployed to and emulated, from the results that the benchmarks wrote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tables import conditions, megabytes, result, table

HEADER = ("what", "measured", "goal")


def flashing() -> str:
    """An 8 GB image with settings and an app: what they add to writing it, and the memory it takes."""
    found = result("flashing")
    rows = [
        ("unpack, write and read back", f"{found['write_and_read_back_s']:.1f} s", "-"),
        (
            f"settings and an app of {megabytes(found['app_bytes'])}, {found['files_added']} files, read back",
            f"{found['settings_and_app_s']:.1f} s, {100 * found['extra_share']:.1f} % more",
            "10 %",
        ),
    ]
    if "peak_rss_bytes" in found:
        rows.append(("memory at its peak", megabytes(found["peak_rss_bytes"]), "300 MB"))
    said = f"An image of {megabytes(found['image_bytes'])}, {megabytes(found['file_bytes'])} as xz, to a file."
    return f"{table(HEADER, rows)}\n\n{said} {conditions(found['conditions'])}"


def deploying() -> str:
    """Everything, one file, and nothing."""
    found = result("deploy")
    names = {
        "everything": "an app that the board never had, until it answers",
        "one_file": "one file changed, and with it the manifest, until it answers",
        "nothing": f"what runs already (median of {found['unchanged_runs']})",
    }
    rows = [_deployment(said, found[name], "2 s, 0 bytes" if name == "nothing" else "-") for name, said in names.items()]
    return f"{table(('what', 'seconds', 'bytes of payload', 'goal'), rows)}\n\n{conditions(found['conditions'])}"


def emulated() -> str:
    """What an emulated board takes of this computer, each row with its own day and load."""
    found = result("emulated")
    rows = [row for part, make in PARTS.items() if part in found for row in make(found[part])]
    return table((*HEADER, "when"), rows)


def _when(of: Mapping[str, Any]) -> str:
    return conditions(of["conditions"]).removeprefix("Conditions: ").rstrip(".")


def _deployment(said: str, of: Mapping[str, Any], goal: str) -> tuple[str, ...]:
    return (said, f"{of['seconds']:.2f}", f"{of['sent_bytes']:,.0f}", goal)


def _gates(of: Mapping[str, Any]) -> list[tuple[str, ...]]:
    when = _when(of)
    return [
        (f"both gates, {of['boards']} profiles, anew", f"{of['anew_s']:.1f} s", "30 s", when),
        ("the same once more, nothing changed", f"{of['remembered_s']:.1f} s", "at once", when),
    ]


def _made(of: Mapping[str, Any]) -> list[tuple[str, ...]]:
    when = _when(of)
    parts = {
        "wheelhouse_s": "wheels downloaded and unpacked",
        "card_s": "a card with its app",
        "first_boot_s": "first boot, which installs",
    }
    return [
        (said, f"{of[name]:.0f} s", "30 s" if name == "card_s" else "-", when) for name, said in parts.items() if name in of
    ]


def _parts(of: Mapping[str, Any]) -> list[tuple[str, ...]]:
    when = _when(of)
    return [
        ("a root file system, from a near mirror's packages", f"{of['root_file_system_s']:.1f} s", "30 s", when),
        ("the image of a card, from that", f"{of['card_image_s']:.1f} s", "30 s", when),
    ]


def _boot(of: Mapping[str, Any]) -> list[tuple[str, ...]]:
    when = _when(of)
    return [
        ("power-on to the app's first answer, through systemd", f"{of['health_s']:.1f} s", "-", when),
        ("power-on to a number read right over HTTP", f"{of['prediction_s']:.1f} s", "40 s", when),
    ]


def _raspi3b(of: Mapping[str, Any]) -> list[tuple[str, ...]]:
    said = "the same card in QEMU's Raspberry Pi 3 (`--machine raspi3b`), power-on to a number read right over HTTP"
    return [(said, f"{of['prediction_s']:.1f} s", "120 s", _when(of))]


def _ten(of: Mapping[str, Any]) -> list[tuple[str, ...]]:
    when = _when(of)
    return [
        ("one board woken from a snapshot, answering", f"{of['one_s']:.1f} s", "-", when),
        (f"{of['boards']} boards at once from one snapshot, all answering", f"{of['all_s']:.1f} s", "20 s", when),
    ]


PARTS = {"gates": _gates, "parts": _parts, "make": _made, "boot": _boot, "raspi3b": _raspi3b, "ten": _ten}
