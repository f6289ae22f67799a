"""What an app hands to the shell, and the options of the server."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pytest

from edgekit.apps.base import RunOptions
from edgekit.apps.web.options import Certificate, configure, serving
from edgekit.apps.web.shell import Api, Page, Shell, User, checked, checked_pages
from edgekit.core.errors import MissingDependency, UsageError


def page(path: str) -> Page:
    return Page(path=path, title="A page", draw=lambda visit: None)


WRONG = [
    pytest.param((), "no page has the path '/'", id="no start"),
    pytest.param(("/", "/x", "/x"), "two pages have the path '/x'", id="twice"),
    pytest.param(("/", "x"), "'x' does not start with '/'", id="relative"),
    pytest.param(("/", "/metrics"), "'/metrics' is the shell's own", id="reserved"),
    pytest.param(("/", "/login/x"), "'/login/x' is the shell's own", id="below a reserved one"),
]


@pytest.mark.parametrize(("paths", "message"), WRONG)
def test_pages_that_cannot_be_served_are_refused(paths: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        checked_pages(Shell(name="x", title="X", pages=lambda: tuple(map(page, paths))))


@pytest.mark.parametrize(
    ("prefix", "message"),
    [("/api/", "'/api/' ends with '/'"), ("api", "'api' does not start with '/'"), ("/health", "'/health' is the shell's own")],
)
def test_an_interface_that_cannot_be_served_is_refused_before_the_server_starts(prefix: str, message: str) -> None:
    from fastapi import APIRouter

    api = Api(prefix=prefix, router=APIRouter())
    with pytest.raises(UsageError, match=message):
        checked(Shell(name="x", title="X", pages=tuple, apis=(api,)))


def test_an_admin_may_what_a_viewer_may_and_not_the_other_way_round() -> None:
    viewer, admin = User(name="v", role="viewer"), User(name="a", role="admin")
    assert [user.may(role) for user in (viewer, admin) for role in ("viewer", "admin")] == [True, False, True, True]


def asked(*arguments: str) -> RunOptions:
    parser = argparse.ArgumentParser()
    configure(parser)
    return RunOptions(own=vars(parser.parse_args(arguments)))


def test_the_server_is_for_this_machine_alone_unless_asked() -> None:
    plain = serving(asked("--state", "s"))
    assert (plain.host, plain.port, plain.is_tls, plain.names, plain.state) == ("127.0.0.1", 8080, False, (), Path("s"))


def test_certificate_and_key_are_one_file_or_two(tmp_path: Path) -> None:
    for name in ("c.pem", "k.pem"):
        (tmp_path / name).touch()
    one, two = (serving(asked("--tls", given)) for given in (f"{tmp_path}/c.pem", f"{tmp_path}/c.pem,{tmp_path}/k.pem"))
    assert one.certificate == Certificate(chain=tmp_path / "c.pem", key=tmp_path / "c.pem")
    assert two.certificate == Certificate(chain=tmp_path / "c.pem", key=tmp_path / "k.pem")
    assert serving(asked("--tls", "self-signed")).self_signed
    with pytest.raises(UsageError, match=r"no certificate at 'missing.pem'"):
        serving(asked("--tls", "missing.pem"))


def test_without_the_extra_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from edgekit.apps import digits

    monkeypatch.setitem(sys.modules, "fastapi", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependency) as failed:
        digits.run(RunOptions(own={"state": tmp_path}))
    assert failed.value.hint == 'pip install "edgekit[web]"'
