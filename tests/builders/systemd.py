"""A stand-in for systemctl on machines without systemd: one service, run from its unit's own ExecStart and restarted when it dies.

Run as `python systemd.py FOLDER VERB…`: FOLDER holds the unit, and what is known of the running service.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path


def main(folder: Path, words: list[str]) -> int:
    verb = words[0]
    if verb in ("restart", "stop"):
        stop(folder)
        if verb == "restart":
            start(folder)
        return 0
    if verb == "is-active":
        return 0 if alive(folder, "service") else 3
    if verb == "is-failed":
        return 1
    if verb == "show":
        sys.stdout.write((folder / "restarts").read_text() if (folder / "restarts").exists() else "0")
    return 0


def stop(folder: Path) -> None:
    for what in ("watcher", "service"):
        if alive(folder, what):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(int((folder / what).read_text()), signal.SIGKILL)
        (folder / what).unlink(missing_ok=True)


def start(folder: Path) -> None:
    (folder / "restarts").write_text("0")
    command = [sys.executable, __file__, str(folder), "watch"]
    watcher = subprocess.Popen(
        command, start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    (folder / "watcher").write_text(str(watcher.pid))


def watch(folder: Path) -> None:
    unit = (folder / "edgekit-app.service").read_text().splitlines()
    line = next(line for line in unit if line.startswith("ExecStart=")).removeprefix("ExecStart=")
    count = 0
    while True:
        with (folder / "log").open("a") as log:
            service = subprocess.Popen(
                shlex.split(line), stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
        (folder / "service").write_text(str(service.pid))
        service.wait()
        count += 1
        (folder / "restarts").write_text(str(count))
        time.sleep(0.1)


def alive(folder: Path, what: str) -> bool:
    try:
        pid = int((folder / what).read_text())
        os.kill(pid, 0)
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, ValueError, IndexError):
        return False


if __name__ == "__main__":
    where, rest = Path(sys.argv[1]), sys.argv[2:]
    if rest[0] == "watch":
        watch(where)
    raise SystemExit(main(where, rest))
