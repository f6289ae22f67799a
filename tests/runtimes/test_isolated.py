"""A session in a process of its own: what crosses, what a crash and a hang become, and when it is started again."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.core.errors import ArtifactError, DeviceError, EdgekitError
from edgekit.core.schema import TensorSpec
from edgekit.runtimes._isolated import LONGEST_PAUSE_S, IsolatedSession, Job, pause_s
from edgekit.runtimes._shared_tensors import ALIGNMENT, anonymous_file, views

ENGINE = '''
import os, signal, sys, time
from pathlib import Path
from edgekit.core.errors import ArtifactError
from edgekit.core.schema import TensorSpec

class Engine:
    """Doubles its input; the first number says how it fails."""
    inputs = (TensorSpec(name="x", shape=(2, 3), dtype="float32"),)
    outputs = (TensorSpec(name="y", shape=(2, 3), dtype="float32"),)

    def run(self, feed):
        first = feed["x"][0, 0]
        if first == -1: os.kill(os.getpid(), signal.SIGSEGV)
        if first == -2: time.sleep(60)
        if first == -3: raise RuntimeError("too hot")
        if first == -4: sys.stderr.write("bus error on lane 3\\n"); sys.stderr.flush(); os._exit(7)
        if first == -5: print("a driver that chats"); os.write(1, b"on descriptor 1\\n")
        return {"y": feed["x"] * 2}

    def close(self): ...

def opened(mode, folder):
    if mode == "refuses": raise ArtifactError("no model", "convert it")
    if mode == "breaks": raise ZeroDivisionError("nothing")
    if mode == "once" and (Path(folder) / "seen").exists(): os.abort()
    if mode == "unplugged" and (Path(folder) / "seen").exists(): raise ArtifactError("nothing answers")
    (Path(folder) / "seen").touch()
    engine = Engine()
    if mode == "unknown": engine.inputs = (TensorSpec(name="x", shape=(-1,), dtype="float32"),)
    return engine
'''
X = np.arange(6, dtype=np.float32).reshape(2, 3)


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> Iterator[Any]:
    """A function: how the engine is to fail -> its session, closed afterwards."""
    (tmp_path / "engine_of_the_test.py").write_text(ENGINE)
    monkeypatch.syspath_prepend(str(tmp_path))
    made: list[IsolatedSession] = []

    def make(mode: str = "") -> IsolatedSession:
        arguments = {"mode": mode, "folder": str(tmp_path)}
        job = Job(
            engine="toy", factory="engine_of_the_test:opened", arguments=arguments, start_s=30, run_s=1, advice="is it on?"
        )
        made.append(IsolatedSession(job, clock=clock))
        return made[-1]

    yield make
    for session in made:
        session.close()


def poisoned(first: float) -> dict[str, np.ndarray]:
    feed = X.copy()
    feed[0, 0] = first
    return {"x": feed}


def test_arrays_cross_and_every_answer_is_the_caller_s_own(opened: Any) -> None:
    session = opened()
    first = session.run({"x": X})["y"]
    second = session.run({"x": np.asfortranarray(-X)})["y"]
    np.testing.assert_array_equal(first, X * 2)
    np.testing.assert_array_equal(second, X * -2)


def test_a_crash_is_an_error_with_its_signal_and_the_next_run_works(opened: Any) -> None:
    session = opened()
    with pytest.raises(DeviceError, match="toy: its process was killed by SIGSEGV while running the model") as caught:
        session.run(poisoned(-1))
    assert caught.value.hint == "is it on?"
    np.testing.assert_array_equal(session.run({"x": X})["y"], X * 2)


def test_a_hang_is_ended_at_its_deadline_and_the_next_run_works(opened: Any) -> None:
    session = opened()
    began = time.monotonic()
    with pytest.raises(DeviceError, match="running the model was not done after 1 s"):
        session.run(poisoned(-2))
    assert time.monotonic() - began < 10
    np.testing.assert_array_equal(session.run({"x": X})["y"], X * 2)


def test_what_the_engine_refuses_costs_no_new_process(opened: Any) -> None:
    session = opened()
    process = session._child._process._process.pid
    with pytest.raises(DeviceError, match="toy: RuntimeError: too hot"):
        session.run(poisoned(-3))
    session.run({"x": X})
    assert session._child._process._process.pid == process


def test_an_exit_is_told_with_its_status_and_its_last_words(opened: Any) -> None:
    with pytest.raises(DeviceError, match=r"ended with status 7 while running the model \(bus error on lane 3\)"):
        opened().run(poisoned(-4))


def test_what_a_driver_prints_is_not_taken_for_an_answer(opened: Any) -> None:
    assert opened().run(poisoned(-5))["y"][0, 0] == -10


def test_failures_in_a_row_are_followed_by_longer_pauses_and_a_success_ends_the_row(opened: Any, clock: Clock) -> None:
    session = opened()
    for _ in range(2):
        with pytest.raises(DeviceError, match="SIGSEGV"):
            session.run(poisoned(-1))
    with pytest.raises(DeviceError, match=r"toy failed 2 times in a row and is started again in 1\.0 s"):
        session.run({"x": X})
    clock.now = 1.0
    session.run({"x": X})
    with pytest.raises(DeviceError, match="SIGSEGV"):
        session.run(poisoned(-1))
    session.run({"x": X})


@pytest.mark.parametrize(("mode", "said"), [("once", "SIGABRT while opening"), ("unplugged", "nothing answers")])
def test_a_process_that_cannot_be_started_again_counts_as_a_failure(opened: Any, mode: str, said: str) -> None:
    session = opened(mode)
    with pytest.raises(DeviceError, match="SIGSEGV"):
        session.run(poisoned(-1))
    with pytest.raises(EdgekitError, match=said):
        session.run({"x": X})
    with pytest.raises(DeviceError, match="failed 2 times"):
        session.run({"x": X})


@given(st.integers(1, 10_000))
def test_pauses_grow_and_have_an_end(failures: int) -> None:
    assert 0 <= pause_s(failures) <= pause_s(failures + 1) <= LONGEST_PAUSE_S


def test_an_error_of_ours_crosses_with_its_kind_and_hint(opened: Any) -> None:
    with pytest.raises(ArtifactError, match="toy: no model") as caught:
        opened("refuses")
    assert caught.value.hint == "convert it"


@pytest.mark.parametrize(("mode", "said"), [("breaks", "ZeroDivisionError: nothing"), ("unknown", "has no fixed shape")])
def test_any_other_error_while_opening_is_a_device_error(opened: Any, mode: str, said: str) -> None:
    with pytest.raises(DeviceError, match=said):
        opened(mode)


@pytest.mark.parametrize(
    "feed",
    [{}, {"x": X[0]}, {"x": X.astype(np.float64)}, {"x": X[:, :1]}],
    ids=["missing", "one row", "another type", "a column numpy would repeat"],
)
def test_a_feed_that_does_not_fit_is_refused_before_it_crosses(opened: Any, feed: dict[str, np.ndarray]) -> None:
    with pytest.raises(DeviceError, match="'x'"):
        opened().run(feed)


def test_after_close_there_is_no_process_and_a_run_says_so(opened: Any) -> None:
    session = opened()
    process = session._child._process._process
    session.close()
    session.close()
    assert process.returncode == 0
    with pytest.raises(DeviceError, match="toy session is closed"):
        session.run({"x": X})


def test_no_descriptor_is_left_after_crashes(opened: Any) -> None:
    session = opened()
    session.run({"x": X})
    before = _descriptors()
    with pytest.raises(DeviceError):
        session.run(poisoned(-1))
    session.run({"x": X})
    gc.collect()
    assert _descriptors() <= before


def _descriptors() -> int:
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        pytest.skip("descriptors are counted in /proc")
    return len(list(folder.iterdir()))


def test_a_program_that_ends_without_closing_leaves_no_process_behind(tmp_path: Path) -> None:
    (tmp_path / "engine_of_the_test.py").write_text(ENGINE)
    script = f"""
