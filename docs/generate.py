"""Writes the parts of README and docs that are facts about the code, and runs the commands they show.

    python docs/generate.py [--check] [FILE...]

Between `<!-- generated: NAME -->` and `<!-- end -->` stands what the function NAME in `blocks.py` returns. In a block fenced as
```console every `$ edgekit ...` is run, and what stands under it is its standard output, or its error. There, numbers with a
decimal point are measurements: they are written anew with the rest, but a difference in them alone is no difference.
"""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from pathlib import Path

from blocks import BLOCKS, FILES
from console import FENCE, Sandbox, in_consoles

ROOT = Path(__file__).resolve().parent.parent
MARK = re.compile(r"(<!-- generated: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
MEASURED = re.compile(r"\d[\d,]*\.\d+(e[-+]?\d+)?|\d+(e[-+]?\d+)? (?=m?s\b|[kM]?B\b)")


def main(argv: list[str] | None = None) -> int:
    """Write, or with --check compare; 1 when something is stale."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a part is stale")
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="default: README, CONTRIBUTING and docs/")
    args = parser.parse_args(argv)
    chosen = [path.resolve() for path in args.files] or [*documents(), *(ROOT / name for name in FILES)]
    stale = [path for path in chosen if _is_stale(path, write=not args.check)]
    return 1 if stale and args.check else 0


def documents() -> list[Path]:
    """The Markdown files of the project, README first."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def rendered(path: Path) -> str:
    """What the file should say."""
    name = path.relative_to(ROOT).as_posix()
    if name in FILES:
        return FILES[name]()
    text = MARK.sub(lambda match: match[1] + BLOCKS[match["name"]]().strip() + "\n" + match[3], path.read_text("utf-8"))
    with Sandbox(ROOT) as sandbox:
        return in_consoles(text, sandbox.output_of)


def _is_stale(path: Path, *, write: bool) -> bool:
    before = path.read_text("utf-8") if path.is_file() else ""
    after = rendered(path)
    if comparable(before) == comparable(after):
        return False
    name = str(path.relative_to(ROOT))
    if write:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(after, "utf-8")
        print(f"wrote {name}")
    else:
        print(f"{name} is stale; run: make docs", file=sys.stderr)
        lines = (comparable(before).splitlines(), comparable(after).splitlines())
        print("\n".join(difflib.unified_diff(*lines, "written", "true", lineterm="", n=1)), file=sys.stderr)
    return True


def comparable(text: str) -> str:
    """The text, its console blocks without measured values and without the spaces that align them."""
    return FENCE.sub(lambda match: re.sub(r"(?<=\S)[ ]{2,}", " ", MEASURED.sub("N ", match["body"])), text)


if __name__ == "__main__":
    raise SystemExit(main())
