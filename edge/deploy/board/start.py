"""Become the app of the release that `current` points to: `python -m edgekit.deploy.board.start`, which the service runs.

The link is followed once, here, so that a process keeps its own release while the link moves on. No second Python is started: on a small
board that takes as long as a part of the app itself.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from edgekit.core.errors import EdgekitError, NotFound
from edgekit.deploy.board.layout import Layout


def arguments(layout: Layout) -> list[str]:
    """What `edgekit` is told to run the release. Raises `NotFound` when there is none."""
    name = layout.running()
    if not name:
        raise NotFound(f"no release is deployed in {str(layout.root)!r}", "edgekit deploy user@board --app APP --artifact A")
    release = layout.release(name)
    return ["run", release.app, "--artifact", str(layout.releases / name / "artifact"), *release.arguments]


def main() -> int:
    """Become the app, or say why not and end."""
    layout = Layout(Path(sys.argv[1])) if len(sys.argv) > 1 else Layout()
    try:
        told = arguments(layout)
    except EdgekitError as exc:
        sys.stderr.write(f"error: {exc.message}\n  try: {exc.hint}\n")
        return exc.exit_code
    sys.argv = ["edgekit", *told]
    runpy.run_module("edgekit", run_name="__main__", alter_sys=True)  # which ends this process with the app's own status
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
