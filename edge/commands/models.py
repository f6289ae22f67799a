"""`edgekit models`: what there is to fetch, fetching it, and adding one's own."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgekit.models.catalogue import Entry

HELP = "models to fetch: list them, pull one, add a file of your own"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options, as CLI.md promises them."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    listing = verbs.add_parser("list", help="every model: licence, size, which boards it fits")
    listing.add_argument("--kind", choices=("text", "vision"), help="only these")
    listing.add_argument("--target", "-t", metavar="T", help="say of each whether it fits this board")
    pull = verbs.add_parser("pull", help="fetch one, checked, going on where it broke off")
    pull.add_argument("name", metavar="NAME", help="as 'edgekit models list' shows it")
    pull.add_argument("-o", "--output", type=Path, metavar="DIR", help="folder to put it in (default: your data folder)")
    adding = verbs.add_parser("add", help="put a file of your own into your catalogue")
    adding.add_argument("file", metavar="FILE", type=Path, help="a model file")
    adding.add_argument("--licence", default="", help="licence of the model")
    for each in (listing, pull, adding):
        each.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    """Without a verb: the list."""
    return {"pull": _pull, "add": _add}.get(args.verb or "list", _list)(args)


def _list(args: argparse.Namespace) -> int:
    from edgekit.console import emit
    from edgekit.core.columns import aligned
    from edgekit.models.catalogue import entries

    kind = getattr(args, "kind", None)
    shown = [entry for entry in entries() if kind in (None, entry.kind)]
    rows = [as_json(entry, getattr(args, "target", None)) for entry in shown]
    head = ("name", "kind", "licence", "parameters", "file", "fits")
    table = [head, *(_row(row) for row in rows)]
    emit(args, {"models": rows}, "\n".join(aligned(table)))
    return 0


def _row(row: Mapping[str, Any]) -> tuple[str, ...]:
    parameters = _millions(row["parameters"], "M")
    size = _millions(row["bytes"], "MB", "size not known" if row["url"] else "by hand")
    return (row["name"], row["kind"], row["licence"], parameters, size, row["fits"])


def _millions(count: int | None, unit: str, otherwise: str = "not known") -> str:
    return f"{count / 1e6:.{0 if count >= 1e7 else 1}f} {unit}" if count else otherwise


def as_json(entry: Entry, target: str | None) -> dict[str, Any]:
    """One model with what is known of it, and where it fits."""
    from edgekit.core.profiles import find
    from edgekit.models.catalogue import store
    from edgekit.models.fits import boards_for, fits

    known = {name: getattr(entry, name) for name in entry.__struct_fields__}
    said = fits(entry, find(target)) if target else boards_for(entry)
    path = store() / entry.name / entry.file if entry.url else None
    return {**known, "fits": said, "path": str(path) if path is not None and path.is_file() else None}


def _pull(args: argparse.Namespace) -> int:
    from edgekit.console import emit, note, progress_on_stderr
    from edgekit.core.errors import Unsupported
    from edgekit.core.files import sha256_file
    from edgekit.models.catalogue import find, store
    from edgekit.models.fetch import fetch

    entry = find(args.name)
    if not entry.url:
        raise Unsupported(f"{entry.name} cannot be fetched without you: {entry.note or 'it has no address'}", entry.page)
    folder = args.output if args.output is not None else store() / entry.name
    path = fetch(entry.url, folder / entry.file, size=entry.bytes, sha256=entry.sha256, progress=progress_on_stderr())
    digest = sha256_file(path)
    if not entry.sha256:
        note(f"no hash of {entry.name} is known here: what came has the sha256 {digest}")
    found = {"name": entry.name, "path": str(path), "bytes": path.stat().st_size, "sha256": digest, "licence": entry.licence}
    told = [str(path), f"  licence: {entry.licence}", *([f"  note: {entry.note}"] if entry.note else [])]
    emit(args, {**found, "checked": bool(entry.sha256)}, "\n".join(told))
    return 0


def _add(args: argparse.Namespace) -> int:
    from edgekit.console import emit
    from edgekit.models.catalogue import add
    from edgekit.models.own import entry_of

    entry = entry_of(args.file, args.licence)
    where = add(entry)
    emit(args, {"name": entry.name, "catalogue": str(where)}, f"{entry.name} is in {where}")
    return 0
