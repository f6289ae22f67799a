"""What each app is asked on a board, asked of the app on this machine, by the very code that asks the board."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from edgekit.cli import main
from edgekit.core.errors import DeviceError, EdgekitError, UsageError
from edgekit.emulate.here import expected
from edgekit.emulate.proofs import PROMPT, PROOFS, TOKENS, proof_of
from edgekit.emulate.served import Served
from edgekit.models import digits, persons, tinylm

pytest.importorskip("fastapi", reason="the apps' pages need edgekit[web]")
PICTURE, NUMBER = Path(digits.__file__).parent / "number.png", "3141592653"


def test_digits_reads_the_number_in_the_picture() -> None:
    artifact = next(path for path in digits.artifacts() if path.name.endswith("int8"))
    assert expected("digits", artifact, proof_of("digits", PICTURE)) == NUMBER


def test_a_camera_app_shows_that_frames_came_and_its_detector_looked() -> None:
    pytest.importorskip("av", reason="cameras need edgekit[vision]")
    assert (
        expected("surveillance", persons.artifacts()[0], proof_of("surveillance"))
        == "frames came, and the detector looked at them"
    )


def test_the_assistant_goes_on_with_the_likeliest_words_as_its_engine_alone_does() -> None:
    pytest.importorskip("xllamacpp", reason="language models need edgekit[llm]")
    from edgekit.runtimes.language.opening import open_text
    from edgekit.runtimes.text import Piece, Sampling, TextRequest

    model = Path(tinylm.__file__).parent / "tinylm.gguf"
    said = expected("assistant", model, proof_of("assistant"))
    request = TextRequest(prompt=PROMPT, sampling=Sampling(max_tokens=TOKENS, temperature=0.0))
    with closing(open_text(model)) as session:
        alone = "".join(step.text for step in session.generate(request) if isinstance(step, Piece))
    assert said == alone != ""


def test_every_proof_names_what_its_packages_need_and_starts_its_app_with_words_the_app_takes() -> None:
    from edgekit.commands.run import app_parser, find_app

    for app in PROOFS:
        proof = proof_of(app, PICTURE)
        app_parser(app, find_app(app)).parse_args(["--artifact", "a", *proof.arguments, "--host", "0.0.0.0", "--port", "1"])
        assert proof.extras and proof.about


def test_an_app_that_nobody_knows_what_to_ask_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="what detect is asked"):
        proof_of("detect")
    with pytest.raises(UsageError, match="none was given"):
        proof_of("digits")
    artifact = str(persons.artifacts()[0])
    assert main(["emulate", "--target", "rpi5", "--app", "surveillance", "--artifact", artifact, "--boot"]) == 2
    assert "--extra litert --extra vision --extra web" in capsys.readouterr().err


def test_an_app_that_does_not_start_here_is_said_with_its_last_word(tmp_path: Path) -> None:
    with pytest.raises(EdgekitError, match="does not serve on this machine"):
        expected("digits", tmp_path / "no-artifact", proof_of("digits", PICTURE))


def test_a_camera_that_stopped_is_an_answer_and_what_is_no_json_an_error() -> None:
    with _answering(
        {"/api/surveillance/cameras": json.dumps([{"frames": 3, "failed": "RuntimeError: no detector"}])}
    ) as served:
        assert proof_of("camera").ask(served, "key") == "stopped: RuntimeError: no detector"
    with _answering({"/api/surveillance/cameras": "<html>"}) as served, pytest.raises(DeviceError, match="answers no JSON"):
        proof_of("camera").ask(served, "key")
    with _answering({}) as served, pytest.raises(DeviceError, match="answers 404 at /api"):
        proof_of("camera").ask(served, "key")


@contextmanager
def _answering(texts: dict[str, str]) -> Iterator[Served]:
    """A server that says these texts, to whoever shows the token."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path in texts and self.headers["authorization"] == "Bearer key"
            self.send_response(200 if known else 404)
            self.end_headers()
            self.wfile.write(texts.get(self.path, "").encode())

        def log_message(self, format: str, *args: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield Served(f"http://127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
            thread.join()
