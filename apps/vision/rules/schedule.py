"""When a rule is awake: days of the week and hours, over midnight, too."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Annotated, Literal

import msgspec

from edgekit.core.schema import Value

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Hour = Annotated[str, msgspec.Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


class Hours(Value, frozen=True, kw_only=True, rename={"start": "from", "end": "to"}):
    """From one time of day to another; when the second is not later, it is that of the next day. The day is that of `from`."""

    start: Hour
    end: Hour
    days: tuple[Day, ...] = DAYS


def awake(schedule: tuple[Hours, ...], now: datetime) -> bool:
    """Whether `now` lies in one of the hours; without any, always."""
    return not schedule or any(_covers(hours, now) for hours in schedule)


def _covers(hours: Hours, now: datetime) -> bool:
    start, end, clock = time.fromisoformat(hours.start), time.fromisoformat(hours.end), now.time()
    today, yesterday = DAYS[now.weekday()], DAYS[(now - timedelta(days=1)).weekday()]
    if start < end:
        return today in hours.days and start <= clock < end
    return (today in hours.days and clock >= start) or (yesterday in hours.days and clock < end)
