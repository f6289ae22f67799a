"""The server as strangers, viewers, admins, other sites and programs meet it: a real process on loopback."""

from __future__ import annotations

import json
import re
import socket
import ssl
import stat
import time
from pathlib import Path

import httpx
import pytest
from web import Served, served

from edgekit import __version__

HTML = {"accept": "text/html"}
VIEWER = "a-long-password"


@pytest.fixture(scope="module")
def admin(server: Served) -> httpx.Client:
    return server.login()


@pytest.fixture(scope="module")
def viewer(server: Served, admin: httpx.Client) -> httpx.Client:
    """A program with a viewer's session; the user is made as `edgekit users` makes one, beside the running server."""
    from edgekit.apps.web.security.accounts import Accounts

    accounts = Accounts(_home(server) / "state")
    accounts.add("vera", VIEWER, "viewer")
    accounts.close()
    return server.login("vera", VIEWER)


def _home(server: Served) -> Path:
    return Path(f"/proc/{server.process.pid}/cwd").resolve()


def raw(server: Served, request: bytes) -> bytes:
    """Send bytes as they are, and read the answer's start."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(request)
        return connection.recv(4096)


# Who gets in


def test_the_first_password_is_said_once_and_kept_as_a_hash(server: Served) -> None:
    assert re.fullmatch(r"([a-z2-9]{5}-){3}[a-z2-9]{5}", server.password)
    state = _home(server) / "state"
    assert all(server.password.encode() not in file.read_bytes() for file in state.iterdir())
    assert any(b"scrypt$16384$8$5$" in file.read_bytes() for file in state.iterdir())
    assert {stat.S_IMODE(file.stat().st_mode) for file in state.iterdir()} == {0o600}


ASKED = (
    *(
        "/",
        "/settings",
        "/account",
        "/interface",
        "/interface/openapi.json",
        "/metrics",
        "/docs",
        "/openapi.json",
        "/favicon.ico",
    ),
    *(
        "/api/notes",
        "/v1/missing",
        "/nothing",
        "/_nicegui/",
        f"/_nicegui/{__version__}/static/nicegui.js",
        "/_nicegui_ws/socket.io/",
    ),
    *("/login/", "/health/x", "//login", "/LOGIN", "/login/../metrics", "/health%2f..%2fmetrics", "/%2e%2e/login"),
)


@pytest.mark.parametrize("path", ASKED)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_strangers_get_nothing_but_the_login_and_the_health(server: Served, path: str, method: str) -> None:
    answer = raw(
        server, f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode()
    )
    assert answer.startswith(b"HTTP/1.1 401"), answer


def test_strangers_see_no_websocket(server: Served) -> None:
    upgrade = (
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13"
    )
    path = "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    assert b"403" in raw(server, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{upgrade}\r\n\r\n".encode()).split(b"\r\n")[0]


def test_the_health_says_no_more_than_that(server: Served) -> None:
    assert server.client().get("/health").json() == {"status": "ok"}


def test_a_browser_is_led_to_the_login_and_back(server: Served) -> None:
    answer = server.client().get("/settings", headers=HTML)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/settings")
    assert 'name="next" value="/settings"' in server.client().get("/login?next=/settings").text
    again = server.client().post("/login", data={"name": "admin", "password": "wrong", "next": "/settings"})
    assert 'name="next" value="/settings"' in again.text


@pytest.mark.parametrize(
    "back", ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)", "/\r\nx: y"]
)
def test_the_login_leads_to_no_other_site(server: Served, back: str) -> None:
    given = {"name": "admin", "password": server.password, "next": back}
    assert server.client().post("/login", data=given).headers["location"] == "/"


def test_what_was_typed_is_shown_as_text(server: Served) -> None:
    answer = server.client().post("/login", data={"name": '"><script>', "password": "x", "next": "/"})
    assert answer.status_code == 401
    assert "<script>" not in answer.text


def test_the_session_is_a_cookie_that_scripts_and_other_sites_do_not_get(server: Served) -> None:
    answer = server.client().post("/login", data={"name": "admin", "password": server.password})
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(answer.headers["set-cookie"].split("; "))


def test_after_the_logout_the_session_is_none(server: Served) -> None:
    client = server.login()
    kept = dict(client.cookies)
    assert client.get("/api/notes").status_code == 200
    assert client.post("/logout").headers["location"] == "/login"
    assert server.client(cookies=kept).get("/api/notes").status_code == 401


# Who may do what


def test_a_viewer_looks_and_an_admin_changes(admin: httpx.Client, viewer: httpx.Client) -> None:
    assert viewer.get("/api/notes").status_code == 200
    assert viewer.post("/api/notes", content="mine").status_code == 403
    assert admin.post("/api/notes", content="first").json() == {"by": "admin"}
    assert viewer.get("/api/notes").json() == {"notes": ["first"]}


def test_what_is_made_for_viewers_they_may_use(viewer: httpx.Client) -> None:
    assert viewer.post("/v1/count", content=b"12345").json() == {"bytes": 5}


def test_a_page_for_admins_is_not_drawn_for_a_viewer(admin: httpx.Client, viewer: httpx.Client) -> None:
    assert "No notes yet" in admin.get("/settings", headers=HTML).text
    seen = viewer.get("/settings", headers=HTML).text
    assert "No notes yet" not in seen
    assert "role admin" in seen
    assert "Settings" not in viewer.get("/", headers=HTML).text.split("</title>")[1]


def test_a_token_does_what_its_user_may_until_it_is_ended(server: Served, viewer: httpx.Client) -> None:
    from edgekit.apps.web.security.accounts import Accounts

    accounts = Accounts(_home(server) / "state")
    token = accounts.new_token("vera", "a test")
    program = server.client(headers={"authorization": f"Bearer {token}"})
    assert program.get("/api/notes").status_code == 200
    assert program.post("/api/notes").status_code == 403
    accounts.remove_token("vera", accounts.tokens("vera")[0].id)
    accounts.close()
    assert program.get("/api/notes").status_code == 401


@pytest.mark.parametrize("given", ["Bearer x", "bearer ek_x", "Bearer \xff"])
def test_a_wrong_token_is_refused_even_beside_a_session(server: Served, admin: httpx.Client, given: str) -> None:
    program = server.client(cookies=dict(admin.cookies))
    assert program.get("/metrics").status_code == 200
    answer = program.get("/metrics", headers={"authorization": given.encode("latin-1")})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("given", ["Bearer", "Basic YWRtaW46YWRtaW4=", "x"])
def test_no_other_scheme_lets_anybody_in(server: Served, given: str) -> None:
    assert server.client().get("/metrics", headers={"authorization": given}).status_code == 401


# Other sites


HOSTILE = [
    pytest.param({"origin": "https://evil.example"}, id="another site"),
    pytest.param({"origin": "null"}, id="a sandboxed frame"),
    pytest.param({"origin": "http://127.0.0.1:1"}, id="another port"),
    pytest.param({"origin": "http://127.0.0.1.evil.example"}, id="a name that starts like ours"),
    pytest.param({"origin": "http://[::1"}, id="nonsense"),
    pytest.param({"sec-fetch-site": "cross-site"}, id="said by the browser"),
    pytest.param({"sec-fetch-site": "same-site"}, id="another port, said by the browser"),
]


@pytest.mark.parametrize("headers", HOSTILE)
def test_another_sites_page_changes_nothing(admin: httpx.Client, headers: dict[str, str]) -> None:
    before = admin.get("/api/notes").json()
    assert admin.post("/api/notes", content="forged", headers=headers).status_code == 403
    assert admin.get("/api/notes").json() == before


def test_another_sites_page_opens_no_websocket(server: Served, admin: httpx.Client) -> None:
    cookie = "; ".join(f"{name}={value}" for name, value in admin.cookies.items())
    fields = (
        "GET /_nicegui_ws/socket.io/?EIO=4&transport=websocket HTTP/1.1",
        f"Host: 127.0.0.1:{server.port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Version: 13",
        f"Cookie: {cookie}",
    )
    ours, theirs = (
        raw(server, "\r\n".join((*fields, f"Origin: {origin}", "", "")).encode()).split(b"\r\n")[0]
        for origin in (server.url, "https://evil.example")
    )
    assert b"101" in ours
    assert b"403" in theirs


def test_its_own_page_and_programs_may(server: Served, admin: httpx.Client) -> None:
    for headers in ({"origin": server.url, "sec-fetch-site": "same-origin"}, {}):
        assert admin.post("/v1/count", content=b"1", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "localhost.evil.example", "", "a b", "user@localhost", "[::1"]
)
def test_a_name_that_is_not_the_machines_is_refused(server: Served, host: str) -> None:
    answer = raw(server, f"GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert answer.split(b" ")[1] in (b"421", b"400"), answer


def test_two_hosts_are_refused(server: Served) -> None:
    answer = raw(server, b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
    assert answer.split(b" ")[1] in (b"421", b"400"), answer


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:99", "[::1]", "192.168.1.7", "notes.example", "NOTES.example:443"])
def test_its_own_names_and_any_address_are_answered(server: Served, host: str) -> None:
    assert server.client().get("/health", headers={"host": host}).status_code == 200


def test_every_answer_says_what_a_browser_may_do_with_it(server: Served, admin: httpx.Client) -> None:
    answers = [
        server.client().get("/login"),
        server.client().get("/metrics"),
        server.client().get("/health", headers={"host": "evil.example"}),
        admin.get("/", headers=HTML),
        admin.get("/nothing", headers=HTML),
        admin.get("/v1/missing"),
    ]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "http" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers
        assert "access-control-allow-origin" not in answer.headers


# Too much, and elsewhere


def test_a_large_body_is_refused_by_its_length(admin: httpx.Client, server: Served) -> None:
    cookie = "; ".join(f"{name}={value}" for name, value in admin.cookies.items())
    head = f"POST /v1/count HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\nContent-Length: 999999999999\r\n\r\n"
    assert raw(server, head.encode()).startswith(b"HTTP/1.1 413")


def test_a_body_that_hides_its_length_is_cut_off(admin: httpx.Client) -> None:
    answer = admin.post("/v1/count", content=(b"x" * 50_000 for _ in range(10)))
    assert answer.status_code == 413
    assert "200,000 bytes" in answer.json()["error"]
    assert admin.post("/v1/count", content=(b"x" * 50_000 for _ in range(4))).json() == {"bytes": 200_000}


def test_strangers_may_send_little(server: Served) -> None:
    answer = server.client().post("/login", data={"name": "admin", "password": "x" * 100_000})
    assert answer.status_code == 413


OUTSIDE = ("../" * 8, "..%2f" * 8, "%2e%2e/" * 8, "..%5c" * 8, "....//" * 8, "%252e%252e%252f" * 8, "/" * 3)
ROOTS = ("/", "/_nicegui/{nicegui}/static/", "/_nicegui/{nicegui}/components/", "/_nicegui/{nicegui}/resources/x/", "/notes/")


@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize("outside", OUTSIDE)
def test_no_path_leads_to_files_outside(server: Served, admin: httpx.Client, root: str, outside: str) -> None:
    from importlib.metadata import version

    cookie = "; ".join(f"{name}={value}" for name, value in admin.cookies.items())
    path = root.format(nicegui=version("nicegui")) + outside
    for file in ("etc/passwd", "proc/self/environ"):
        request = f"GET {path}{file} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
        answer = raw(server, request.encode())
        assert b"root:" not in answer
        assert b"PATH=" not in answer
        assert answer.split(b" ")[1] in (b"404", b"400", b"403") or b"Note" in answer, answer


# What goes wrong


def test_an_expected_error_is_a_sentence_and_a_status(admin: httpx.Client) -> None:
    missing, wrong = admin.get("/v1/missing"), admin.get("/v1/wrong")
    assert (missing.status_code, missing.json()) == (404, {"error": "no note 7", "hint": "one of 1 to 3"})
    assert (wrong.status_code, wrong.json()) == (422, {"error": "that is no note", "hint": ""})


def test_a_page_that_cannot_be_drawn_says_so_in_the_frame(admin: httpx.Client) -> None:
    broken, refused = (admin.get(path, headers=HTML).text for path in ("/broken", "/refused"))
    assert "could not be drawn" in broken
    assert "secret detail" not in broken
    assert "The camera is unplugged" in refused
    assert "plug it in" in refused


def test_nothing_is_at_other_paths(admin: httpx.Client) -> None:
    person, program = admin.get("/nothing", headers=HTML), admin.get("/nothing", headers={"accept": "application/json"})
    assert person.status_code == program.status_code == 404
    assert "There is nothing at /nothing" in person.text
    assert program.json()["error"] == "There is nothing at /nothing"


def test_parameters_of_a_path_reach_the_page(admin: httpx.Client) -> None:
    assert "Note 12" in admin.get("/notes/12", headers=HTML).text


# Programs


def test_the_metrics_hold_the_process_and_the_app(admin: httpx.Client) -> None:
    text = admin.get("/metrics").text
    assert re.search(r"^process_resident_memory_bytes \d", text, re.MULTILINE)
    assert re.search(r"^edgekit_notes_written 0\.0$", text, re.MULTILINE)


def test_the_description_lists_the_interface_and_how_to_be_let_in(admin: httpx.Client) -> None:
    described = admin.get("/interface/openapi.json").json()
    assert {"/metrics", "/api/notes", "/v1/count"} <= described["paths"].keys()
    assert "/login" not in described["paths"]
    assert described["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    assert described["paths"]["/api/notes"]["post"]["security"] == [{"HTTPBearer": []}]


def test_nothing_on_a_page_is_fetched_from_elsewhere(admin: httpx.Client, server: Served) -> None:
    page = admin.get("/", headers=HTML).text
    assert set(re.findall(r"""(?:src|href)=["'](https?://[^"']+)""", page)) == set()
    assert set(re.findall(r"@import url\(.(https?://[^)]+)", page)) == set()


def test_without_a_page_open_the_server_is_small(server: Served) -> None:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    assert int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) < 120_000  # type: ignore[index]


