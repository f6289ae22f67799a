"""Boards for tests of deploying: what they are, and the app of another package that behaves as its artifact is named."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from edgekit.core.schema import Artifact
from edgekit.deploy.board.layout import Layout
from edgekit.deploy.nouns import Health, Proposal, Release
from edgekit.deploy.push import proposal_of

APP = '''
"""A server that answers /health with what its artifact is named for: well, sick, or not at all."""
import http.server, sys
from edgekit.artifact import read
HELP = "answers"
def run(options):
    name = read(options.artifact).manifest.name
    if "dead" in name:
        sys.exit(f"{name} does not start")
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(503 if "sick" in name else 200)
            self.end_headers()
            self.wfile.write(name.encode())
        def log_message(self, *_): pass
    http.server.ThreadingHTTPServer.allow_reuse_address = True
    http.server.ThreadingHTTPServer(("127.0.0.1", options.port), Answer).serve_forever()
'''


@dataclass(frozen=True)
class Place:
    """A board of this test: its folder, its service's folder and the port its app answers on."""

    layout: Layout
    services: Path
    port: int
    path: str

    def release(self, artifact: Artifact, **more: object) -> Release:
        health = Health(url=f"http://127.0.0.1:{self.port}/health", settle_s=0.1, deadline_s=20)
        made = Release(app="sentinel", artifact=artifact.sha256, arguments=("--port", str(self.port)), health=health)
        return msgspec.structs.replace(made, **more)

    def proposal(self, artifact: Artifact, **more: object) -> Proposal:
        return proposal_of(artifact, self.release(artifact, **more))


MakeBoard = Callable[..., Place]
MakeNamed = Callable[..., Artifact]


def executable(file: Path, line: str) -> None:
    file.write_text(f"#!/bin/sh\n{line}\n")
    file.chmod(0o755)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_for(what: Callable[[], bool], *, most_s: float = 20.0) -> None:
    end = time.monotonic() + most_s
    while not what():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
