"""`edgekit models`: the catalogue, and fetching from a real server that breaks off, resumes and lies."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tiny_language import tiny_gguf

from edgekit.cli import main
from edgekit.core.errors import EdgekitError, InputError, NotFound
from edgekit.core.progress import Event
from edgekit.models import catalogue
from edgekit.models.fetch import fetch
from edgekit.models.fits import fits

DATA = bytes(range(256)) * 4000
DIGEST = hashlib.sha256(DATA).hexdigest()


PAGE = b"<!DOCTYPE html><html><title>Please log in</title></html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1000000\n"


class Handler(BaseHTTPRequestHandler):
    """Serves DATA, or the page or pointer that its path names.

    `/cut` hangs up half-way through whatever is asked, `/reset` does so rudely, `/stall` goes silent there, `/whole` ignores ranges,
    `/elsewhere` answers them with another part, `/quiet` tells no length.
    """

    asked: list[str]

    def do_GET(self) -> None:
        self.server.asked.append(self.headers.get("Range", ""))  # type: ignore[attr-defined]
        what = self.path.split("/")[1]
        data = {"page": PAGE, "pointer": POINTER}.get(what, DATA)
        if what == "missing":
            self.send_error(404)
            return
        begin = 0
        given = self.headers.get("Range")
        if given and what != "whole":
            begin = int(given.removeprefix("bytes=").rstrip("-"))
            if begin >= len(data):
                self.send_error(416)
                return
        self._send(what, begin, data[begin:])

    def _send(self, what: str, begin: int, rest: bytes) -> None:
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {0 if what == 'elsewhere' else begin}-/*")
        if what != "quiet":
            self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        short = what in ("cut", "reset", "stall") and len(rest) > 1000
        with suppress(ConnectionError):  # a reader that refuses what was promised hangs up
            self.wfile.write(rest[: len(rest) // 2] if short else rest)
        if short and what == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if short and what == "stall":
            self.server.over.wait(60)  # type: ignore[attr-defined]

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.asked = []  # type: ignore[attr-defined]
    made.over = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=made.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.over.set()  # type: ignore[attr-defined]
    made.shutdown()
    thread.join()
    made.server_close()


def address(server: ThreadingHTTPServer, path: str) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}{path}"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path


def test_a_file_is_fetched_checked_and_its_progress_told(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    events: list[Event] = []
    found = fetch(address(server, "/model"), tmp_path / "model", size=len(DATA), sha256=DIGEST, progress=events.append)
    assert found.read_bytes() == DATA
    assert events[-1].done == events[-1].total == len(DATA)


def test_a_connection_that_is_cut_is_taken_up_where_it_broke_off(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    found = fetch(address(server, "/cut"), tmp_path / "model", size=len(DATA), sha256=DIGEST)
    assert found.read_bytes() == DATA
    assert server.asked[:2] == ["", f"bytes={len(DATA) // 2}-"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("way", ["reset", "stall"])
def test_a_connection_that_is_reset_or_goes_silent_is_taken_up_as_well(
    server: ThreadingHTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr("edgekit.models.fetch.TIMEOUT_S", 0.5)
    found = fetch(address(server, f"/{way}"), tmp_path / "model", size=len(DATA), sha256=DIGEST)
    assert found.read_bytes() == DATA
    assert len(server.asked) > 2  # type: ignore[attr-defined]


def test_a_part_from_elsewhere_in_the_file_is_never_put_behind_what_came(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    (tmp_path / "model.part").write_bytes(DATA[:1000])
    with pytest.raises(EdgekitError, match="not from 1000 on"):
        fetch(address(server, "/elsewhere"), tmp_path / "model", sha256=DIGEST)
    assert (tmp_path / "model.part").read_bytes() == DATA[:1000]


def test_all_that_came_before_is_checked_and_not_asked_for_again(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    (tmp_path / "model.part").write_bytes(DATA)
    assert fetch(address(server, "/model"), tmp_path / "model", size=len(DATA), sha256=DIGEST).read_bytes() == DATA
    assert server.asked == []  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("path", "said"), [("/page", "is a web page"), ("/pointer", "is a Git LFS pointer"), ("/quiet", "no whole model")]
)
def test_where_no_hash_is_known_what_is_no_model_is_refused_and_removed(
    server: ThreadingHTTPServer, tmp_path: Path, path: str, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        fetch(address(server, path), tmp_path / "model.gguf")
    assert list(tmp_path.iterdir()) == []


def pulling(home: Path, url: str, **known: object) -> catalogue.Entry:
    """An entry of one's own catalogue that leads to the server."""
    entry = catalogue.Entry(name="theirs", kind="vision", title="T", licence="MIT", page="", url=url, **known)  # type: ignore[arg-type]
    catalogue.add(entry)
    return entry


