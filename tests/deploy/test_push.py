"""Deploying through a real ssh client and a real sshd on this machine's loopback, to one board and to several."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from boards import MakeBoard, MakeNamed, Place, executable, free_port
from sshd import key, listening, skip_without_openssh

from edgekit.cli import main
from edgekit.core.errors import DeviceError, InputError
from edgekit.deploy.nouns import Health
from edgekit.deploy.push import Board, _ensure_fits, command, deploy_to_all, logs_command, rollback, status
from edgekit.fleet.board.pretended import Pretended

HOSTS = ("kitchen", "garden")


@pytest.fixture
def boards(make_board: MakeBoard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Place]]:
    """Two boards behind one sshd: what ssh is told to run is run with that board's programs."""
    skip_without_openssh()
    places = {host: make_board(host) for host in HOSTS}
    user, host_key, port, here = tmp_path / "user", tmp_path / "host", free_port(), tmp_path / "here"
    here.mkdir()
    key(user), key(host_key)
    rules = "".join(f'{host}) PATH="{place.path}" ;; ' for host, place in places.items())
    force = f'case "$BOARD" in {rules} esac; export PATH; exec sh -c "$SSH_ORIGINAL_COMMAND"'
    executable(tmp_path / "board-shell", force)
    settings = {"AcceptEnv": "BOARD", "ForceCommand": str(tmp_path / "board-shell"), "MaxStartups": "50"}
    known = f"[127.0.0.1]:{port} {host_key.with_suffix('.pub').read_text()}"
    (tmp_path / "known").write_text(known)
    (tmp_path / "ssh_config").write_text(
        "".join(f"Host {host}\n SetEnv BOARD={host}\n" for host in HOSTS)
        + f"Host *\n HostName 127.0.0.1\n Port {port}\n User {getpass.getuser()}\n IdentityFile {user}\n IdentitiesOnly yes\n"
        f" StrictHostKeyChecking yes\n UserKnownHostsFile {tmp_path / 'known'}\n LogLevel ERROR\n"
    )
    executable(here / "ssh", f'exec {shutil.which("ssh")} -F {tmp_path / "ssh_config"} "$@"')
    monkeypatch.setenv("PATH", f"{here}:{os.environ['PATH']}")
    with listening(tmp_path, port, user, host_key, settings):
        yield places


def board(host: str, place: Place) -> Board:
    return Board(host=host, root=place.layout.root)


def test_two_boards_at_once_one_broken_and_the_other_is_unharmed(
    boards: dict[str, Place], make_artifact: MakeNamed, tmp_path: Path
) -> None:
    kitchen, garden = boards["kitchen"], boards["garden"]
    artifact = make_artifact("one")
    (garden.layout.root / "venv/bin/python").unlink()
    health = Health(url=f"http://127.0.0.1:{kitchen.port}/health", settle_s=0.3, deadline_s=30)
    release = kitchen.release(artifact, health=health)
    good, bad = deploy_to_all([board("kitchen", kitchen), board("garden", garden)], artifact, release)
    assert good.ok and good.sent_bytes == sum(path.stat().st_size for path in artifact.path.iterdir())
    assert bad.error is not None and isinstance(bad.error, DeviceError)
    assert "garden" in bad.error.message and "there is no" in bad.error.hint
    assert status(board("kitchen", kitchen)).artifact_name == "one"


def test_unchanged_sends_nothing_one_changed_file_sends_that_file(boards: dict[str, Place], make_artifact: MakeNamed) -> None:
    place = boards["kitchen"]
    one, two = make_artifact("one"), make_artifact("two")
    assert deploy_to_all([board("kitchen", place)], one, place.release(one))[0].ok
    (again,) = deploy_to_all([board("kitchen", place)], one, place.release(one))
    assert again.ok and again.sent_bytes == 0 and again.answer is not None and "nothing to do" in again.answer.message
    (changed,) = deploy_to_all([board("kitchen", place)], two, place.release(two))
    assert changed.ok and changed.sent_bytes == (two.path / "manifest.json").stat().st_size
    assert rollback(board("kitchen", place)).release == again.answer.release


