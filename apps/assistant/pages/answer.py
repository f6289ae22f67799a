"""One message as HTML: what was said, what it stands on, how it was made and how fast it came.

An answer that is just being given and one that was kept look alike: both are drawn from what `chat.details_of` keeps.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any
from urllib.parse import urlsplit

from edgekit.apps.assistant.pages import flow

Details = Mapping[str, Any]
_CODE = re.compile(r"```[^\n`]*\n(.*?)(?:```|\Z)", re.DOTALL)
_INLINE = re.compile(r"`(?P<code>[^`\n]+)`|\*\*(?P<bold>[^*\n]+)\*\*|\[(?P<cited>\d{1,3})\]")
_ENDINGS = {
    "cancelled": ("as-quiet", "stopped"),
    "deadline": ("as-warn", "cut off: its time was up"),
    "length": ("as-warn", "cut off: the longest an answer may be"),
    "failed": ("as-bad", "failed"),
}


def said(text: str, details: Details) -> str:
    """The text, safe, with its citations as buttons and its unsupported sentences marked."""
    offered = {int(one["n"]) for one in details.get("citations", ())}
    drawn = _Prose(text, offered, tuple(_places(text, details.get("unsupported", ()))))
    parts, at = [], 0
    for code in _CODE.finditer(text):
        parts += [drawn.between(at, code.start()), f"<pre>{escape(code[1])}</pre>"]
        at = code.end()
    return "".join([*parts, drawn.between(at, len(text))])


def _places(text: str, sentences: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Start and end of each sentence; they come in the order in which they stand in the text."""
    at = 0
    for sentence in filter(None, sentences):
        if (start := text.find(sentence, at)) >= 0:
            at = start + len(sentence)
            yield start, at


@dataclass(frozen=True, slots=True)
class _Prose:
    """An answer outside of its code. Places are told apart in the text itself, so nothing is ever sought in HTML."""

    text: str
    offered: Collection[int]
    unsupported: tuple[tuple[int, int], ...]

    def between(self, start: int, end: int) -> str:
        """The paragraph from `start` to `end`; nothing where it is empty."""
        shown = self.text[start:end].strip("\n")
        start = end if not shown else self.text.index(shown, start)
        return f'<div class="as-prose">{self._inside(start, start + len(shown))}</div>' if shown else ""

    def _inside(self, start: int, end: int) -> str:
        parts, at = [], start
        for found in _INLINE.finditer(self.text, start, end):
            parts += [self._plain(at, found.start()), self._element(found)]
            at = found.end()
        return "".join([*parts, self._plain(at, end)])

    def _element(self, found: re.Match[str]) -> str:
        """What stands between signs, without them; a number in brackets that leads nowhere is text."""
        if found["code"]:
            return f"<code>{self._plain(*found.span('code'))}</code>"
        if found["bold"]:
            return f"<b>{self._inside(*found.span('bold'))}</b>"
        number = int(found["cited"])
        return _citation(number) if number in self.offered else self._plain(*found.span())

    def _plain(self, start: int, end: int) -> str:
        """Text as it is, the unsupported parts of it marked."""
        parts = []
        for first, last in self.unsupported:
            if start < last and first < end:
                parts += [escape(self.text[start : max(start, first)]), _marked(self.text[max(start, first) : min(end, last)])]
                start = min(end, last)
        return "".join([*parts, escape(self.text[start:end])])


def _marked(text: str) -> str:
    return f'<mark class="as-unsupported" title="its passage does not say so">{escape(text)}</mark>'


def _citation(number: int) -> str:
    return f'<button type="button" class="as-cite" data-source="{number}" aria-label="Source {number}">{number}</button>'


def sources(details: Details) -> str:
    """The numbered list of what was cited; each opens the document at its passage."""
    listed = []
    for one in {int(one["n"]): one for one in details.get("citations", ())}.values():
        where = escape(place(one))
        listed.append(
            f'<li><button type="button" class="as-source" data-source="{one["n"]}"><b>{one["n"]}</b><span>{where}</span></button></li>'
        )
    return f'<ol class="as-sources" aria-label="Sources">{"".join(listed)}</ol>' if listed else ""


