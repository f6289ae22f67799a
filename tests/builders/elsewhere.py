"""Another machine's language model: an OpenAI-compatible server on the loopback that does what its script says."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Elsewhere:
    """A real OpenAI-compatible server on the loopback, which does what its script says, then answers."""

    def __init__(self) -> None:
        self.script: list[int | str] = []
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.asked: Callable[[], None] = lambda: None
        """Called when a question has come."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._json(200, {"data": [{"id": "big"}]})

            def do_POST(self) -> None:
                outer.bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                outer.keys.append(self.headers.get("authorization", ""))
                outer.asked()
                step = outer.script.pop(0) if outer.script else "answer"
                if isinstance(step, int):
                    self._json(step, {"error": {"message": "scripted"}})
                    return
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.end_headers()
                if step == "rubbish":
                    self.wfile.write(b"data: rubbish\n\n")
                    return
                for text in ("From ", "elsewhere [1]."):
                    self._event({"choices": [{"delta": {"content": text}}]})
                self._event({"choices": [{"delta": {}, "finish_reason": "stop"}]})
                self.wfile.write(b"data: [DONE]\n\n")

            def _event(self, value: Any) -> None:
                self.wfile.write(b"data: " + json.dumps(value).encode() + b"\n\n")

            def _json(self, status: int, value: Any) -> None:
                data = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
