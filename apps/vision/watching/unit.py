"""The systemd unit that runs a site as a service, with a watchdog that the site answers only while it is well."""

from __future__ import annotations

import sys
from pathlib import Path

from edgekit.apps.base import RunOptions
from edgekit.core.errors import UsageError
from edgekit.core.service_unit import service_unit

WATCHDOG_S = 60.0
HIDDEN = (Path("/home"), Path("/root"), Path("/run/user"))
"""What `ProtectHome` keeps from a service."""


def unit_of(app: str, options: RunOptions) -> str:
    """The unit for the command that `options` came from. Raises `UsageError` for one that a service cannot run."""
    if options.config is None:
        raise UsageError(
            "a service needs its settings in a file: --config", f"edgekit run {app} --config /etc/edgekit/site.yaml --unit"
        )
    state = f"edgekit-{app}"
    words = [sys.executable, "-m", "edgekit", "run", app, "--config", str(_seen(options.config))]
    if options.artifact is not None:
        words += ["--artifact", str(_seen(options.artifact))]
    for name in ("pose", "presence", "original"):
        if options.own.get(name):
            words += [f"--{name}", str(_seen(options.own[name]))]
    words += ["--host", options.host, "--port", str(options.port), "--output", f"/var/lib/{state}/recordings"]
    if options.own.get("tls"):
        words += ["--tls", str(options.own["tls"])]
    _seen(Path(sys.executable))
    return service_unit(
        description=f"edgekit {app}",
        command=" ".join(map(quoted, words)),
        state=state,
        watchdog_s=WATCHDOG_S,
        environment=f"/etc/edgekit/{app}.env",
    )


def quoted(word: str) -> str:
    """A word as systemd reads it back: its own signs doubled, blanks and quotes within quotes."""
    plain = word.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$")
    return plain if plain and not set(plain) & set(" \t\"';") else '"' + plain.replace('"', '\\"') + '"'


def _seen(path: Path) -> Path:
    """The absolute path. Raises `UsageError` where no service sees it."""
    found = path.absolute()
    if any(folder in found.parents for folder in HIDDEN):
        raise UsageError(
            f"a service does not see {str(found)!r}: home folders are hidden from it", "put it into /etc/edgekit or /opt"
        )
    return found
