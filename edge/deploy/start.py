"""Become the app of the release that `current` points to: `python -m edgekit.deploy.start`, which the service runs.

The link is followed once, here, so that a process keeps its own release while the link moves on.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

from edgekit.core.errors import EdgekitError, NotFound
from edgekit.deploy.layout import Layout


def command(layout: Layout) -> list[str]:
    """The program and arguments of the release that is to run. Raises `NotFound` when there is none."""
    name = layout.running()
    if not name:
        raise NotFound(f"no release is deployed in {str(layout.root)!r}", "edgekit deploy user@board --app APP --artifact A")
    release = layout.release(name)
    artifact = layout.releases / name / "artifact"
    return [sys.executable, "-m", "edgekit", "run", release.app, "--artifact", str(artifact), *release.arguments]


def main() -> NoReturn:
    """Become the app, or say why not and end."""
    layout = Layout(Path(sys.argv[1])) if len(sys.argv) > 1 else Layout()
    try:
        argv = command(layout)
    except EdgekitError as exc:
        sys.stderr.write(f"error: {exc.message}\n  try: {exc.hint}\n")
        raise SystemExit(exc.exit_code) from exc
    os.execv(argv[0], argv)


if __name__ == "__main__":
    main()
