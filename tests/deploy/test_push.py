"""Deploying through a real ssh client and a real sshd on this machine's loopback, to one board and to several."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from boards import MakeBoard, MakeNamed, Place, executable, free_port, wait_for
from sshd import key, listening, skip_without_openssh

from edgekit.cli import main
from edgekit.core.errors import DeviceError, InputError
from edgekit.deploy.nouns import Health
from edgekit.deploy.push import Board, _ensure_fits, command, deploy_to_all, logs_command, proposal_of, rollback, status
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
    settings = {
        "AddressFamily": "any",
        "AcceptEnv": "BOARD",
        "ForceCommand": str(tmp_path / "board-shell"),
        "MaxStartups": "50",
    }
    known = f"[127.0.0.1]:{port} {host_key.with_suffix('.pub').read_text()}"
    (tmp_path / "known").write_text(known)
    (tmp_path / "ssh_config").write_text(
        "".join(f"Host {host}\n SetEnv BOARD={host}\n" for host in HOSTS)
        + f"Host *\n HostName 127.0.0.1\n Port {port}\n User {getpass.getuser()}\n IdentityFile {user}\n IdentitiesOnly yes\n"
        + strictly(tmp_path)
    )
    executable(here / "ssh", f'exec {shutil.which("ssh")} -F {tmp_path / "ssh_config"} "$@"')
    monkeypatch.setenv("PATH", f"{here}:{os.environ['PATH']}")
    with listening(tmp_path, port, user, host_key, settings):
        yield places


def strictly(tmp_path: Path) -> str:
    """What ssh is told of every host, beside its address."""
    return f" StrictHostKeyChecking yes\n UserKnownHostsFile {tmp_path / 'known'}\n LogLevel ERROR\n"


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


def test_an_upload_whose_connection_broke_goes_on_where_it_ended(
    boards: dict[str, Place], make_artifact: MakeNamed, tmp_path: Path
) -> None:
    place = boards["kitchen"]
    artifact = make_artifact("one")
    release = place.release(artifact)
    model = next(part for part in proposal_of(artifact, release).parts if part.name.startswith("model"))
    words = ["--sha256", model.sha256, "--bytes", str(model.bytes), "--offset", "0"]
    with subprocess.Popen(command(board("kitchen", place), "put", words), stdin=subprocess.PIPE) as connection:
        assert connection.stdin is not None
        connection.stdin.write((artifact.path / model.name).read_bytes()[:1000])
        connection.stdin.flush()
        wait_for(lambda: place.layout.root.joinpath("blobs").is_dir())
        connection.kill()
    wait_for(lambda: place.layout.have(model) == 1000)
    (outcome,) = deploy_to_all([board("kitchen", place)], artifact, release)
    assert outcome.ok and outcome.sent_bytes == sum(path.stat().st_size for path in artifact.path.iterdir()) - 1000


def test_a_link_that_is_dead_is_given_up_and_said(
    boards: dict[str, Place], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The server's process for this connection stops, as if its packets were lost from here on."""
    place = boards["kitchen"]
    monkeypatch.setattr("edgekit.core.ssh._QUIET_S", 1)
    monkeypatch.setattr("edgekit.core.ssh._QUIET_TIMES", 2)
    find = "p=$PPID; until grep -q ^sshd /proc/$p/comm; do p=$(cut -d ' ' -f 4 /proc/$p/stat); done"
    executable(place.layout.root / "venv/bin/python", f"{find}; kill -STOP $p; sleep 8; kill -CONT $p")
    begun = time.monotonic()
    assert main(["status", "kitchen", "--root", str(place.layout.root)]) == 3
    assert time.monotonic() - begun < 8, "it did not wait for the other side"
    said = capsys.readouterr().err
    assert "kitchen: " in said and "the link broke" in said


def test_what_lies_in_the_users_home_is_not_imported_on_the_board(
    boards: dict[str, Place], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "msgspec.py").write_text("raise SystemExit('somebody else\\'s module')")
    shell = tmp_path / "board-shell"
    shell.write_text(shell.read_text().replace("exec sh", f"cd {home}; exec sh"))
    assert status(board("kitchen", boards["kitchen"])).release == ""


def test_a_board_is_reached_at_a_port_and_at_an_address_of_ipv6(
    boards: dict[str, Place], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = boards["kitchen"]
    port, known = (tmp_path / "known").read_text().split()[0].rpartition(":")[2], (tmp_path / "known").read_text()
    (tmp_path / "known").write_text(f"[127.0.0.1]:{port},[::1]:{port} {known.partition(' ')[2]}")
    (tmp_path / "ssh_config").write_text(
        f"Host *\n SetEnv BOARD=kitchen\n IdentityFile {tmp_path / 'user'}\n IdentitiesOnly yes\n{strictly(tmp_path)}"
    )
    for host in (f"127.0.0.1:{port}", f"{getpass.getuser()}@[::1]:{port}"):
        assert status(board(host, place)).release == "", host


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
    said = capsys.readouterr().err
    assert "Host key verification failed" in said and "ssh kitchen true, once by hand" in said


def test_a_board_that_was_flashed_anew_has_another_host_key_and_how_to_forget_the_old_one_is_said(
    boards: dict[str, Place], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = key(tmp_path / "before").with_suffix(".pub").read_text()
    (tmp_path / "known").write_text(f"{(tmp_path / 'known').read_text().split()[0]} {before}")
    assert main(["status", "kitchen", "--root", str(boards["kitchen"].layout.root)]) == 3
    assert "if the board was flashed anew: ssh-keygen -R kitchen; if not, who answers there?" in capsys.readouterr().err


@pytest.mark.parametrize(
    "said", ["sudo: a password is required", "sudo-rs: interactive authentication is required", "sudo: a terminal is required"]
)
def test_a_sudo_that_asks_for_a_password_is_said_so(
    boards: dict[str, Place], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    place = boards["kitchen"]
    executable(Path(place.path.partition(":")[0]) / "sudo", f'echo "{said}" >&2; exit 1')
    assert main(["status", "kitchen", "--sudo", "--root", str(place.layout.root)]) == 3
    assert "the user needs sudo without a password" in capsys.readouterr().err


def test_an_artifact_for_another_board_is_refused_unless_it_is_meant(make_artifact: MakeNamed) -> None:
    artifact = make_artifact("one")
    found = msgspec.structs.replace(Pretended().status(), device="rpi4")
    with pytest.raises(InputError, match="made for rpi5, this board is a rpi4"):
        _ensure_fits(found, artifact, False)
    _ensure_fits(found, artifact, True)


def test_what_runs_on_the_board_is_quoted_for_its_shell() -> None:
    odd = Board(host="ada@pi", root=Path("/opt/edge kit;reboot"), sudo=True)
    words = command(odd, "put", ["--sha256", "$(reboot)"])
    assert words[-1].startswith("cd / && sudo -n '/opt/edge kit;reboot/venv/bin/python' -m edgekit.deploy.board put")
    assert words[-1].endswith("--sha256 '$(reboot)'")
    assert logs_command(odd, follow=True, lines=5)[-1].endswith("journalctl -u edgekit-app.service -n 5 --no-pager -f")
