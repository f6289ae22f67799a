"""What was read, as HTML: the number, a card for each digit, and the networks side by side."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from edgekit.apps.digits.annotate import UNSURE_BELOW
from edgekit.apps.digits.desk import Look, Opinion, Sheet
from edgekit.apps.digits.networks import About
from edgekit.apps.digits.pages.pictures import seen

Floats = NDArray[np.float32]

LONG = 6
"""Numbers of more digits are set smaller."""

READS = '<span class="dg-here">reads above</span>'
COLUMNS = ("Artifact", "Runtime", "File", "Time per digit", "Reads", "Least sure")


def number(read: Sheet) -> str:
    """The number in large, and how sure it is."""
    digits = "".join(f'<span class="{"dg-unsure" if look.is_unsure else ""}">{look.digit.digit}</span>' for look in read.looks)
    long = " dg-long" if len(read.looks) > LONG else ""
    return f'<div class="dg-number{long}" role="status">{digits}</div><div class="dg-verdict">{_verdict(read)}</div>'


def _verdict(read: Sheet) -> str:
    unsure = [look for look in read.looks if look.is_unsure]
    if not unsure:
        return '<span class="dg-chip dg-sure">sure</span>'
    if len(read.looks) > 1:
        return f'<span class="dg-chip dg-unsure">unsure of {len(unsure)} of {len(read.looks)}</span>'
    (first, _), (second, _) = unsure[0].digit.top3[:2]
    return f'<span class="dg-chip dg-unsure">unsure</span> maybe {first}, maybe {second}, maybe no digit'


def cards(read: Sheet, saliency: Sequence[Floats] | None) -> str:
    """One card for each digit: what the network saw, and the best three with their bars."""
    maps: Sequence[Floats | None] = saliency if saliency is not None else [None] * len(read.looks)
    pairs = zip(read.looks, [*maps, *[None] * len(read.looks)], strict=False)
    return f'<div class="dg-cards">{"".join(_card(look, given) for look, given in pairs)}</div>'


def _card(look: Look, saliency: Floats | None) -> str:
    alt = f"28 by 28 pixels, read as {look.digit.digit}"
    bars = "".join(_bar(digit, score, place == 0) for place, (digit, score) in enumerate(look.digit.top3))
    picture = f'<img class="dg-seen" src="{seen(look.picture, saliency)}" alt="{alt}" width="84" height="84">'
    unsure = " dg-unsure" if look.is_unsure else ""
    return f'<div class="dg-card{unsure}">{picture}<div class="dg-bars">{bars}</div></div>'


def _bar(digit: int, score: float, first: bool) -> str:
    low = " dg-low" if first and score < UNSURE_BELOW else ""
    width = f'style="width:{100 * score:.1f}%"'
    kind = f"dg-first{low}" if first else ""
    return f'<div class="dg-bar {kind}"><b>{digit}</b><i><em {width}></em></i><span>{percent(score)}</span></div>'


def percent(score: float) -> str:
    """A probability; what rounds to all or nothing says so."""
    if score > 0.999:
        return "> 99.9 %"
    return "< 0.1 %" if score < 0.001 else f"{100 * score:.1f} %"


def comparison(networks: Sequence[About], read: Sheet | None) -> str:
    """The networks side by side: what each is, and what it makes of the digits."""
    rows = "".join(_row(index, about, read) for index, about in enumerate(networks))
    head = "".join(f"<th>{name}</th>" for name in COLUMNS)
    return f'<div class="dg-scroll"><table class="dg-table"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _row(index: int, about: About, read: Sheet | None) -> str:
    fixed = (
        f"<b>{escape(about.precision)}</b> {escape(about.artifact)}" + (READS if index == 0 else ""),
        escape(about.runtime),
        f"{about.file_bytes / 1000:.0f} kB",
    )
    said = _said([look.opinions[index] for look in read.looks], read) if read and read.looks else ("–", "–", "–")
    cells = (f'<td data-label="{name}">{cell}</td>' for name, cell in zip(COLUMNS, (*fixed, *said), strict=True))
    return f"<tr>{''.join(cells)}</tr>"


def _said(opinions: Sequence[Opinion], read: Sheet) -> tuple[str, str, str]:
    latency = f"{np.median([opinion.latency_ms for opinion in opinions]):.2f} ms"
    marked = "".join(
        str(opinion.digit) if opinion.digit == look.digit.digit else f'<mark title="differs">{opinion.digit}</mark>'
        for opinion, look in zip(opinions, read.looks, strict=True)
    )
    return latency, f'<span class="dg-reads">{marked}</span>', percent(min(opinion.score for opinion in opinions))
