"""The documents cannot lie: what they show was run, what they list is what there is, what they link to exists."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from edgekit.cli import build_parser, command_names

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(not (ROOT / "docs" / "generate.py").is_file(), reason="runs from a checkout")

DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix() for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md"))
)
MADE = ["docs/flow.svg", "docs/schema/manifest.schema.json", "docs/schema/report.schema.json"]


def _text(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def _everything() -> str:
    return "\n".join(_text(name) for name in DOCUMENTS)


def _generate(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "docs" / "generate.py"), *arguments], capture_output=True, text=True, check=False, cwd=ROOT
    )


@pytest.mark.parametrize("name", [*DOCUMENTS, *MADE])
def test_what_a_document_shows_is_what_the_code_does_today(name: str) -> None:
    for extra in ("onnx", "onnxruntime", "ai_edge_litert", "PIL"):
        pytest.importorskip(extra)
    done = _generate("--check", name)
    assert done.returncode == 0, done.stderr


def test_a_stale_part_is_named_and_shown(tmp_path: Path) -> None:
    copy = tmp_path / "checkout"
    copy.mkdir()
    for name in ("docs", "Makefile", "setup.cfg", "benchmarks"):
        (copy / name).symlink_to(ROOT / name)
    code = (
        "import sys; sys.path.insert(0, 'docs'); import generate, pathlib\n"
        "generate.ROOT = pathlib.Path('.').resolve()\n"
        "pathlib.Path('page.md').write_text('<!-- generated: targets -->\\nold\\n<!-- end -->\\n')\n"
        "code = generate.main(['--check', 'page.md'])\n"
        "assert generate.main(['page.md']) == 0 and 'make demo' in pathlib.Path('page.md').read_text()\n"
        "sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "page.md is stale; run: make docs" in done.stderr
    assert "-old" in done.stderr


@pytest.mark.parametrize("name", command_names())
def test_every_subcommand_is_in_the_readme(name: str) -> None:
    assert f"`edgekit {name}`" in _text("README.md")


def _extras() -> list[str]:
    settings = ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    return list(settings["options.extras_require"])


def test_every_extra_is_in_the_readme() -> None:
    missing = [extra for extra in _extras() if f"edgekit[{extra}]" not in _text("README.md")]
    assert missing == []


def test_every_make_target_is_documented() -> None:
    targets = re.findall(r"^([a-z-]+):.*## ", _text("Makefile"), re.MULTILINE)
    assert [target for target in targets if f"`make {target}`" not in _everything()] == []


def test_every_option_of_every_subcommand_is_documented() -> None:
    reference = _text("docs/cli.md")
    (subparsers,) = (action for action in build_parser()._actions if action.dest == "command")
    options = {(name, option) for name, sub in subparsers.choices.items() for a in sub._actions for option in a.option_strings}
    sections = {name: reference.partition(f"## edgekit {name}\n")[2].partition("\n## ")[0] for name in subparsers.choices}
    assert [pair for pair in sorted(options) if pair[1] not in sections[pair[0]] and pair[1] not in {"-h", "--help"}] == []


def test_every_device_is_in_the_readme() -> None:
    profiles = [path.stem for path in (ROOT / "hardware_profiles").glob("*.yaml")]
    assert [name for name in profiles if f"`{name}`" not in _text("README.md")] == []


def _shell_lines() -> list[tuple[str, str]]:
    """`edgekit ...` lines of ```sh blocks: shown, not run, because they name files the reader has."""
    blocks = [
        (name, body) for name in DOCUMENTS for body in re.findall(r"^```sh\n(.*?)^```$", _text(name), re.DOTALL | re.MULTILINE)
    ]
    return [
        (name, line) for name, body in blocks for line in body.replace("\\\n", " ").splitlines() if line.startswith("edgekit ")
    ]


@pytest.mark.parametrize(("name", "line"), _shell_lines())
def test_a_command_that_is_only_shown_still_parses(name: str, line: str) -> None:
    build_parser().parse_args(shlex.split(line, comments=True)[1:])


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_to_files_lead_somewhere(name: str) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", _text(name)) + re.findall(
        r'(?:src|srcset)="(?!https?:|data:)([^"]+)"', _text(name)
    )
    assert [link for link in links if not (ROOT / name).parent.joinpath(link).exists()] == []


def test_the_changelog_fragments_are_named_by_kind() -> None:
    kinds = ("added-", "changed-", "fixed-", "removed-")
    wrong = [path.name for path in (ROOT / "changelog").iterdir() if not path.name.startswith(kinds) or path.suffix != ".md"]
    assert wrong == []


def test_a_reader_who_followed_the_readme_may_still_run_the_checks(tmp_path: Path) -> None:
    """What they converted into their checkout is not there when the documents' commands are run again."""
    (tmp_path / "digits.rpi5.int8").mkdir()
    (tmp_path / "digits.rpi5.int8" / "manifest.json").write_text("{}")
    (tmp_path / "edge").mkdir()
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'docs')!r}); import console, pathlib\n"
        f"with console.Sandbox(pathlib.Path({str(tmp_path)!r})) as box:\n"
        "    print(sorted(path.name for path in pathlib.Path(box._temporary.name).iterdir()))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['edge']"
