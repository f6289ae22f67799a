"""Self-contained HTML pages: one file, no script, nothing fetched, light and dark, fit to print.

Every `str` given to these helpers is escaped; only `Html` passes as it is, and only these helpers and `edgekit.charts`
make it. Pages carry a content security policy that forbids any request.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal


class Html(str):
    """Text that is markup already. Any other text is escaped where it enters a page."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading and what stands under it."""

    title: str
    body: Html


def html(text: str) -> Html:
    """`text` as markup: unchanged when it is markup, else escaped."""
    return text if isinstance(text, Html) else Html(escape(text))


def join(parts: Iterable[str]) -> Html:
    """Several pieces one after the other."""
    return Html("\n".join(html(part) for part in parts))


def tag(name: str, *content: str, **attributes: str) -> Html:
    """One element. Attribute values are escaped; a trailing underscore in a name is dropped (`class_`)."""
    head = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"' for key, value in attributes.items())
    return Html(f"<{name}{head}>{''.join(html(part) for part in content)}</{name}>")


def paragraph(*content: str, kind: str = "") -> Html:
    """A paragraph; `kind` is one of the style sheet's: "lead", "small"."""
    return tag("p", *content, **({"class_": kind} if kind else {}))


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, text_columns: int = 1) -> Html:
    """A table whose first `text_columns` columns are words; the others are numbers, set flush right."""
    kinds = ["text" if column < text_columns else "number" for column in range(len(header))]
    head = tag("tr", *(tag("th", cell, class_=kind, scope="col") for cell, kind in zip(header, kinds, strict=True)))
    body = [tag("tr", *(tag("td", cell, class_=kind) for cell, kind in zip(row, kinds, strict=True))) for row in rows]
    return tag("div", tag("table", tag("thead", head), tag("tbody", *body)), class_="scroll")


def facts(pairs: Iterable[tuple[str, str]]) -> Html:
    """Names and values in two columns."""
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs))


def tiles(pairs: Iterable[tuple[str, str, str]]) -> Html:
    """The few numbers that matter most, large: (name, value, remark)."""
    made = (tag("div", tag("span", n), tag("b", v), tag("small", r), class_="tile") for n, v, r in pairs)
    return tag("div", *made, class_="tiles")


def notice(text: str, *, kind: Literal["warning", "note"] = "note") -> Html:
    """A sentence that must not be overlooked ("warning"), or one that helps ("note")."""
    return tag("p", text, class_=f"notice {kind}", role="note")


def notices(texts: Sequence[str], *, kind: Literal["warning", "note"] = "note") -> Html:
    """Several such sentences in one box, quieter than one alone."""
    return tag("ul", *(tag("li", text) for text in texts), class_=f"notice {kind}", role="note")


def figure(picture: Html, caption: str) -> Html:
    """A chart or an `<img>` with a `data:` source, and what it shows."""
    return tag("figure", picture, tag("figcaption", caption))


def page(title: str, sections: Iterable[Section], *, lead: str = "", footer: str = "", data: str = "") -> str:
    """A whole document.

    `lead` stands under the title, `footer` at the end. `data` is a JSON text that the page carries along unseen, for
    programs: `embedded_data` gives it back.
    """
    body = [tag("header", tag("h1", title), paragraph(lead, kind="lead") if lead else "")]
    body += [tag("section", tag("h2", section.title), section.body) for section in sections]
    body += [tag("footer", footer)] if footer else []
    carried = f'<script type="application/json" id="data">{data.replace("<", DATA_LESS_THAN)}</script>\n' if data else ""
    return _DOCUMENT.format(title=escape(title), style=_STYLE, body=tag("main", join(body)), data=carried)


def embedded_data(document: str) -> str | None:
    """The JSON text that `page` put into a document, or None when it carries none."""
    _, mark, rest = document.partition('<script type="application/json" id="data">')
    return rest.partition("</script>")[0] if mark else None


DATA_LESS_THAN = "\\u003c"
"""How JSON may spell "<", so that embedded data can never end its element."""

_DOCUMENT = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
{data}</body>
</html>
"""

_STYLE = """
:root { --paper: #ffffff; --ink: #1b1f24; --soft: #5b6570; --line: #e1e5ea; --wash: #f5f7f9; --mark: #0b6bcb; --mark-soft: #9cc4ee;
  --second: #c2571a; --third: #2f8f5b; --fourth: #7a5bb5; --warn: #8a4b00; --warn-wash: #fff4e0; --warn-line: #f0c77a; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171a; --ink: #e6e9ec; --soft: #98a2ad; --line: #2b3138; --wash: #1c2126;
  --mark: #5aa9f5; --mark-soft: #2c577f; --second: #f0965a; --third: #62c492; --fourth: #b39be0; --warn: #ffd08a; --warn-wash: #33270f; --warn-line: #6b5018; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans",
  "Helvetica Neue", Arial, sans-serif; -webkit-text-size-adjust: 100%; }
main { max-width: 66rem; margin: 0 auto; padding: 3rem 1.5rem 4rem; }
h1 { font-size: 2rem; line-height: 1.2; letter-spacing: -0.02em; margin: 0 0 0.4rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; letter-spacing: -0.01em; margin: 3rem 0 0.8rem; padding-top: 1.2rem; border-top: 1px solid var(--line);
  overflow-wrap: anywhere; }
