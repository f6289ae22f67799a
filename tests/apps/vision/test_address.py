"""Sources as users write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.apps.vision.sources.address import parse_address
from edgekit.core.errors import EdgekitError, InputError, NotFound

HOSTILE = [
    "exec:rm -rf /", "concat:/etc/passwd|/etc/shadow", "file:///etc/passwd", "subfile,,start,0,end,9,,:/etc/passwd", "pipe:0",
    "data:text/plain;base64,AAAA", "ftp://host/x", "tcp://host:1", "lavfi:testsrc", "cache:rtsp://h/x", "RTSP+EXEC://x", "gopher://x",
    "rtsp://", "rtsp://user:secret@", "http:///path", "rtsp://host/a|b", "rtsp://host/a b", "rtsp://host:port/", "rtsp://ho\nst/",
    "nvdec:file:///etc/passwd", "nvdec:h264:exec:x", "nvdec:vp8:rtsp://h/x", "v4l2:/etc/passwd", "v4l2:/dev/video0/../../etc/passwd", "csi:abc", "synthetic:0x0", "", "x" * 4000, "a\x00b", "rtsp://[::1",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_what_could_mean_more_than_a_camera_is_refused(text: str) -> None:
    with pytest.raises((InputError, NotFound)):
        parse_address(text)


@pytest.mark.parametrize(
    "text", ["/etc/hostname", "/dev/video0", "csi:0", "synthetic:64x48", "nvdec:rtsp://h/x", "exec:x", "file:/x", "."]
)
def test_over_a_network_only_streams_are_taken(text: str) -> None:
    with pytest.raises(InputError):
        parse_address(text, local=False)


@pytest.mark.parametrize(
    "text",
    [
        "rtsp://admin:hunter2@cam.local:554/live?token=hunter2",
        "https://admin:hunter2@[fe80::1]/x?key=hunter2",
        "rtsp://hunter2@h/x",
    ],
)
def test_what_is_shown_of_a_stream_holds_no_secret(text: str) -> None:
    address = parse_address(text, local=False)
    assert "hunter2" not in f"{address.shown} {address!r}"
    assert address.target == text


@pytest.mark.parametrize("text", ["rtsp://admin:hunter2@host:notaport/x", "rtsp://admin:hunter2@", "http://hunter2:x@/a"])
def test_a_refusal_quotes_no_password(text: str) -> None:
    with pytest.raises(EdgekitError) as refusal:
        parse_address(text)
    assert "hunter2" not in refusal.value.message + refusal.value.hint


@pytest.mark.parametrize(
    ("text", "codec"), [("nvdec:rtsp://me:hunter2@h/x", "h264"), ("nvdec:H265:rtsp://me:hunter2@h/x", "h265")]
)
def test_a_stream_for_a_jetsons_decoder_names_its_codec_and_hides_its_password(text: str, codec: str) -> None:
    address = parse_address(text)
    assert (address.kind, address.target) == ("nvdec", f"{codec}:rtsp://me:hunter2@h/x")
    assert address.shown == f"nvdec:{codec}:rtsp://***@h/x"
    assert address.live and not address.encoded


def test_kinds(tmp_path: Path) -> None:
    file = tmp_path / "a.mp4"
    file.write_bytes(b"x")
    kinds = {
        text: parse_address(text).kind
        for text in (str(file), str(tmp_path), "/dev/video3", "v4l2:/dev/video3", "csi:1", "argus:")
    }
    assert list(kinds.values()) == ["recording", "pictures", "v4l2", "v4l2", "csi", "argus"]
    assert not parse_address(str(file)).live
    assert parse_address("RTSP://host/x").live
