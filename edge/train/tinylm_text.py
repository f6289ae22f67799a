"""The World English Bible as the tiny language model reads it: a plain text out of Debian's package `sword-text-web`.

`apt install sword-text-web libsword-utils`, then `python -m edgekit.train.tinylm_text world-english-bible.txt`. The text is in the
public domain; its words stay as they are.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from edgekit.core.errors import InputError
from edgekit.core.files import write_atomically
from edgekit.core.process import run

EXPORT = ("mod2imp", "engWEB2015eb")
VERSE = re.compile(r" [1-9]\d*:[1-9]\d*$")
LAST_WORDS = "be with all the saints. Amen."
"""What comes after them is a glossary."""
PARAGRAPH = re.compile(r'<div sID="[^"]*" type="(?:x-p|paragraph|p)"/>')
LEFT_OUT = (
    (re.compile(r"<note.*?</note>", re.DOTALL), " "),
    (re.compile(r"<title.*?</title>", re.DOTALL), ""),
    (PARAGRAPH, "\n"),
    (re.compile(r"<(?:lb|l)\b[^>]*>"), " "),
    (re.compile(r"<[^>]*>"), ""),
)
"""Markup, and what stands in its place."""
IN_ASCII = {"“": '"', "”": '"', "‘": "'", "’": "'", "—": " - ", "–": "-", "&amp;": "&", "&quot;": '"'}


def main() -> None:
    """Write the text to the file that is named."""
    said = run(EXPORT, timeout_s=300.0)
    write_atomically(Path(sys.argv[1]), plain(said.stdout).encode("ascii"))


def plain(exported: str) -> str:
    """`exported`, as mod2imp writes it, without headings, notes and markup: ASCII, a line for each verse or line of a poem.

    Raises `InputError` for a text without the last words of the Bible.
    """
    whole = "".join(f"{_words(body)} " for body in _verses(exported))
    lines = "\n".join(" ".join(line.split()) for line in whole.splitlines() if line.split())
    end = lines.find(LAST_WORDS)
    if end < 0:
        raise InputError(f"what {EXPORT[0]} wrote does not end as the Bible does", "apt install sword-text-web")
    closed = re.sub(r" +([,.;:?!])", r"\1", lines[: end + len(LAST_WORDS)])
    return re.sub(r"[^\x20-\x7e\n]", "", closed) + "\n"


def _verses(exported: str) -> Iterator[str]:
    """The marked-up text of every verse; `$$$` begins an entry's key."""
    entries = re.split(r"^\$\$\$(.*)$", exported, flags=re.MULTILINE)
    for key, body in zip(entries[1::2], entries[2::2], strict=True):
        if VERSE.search(key):
            yield body


def _words(body: str) -> str:
    for markup, instead in LEFT_OUT:
        body = markup.sub(instead, body)
    for sign, ascii_sign in IN_ASCII.items():
        body = body.replace(sign, ascii_sign)
    return body.replace("\n\n", "\n").strip(" ")


if __name__ == "__main__":
    main()
