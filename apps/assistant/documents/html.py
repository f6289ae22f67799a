"""HTML: what a reader of the page sees, without scripts and styles; headings h1 to h6."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

from edgekit.apps.assistant.documents.limits import bounded
from edgekit.apps.assistant.documents.plain import decoded
from edgekit.apps.assistant.documents.text import Part, Text, assembled

_CHARSET = re.compile(rb"<meta\b[^>]{0,200}?\bcharset\s{0,9}=\s{0,9}[\"']?(?P<name>[\w-]{1,30})", re.IGNORECASE)
_ENCODINGS = re.compile(
    r"windows-125\d|cp125\d|iso-?8859-([2-9]|1[03-6])|koi8-[ru]|shift_jis|euc-(jp|kr)|iso-2022-jp|gb(k|2312|18030)|big5|macintosh"
)
"""Known by Python under the names that pages use. Not every codec of Python is an encoding."""
_UNSEEN = frozenset({"script", "style", "template", "noscript", "svg", "iframe", "object", "head"})
_INLINE = frozenset(
    [
        "a",
        "abbr",
        "b",
        "bdi",
        "bdo",
        "cite",
        "code",
        "data",
        "dfn",
        "em",
        "font",
        "i",
        "kbd",
        "label",
        "mark",
        "q",
        "s",
        "samp",
        "small",
        "span",
        "strong",
        "sub",
        "sup",
        "time",
        "u",
        "var",
        "wbr",
    ]
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_VOID = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"]
)


def read(path: Path) -> Text:
    """Offsets count characters of the extracted text."""
    data = path.read_bytes()
    reader = _Reader()
    reader.feed(decoded(path, data, declared(data)))
    reader.close()
    reader.end_block()
    return assembled(bounded(path, reader.parts), title=reader.title)


def declared(data: bytes) -> str:
    """The encoding that a page says it is in, where it is one of those that pages are in; else empty."""
    found = _CHARSET.search(data[:2048])
    name = found["name"].decode().lower() if found else ""
    return name if _ENCODINGS.fullmatch(name) else ""


class _Reader(HTMLParser):
    """Collects the blocks of a page. Tags that are never closed do no harm: a block ends where the next begins."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[Part] = []
        self.title = ""
        self._text: list[str] = []
        self._level = 0
        self._unseen = ""
        self._depth = 0
        self._pre = 0
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "title" and self._unseen in ("", "head"):
            self._in_title = True
        elif self._unseen:
            self._depth += tag == self._unseen
            if tag == "body":
                self._unseen = ""
        elif tag in _UNSEEN:
            self._unseen, self._depth = tag, 1
        elif tag in ("td", "th"):
            self._text.append(" ")
        elif tag not in _INLINE:
            self.end_block()
            self._level = _HEADINGS.get(tag, self._level if tag in _VOID else 0)
            self._pre += tag == "pre"

    def handle_endtag(self, tag: str) -> None:
        if tag == "title" and self._in_title:
            self._in_title = False
        elif self._unseen:
            self._depth -= tag == self._unseen
            if self._depth <= 0:
                self._unseen = ""
        elif tag not in _INLINE and tag not in ("td", "th"):
            self.end_block()
            self._level = 0
            self._pre -= tag == "pre" and self._pre > 0

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data
        elif not self._unseen:
            self._text.append(data if self._pre else re.sub(r"\s+", " ", data))

    def end_block(self) -> None:
        """What has been collected is a block."""
        text = "".join(self._text)
        self._text = []
        self.parts.append(Part(text=text if self._pre else " ".join(text.split()), level=self._level))
