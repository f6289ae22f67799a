"""Where pictures come from, as a user writes it: read once, refused when it could mean more than a camera, shown without secrets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from edgekit.core.errors import InputError, NotFound

Kind = Literal["recording", "pictures", "stream", "v4l2", "csi", "argus", "nvdec", "synthetic"]
STREAMS = ("rtsp", "rtsps", "http", "https")
DEVICES: dict[str, Kind] = {"v4l2": "v4l2", "csi": "csi", "argus": "argus", "synthetic": "synthetic"}
HINT = "a file, a folder, rtsp://…, http://…, /dev/video0, csi:0 (Raspberry Pi), argus:0 or nvdec:rtsp://… (Jetson) or synthetic:640x360"
LONGEST = 2048
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)", re.DOTALL)
NVDEC = "nvdec"
"""Before a stream's address: a Jetson's own decoder is to decode it."""
_DECODED = re.compile(r"(?:(h264|h265):)?(rtsps?://.*)", re.DOTALL | re.IGNORECASE)
_DEVICE_NODE = re.compile(r"/dev/video[0-9]{1,3}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One source. `target` is what the library opens and may hold a password; `shown` is what may be printed and kept."""

    kind: Kind
    target: str
    shown: str

    @property
    def live(self) -> bool:
        """Whether frames come when they come, so that late ones are dropped, and a loss is followed by another try."""
        return self.kind not in ("recording", "pictures", "synthetic")

    @property
    def encoded(self) -> bool:
        """Whether its pictures come encoded, so that clips are cut out of what it sends."""
        return self.kind in ("recording", "stream")

    def __repr__(self) -> str:
        return f"Address({self.kind}, {self.shown!r})"


def parse_address(text: str, *, local: bool = True) -> Address:
    """The source that `text` names. `local` false (what comes over a network) takes streams only.

    Raises `InputError` for every scheme but those of `HINT` (FFmpeg's own `concat:`, `exec:`, `file:`, `subfile:` and the rest
    read files and start programs), for control characters and for a URL without a host; `NotFound` for a path of nothing.
    """
    if not text or len(text) > LONGEST or not text.isprintable():
        raise InputError("a source is one line of printable text", HINT)
    found = _SCHEME.fullmatch(text)
    scheme = found.group(1).lower() if found else ""
    if scheme in STREAMS:
        return _stream(text, scheme)
    if not local:
        raise InputError(f"a source given over the network is a stream, not {_unsaid(text, scheme)}", "rtsp://… or http://…")
    if _DEVICE_NODE.fullmatch(text):
        return Address(kind="v4l2", target=text, shown=text)
    if found and scheme == NVDEC:
        return _decoded(found.group(2))
    if found and scheme in DEVICES:
        return _device(DEVICES[scheme], found.group(2), text)
    if found:
        raise InputError(f"a source does not begin with {scheme + ':'!r}", HINT)
    return _path(text)


def _stream(text: str, scheme: str) -> Address:
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as exc:
        raise InputError(f"the {scheme} address is not a URL: {_plain(str(exc))}", HINT) from exc
    if not host or "|" in text or " " in text:
        raise InputError(f"the {scheme} address names no host, or holds a space or '|'", "rtsp://host:554/stream")
    return Address(kind="stream", target=text, shown=_shown(parts, host, port))


def _decoded(rest: str) -> Address:
    """`target` is the codec, a colon and the address."""
    found = _DECODED.fullmatch(rest)
    if found is None:
        raise InputError(
            f"behind {NVDEC + ':'!r} stands the address of an RTSP stream", "nvdec:rtsp://… or nvdec:h265:rtsp://…"
        )
    codec, url = (found[1] or "h264").lower(), found[2]
    stream = _stream(url, url.partition(":")[0].lower())
    return Address(kind="nvdec", target=f"{codec}:{url}", shown=f"{NVDEC}:{codec}:{stream.shown}")


def _shown(parts: SplitResult, host: str, port: int | None) -> str:
    """The URL with neither user, nor password, nor what stands behind the question mark: tokens travel there."""
    where = f"[{host}]" if ":" in host else host
    secret = "***@" if "@" in parts.netloc else ""
    query = "?***" if parts.query else ""
    return f"{parts.scheme.lower()}://{secret}{where}{f':{port}' if port else ''}{parts.path}{query}"


def _device(kind: Kind, rest: str, text: str) -> Address:
    pattern = {"v4l2": r"/dev/video[0-9]{1,3}", "synthetic": r"([1-9][0-9]{1,3}x[1-9][0-9]{1,3})?"}.get(kind, r"[0-9]{0,2}")
    if not re.fullmatch(pattern, rest):
        raise InputError(f"{text!r} names no {kind} source", HINT)
    return Address(kind=kind, target=rest, shown=text)


def _path(text: str) -> Address:
    path = Path(text)
    if path.is_dir():
        return Address(kind="pictures", target=text, shown=text)
    if path.is_file():
        return Address(kind="recording", target=text, shown=text)
    raise NotFound(f"no file or folder at {text!r}", HINT)


def _unsaid(text: str, scheme: str) -> str:
    return repr(f"{scheme}:…") if scheme else repr(text if len(text) <= 40 else f"{text[:37]}...")


def _plain(said: str) -> str:
    """What urllib says without what it quotes: the quotation may be a password."""
    return re.sub(r"'[^']*'", "…", said)