import sys; sys.path.insert(0, {str(tmp_path)!r})
from edgekit.runtimes._isolated import IsolatedSession, Job
job = Job(engine="toy", factory="engine_of_the_test:opened", arguments=dict(mode="", folder={str(tmp_path)!r}),
          start_s=30, run_s=1, advice="")
session = IsolatedSession(job)
print(session._child._process._process.pid)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)


SPECS = st.lists(
    st.tuples(st.lists(st.integers(0, 5), max_size=3), st.sampled_from(["int8", "uint8", "float32", "int64"])), max_size=4
)


@given(SPECS, SPECS)
def test_tensors_in_shared_memory_do_not_overlap_and_are_aligned(ins: Any, outs: Any) -> None:
    named = [
        [TensorSpec(name=f"{kind}{i}", shape=tuple(shape), dtype=dtype) for i, (shape, dtype) in enumerate(specs)]
        for kind, specs in (("in", ins), ("out", outs))
    ]
    file = anonymous_file()
    try:
        ours, theirs = views(file, *named), views(file, *named)
    finally:
        os.close(file)
    arrays = [array for half in ours for array in half.values()]
    for number, array in enumerate(arrays):
        array[...] = number + 1
        assert array.ctypes.data % ALIGNMENT == 0 or not array.size
    for number, array in enumerate(array for half in theirs for array in half.values()):
        assert (array == number + 1).all()
