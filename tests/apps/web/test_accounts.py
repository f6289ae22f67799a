"""Accounts: who is let in, for how long, and what a stolen file is worth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.apps.web.security import passwords
from edgekit.apps.web.security.accounts import DAY_S, FILE, Accounts
from edgekit.apps.web.security.throttle import Rate, Throttle
from edgekit.apps.web.shell import User
from edgekit.core.errors import EdgekitError, InputError, NotFound

PASSWORD = "correct horse battery"


class Clock:
    """A time that moves when told."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def accounts(tmp_path: Path, clock: Clock) -> Iterator[Accounts]:
    opened = Accounts(tmp_path, now=clock)
    yield opened
    opened.close()


def test_the_first_user_is_an_admin_and_is_made_once(accounts: Accounts) -> None:
    password = accounts.first_password()
    assert password is not None
    assert accounts.login("admin", password) == User(name="admin", role="admin")
    assert accounts.first_password() is None


def test_only_the_right_password_of_somebody_known_gets_in(accounts: Accounts) -> None:
    vera = accounts.add("vera", PASSWORD, "viewer")
    assert accounts.login("vera", PASSWORD) == vera
    for name, password in (
        ("vera", PASSWORD + " "),
        ("Vera", PASSWORD),
        ("nobody", PASSWORD),
        ("vera", ""),
        ("vera", "x" * 99_999),
    ):
        assert accounts.login(name, password) is None


@pytest.mark.parametrize("password", ["", "eleven char", "x" * 1025], ids=["empty", "short", "endless"])
def test_a_password_has_twelve_to_a_thousand_characters(accounts: Accounts, password: str) -> None:
    with pytest.raises(InputError, match="it needs 12 to 1024"):
        accounts.add("vera", password, "viewer")
    assert accounts.users() == ()


@pytest.mark.parametrize("name", ["", " vera", "ve\nra", "v" * 65, "\x1b[2J"])
def test_a_users_name_is_printable(accounts: Accounts, name: str) -> None:
    with pytest.raises(InputError, match="no name for a user"):
        accounts.add(name, PASSWORD, "viewer")


def test_nobody_is_made_twice_and_the_last_admin_stays(accounts: Accounts) -> None:
    accounts.add("ada", PASSWORD, "admin")
    with pytest.raises(InputError, match="a user 'ada' already"):
        accounts.add("ada", PASSWORD, "viewer")
    accounts.add("vera", PASSWORD, "viewer")
    with pytest.raises(InputError, match="'ada' is the only admin"):
        accounts.remove("ada")
    accounts.remove("vera")
    with pytest.raises(NotFound, match="no user 'vera'"):
        accounts.remove("vera")


def test_a_session_ends_after_a_week_without_use_and_after_a_month(accounts: Accounts, clock: Clock) -> None:
    vera = accounts.add("vera", PASSWORD, "viewer")
    used, left = accounts.open_session(vera), accounts.open_session(vera)
    for _ in range(4):
        clock.now += 6 * DAY_S
        assert accounts.session(used) == vera
    assert accounts.session(left) is None
    clock.now += 6.5 * DAY_S
    assert accounts.session(used) is None


def test_a_new_password_ends_the_sessions(accounts: Accounts) -> None:
    vera = accounts.add("vera", PASSWORD, "viewer")
    session = accounts.open_session(vera)
    accounts.set_password("vera", PASSWORD + "!")
    assert accounts.session(session) is None
    assert accounts.login("vera", PASSWORD) is None
    assert accounts.login("vera", PASSWORD + "!") == vera


def test_whoever_is_removed_is_out_at_once(accounts: Accounts) -> None:
    vera = accounts.add("vera", PASSWORD, "viewer")
    session, token = accounts.open_session(vera), accounts.new_token("vera", "")
    assert accounts.token(token) == vera
    accounts.remove("vera")
    assert (accounts.session(session), accounts.token(token)) == (None, None)


def test_a_session_is_no_token_and_a_hash_is_neither(accounts: Accounts, tmp_path: Path) -> None:
    import sqlite3

    vera = accounts.add("vera", PASSWORD, "viewer")
    session, token = accounts.open_session(vera), accounts.new_token("vera", "x")
    assert (accounts.token(session), accounts.session(token)) == (None, None)
    base = sqlite3.connect(tmp_path / FILE)
    kept = [row[0] for table in ("sessions", "tokens") for row in base.execute(f"select hash from {table}")]
    base.close()
    assert len(kept) == 2
    for each in kept:
        assert (accounts.session(each), accounts.token(each)) == (None, None)


def test_two_servers_share_the_accounts(accounts: Accounts, tmp_path: Path, clock: Clock) -> None:
    beside = Accounts(tmp_path, now=clock)
    session = beside.open_session(beside.add("vera", PASSWORD, "viewer"))
    assert accounts.session(session) == User(name="vera", role="viewer")
    beside.close()


def test_a_file_of_a_later_version_is_left_alone(accounts: Accounts, tmp_path: Path) -> None:
    import sqlite3

    base = sqlite3.connect(tmp_path / FILE)
    base.execute("pragma user_version = 99")
    base.close()
    with pytest.raises(EdgekitError, match="written by a later edgekit"):
        Accounts(tmp_path)


def test_a_hash_says_how_it_was_made_so_that_older_ones_still_match() -> None:
    cheap = passwords.hashed(PASSWORD, passwords.Cost(n=16, r=1, p=1))
    assert cheap.startswith("scrypt$16$1$1$")
    assert passwords.matches(PASSWORD, cheap)
    assert not passwords.matches(PASSWORD + "x", cheap)
    assert passwords.hashed(PASSWORD, passwords.Cost(n=16, r=1, p=1)) != cheap


def test_tries_come_back_with_time(clock: Clock) -> None:
    throttle = Throttle(Rate(burst=3, seconds=10), now=clock)
    for _ in range(3):
        assert throttle.wait_s("a") == 0
        throttle.failed("a")
    assert throttle.wait_s("a") == 10
    assert throttle.wait_s("b") == 0
    clock.now += 4
    assert throttle.wait_s("a") == 6
    clock.now += 6
    assert throttle.wait_s("a") == 0
    throttle.succeeded("a")
    throttle.failed("a")
    assert throttle.wait_s("a") == 0


def test_a_flood_from_everywhere_takes_no_more_memory_than_it_may(clock: Clock) -> None:
    throttle = Throttle(Rate(burst=1, seconds=10), keys=100, now=clock)
    for number in range(1000):
        throttle.failed(str(number))
    assert sum(throttle.wait_s(str(number)) > 0 for number in range(1000)) == 100


@settings(max_examples=50)
@given(st.lists(st.floats(0, 100), min_size=1, max_size=40))
def test_however_tries_are_spread_no_more_get_through_than_the_rate_allows(pauses: list[float]) -> None:
    clock = Clock()
    throttle, start, through = Throttle(Rate(burst=3, seconds=10), now=clock), clock.now, 0
    for pause in pauses:
        clock.now += pause
        if throttle.wait_s("a") == 0:
            throttle.failed("a")
            through += 1
    assert through <= 3 + (clock.now - start) / 10 + 1e-6
