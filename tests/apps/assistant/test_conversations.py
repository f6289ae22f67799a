"""Conversations are kept, found, exported and deleted; a damaged file loses none of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edgekit.apps.assistant.conversations import Conversations
from edgekit.apps.assistant.database import Database, Full
from edgekit.core.errors import NotFound


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Conversations]:
    made = Conversations(tmp_path / "c.sqlite")
    yield made
    made.close()


def talked(kept: Conversations, *texts: str, owner: str = "ann") -> str:
    one = kept.new(owner).id
    for text in texts:
        kept.say(one, "user", text)
        kept.say(one, "assistant", f"about {text}", {"timings": {"predicted_n": 2}})
    return one


def test_what_was_said_is_there_again_after_a_restart(kept: Conversations, tmp_path: Path) -> None:
    one = talked(kept, "the pump", "the rose")
    kept.close()
    again = Conversations(tmp_path / "c.sqlite")
    assert [(m.role, m.content) for m in again.messages(one)] == [
        ("user", "the pump"), ("assistant", "about the pump"), ("user", "the rose"), ("assistant", "about the rose"),
    ]  # fmt: skip
    assert again.messages(one)[1].details == {"timings": {"predicted_n": 2}}
    assert [(c.title, c.messages) for c in again.list("ann")] == [("the pump", 4)]
    again.close()


def test_everybody_sees_their_own(kept: Conversations) -> None:
    one = talked(kept, "my secret", owner="ann")
    assert kept.list("bob") == ()
    assert kept.search("bob", "secret") == ()
    for forbidden in (lambda: kept.get(one, "bob"), lambda: kept.delete(one, "bob"), lambda: kept.export("bob", one)):
        with pytest.raises(NotFound):
            forbidden()


def test_messages_are_found_by_their_words(kept: Conversations) -> None:
    one = talked(kept, "the green pump leaks", "roses")
    found = kept.search("ann", "pump gre")
    assert {(match.conversation, match.role) for match in found} == {(one, "user"), (one, "assistant")}
    assert kept.search("ann", 'pump" OR "x') == ()
    assert kept.search("ann", "") == ()


def test_an_export_holds_everything(kept: Conversations) -> None:
    talked(kept, "first")
    talked(kept, "second")
    exported = json.loads(json.dumps(kept.export("ann")))
    assert sorted(m["content"] for c in exported["conversations"] for m in c["messages"]) == [
        "about first", "about second", "first", "second",
    ]  # fmt: skip


def test_what_is_deleted_is_in_no_file_any_more(kept: Conversations, tmp_path: Path) -> None:
    one, other = talked(kept, "xylophone"), talked(kept, "marimba")
    kept.delete(one, "ann")
    assert [c.id for c in kept.list("ann")] == [other]
    assert kept.search("ann", "xylophone") == ()
    assert [path.name for path in tmp_path.iterdir() if b"xylophone" in path.read_bytes()] == []
    assert kept.delete_all("ann") == 1
    assert [path.name for path in tmp_path.iterdir() if b"marimba" in path.read_bytes()] == []


def test_old_conversations_are_forgotten_when_that_was_wanted(kept: Conversations, tmp_path: Path) -> None:
    talked(kept, "old")
    kept.close()
    database = Database(tmp_path / "c.sqlite", "")
    with database.writing() as run:
        run.execute("UPDATE conversations SET changed_at = changed_at - 10 * 86400")
    database.close()
    for days, left in ((0, 1), (11, 1), (9, 0)):
        again = Conversations(tmp_path / "c.sqlite", keep_days=days)
        assert len(again.list("ann")) == left
        again.close()


DAMAGE = {
    "overwritten": lambda data: b"rubbish!" * (len(data) // 8),
    "cut in half": lambda data: data[: len(data) // 2],
    "a hole in it": lambda data: data[:4096] + bytes(len(data) - 4096),
    "one page of it": lambda data: data[:8192] + b"\xff" * 4096 + data[12288:],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_database_loses_no_conversation(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "c.sqlite"
    kept = Conversations(path)
    before = talked(kept, *(f"before the copy {number}" for number in range(120)))
    after = talked(kept, "after the copy")
    said = [[m.content for m in kept.messages(one)] for one in (before, after)]
    kept.close()
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    mended = Conversations(path)
    assert "was damaged" in mended.mended
    assert [[m.content for m in mended.messages(one)] for one in (before, after)] == said
    assert len(mended.search("ann", "after copy")) == 2
    assert list(tmp_path.glob("c.sqlite.damaged-*"))
    mended.close()
    with closing(Conversations(path)) as again:
        assert again.mended == ""


def test_a_deleted_conversation_does_not_come_back_from_the_journal(kept: Conversations, tmp_path: Path) -> None:
    kept.delete(talked(kept, "gone"), "ann")
    kept.close()
    (tmp_path / "c.sqlite").write_bytes(b"rubbish" * 999)
    mended = Conversations(tmp_path / "c.sqlite")
    assert mended.mended != "" and mended.list("ann") == ()
    mended.close()


def test_who_is_killed_in_the_middle_of_talking_keeps_what_was_said(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from edgekit.apps.assistant.conversations import Conversations\n"
        "kept = Conversations(pathlib.Path(sys.argv[1]))\n"
        "one = kept.new('ann').id\n"
        "for number in range(100000):\n"
        "    kept.say(one, 'user', f'message {number}')\n"
        "    print(number, flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "c.sqlite")], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        told = [int(process.stdout.readline()) for _ in range(260)]
        process.send_signal(signal.SIGKILL)
    kept = Conversations(tmp_path / "c.sqlite")
    (one,) = kept.list("ann")
    contents = [message.content for message in kept.messages(one.id)]
    assert contents[: len(told)] == [f"message {number}" for number in told]
    kept.close()


def test_where_there_is_no_room_that_is_said_and_what_was_there_stays(tmp_path: Path) -> None:
    kept = Conversations(tmp_path / "c.sqlite", max_bytes=160_000)
    one = kept.new("ann").id
    with pytest.raises(Full, match="full"):
        for number in range(1000):
            kept.say(one, "user", f"{number} " + os.urandom(2000).hex())
    held = [message.content for message in kept.messages(one)]
    assert held and all(text.startswith(f"{number} ") for number, text in enumerate(held))
    kept.close()
    roomier = Conversations(tmp_path / "c.sqlite")
    assert len(roomier.messages(one)) == len(held) + 1  # the one that had no room was in the journal
    roomier.close()


def test_only_the_user_may_read_the_files(kept: Conversations, tmp_path: Path) -> None:
    talked(kept, "private")
    assert {path.name: oct(path.stat().st_mode & 0o077) for path in tmp_path.iterdir() if path.stat().st_mode & 0o077} == {}


def test_what_is_too_old_is_forgotten_while_the_server_runs(tmp_path: Path) -> None:
    now = [1_000_000_000.0]
    kept = Conversations(tmp_path / "c.sqlite", keep_days=5, clock=lambda: now[0])
    old = kept.new("me")
    kept.say(old.id, "user", "hello")
    now[0] += 6 * 86_400
    new = kept.new("me")
    assert [one.id for one in kept.list("me")] == [new.id]
    kept.close()


def test_a_journal_with_damaged_lines_gives_what_is_left_of_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept = Conversations(tmp_path / "c.sqlite")
    one = talked(kept, "kept")
    journal = tmp_path / "c.sqlite.journal"
    kept.close()
    lines = [*journal.read_bytes().splitlines(), b"[]", b'{"do":"sing","id":"x"}', b'{"do":"say"}', b"\xff\xfe", b"[" * 99_999]
    journal.write_bytes(b"\n".join(lines) + b'\n{"do":"say","id"')
    (tmp_path / "c.sqlite").write_bytes(b"rubbish" * 999)
    mended = Conversations(tmp_path / "c.sqlite")
    assert [message.content for message in mended.messages(one)] == ["kept", "about kept"]
    assert "6 of 9 lines of 'c.sqlite.journal' cannot be read" in caplog.text
    mended.close()


def test_what_was_said_may_hold_signs_that_end_lines_elsewhere(tmp_path: Path) -> None:
    text = "one\u2028two\u0085three\x0bfour\r\nfive"
    kept = Conversations(tmp_path / "c.sqlite")
    one = talked(kept, text)
    kept.close()
    (tmp_path / "c.sqlite").write_bytes(b"rubbish" * 999)
    mended = Conversations(tmp_path / "c.sqlite")
    assert mended.messages(one)[0].content == text
    mended.close()


def test_as_many_words_as_one_likes_are_searched_for(kept: Conversations) -> None:
    one = talked(kept, "needle")
    assert kept.search("ann", "hay " * 20_000) == ()
    assert {match.conversation for match in kept.search("ann", "needle " * 20_000)} == {one}