h3 { font-size: 1rem; margin: 1.6rem 0 0.4rem; }
p { margin: 0.6rem 0; max-width: 46rem; } .lead { color: var(--soft); font-size: 1.05rem; } .small { color: var(--soft); font-size: 0.875rem; }
a { color: var(--mark); } code { font: 0.9em ui-monospace, "Cascadia Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; width: 100%; font-size: 0.925rem; font-variant-numeric: tabular-nums; }
th { font-weight: 600; color: var(--soft); font-size: 0.8rem; border-bottom: 1px solid var(--ink); vertical-align: bottom; }
th, td { padding: 0.45rem 0.8rem 0.45rem 0; text-align: left; } td { border-bottom: 1px solid var(--line); vertical-align: top; }
th.number, td.number { text-align: right; white-space: nowrap; } th:last-child, td:last-child { padding-right: 0; }
td small { display: block; color: var(--soft); font-size: 0.78rem; }
dl { margin: 1rem 0; columns: 2; column-gap: 3rem; font-size: 0.925rem; } dl div { display: flex; gap: 1rem; padding: 0.3rem 0;
  border-bottom: 1px solid var(--line); break-inside: avoid; } dt { color: var(--soft); flex: 0 0 9rem; }
dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: 0.8rem; margin: 1.2rem 0; }
.tile { background: var(--wash); border-radius: 8px; padding: 0.8rem 1rem; } .tile span { display: block; font-size: 0.8rem; color: var(--soft); }
.tile b { display: block; font-size: 1.45rem; line-height: 1.3; font-weight: 600; letter-spacing: -0.01em; font-variant-numeric: tabular-nums; }
.tile small { display: block; color: var(--soft); font-size: 0.78rem; line-height: 1.35; }
.notice { border-left: 3px solid var(--mark); background: var(--wash); padding: 0.6rem 0.9rem; border-radius: 0 6px 6px 0; font-size: 0.925rem; }
.notice.warning { border-color: var(--warn-line); background: var(--warn-wash); color: var(--warn); font-weight: 600; }
ul.notice { padding-left: 2rem; max-width: 46rem; } ul.notice.warning { font-weight: 400; } ul.notice li { margin: 0.15rem 0; }
figure { margin: 1.4rem 0; break-inside: avoid; } figcaption { color: var(--soft); font-size: 0.85rem; margin-top: 0.3rem; max-width: 46rem; }
figure img { max-width: 100%; height: auto; border-radius: 6px; }
svg.chart { display: block; width: 100%; height: auto; font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", Arial, sans-serif;
  font-variant-numeric: tabular-nums; }
.chart text { fill: var(--soft); } .chart .strong { fill: var(--ink); font-weight: 600; } .chart .grid { stroke: var(--line); }
.chart .axis { stroke: var(--soft); } .chart .fill { fill: var(--mark); } .chart .soft { fill: var(--mark-soft); }
.chart .whisker { stroke: var(--ink); stroke-width: 1.5; } .chart .rule { stroke: var(--second); stroke-width: 1.5; }
.chart .line { fill: none; stroke-width: 1.75; stroke-linejoin: round; } .chart .rule-text { fill: var(--second); font-weight: 600; }
.chart .s0 { fill: var(--mark); stroke: var(--mark); } .chart .s1 { fill: var(--second); stroke: var(--second); }
.chart .s2 { fill: var(--third); stroke: var(--third); } .chart .line.s0, .chart .line.s1, .chart .line.s2 { fill: none; }
.chart .part { stroke: var(--paper); stroke-width: 1; } .chart .p0 { fill: var(--third); } .chart .p1 { fill: var(--mark-soft); }
.chart .p2 { fill: var(--mark); } .chart .p3 { fill: var(--fourth); } .chart .p4 { fill: var(--second); }
.chart .inside { fill: var(--paper); font-weight: 600; font-size: 11px; } .chart .aside { stroke-dasharray: 5 4; stroke-width: 1.25; }
.chart .aside-text { fill: var(--soft); font-size: 11px; }
.chart circle.s0, .chart circle.s1, .chart circle.s2 { stroke: none; fill-opacity: 0.5; }
footer { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--line); color: var(--soft); font-size: 0.85rem; }
@media (max-width: 44rem) { main { padding: 1.5rem 1rem 3rem; } dl { columns: 1; } }
@media screen and (max-width: 44rem) { figure { overflow-x: auto; } svg.chart { min-width: 38rem; } }
@media print { :root { --paper: #fff; --ink: #000; --soft: #444; --line: #ccc; --wash: #f4f4f4; --mark: #0b6bcb; --mark-soft: #9cc4ee;
  --second: #c2571a; --third: #2f8f5b; --fourth: #7a5bb5; --warn: #5c3200; --warn-wash: #fff4e0; --warn-line: #c58a1b; }
  body { font-size: 10pt; print-color-adjust: exact; -webkit-print-color-adjust: exact; } main { max-width: none; padding: 0; }
  h2, h3 { break-after: avoid; } .tile, tr { break-inside: avoid; } .scroll { overflow: visible; } @page { margin: 16mm; } }
"""
