"""A hawkBit server as its published DDI description has it, small: one target, one action at a time, real HTTP on loopback.

Written after https://eclipse.dev/hawkbit/apis/ddi_api: it checks what a client sends as strictly as it is described there.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import md5, sha1, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TOKEN = "secret-of-this-target"
EXECUTIONS = ("closed", "proceeding", "canceled", "scheduled", "rejected", "resumed", "downloaded", "download")


@dataclass
class Hawkbit:
    """What the server is to say, and what it heard."""

    url: str = ""
    action: str = ""
    canceling: bool = False
    chunks: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    download: str = "forced"
    update: str = "forced"
    window: str = ""
    wants_attributes: bool = True
    attributes: dict[str, str] = field(default_factory=dict)
    feedback: list[tuple[str, str, str, list[str]]] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)
    break_off_at: int = 0
    strangers: list[str] = field(default_factory=list)

    @property
    def base(self) -> str:
        return f"{self.url}/DEFAULT/controller/v1/cam-1"

    def assign(self, action: str, folder: Path, *, metadata: dict[str, str], module: str = "cam", part: str = "bApp") -> None:
        """A distribution set with one software module, made of a folder's files."""
        self.action, self.canceling = action, False
        artifacts = []
        for path in sorted(folder.iterdir()):
            data = path.read_bytes()
            self.files[path.name] = data
            href = f"{self.base}/softwaremodules/1/artifacts/{path.name}"
            hashes = {"sha1": sha1(data).hexdigest(), "md5": md5(data).hexdigest(), "sha256": sha256(data).hexdigest()}
            links = {"download-http": {"href": href}, "md5sum-http": {"href": f"{href}.MD5SUM"}}
            artifacts.append({"filename": path.name, "hashes": hashes, "size": len(data), "_links": links})
        known = [{"key": key, "value": value} for key, value in metadata.items()]
        self.chunks = [{"part": part, "version": "1.0", "name": module, "artifacts": artifacts, "metadata": known}]

    def links(self) -> dict[str, Any]:
        found = {}
        if self.wants_attributes:
            found["configData"] = {"href": f"{self.base}/configData"}
        if self.action and self.canceling:
            found["cancelAction"] = {"href": f"{self.base}/cancelAction/{self.action}"}
        elif self.action:
            found["deploymentBase"] = {"href": f"{self.base}/deploymentBase/{self.action}?c=-2122565939"}
        return found

    def deployment(self) -> dict[str, Any]:
        said: dict[str, Any] = {"download": self.download, "update": self.update, "chunks": self.chunks}
        if self.window:
            said["maintenanceWindow"] = self.window
        return {"id": self.action, "deployment": said, "actionHistory": {"status": "RUNNING", "messages": []}}

    def take(self, kind: str, action: str, body: dict[str, Any]) -> int:
        status = body["status"]
        finished, execution = status["result"]["finished"], status["execution"]
        assert execution in EXECUTIONS and finished in ("success", "failure", "none"), body
        if action != self.action:
            return 410
        self.feedback.append((kind, execution, finished, status.get("details", [])))
        if execution == "closed":
            self.action = ""
        return 200


@contextmanager
def hawkbit() -> Iterator[Hawkbit]:
    """The server, for the length of the block."""
    state = Hawkbit()

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self._known():
                return
            path = self.path.partition("?")[0].removeprefix("/DEFAULT/controller/v1/cam-1")
            if path == "":
                self._say({"config": {"polling": {"sleep": "00:00:01"}}, "_links": state.links()})
            elif path == f"/deploymentBase/{state.action}":
                self._say(state.deployment())
            elif path == f"/cancelAction/{state.action}":
                self._say({"id": state.action, "cancelAction": {"stopId": state.action}})
            elif found := re.fullmatch(r"/softwaremodules/1/artifacts/(.+)", path):
                self._file(state.files[found[1]])
            else:
                self.send_error(404)

        def do_PUT(self) -> None:
            if self._known():
                body = self._body()
                assert body["mode"] in ("merge", "replace", "remove")
                state.attributes, state.wants_attributes = body["data"], False
                self._end(200)

        def do_POST(self) -> None:
            found = re.fullmatch(r"/DEFAULT/controller/v1/cam-1/(deploymentBase|cancelAction)/(\w+)/feedback", self.path)
            if self._known() and found:
                self._end(state.take(found[1], found[2], self._body()))

        def _known(self) -> bool:
            if self.headers.get("Authorization") == f"TargetToken {TOKEN}":
                return True
            state.strangers.append(self.path)
            self.send_error(401)
            return False

        def _body(self) -> dict[str, Any]:
            found: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            return found

        def _say(self, what: dict[str, Any]) -> None:
            data = json.dumps(what).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/hal+json;charset=UTF-8")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _file(self, data: bytes) -> None:
            asked = self.headers.get("Range", "")
            state.ranges.append(asked)
            start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
            self.send_response(206 if asked else 200)
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            limit, state.break_off_at = state.break_off_at or len(data), 0
            self.wfile.write(data[start:][:limit])
            self.close_connection = True

        def _end(self, code: int) -> None:
            self.send_response(code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
