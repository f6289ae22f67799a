"""Pages that need no script and no other file: the login, and what is said when something is refused."""

from __future__ import annotations

from functools import cache
from html import escape
from importlib.resources import files

DOCUMENT = """<!doctype html>
<html lang="en" data-theme="{theme}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="{scheme}">
<title>{title} · edgekit</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body><main>{body}</main></body>
</html>
"""
SCHEMES = {"auto": "light dark"}


def plain_page(title: str, body: str, *, theme: str = "auto") -> str:
    """A whole document around `body`, which is HTML."""
    return DOCUMENT.format(theme=theme, scheme=SCHEMES.get(theme, theme), title=escape(title), style=style(), body=body)


def message_page(message: str, hint: str, *, theme: str = "auto") -> str:
    """One sentence, what to try, and the way back."""
    said = f"<h1>{escape(message[:1].upper() + message[1:])}</h1>"
    tried = f"<p>{escape(hint)}</p>" if hint else ""
    return plain_page(message, f'{said}{tried}<p><a href="/">Back to the start</a></p>', theme=theme)


@cache
def style() -> str:
    """The colours of the shell, and the little that plain pages need beside."""
    folder = files("edgekit.apps.web") / "static"
    return "".join((folder / name).read_text(encoding="utf-8") for name in ("colours.css", "plain.css"))
