"""A camera on the network, and what such cameras do wrong: a real RTSP server on loopback."""

from __future__ import annotations

from pathlib import Path
from threading import Lock

import pytest
from rtsp import RtspServer, rtsp
from waiting import wait_until

from edgekit.apps.vision.frames import Frame
from edgekit.apps.vision.recording.clips import ClipRecorder
from edgekit.apps.vision.sources.address import Address, parse_address
from edgekit.apps.vision.sources.base import Capture, PacketTap
from edgekit.apps.vision.sources.container import ContainerCapture
from edgekit.apps.vision.sources.feed import Feed
from edgekit.apps.vision.sources.states import Patience

av = pytest.importorskip("av", reason="PyAV (extra vision) is not installed")
QUICK = Patience(stall_s=0.4, lose_s=8.0, first_delay_s=0.05, longest_delay_s=0.3, jitter=0)


class Watched:
    """A feed, the states it went through, and the sizes of what it showed."""

    def __init__(self, server: RtspServer, *, read_s: float = 1.0, tap: PacketTap | None = None) -> None:
        self.states: list[str] = []
        self.sizes: set[tuple[int, int]] = set()
        self.captures: list[ContainerCapture] = []
        self.times: list[float] = []
        self._read_s, self._lock = read_s, Lock()
        address = parse_address(server.url)
        self.feed = Feed(
            address, tap=tap, patience=QUICK, opener=self._open, on_change=lambda link: self.states.append(link.state)
        )
        self.feed.start()

    def _open(self, address: Address, tap: PacketTap | None) -> Capture:
        self.captures.append(ContainerCapture(address, tap=tap, read_s=self._read_s))
        return self.captures[-1]

    def look(self, frames: int = 1) -> list[Frame]:
        """Take so many frames."""
        found: list[Frame] = []

        def taken() -> bool:
            frame = self.feed.frames.take(0.05)
            self.feed.look()
            if frame is not None:
                found.append(frame)
                self.sizes.add((frame.width, frame.height))
                self.times.append(frame.time_s)
            return len(found) >= frames

        wait_until(taken, f"{frames} frames come")
        return found

    def saw(self, *states: str) -> bool:
        """Whether these states came in this order, others between them."""
        self.feed.look()
        rest = iter(list(self.states))
        return all(state in rest for state in states)


def test_a_stream_is_seen_and_its_packets_make_a_clip(tmp_path: Path) -> None:
    with rtsp() as server:
        recorder = ClipRecorder(pre_roll_s=1.0)
        watched = Watched(server, tap=recorder)
        watched.look(12)
        assert recorder.start(tmp_path / "a.mp4")
        watched.look(8)
        watched.feed.stop()
        recorder.stop()
        assert watched.sizes == {(160, 120)} and watched.states == ["running"]
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) >= 8


def test_a_server_that_is_killed_is_lost_and_found_again_when_it_comes_back() -> None:
    with rtsp() as server:
        watched = Watched(server)
        watched.look(3)
        server.kill()
        wait_until(lambda: watched.states.count("lost") >= 2, "it is tried again and again")
        server.start()
        wait_until(lambda: watched.saw("running", "lost", "connecting", "lost", "connecting", "running"), "it runs again")
        watched.look(3)
        watched.feed.stop()
        assert watched.feed.look().link.losses == 1 and "hunter2" not in watched.feed.look().link.reason
        assert watched.times == sorted(watched.times), "time goes on over the loss"


def test_a_stream_that_falls_silent_without_closing_is_stalled_then_lost_then_opened_anew() -> None:
    with rtsp() as server:
        watched = Watched(server)
        watched.look(3)
        server.silent.set()
        wait_until(lambda: watched.saw("running", "stalled", "lost"), "silence is noticed")
        server.silent.clear()
        wait_until(lambda: watched.saw("stalled", "lost", "connecting", "running"), "it is opened anew")
        watched.feed.stop()
        assert server.connections >= 2


def test_a_resolution_that_changes_in_mid_stream_is_followed() -> None:
    with rtsp((160, 120), (320, 240)) as server:
        watched = Watched(server)
        wait_until(lambda: watched.look() and len(watched.sizes) == 2, "both sizes come")
        watched.feed.stop()
        assert watched.sizes == {(160, 120), (320, 240)} and server.connections == 1


def test_damaged_packets_are_counted_and_passed_over() -> None:
    with rtsp() as server:
        watched = Watched(server)
        watched.look(3)
        server.damaged.set()
        wait_until(lambda: watched.captures[0].corrupt >= 3 or len(watched.captures) > 1, "damage is noticed")
        server.damaged.clear()
        watched.look(5)
        watched.feed.stop()
        assert sum(capture.corrupt for capture in watched.captures) >= 3
