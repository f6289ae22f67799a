"""The tables of docs/converters.md are measured by one command that skips what it cannot do, with the reason, and goes on where it was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "benchmarks"
pytestmark = pytest.mark.skipif(not (FOLDER / "converters.py").is_file(), reason="runs from a checkout")


def benchmark(*arguments: str, shared: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "EDGEKIT_SHARED": str(shared)}
    command = [sys.executable, str(FOLDER / "converters.py"), "--work", str(shared / "work"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_what_is_absent_is_skipped_with_the_reason_and_no_table_changes(tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in (FOLDER / "results").glob("*.json")}
    done = benchmark(shared=tmp_path)
    assert done.returncode == 0, done.stderr
    ends = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert set(ends) == {"zoo", "accuracy", "mobilenet", "peers", "spine"}
    assert all(
        end.startswith(("skipped: the zoo is not here: ", "skipped: the real models are not here: ")) for end in ends.values()
    )
    assert {path: path.read_bytes() for path in (FOLDER / "results").glob("*.json")} == before


def test_a_step_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    done = benchmark("acuracy", shared=tmp_path)
    assert done.returncode == 2
    assert "there is no step 'acuracy': zoo, accuracy, mobilenet, peers, spine" in done.stderr


def test_what_was_made_is_kept_until_what_it_comes_of_changes(tmp_path: Path) -> None:
    code = (
        "import json, sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from common import digest, kept\n"
        "source, made = Path('source'), []\n"
        "def make(): made.append(1); return {'times': len(made)}\n"
        "def ask(): return kept(Path(f'{digest(\"1.0\", source)}.json'), make)['times']\n"
        "source.write_text('one'); first = [ask(), ask()]\n"
        "source.write_text('two'); second = [ask()]\n"
        "source.write_text('one'); print(json.dumps(first + second + [ask()]))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(FOLDER)], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert json.loads(done.stdout) == [1, 1, 2, 1]


def test_every_table_of_the_page_comes_from_a_result_that_the_command_writes() -> None:
    page = (ROOT / "docs" / "converters.md").read_text("utf-8")
    for name in ("zoo", "accuracy", "peers"):
        assert f"<!-- generated: {name} -->" in page
        assert f'write("{name}"' in (FOLDER / f"{name}.py").read_text("utf-8").replace("\n        ", "")
        assert (FOLDER / "results" / f"{name}.json").is_file()
