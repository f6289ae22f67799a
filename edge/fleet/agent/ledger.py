"""What the agent must not forget of the order it is at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from edgekit.fleet.agent.spool import Spool
from edgekit.fleet.nouns import Verdict

FACT = "order"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """The newest order that was begun here, and what became of it; no verdict yet when that is empty.

    `before` are the readings from before it was begun, `measured` what was measured after it: a killed agent could take neither again.
    """

    serial: int = 0
    digest: str = ""
    verdict: Verdict = ""
    message: str = ""
    before: Mapping[str, float] = field(default_factory=dict)
    measured: Mapping[str, float] = field(default_factory=dict)


def ledger(spool: Spool) -> Ledger:
    """What was written down of the newest order."""
    text = spool.fact(FACT)
    return Ledger(**msgspec.json.decode(text)) if text else Ledger()


def write(spool: Spool, newest: Ledger) -> None:
    """Write it down."""
    spool.remember(**{FACT: msgspec.json.encode(newest).decode()})


def amend(spool: Spool, **changes: Any) -> None:
    """Write down what has changed."""
    write(spool, replace(ledger(spool), **changes))
