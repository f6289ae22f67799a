"""The app of these tests with nothing of edgekit around it, since a test of deploying starts it some thirty times: `python -S quick_app.py ROOT`.

Which release it is and where it answers it reads where `edgekit.deploy.board.start` does; it behaves as `boards.APP`.
"""

import json
import socket
import sys
from pathlib import Path


def main(root: Path) -> None:
    place = (root / "current").resolve()
    release = json.loads((place / "release.json").read_bytes())
    name = json.loads((place / "artifact" / "manifest.json").read_bytes())["name"]
    if release["app"] != "sentinel" or "dead" in name:
        sys.exit(f"{release['app']} {name} does not start")
    serve(int(release["arguments"][1]), name)


def serve(port: int, name: str) -> None:
    """Answers whatever it is asked."""
    status = "503 Service Unavailable" if "sick" in name else "200 OK"
    answer = f"HTTP/1.1 {status}\r\nContent-Length: {len(name.encode())}\r\nConnection: close\r\n\r\n{name}"
    with socket.create_server(("127.0.0.1", port)) as server:
        while True:
            line, _ = server.accept()
            with line:
                line.recv(65536)
                line.sendall(answer.encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
