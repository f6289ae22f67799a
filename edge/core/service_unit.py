"""A systemd service that is kept alive and kept from everything it has no business with: one text for boards and for servers."""

from __future__ import annotations

HARDENED = """\
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
RestrictSUIDSGID=yes
RestrictRealtime=yes
RestrictNamespaces=yes
LockPersonality=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
CapabilityBoundingSet=
SystemCallArchitectures=native
"""
MEMORY = "80%"
"""Of the machine: an app that leaks is started anew before the board hangs."""


def service_unit(
    *, description: str, command: str, state: str, user: str = "", watchdog_s: float = 0.0, environment: str = ""
) -> str:
    """The unit that runs `command` (as systemd splits it) in /var/lib/`state`.

    With `watchdog_s` the service must say so often that it is well, or is ended and started again; without, an app may ask for
    that itself. `environment` is a file of more variables (secrets), which may be missing. No `user` means one that systemd makes for the service alone.
    """
    who = f"User={user}" if user else "DynamicUser=yes\nSupplementaryGroups=video"
    more = f"EnvironmentFile=-{environment}\n" if environment else ""
    watched = f"WatchdogSec={watchdog_s:g}\n" if watchdog_s else ""
    return f"""[Unit]
Description={description}
After=network.target time-sync.target
StartLimitIntervalSec=0

[Service]
ExecStart={command}
{who}
StateDirectory={state}
Environment=HOME=/var/lib/{state} PYTHONUNBUFFERED=1
{more}WorkingDirectory=/var/lib/{state}
Restart=always
RestartSec=2
NotifyAccess=main
{watched}MemoryMax={MEMORY}
{HARDENED}
[Install]
WantedBy=multi-user.target
"""
