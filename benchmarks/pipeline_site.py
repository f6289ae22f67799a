"""The site that `pipeline.py` watches: one camera, one line, one rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgekit.apps.vision.rules.read import parse_site

SITE = """\
cameras:
  room:
    source: {source}
    detect: {{fps: {fps}, motion_gate: {gate}}}
    lines:
      exit: {{start: [0.72, 0.0], end: [0.72, 1.0], band: 0.02}}
    rules:
      - {{name: visit, line: exit}}
"""


def camera_of(clip: Path, fps: int, gate: bool) -> Any:
    """The one camera of that site, reading a clip at so many frames a second."""
    return parse_site(SITE.format(source=clip, fps=fps, gate="true" if gate else "false"), "pipeline").cameras[0]
