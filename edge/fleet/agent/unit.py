"""The agent as a service of the board."""

from __future__ import annotations

from pathlib import Path

from edgekit.deploy.board.layout import ROOT

UNIT = "edgekit-fleet.service"
ACCESS = "fleet.json"


def unit(root: Path = ROOT) -> str:
    """Started with the board and kept alive. It restarts the app's service, and so is root; everything else is taken from it."""
    return f"""[Unit]
Description=edgekit fleet agent
After=network.target edgekit-settle.service
StartLimitIntervalSec=0

[Service]
ExecStart={root}/venv/bin/python -m edgekit fleet agent --root {root}
Restart=always
RestartSec=5
Nice=5
Environment=PYTHONUNBUFFERED=1 HOME={root}
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths={root}
ProtectHome=yes
PrivateTmp=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
ProtectClock=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
LockPersonality=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
"""
