"""Being asked to stop at any moment, however awkward."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from edgekit.core import files, interrupts
from edgekit.core.interrupts import Terminated, answer_sigterm, uninterrupted


@pytest.fixture(autouse=True)
def answered() -> Iterator[None]:
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    answer_sigterm()
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


@pytest.mark.parametrize(("signum", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_what_arrives_is_held_back_until_the_outermost_block_ends(signum: int, raised: type[BaseException]) -> None:
    done = []
    with pytest.raises(raised), uninterrupted():
        with uninterrupted():
            signal.raise_signal(signum)
            done.append("inside")
        done.append("between")
    assert done == ["inside", "between"]


def test_ctrl_c_goes_to_whoever_listened_before_the_block() -> None:
    heard: list[int] = []
    signal.signal(signal.SIGINT, lambda signum, _: heard.append(signum))
    with uninterrupted():
        signal.raise_signal(signal.SIGINT)
        assert heard == []
    assert heard == [signal.SIGINT]


def test_ignored_ctrl_c_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with uninterrupted():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_an_error_inside_the_block_is_not_lost_to_the_signal() -> None:
    with pytest.raises(Terminated) as caught, uninterrupted():
        signal.raise_signal(signal.SIGTERM)
        raise ValueError("full")
    assert isinstance(caught.value.__context__, ValueError)


def test_a_second_request_to_end_does_not_cut_short_what_the_first_one_ends() -> None:
    done = []
    with pytest.raises(Terminated):
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGTERM)
            done.append("cleared away")
    assert done == ["cleared away"]


def test_ctrl_c_in_between_does_not_let_a_second_request_to_end_be_heard() -> None:
    with pytest.raises(Terminated):
        signal.raise_signal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGTERM)


def test_other_threads_hold_nothing_back() -> None:
    def hold() -> None:
        with uninterrupted():
            entered.set()
            release.wait(10)

    entered, release = threading.Event(), threading.Event()
    thread = threading.Thread(target=hold)
    thread.start()
    assert entered.wait(10)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    release.set()
    thread.join()


def _folder_made(place: Path) -> None:
    with files.new_folder(place / "it") as made:
        (made / "file").write_bytes(b"new")


def _folder_replaced(place: Path) -> None:
    with files.new_folder(place / "it", replace=True) as made:
        (made / "file").write_bytes(b"new")


def _file_written(place: Path) -> None:
    files.write_atomically(place / "it", b"new")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a file that was just being opened
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("write", "found", "allowed"),
    [
        (_folder_made, None, [{}, {"it/file": b"new"}]),
        (_folder_replaced, "it/file", [{"it/file": b"old"}, {"it/file": b"new"}]),
        (_file_written, "it", [{"it": b"old"}, {"it": b"new"}]),
    ],
)
def test_at_whichever_instruction_it_is_stopped_the_old_or_the_new_is_there_whole_and_nothing_else(
    write: Callable[[Path], None], found: str | None, allowed: list[dict[str, bytes]], signum: int, tmp_path: Path
) -> None:
    number, left = 0, {str(state): 0 for state in allowed}
    while True:
        place = tmp_path / str(number)
        place.mkdir()
        if found is not None:
            (place / found).parent.mkdir(exist_ok=True)
            (place / found).write_bytes(b"old")
        stopped = _stopped_at(number, signum, lambda place=place: write(place))  # type: ignore[misc]  (bound early on purpose)
        there = {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}
        assert there in allowed, f"after {number} instructions"
        assert len(list(place.iterdir())) == len(there), f"after {number} instructions"
        left[str(there)] += 1
        if not stopped:
            break
        number += 1
    assert number > 100
    assert all(left.values())


_WATCHED = (files.__file__, interrupts.__file__)


def _stopped_at(number: int, signum: int, work: Callable[[], None]) -> bool:
    """Do the work; at its instruction `number`, counted in the files watched, the signal arrives. Whether there were so many."""
    left, arrived = number, False

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left, arrived
        if frame.f_code.co_filename not in _WATCHED:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode" and not arrived:
            arrived = left == 0
            left -= 1
            if arrived:
                signal.raise_signal(signum)
        return trace

    before = sys.gettrace()
    answer_sigterm()
    sys._getframe().f_trace_opcodes = True  # Python 3.12 looks for instructions where some frame had asked for them before
    sys.settrace(trace)
    try:
        work()
    except KeyboardInterrupt:
        assert arrived
    finally:
        sys.settrace(before)
    return arrived