def test_it_writes_nothing_but_its_state(server: Served) -> None:
    assert {path.name for path in _home(server).iterdir()} <= {"state", ".cache"}


# Floods, restarts, encryption


def test_a_flood_of_wrong_passwords_is_slowed_and_open_sessions_go_on(small_app: Path, tmp_path: Path) -> None:
    with served([str(small_app)], cwd=tmp_path) as server:
        session = server.login()
        tries = [server.client().post("/login", data={"name": "admin", "password": f"guess {n}"}) for n in range(8)]
        assert [answer.status_code for answer in tries] == [401] * 5 + [429] * 3
        assert 0 < int(tries[-1].headers["retry-after"]) <= 20
        assert "Too many wrong passwords" in tries[-1].text
        right = server.client().post("/login", data={"name": "admin", "password": server.password})
        assert right.status_code == 429
        started = time.monotonic()
        assert session.get("/api/notes").status_code == 200
        assert time.monotonic() - started < 5


def test_a_restart_keeps_users_and_sessions_and_says_no_password_again(small_app: Path, tmp_path: Path) -> None:
    with served([str(small_app)], cwd=tmp_path) as first:
        client = first.login()
        kept, password = dict(client.cookies), first.password
    with served([str(small_app)], cwd=tmp_path) as second:
        assert second.password == ""
        assert "password" not in "".join(second.said)
        assert second.client(cookies=kept).get("/api/notes").status_code == 200
        assert second.login(password=password).get("/api/notes").status_code == 200


