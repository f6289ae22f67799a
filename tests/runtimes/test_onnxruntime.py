"""What the ONNX Runtime adapter decides before a session is opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.runtimes.onnxruntime import sums_saturate


@pytest.mark.parametrize(
    ("flags", "saturates"),
    [
        pytest.param("flags : sse2 avx2 fma", True, id="avx2 alone"),
        pytest.param("flags : avx2 avx_vnni", False, id="avx vnni"),
        pytest.param("flags : avx512f avx512_vnni", False, id="avx512 vnni"),
    ],
)
def test_cpus_that_would_clamp_integer_sums_are_known_by_their_flags(tmp_path: Path, flags: str, saturates: bool) -> None:
    (tmp_path / "cpuinfo").write_text(flags)
    assert sums_saturate(tmp_path / "cpuinfo") is saturates


def test_a_cpu_that_cannot_be_asked_is_taken_for_one_that_clamps(tmp_path: Path) -> None:
    assert sums_saturate(tmp_path / "nothing")
