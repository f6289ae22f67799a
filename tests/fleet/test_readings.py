"""What a board measures: its sensors, and the figures of its app, which is asked on the board itself alone."""

from __future__ import annotations

import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from edgekit.core.errors import InputError
from edgekit.deploy.board import service
from edgekit.fleet.board.readings import MOST_FIGURES, figures, parsed, sensors

TEXT = """# HELP edgekit_fps Pictures a second
# TYPE edgekit_fps gauge
edgekit_fps 24.5
edgekit_errors_total{kind="camera"} 2
edgekit_errors_total{kind="disk"} 3.0 1700000000
edgekit_nothing NaN
python_gc_objects 7
process_cpu_seconds_total 9
half a line
"""


def test_figures_of_an_app_are_read_added_up_over_their_labels_and_bounded() -> None:
    assert parsed(TEXT) == {"edgekit_fps": 24.5, "edgekit_errors_total": 5.0}
    assert len(parsed("".join(f"name_{number} 1\n" for number in range(500)))) == MOST_FIGURES


def test_an_app_is_asked_with_its_token_and_one_that_is_silent_is_a_reading_too() -> None:
    heard = []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.headers.get("Authorization"))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(TEXT.encode())

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/metrics"
        assert figures(url, "a-token") == {"app_answers": 1.0, "edgekit_fps": 24.5, "edgekit_errors_total": 5.0}
        thread.join()
    assert heard == ["Bearer a-token"]
    assert figures(url) == {"app_answers": 0.0} and figures("") == {}
    with pytest.raises(InputError, match="asks the board itself"):
        figures("http://192.168.1.7/metrics")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """One that an app made for itself, for another name than the board has here."""
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=kitchen.local",
    ]
    made += ["-days", "1", "-keyout", str(tmp_path / "both.pem"), "-out", str(tmp_path / "cert.pem")]
    subprocess.run(made, check=True, capture_output=True)
    with (tmp_path / "both.pem").open("a") as both:
        both.write((tmp_path / "cert.pem").read_text())
    return tmp_path / "both.pem"


class Plain(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(302 if self.path == "/elsewhere" else 200)
        self.send_header("Location", "http://192.0.2.1/health")
        self.end_headers()
        self.wfile.write(TEXT.encode())

    def log_message(self, *_: object) -> None: ...


def test_an_app_that_speaks_tls_under_its_own_name_is_well_and_measured(certificate: Path) -> None:
    """The board asks itself at 127.0.0.1, for which nobody has a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with HTTPServer(("127.0.0.1", 0), Plain) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            assert service._asked(f"https://127.0.0.1:{server.server_port}/health") == ""
            assert figures(f"https://127.0.0.1:{server.server_port}/metrics")["edgekit_fps"] == 24.5
        finally:
            server.shutdown()
            thread.join()


def test_an_answer_that_leads_elsewhere_is_not_followed() -> None:
    with HTTPServer(("127.0.0.1", 0), Plain) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            said = service._asked(f"http://127.0.0.1:{server.server_port}/elsewhere")
            assert "asks the board itself, not 'http://192.0.2.1/health'" in said
            assert figures(f"http://127.0.0.1:{server.server_port}/elsewhere") == {"app_answers": 0.0}
        finally:
            server.shutdown()
            thread.join()


def test_what_a_board_does_not_say_is_absent(tmp_path: Path) -> None:
    zone = tmp_path / "sys/class/thermal/thermal_zone0"
    zone.mkdir(parents=True)
    assert "temperature_c" not in sensors(tmp_path, tmp_path)
    (zone / "temp").write_text("61234\n")
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 2048 kB\nMemAvailable:    1024 kB\n")
    found = sensors(tmp_path, tmp_path)
    assert (found["temperature_c"], found["free_memory_bytes"]) == (61.2, 1048576.0) and found["free_disk_bytes"] > 0
