"""What is left of a conversion that is stopped from outside, or that has nowhere to write."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edgekit.conversion import convert
from edgekit.core.errors import EdgekitError
from edgekit.models import digits


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("stage", ["import", "lower", "compare", "write"])
def test_a_stopped_conversion_leaves_a_whole_artifact_or_nothing(tmp_path: Path, how: signal.Signals, stage: str) -> None:
    command = [sys.executable, "-m", "edgekit", "convert", str(digits.model_path()), "-t", "rpi", "-o", str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith(stage):
                process.send_signal(how)
        code = process.wait(timeout=60)
    left = [path.name for path in tmp_path.iterdir()]
    assert (code, left) in [(130, []), (0, ["digits.rpi5.fp16"]), (130, ["digits.rpi5.fp16"])]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc here")
def test_a_place_that_cannot_be_written_is_found_before_the_work(tmp_path: Path) -> None:
    done: list[str] = []
    with pytest.raises(EdgekitError, match=r"could not write|may not write"):
        convert(digits.model_path(), target="rpi", output="/proc/here", progress=lambda event: done.append(event.stage))
    assert not any(stage.startswith("lower") for stage in done)