def test_a_certificate_is_made_here_and_kept(small_app: Path, tmp_path: Path) -> None:
    with served([str(small_app), "--tls"], cwd=tmp_path) as server:
        chain = tmp_path / "state" / "certificate.pem"
        trusting = ssl.create_default_context(cafile=str(chain))
        client = server.client(verify=trusting)
        answer = client.post("/login", data={"name": "admin", "password": server.password})
        assert answer.headers["set-cookie"].startswith("__Host-edgekit_session=")
        assert "Secure" in answer.headers["set-cookie"]
        assert client.get("/api/notes").status_code == 200
        assert stat.S_IMODE((tmp_path / "state" / "key.pem").stat().st_mode) == 0o600
        assert raw(server, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")[:4] != b"HTTP"
        made = chain.read_bytes()
    with served([str(small_app), "--tls"], cwd=tmp_path):
        assert chain.read_bytes() == made


def test_damaged_accounts_let_nobody_in_and_are_not_replaced(small_app: Path, tmp_path: Path) -> None:
    import subprocess
    import sys

    (tmp_path / "state").mkdir()
    damaged = tmp_path / "state" / "accounts.sqlite"
    damaged.write_bytes(b"not a database" * 100)
    done = subprocess.run(
        [sys.executable, str(small_app)], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode != 0
    assert "cannot be used" in done.stderr
    assert damaged.read_bytes() == b"not a database" * 100


def test_a_port_that_is_taken_is_a_sentence(server: Served, tmp_path: Path) -> None:
    from edgekit.cli import main

    assert main(["run", "--port", str(server.port), "digits", "--state", str(tmp_path)]) == 1


def test_json_of_a_refusal_is_json(server: Served) -> None:
    refusal = server.client().get("/metrics")
    assert json.loads(refusal.text)["hint"].startswith("send 'Authorization: Bearer TOKEN'")
