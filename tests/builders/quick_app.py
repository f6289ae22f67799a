"""The app of these tests with nothing of edgekit around it, since a test of deploying starts it some thirty times: `python -S quick_app.py ROOT`.

Which release it is and where it answers it reads where `edgekit.deploy.board.start` does; it behaves as `boards.APP`.
"""

import json
import os
import socket
import sys


def main(root: str) -> None:
    place = os.path.realpath(os.path.join(root, "current"))
    with open(os.path.join(place, "release.json")) as file:
        release = json.load(file)
    with open(os.path.join(place, "artifact", "manifest.json")) as file:
        name = json.load(file)["name"]
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
    main(sys.argv[1])
