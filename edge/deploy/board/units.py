"""The two systemd units of a board: the app, and what settles a switch that a power cut interrupted."""

from __future__ import annotations

from pathlib import Path

from edgekit.core.service_unit import service_unit
from edgekit.deploy.board.layout import ROOT
from edgekit.deploy.board.service import UNIT

SETTLE = "edgekit-settle.service"


def units(root: Path = ROOT) -> dict[str, str]:
    """Both units by their file names."""
    return {UNIT: _app(root), SETTLE: _settle(root)}


def _app(root: Path) -> str:
    """Started with the board, kept alive, kept from everything it has no business with; the release says what it is."""
    command = f"{root}/venv/bin/python -m edgekit.deploy.board.start {root}"
    return service_unit(description="edgekit app", command=command, state="edgekit", user="edgekit")


def _settle(root: Path) -> str:
    """Once after each start of the board: a release that was being judged when the power went is judged now.

    Without one nothing is started: a second Python would make the app's own start take twice as long.
    """
    return f"""[Unit]
Description=edgekit: settle an interrupted switch
After={UNIT}

[Service]
Type=oneshot
ExecCondition=grep -qs '"pending":"[^"]' {root}/state.json
ExecStart={root}/venv/bin/python -m edgekit.deploy.board settle --root {root}

[Install]
WantedBy=multi-user.target
"""