def place(source: Mapping[str, Any]) -> str:
    """`manual.pdf, page 4, Wiring › Power`."""
    page = f", page {source['page']}" if source.get("page") else ""
    headings = " › ".join(source.get("headings") or ())
    return f"{source['path']}{page}" + (f", {headings}" if headings else "")


def badges(details: Details) -> str:
    """What must be seen: whose answer it is, and that it was quoted, stopped or cut off."""
    found = []
    if fallback := details.get("fallback"):
        sent = "with passages of your documents" if fallback["documents_sent"] else "without your documents"
        whose = f"{fallback['model'] or 'a model'} at {host(fallback['url'])}"
        found.append(("as-warn", "cloud_upload", f"Fallback: {whose}, {sent}"))
    if details.get("mode") == "extractive":
        found.append(("as-info", "format_quote", "Quoted from your documents, no model spoke"))
    elif details.get("mode") == "none":
        found.append(("as-quiet", "search_off", "Not in your documents"))
    if ending := _ENDINGS.get(details.get("reason", "")):
        found.append((ending[0], "info_outline", ending[1].capitalize()))
    return "".join(f'<span class="as-badge {kind}">{_icon(symbol)}{escape(text)}</span>' for kind, symbol, text in found)


def host(url: str) -> str:
    """Who is behind an address: `example.org`, `192.168.1.7:8080`."""
    return urlsplit(url).netloc.rpartition("@")[2] or url


def _icon(name: str) -> str:
    return f'<i class="q-icon notranslate material-icons" aria-hidden="true">{name}</i>'


def remarks(details: Details) -> str:
    """What was left out, what failed on the way, and what is not supported."""
    lines = [f"Left out for want of room: {one}" for one in details.get("dropped", ())]
    lines += [str(note)[:1].upper() + str(note)[1:] for note in details.get("notes", ())]
    if count := len(details.get("unsupported", ())):
        lines.append(f"{count} marked {'sentence is' if count == 1 else 'sentences are'} not in the passages cited")
    return "".join(f'<div class="as-remark">{escape(line)}</div>' for line in lines)


def speed(details: Details) -> str:
    """`12.3 tokens/s · first token after 340 ms · 120 of 300 prompt tokens known · smollm2`."""
    return " · ".join(_speed(details.get("timings") or {}, str(details.get("model") or "")))


def _speed(timings: Mapping[str, float], model: str) -> Iterator[str]:
    if rate := timings.get("predicted_per_second"):
        yield f"{rate:.1f} tokens/s"
    if (first := timings.get("ttft_ms")) is not None:
        yield f"first token after {seconds(first)}"
    if known := timings.get("cache_n"):
        yield f"{known:.0f} of {known + timings.get('prompt_n', 0):.0f} prompt tokens known"
    if not timings.get("predicted_n") and (search := timings.get("search_ms")) is not None:
        yield f"found in {seconds(search)}"
    if model:
        yield model


def seconds(ms: float) -> str:
    """`340 ms`, `2.1 s`."""
    return f"{ms:.0f} ms" if ms < 1000 else f"{ms / 1000:.1f} s"


def passage(text: str, source: Mapping[str, Any], around: int = 4000) -> str:
    """A document around the cited passage, which is marked; its paragraphs flow."""
    start, end = int(source["start"]), int(source["end"])
    first, last = max(0, start - around), min(len(text), end + around)
    gaps = flow.gaps(text)
    before, middle, after = (flow.shown(text, *part, gaps) for part in ((first, start), (start, end), (end, last)))
    cut_before, cut_after = "… " if first else "", " …" if last < len(text) else ""
    marked = f'<mark class="as-passage" tabindex="-1">{middle}</mark>'
    return f'<div class="as-document">{cut_before}{before}{marked}{after}{cut_after}</div>'
