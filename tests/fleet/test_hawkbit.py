"""A board in somebody's hawkBit: polled over real HTTP, deployed by the code of `edgekit deploy`, told how it went."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from boards import MakeNamed
from boards import Place as Spot
from hawkbit_server import TOKEN, Hawkbit, hawkbit

from edgekit.core.errors import EdgekitError, InputError
from edgekit.fleet.board.place import Board
from edgekit.fleet.board.pretended import Pretended
from edgekit.fleet.hawkbit.ddi import Base, Client, Config, Link, Polling, Server
from edgekit.fleet.hawkbit.polling import Lost, poll_once


@pytest.fixture
def there() -> Iterator[Hawkbit]:
    with hawkbit() as server:
        yield server


def client_of(there: Hawkbit, token: str = TOKEN) -> Client:
    return Client(Server(url=there.url, tenant="DEFAULT", controller="cam-1", token=token))


def keys(spot: Spot | None = None) -> dict[str, str]:
    if spot is None:
        return {"edgekit.app": "digits"}
    health = f"http://127.0.0.1:{spot.port}/health"
    return {"edgekit.app": "sentinel", "edgekit.arguments": json.dumps(["--port", str(spot.port)]), "edgekit.health": health}


def test_an_action_is_deployed_on_a_real_board_and_closed_with_success_or_failure(
    there: Hawkbit, board: Spot, make_artifact: MakeNamed
) -> None:
    there.assign("7", make_artifact("good").path, metadata=keys(board))
    assert poll_once(client_of(there), Board(layout=board.layout), "") == 1.0
    assert [each[1:3] for each in there.feedback] == [("proceeding", "none"), ("downloaded", "none"), ("closed", "success")]
    good = board.layout.running()
    assert good and board.layout.release(good).app == "sentinel"
    there.feedback.clear()
    there.assign("8", make_artifact("unproven").path, metadata={**keys(board), "edgekit.health": "http://192.168.1.1/"})
    poll_once(client_of(there), Board(layout=board.layout), "")
    kind, execution, finished, details = there.feedback[-1]
    assert (kind, execution, finished) == ("deploymentBase", "closed", "failure")
    assert "asks the board itself" in details[0] and board.layout.running() == good


def test_attributes_are_told_once_and_nothing_else_is_done_when_nothing_is_asked(there: Hawkbit) -> None:
    poll_once(client_of(there), Pretended(running="r1", app="digits"), "")
    assert there.attributes["edgekit.release"] == "r1" and there.feedback == []
    there.attributes = {}
    poll_once(client_of(there), Pretended(), "")
    assert there.attributes == {}


def test_a_download_that_broke_off_goes_on_with_a_range(there: Hawkbit, make_artifact: MakeNamed) -> None:
    place, artifact = Pretended(), make_artifact("one")
    there.assign("7", artifact.path, metadata=keys())
    there.break_off_at = 100
    with pytest.raises(Lost, match="broke off"):
        poll_once(client_of(there), place, "")
    assert there.action == "7", "the action stays open"
    poll_once(client_of(there), place, "")
    assert "bytes=100-" in there.ranges and there.feedback[-1][1:3] == ("closed", "success")
    assert place.received == sum(path.stat().st_size for path in artifact.path.iterdir())


def test_what_the_server_takes_back_is_confirmed_and_not_carried_out(there: Hawkbit, make_artifact: MakeNamed) -> None:
    place = Pretended()
    there.assign("7", make_artifact("one").path, metadata=keys())
    there.canceling = True
    poll_once(client_of(there), place, "")
    assert there.feedback == [("cancelAction", "closed", "success", ["action 7 is not carried out"])]
    assert (place.running, there.action) == ("", "")


def test_outside_its_maintenance_window_a_release_is_only_downloaded(there: Hawkbit, make_artifact: MakeNamed) -> None:
    place = Pretended()
    there.assign("7", make_artifact("one").path, metadata=keys())
    there.window = "unavailable"
    poll_once(client_of(there), place, "")
    assert there.feedback[-1][1] == "downloaded" and place.running == "" and place.blobs
    there.window = "available"
    poll_once(client_of(there), place, "")
    assert there.feedback[-1][1:3] == ("closed", "success") and place.running


@pytest.mark.parametrize(("part", "said"), [("os", "nothing in this action is an edgekit artifact")])
def test_modules_of_an_operating_system_are_not_ours(there: Hawkbit, tmp_path: Path, part: str, said: str) -> None:
    (tmp_path / "os").mkdir()
    (tmp_path / "os/image.raucb").write_bytes(b"firmware")
    there.assign("7", tmp_path / "os", metadata={}, part=part)
    poll_once(client_of(there), Pretended(), "digits")
    assert there.feedback[-1][1:3] == ("closed", "failure") and said in there.feedback[-1][3][0]


def test_a_module_that_does_not_say_its_app_takes_the_boards_or_fails(there: Hawkbit, make_artifact: MakeNamed) -> None:
    place = Pretended()
    there.assign("7", make_artifact("one").path, metadata={})
    poll_once(client_of(there), place, "")
    assert there.feedback[-1][2] == "failure" and "does not say what runs it" in there.feedback[-1][3][0]
    there.assign("8", make_artifact("two").path, metadata={})
    poll_once(client_of(there), place, "digits")
    assert there.feedback[-1][2] == "success" and place.app == "digits"


def test_a_wrong_token_is_said_plainly_and_printed_nowhere(there: Hawkbit) -> None:
    with pytest.raises(EdgekitError, match="answers 401") as caught:
        poll_once(client_of(there, "wrong-token"), Pretended(), "")
    assert "token right" in caught.value.hint and "wrong-token" not in repr(client_of(there, "wrong-token"))


def test_the_token_goes_to_the_server_alone(there: Hawkbit) -> None:
    with hawkbit() as stranger:
        with pytest.raises(EdgekitError, match="answers 401"):
            client_of(there).action(Link(href=f"{stranger.base}/deploymentBase/1"))
        assert stranger.strangers, "it was asked, without a token"
    with pytest.raises(InputError, match="not safe to follow"):
        client_of(there).action(Link(href="file:///etc/passwd"))


def test_how_long_to_sleep_is_kept_within_reason() -> None:
    def slept(text: str) -> float:
        return Base(config=Config(polling=Polling(sleep=text))).sleep_s

    assert [slept(text) for text in ("00:05:00", "00:00:00", "99:00:00", "soon", "1:2")] == [300, 1, 86400, 300, 300]


def test_an_answer_that_is_no_ddi_is_said_so(there: Hawkbit) -> None:
    with pytest.raises(InputError, match="does not answer as DDI does"):
        client_of(there).action(Link(href=there.base))
    assert msgspec.json.decode(b'{"_links": {}, "more": 1}', type=Base).links == {}, "what a newer server adds is passed over"
