"""The CI recipes in docs/ci.md: valid YAML, with commands that the command line takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from edgekit.cli import build_parser

PAGE = Path(__file__).resolve().parents[2] / "docs" / "ci.md"


def recipes() -> list[dict[str, Any]]:
    if not PAGE.is_file():
        pytest.skip("the documents are not beside the tests here")
    return [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.S)]


def commands(recipe: dict[str, Any]) -> list[str]:
    """Every shell line of a GitHub or GitLab recipe."""
    jobs = recipe.get("jobs", recipe).values()
    lines = [step["run"] for job in jobs for step in job.get("steps", []) if "run" in step]
    return lines + [line for job in jobs for part in ("before_script", "script") for line in job.get(part, [])]


def test_there_is_one_for_github_and_one_for_gitlab() -> None:
    github, gitlab = recipes()
    (job,) = github["jobs"].values()
    assert job["runs-on"] and all(set(step) & {"run", "uses"} for step in job["steps"])
    assert gitlab["emulate"]["image"] and gitlab["emulate"]["script"]


def test_every_edgekit_command_in_them_is_one_that_the_command_line_takes() -> None:
    lines = [line.partition("|")[0] for recipe in recipes() for line in commands(recipe) if "/edgekit " in line]
    assert len(lines) == 5
    for line in lines:
        words = shlex.split(line)
        assert words[0] == ".venv/bin/edgekit"
        build_parser().parse_args(words[1:])


def test_both_keep_the_cache_and_install_what_emulation_needs() -> None:
    for recipe in recipes():
        text = str(recipe)
        assert "edgekit/emulate" in text and "qemu-user" in text and "mmdebstrap" in text