def test_the_commands_deploy_show_and_go_back(
    boards: dict[str, Place], make_artifact: MakeNamed, capsys: pytest.CaptureFixture[str]
) -> None:
    place = boards["garden"]
    common = ["--root", str(place.layout.root), "--json"]
    health = ["--health", f"http://127.0.0.1:{place.port}/health", "--settle", "0.1"]
    app = ["--app", "sentinel", "--app-argument=--port", "--app-argument", str(place.port)]

    def deploy(name: str, deadline_s: int) -> tuple[int, dict[str, object]]:
        words = ["deploy", "garden", "--artifact", str(make_artifact(name).path), "--deadline", str(deadline_s)]
        code = main([*words, *app, *health, *common])
        return code, json.loads(capsys.readouterr().out)["boards"][0]

    code, good = deploy("good", 60)
    assert code == 0 and good["ok"]
    code, bad = deploy("sick", 2)
    assert code == 4 and bad["rolled_back"] and bad["release"] == good["release"]
    assert main(["status", "garden", *common]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["artifact_name"], shown["active"], shown["release"]) == ("good", True, good["release"])
    assert main(["rollback", "garden", *common]) == 1, "there is nothing before the first release that worked"
    assert "no release" in json.loads(capsys.readouterr().out)["error"]


def test_the_log_of_the_app_comes_from_the_board_and_goes_on_until_one_stops_it(
    boards: dict[str, Place], capsys: pytest.CaptureFixture[str]
) -> None:
    place = boards["kitchen"]
    follows = 'case "$*" in *" -f") i=0; while :; do echo "line $i"; i=$((i+1)); sleep 0.2; done ;; esac'
    executable(Path(place.path.partition(":")[0]) / "journalctl", f'echo "$@"; {follows}')
    where = ["logs", "kitchen", "--root", str(place.layout.root)]
    assert main([*where, "-n", "7", "--json"]) == 0
    (said,) = json.loads(capsys.readouterr().out)["lines"]
    assert said == "-u edgekit-app.service -n 7 --no-pager"
    command = [sys.executable, "-m", "edgekit", *where, "-f"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        heard = [following.stdout.readline().strip() for _ in range(4)]
        assert following.poll() is None, "it goes on"
        following.terminate()
    assert heard[1:] == ["line 0", "line 1", "line 2"]
    assert main([*where, "-f", "--json"]) == 2


def test_an_unknown_host_key_is_refused(boards: dict[str, Place], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "known").write_text("")
    assert main(["status", "kitchen", "--root", str(boards["kitchen"].layout.root)]) == 3
    assert "Host key verification failed" in capsys.readouterr().err


def test_an_artifact_for_another_board_is_refused_unless_it_is_meant(make_artifact: MakeNamed) -> None:
    artifact = make_artifact("one")
    found = msgspec.structs.replace(Pretended().status(), device="rpi4")
    with pytest.raises(InputError, match="made for rpi5, this board is a rpi4"):
        _ensure_fits(found, artifact, False)
    _ensure_fits(found, artifact, True)


def test_what_runs_on_the_board_is_quoted_for_its_shell() -> None:
    odd = Board(host="ada@pi", root=Path("/opt/edge kit;reboot"), sudo=True)
    words = command(odd, "put", ["--sha256", "$(reboot)"])
    assert words[-1].startswith("sudo -n '/opt/edge kit;reboot/venv/bin/python' -m edgekit.deploy.board put")
    assert words[-1].endswith("--sha256 '$(reboot)'")
    assert logs_command(odd, follow=True, lines=5)[-1].endswith("journalctl -u edgekit-app.service -n 5 --no-pager -f")
