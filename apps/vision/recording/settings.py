"""How long what was recorded is kept, as a site's file says it."""

from __future__ import annotations

from typing import Annotated

import msgspec

from edgekit.apps.vision.recording.retention import Limits
from edgekit.core.schema import Value

GIGABYTE = 10**9
Gigabytes = Annotated[float, msgspec.Meta(ge=0, le=1_000_000)]


class Keep(Value, frozen=True, kw_only=True):
    """Clips and snapshots are deleted, oldest first, when they are older than `days`, take more than `gigabytes` together, or leave less
    than `free_gigabytes` of the disk; events are forgotten after `days`."""

    days: Annotated[float, msgspec.Meta(gt=0, le=36500)] = 14.0
    gigabytes: Gigabytes = 20.0
    free_gigabytes: Gigabytes = 1.0

    @property
    def limits(self) -> Limits:
        return Limits(
            days=self.days,
            total_bytes=round(self.gigabytes * GIGABYTE),
            free_bytes=round(self.free_gigabytes * GIGABYTE),
        )
