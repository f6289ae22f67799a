"""`edgekit users`: accounts from the command line, for whoever lost a password or serves without a browser."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgekit.apps.web.security.accounts import Accounts
from edgekit.apps.web.shell import User
from edgekit.cli import main


def users(capsys: pytest.CaptureFixture[str], folder: Path, *arguments: str) -> dict[str, object]:
    assert main(["users", *arguments, "--state", str(folder), "--json"]) == 0
    answer: dict[str, object] = json.loads(capsys.readouterr().out)
    return answer


def test_users_are_added_listed_given_new_passwords_and_removed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert users(capsys, tmp_path) == {"users": []}
    admin = users(capsys, tmp_path, "add", "ada", "--role", "admin")
    users(capsys, tmp_path, "add", "vera")
    assert users(capsys, tmp_path) == {"users": [{"name": "ada", "role": "admin"}, {"name": "vera", "role": "viewer"}]}
    renewed = users(capsys, tmp_path, "password", "vera")
    accounts = Accounts(tmp_path)
    assert accounts.login("ada", str(admin["password"])) == User(name="ada", role="admin")
    assert accounts.login("vera", str(renewed["password"])) == User(name="vera", role="viewer")
    accounts.close()
    users(capsys, tmp_path, "remove", "vera")
    assert users(capsys, tmp_path) == {"users": [{"name": "ada", "role": "admin"}]}


def test_a_token_is_shown_once_and_works(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    users(capsys, tmp_path, "add", "vera")
    token = users(capsys, tmp_path, "token", "vera", "--label", "grafana")["token"]
    accounts = Accounts(tmp_path)
    assert accounts.token(str(token)) == User(name="vera", role="viewer")
    assert [each.label for each in accounts.tokens("vera")] == ["grafana"]
    accounts.close()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        pytest.param(["add"], 2, "whom? add needs a name", id="nobody named"),
        pytest.param(["remove", "vera"], 1, "there is no user 'vera'", id="nobody of that name"),
        pytest.param(["token", "vera"], 1, "there is no user 'vera'", id="a token for nobody"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(
    arguments: list[str], code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["users", *arguments, "--state", str(tmp_path)]) == code
    assert said in capsys.readouterr().err


def test_the_last_admin_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    users(capsys, tmp_path, "add", "ada", "--role", "admin")
    assert main(["users", "remove", "ada", "--state", str(tmp_path)]) == 1
    assert "'ada' is the only admin" in capsys.readouterr().err
