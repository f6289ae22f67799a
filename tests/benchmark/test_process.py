"""Programs get their input, and a killed one is said to have been killed."""

from __future__ import annotations

import sys

import pytest

from edgekit.core.errors import EdgekitError
from edgekit.core.process import run


def test_a_program_reads_what_it_is_given() -> None:
    done = run([sys.executable, "-c", "import sys; print(sys.stdin.read().upper())"], timeout_s=30, stdin="hello")
    assert done.stdout.strip() == "HELLO"


def test_a_program_killed_by_a_signal_is_said_to_have_been_killed() -> None:
    with pytest.raises(EdgekitError, match="was killed by SIGKILL"):
        run([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], timeout_s=30)


def test_a_program_that_fails_is_quoted_with_its_last_line() -> None:
    with pytest.raises(EdgekitError, match="ended with status 3: no such thing"):
        run([sys.executable, "-c", "import sys; print('no such thing', file=sys.stderr); sys.exit(3)"], timeout_s=30)
