"""The fleet in words: a row for each board, a paragraph for each group, and what operators did."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import msgspec

from edgekit.deploy.board.receiving import RESERVE_BYTES
from edgekit.fleet.desk.figures import FPS, LATENCY, medians, reading, sentence
from edgekit.fleet.nouns import Deed, Report
from edgekit.fleet.rollout.mirror import Mirror
from edgekit.fleet.rollout.steps import reached
from edgekit.fleet.server import subjects
from edgekit.fleet.wire.bus import Bus

HEAD = ("board", "group", "state", "app", "release", "edgekit", "°C", "fps", "ms", "heard", "alerts")
SILENT_S = 300.0
"""A board that was not heard for this long counts as silent: five heartbeats."""
HOT_C = 80.0
_UNITS = ((86400.0, "days"), (3600.0, "h"), (60.0, "min"))


def boards(mirror: Mirror, now_s: float) -> list[dict[str, Any]]:
    """Every board: members that were never heard, and also those that speak without being members any more."""
    return [_board(mirror, device, now_s) for device in sorted({*mirror.members, *mirror.reports})]


def row(board: Mapping[str, Any]) -> tuple[str, ...]:
    """A board as a line of a table."""
    numbers = ("" if board[name] is None else f"{board[name]:.3g}" for name in ("temperature_c", "fps", "latency_ms"))
    known = (str(board[name]) for name in ("device", "group", "state", "app", "release", "edgekit"))
    return (*known, *numbers, ago(board["heard_s"]), "; ".join(board["alerts"]))


def ago(heard_s: float | None) -> str:
    """How long ago a board was heard, in the unit that fits."""
    if heard_s is None:
        return "never"
    unit_s, unit = next((each for each in _UNITS if heard_s >= 2 * each[0]), (1.0, "s"))
    return f"{heard_s / unit_s:.0f} {unit} ago"


def groups(mirror: Mirror) -> list[dict[str, Any]]:
    """Every group that has boards or had a rollout."""
    names = sorted({*mirror.rollouts, *(member.group for member in mirror.members.values())})
    return [group_as_json(mirror, name) for name in names]


def group_as_json(mirror: Mirror, group: str) -> dict[str, Any]:
    """A group's rollout and how far it is."""
    devices, rollout = mirror.of_group(group), mirror.rollouts.get(group)
    reports = [mirror.reports[device] for device in devices if device in mirror.reports]
    found: dict[str, Any] = {"group": group, "boards": len(devices), "rollout": None, "medians": medians(reports)}
    if rollout is None:
        return found
    answered = [report for report in reports if report.order == rollout.serial]
    verdicts = [report.verdict for report in answered]
    have_it = [report for report in answered if report.verdict == "ok"]
    return {
        **found,
        "medians": medians(have_it, since_order=True) if have_it else found["medians"],
        "rollout": {
            "name": rollout.name,
            "serial": rollout.serial,
            "by": rollout.by,
            "phase": rollout.phase,
            "wave": rollout.wave + 1,
            "waves": list(rollout.plan.waves),
            "reached": len(reached(rollout, devices)),
            "ok": verdicts.count("ok"),
            "failed": list(rollout.failed),
            "reason": rollout.reason,
        },
    }


def paragraph(group: Mapping[str, Any]) -> str:
    """A group in a few lines."""
    said = f"{group['group']}  {group['boards']} boards"
    rollout = group["rollout"]
    measured = sentence(group["medians"])
    if rollout is None:
        return "\n".join([f"{said}, no rollout yet", *([f"  {measured}"] if measured else [])])
    wave = f"wave {rollout['wave']} of {len(rollout['waves'])}, {rollout['ok']} of {rollout['reached']} ok"
    lines = [f"{said}, {rollout['name']} by {rollout['by']}: {rollout['phase']}, {wave}"]
    if measured:
        lines.append(f"  {measured}")
    if rollout["reason"]:
        lines.append(f"  {rollout['reason']}")
    if rollout["failed"]:
        lines.append(f"  failed: {', '.join(rollout['failed'])}")
    return "\n".join(lines)


async def deeds(bus: Bus) -> list[dict[str, Any]]:
    """The audit log, oldest first: times and names are the server's."""
    found = []
    for entry in await bus.history("edgekit.audit.*", subjects.AUDIT):
        try:
            deed = msgspec.json.decode(entry.value, type=Deed)
        except msgspec.DecodeError:
            deed = Deed(verb="?", about="", detail=entry.value[:80].decode("utf-8", errors="replace"))
        time = datetime.fromtimestamp(entry.at_s, tz=timezone.utc).isoformat(timespec="seconds")
        found.append({"time": time, "by": entry.key.rpartition(".")[2], **msgspec.structs.asdict(deed)})
    return found


def _board(mirror: Mirror, device: str, now_s: float) -> dict[str, Any]:
    report, member = mirror.reports.get(device), mirror.members.get(device)
    heard_s = now_s - mirror.at_s[device] if device in mirror.at_s else None
    metrics = report.metrics if report else {}
    return {
        "device": device,
        "group": member.group if member else report.group if report else "",
        "state": _state(report, heard_s),
        "app": report.app if report else "",
        "release": report.release if report else "",
        "artifact": report.artifact if report else "",
        "edgekit": report.edgekit if report else "",
        "profile": report.profile if report else "",
        "order": report.order if report else 0,
        "verdict": report.verdict if report else "",
        "message": report.message if report else "",
        "temperature_c": metrics.get("temperature_c"),
        "fps": reading(metrics, FPS),
        "latency_ms": reading(metrics, LATENCY),
        "heard_s": None if heard_s is None else max(0.0, round(heard_s, 1)),
        "alerts": _alerts(report, heard_s, member is not None),
    }


def _state(report: Report | None, heard_s: float | None) -> str:
    if report is None or heard_s is None:
        return "never heard"
    if heard_s > SILENT_S:
        return "silent"
    return report.doing or ("runs" if report.active else "idle" if not report.release else "not running")


def _alerts(report: Report | None, heard_s: float | None, is_member: bool) -> list[str]:
    """What a person should look at."""
    found = [] if is_member else ["not a member"]
    if report is None:
        return found
    if heard_s is not None and heard_s > SILENT_S:
        found.append("silent")
    if report.release and not report.active:
        found.append("its app does not run")
    if report.refused or report.verdict in ("taken back", "refused", "failed"):
        found.append(f"{'refused' if report.refused else report.verdict}: {report.message}")
    if report.metrics.get("temperature_c", 0.0) >= HOT_C:
        found.append(f"{report.metrics['temperature_c']:.0f} °C")
    if report.metrics.get("free_disk_bytes", RESERVE_BYTES) < RESERVE_BYTES:
        found.append(f"{report.metrics['free_disk_bytes'] / 1e6:.0f} MB free on its disk")
    if report.metrics.get("throttled"):
        found.append("throttled")
    if report.metrics.get("app_answers") == 0.0:
        found.append("its app does not answer")
    if report.dropped:
        found.append(f"{report.dropped} readings given up")
    return found