def test_a_disk_that_fills_up_is_said_and_the_next_pull_goes_on(server: ThreadingHTTPServer, home: Path) -> None:
    pulling(home, address(server, "/model"), sha256=DIGEST, bytes=len(DATA))
    pull = [sys.executable, "-m", "edgekit", "models", "pull", "theirs", "-o", str(home / "got")]
    limit = 400_000  # bytes a file may have: the system's answer to more is the one it has for a full disk, but for its words
    full = subprocess.run(["prlimit", f"--fsize={limit}", *pull], capture_output=True, text=True, check=False, timeout=120)
    assert full.returncode == 1 and "could not write" in full.stderr and "is there space" in full.stderr
    assert (home / "got" / "model.part").stat().st_size == limit and not (home / "got" / "model").exists()
    assert subprocess.run(pull, capture_output=True, check=False, timeout=120).returncode == 0
    assert (home / "got" / "model").read_bytes() == DATA
    assert server.asked == ["", f"bytes={limit}-"]  # type: ignore[attr-defined]


def test_what_has_no_room_is_not_begun(server: ThreadingHTTPServer, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pulling(home, address(server, "/model"), bytes=10**15)
    assert main(["models", "pull", "theirs"]) == 1
    assert "needs 1000000.00 GB more, the disk has" in capsys.readouterr().err
    assert server.asked == []  # type: ignore[attr-defined]


def test_a_pull_that_is_not_what_was_promised_leaves_nothing(
    server: ThreadingHTTPServer, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pulling(home, address(server, "/page"), sha256=DIGEST)
    assert main(["models", "pull", "theirs", "-o", str(home / "got")]) == 1
    assert "has the sha256" in capsys.readouterr().err
    assert list((home / "got").iterdir()) == []


def test_a_later_call_goes_on_with_what_came_before(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    (tmp_path / "model.part").write_bytes(DATA[:1000])
    assert fetch(address(server, "/model"), tmp_path / "model", sha256=DIGEST).read_bytes() == DATA
    assert server.asked == ["bytes=1000-"]  # type: ignore[attr-defined]


def test_a_server_that_cannot_resume_is_asked_for_the_whole(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    (tmp_path / "model.part").write_bytes(b"old rubbish")
    assert fetch(address(server, "/whole"), tmp_path / "model", sha256=DIGEST).read_bytes() == DATA


def test_another_file_than_was_promised_is_refused_and_removed(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="was promised"):
        fetch(address(server, "/model"), tmp_path / "model", sha256="0" * 64)
    with pytest.raises(InputError, match="5 were promised"):
        fetch(address(server, "/model"), tmp_path / "model", size=5)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_already_is_not_fetched_again(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(DATA)
    fetch(address(server, "/model"), tmp_path / "model", sha256=DIGEST)
    assert server.asked == []  # type: ignore[attr-defined]


def test_an_address_that_is_gone_is_an_error_at_once(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    with pytest.raises(EdgekitError, match="answered 404"):
        fetch(address(server, "/missing"), tmp_path / "model")
    assert len(server.asked) == 1  # type: ignore[attr-defined]


def test_nobody_answering_is_given_up_after_a_few_tries(tmp_path: Path) -> None:
    with pytest.raises(EdgekitError, match="cannot be fetched"):
        fetch("http://127.0.0.1:9/model", tmp_path / "model")


def test_every_shipped_entry_says_its_licence_and_where_it_is_from() -> None:
    for entry in catalogue.read(catalogue.SHIPPED):
        assert entry.licence and entry.source and entry.page.startswith("https://"), entry.name
        assert entry.url or entry.note, f"{entry.name} can neither be fetched nor says why"


def test_every_shipped_file_is_one_model_of_a_known_size_and_hash_at_an_address_that_does_not_move() -> None:
    """A whole model: weights without their tokenizer could not be run."""
    for entry in catalogue.read(catalogue.SHIPPED):
        if entry.url and entry.kind == "text":
            assert entry.file.endswith(".gguf"), entry.name
            assert entry.bytes and re.fullmatch("[0-9a-f]{64}", entry.sha256), entry.name
            assert re.search("/resolve/[0-9a-f]{40}/", entry.url), entry.name


CAMERA_MODELS = {
    "yolox-nano",
    "yolox-tiny",
    "ssd-mobilenet-v1",
    "efficientdet-lite0",
    "movenet-lightning",
    "pose-landmarker-lite",
}


def test_the_shipped_models_for_cameras_are_fetched_only_as_the_file_that_was_seen() -> None:
    entries = {entry.name: entry for entry in catalogue.read(catalogue.SHIPPED) if entry.kind == "vision"}
    assert set(entries) >= CAMERA_MODELS
    for entry in entries.values():
        assert len(entry.sha256) == 64 and entry.url.startswith("https://") and entry.task and entry.note, entry.name
        assert "AGPL" not in entry.licence and "NC" not in entry.licence, entry.name


@pytest.mark.parametrize(
    ("name", "file", "finds"),
    [
        ("ssd-mobilenet-v1", "models_detection/coco_ssd_mobilenet_v1_1.0_quant_2018_06_29.tflite", "ssd"),
        ("movenet-lightning", "models_coral/movenet_single_pose_lightning_ptq.tflite", "movenet"),
        ("visual-wake-words", "models_mlperf_tiny/vww_96_int8.tflite", "classification"),
    ],
)
def test_a_tflite_file_that_is_pulled_is_taken_as_it_is(
    home: Path, shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, file: str, finds: str
) -> None:
    """The shipped entry's hash is that of the file, whose head is known; fetched from a copy, since tests reach no network."""
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
    import msgspec

    from edgekit.apps.vision.networks.artifacts import opened

    catalogue.add(msgspec.structs.replace(catalogue.find(name), url=(shared_data / file).as_uri()))
    assert main(["models", "pull", name, "-o", str(tmp_path / "got"), "--json"]) == 0
    pulled = json.loads(capsys.readouterr().out)
    assert pulled["checked"] is True
    with opened(Path(pulled["path"]), threads=1) as session:
        postprocess = session.artifact.manifest.postprocess
    assert postprocess is not None and postprocess.head == finds


def test_the_list_says_of_each_whether_it_fits_a_board(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list", "--target", "rpi-zero-2w", "--json"]) == 0
    listed = {row["name"]: row["fits"] for row in json.loads(capsys.readouterr().out)["models"]}
    assert listed["smollm2-135m-instruct"].startswith("yes") or "GB can be used" in listed["smollm2-135m-instruct"]
    assert listed["llama-3.2-1b-instruct"].startswith("no: needs")


def test_without_a_verb_the_models_are_listed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    assert "qwen2.5-0.5b-instruct" in capsys.readouterr().out


def test_a_model_that_needs_a_person_is_not_fetched(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "pull", "llama-3.2-1b-instruct"]) == 1
    assert "form on its page" in capsys.readouterr().err


def test_a_misspelt_name_gets_the_nearest(home: Path) -> None:
    with pytest.raises(NotFound) as caught:
        catalogue.find("qwen3-06b")
    assert "qwen3-0.6b" in caught.value.hint


def test_a_file_of_ones_own_is_added_with_its_hash_and_can_be_pulled(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tiny_gguf(tmp_path / "Mine.gguf")
    assert main(["models", "add", str(path), "--licence", "MIT"]) == 0
    entry = catalogue.find("mine")
    assert entry.sha256 == hashlib.sha256(path.read_bytes()).hexdigest() and entry.licence == "MIT"
    assert entry.kv_bytes_per_token == 2 * 2 * 2 * 2 * 16
    capsys.readouterr()
    assert main(["models", "pull", "mine", "-o", str(tmp_path / "got"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["checked"] is True
    assert (tmp_path / "got" / "Mine.gguf").read_bytes() == path.read_bytes()


def test_a_damaged_catalogue_is_named(home: Path) -> None:
    catalogue.own_file().parent.mkdir(parents=True)
    catalogue.own_file().write_text("models:\n  - name: x\n")
    with pytest.raises(InputError, match="is no catalogue"):
        catalogue.entries()


def test_vision_models_have_a_place_in_the_same_catalogue(home: Path) -> None:
    entry = catalogue.Entry(
        name="boxes", kind="vision", title="Boxes", licence="MIT", page="https://example.org", task="detection", note="by hand"
    )
    catalogue.add(entry)
    assert catalogue.find("boxes") == entry
    from edgekit.core.profiles import find

    assert fits(entry, find("rpi5")) == "not known"
