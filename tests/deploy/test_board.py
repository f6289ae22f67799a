"""The board's side of deploying: nothing half, nothing unproven, nothing that does not work for longer than it takes to see."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import msgspec
import pytest
from boards import MakeNamed, Place

from edgekit import artifact as artifacts
from edgekit.core.errors import DeviceError, EdgekitError, GateFailed, InputError
from edgekit.core.files import sha256_bytes
from edgekit.core.schema import Artifact
from edgekit.deploy.board import condition, receiving, service, switching
from edgekit.deploy.board.__main__ import main
from edgekit.deploy.board.layout import KEPT, name_of
from edgekit.deploy.board.start import arguments
from edgekit.deploy.board.units import SETTLE, units
from edgekit.deploy.nouns import Answer, Health, Part, Proposal, Release, State
from edgekit.signing.minisign import public_text


def part_of(proposal: Proposal, sha256: str) -> Part:
    return next(part for part in proposal.parts if part.sha256 == sha256)


def upload(place: Place, artifact: Artifact, proposal: Proposal) -> int:
    """Everything the board lacks; the bytes it took."""
    missing = receiving.lacking(place.layout, proposal)
    paths = {part.sha256: artifact.path / part.name for part in proposal.parts}
    for each in missing:
        data = paths[each.sha256].read_bytes()[each.have :]
        receiving.put(place.layout, part_of(proposal, each.sha256), each.have, io.BytesIO(data))
    return sum(paths[each.sha256].stat().st_size - each.have for each in missing)


def deployed(place: Place, artifact: Artifact, **more: object) -> Answer:
    proposal = place.proposal(artifact, **more)
    with place.layout.locked():
        upload(place, artifact, proposal)
        return switching.deploy(place.layout, proposal)


def serving(place: Place) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{place.port}/health", timeout=30) as answer:
        return str(answer.read().decode())


def unkept(place: Place) -> Health:
    """A check that what does not start fails soon, however slow the machine."""
    return Health(url=f"http://127.0.0.1:{place.port}/health", settle_s=0.1, deadline_s=0.5)


def test_a_release_that_works_runs_and_the_next_takes_its_place(whole_board: Place, make_artifact: MakeNamed) -> None:
    """With edgekit's own service and an app of another package; the tests after it have an app that starts at once."""
    one, two = make_artifact("one"), make_artifact("two")
    first = deployed(whole_board, one)
    assert (first.ok, first.previous, serving(whole_board)) == (True, "", "one")
    second = deployed(whole_board, two)
    assert (second.ok, second.previous, serving(whole_board)) == (True, first.release, "two")
    assert condition.status(whole_board.layout).artifact_name == "two"


def test_a_release_that_does_not_start_is_taken_back_by_edgekits_own_service_too(
    whole_board: Place, make_artifact: MakeNamed
) -> None:
    good = deployed(whole_board, make_artifact("good"))
    answer = deployed(whole_board, make_artifact("dead"), health=unkept(whole_board))
    assert (answer.ok, answer.rolled_back, answer.release, serving(whole_board)) == (False, True, good.release, "good")


@pytest.mark.parametrize(("name", "said"), [("dead", "does not stay up"), ("sick", "answers 503")])
def test_a_release_that_does_not_work_is_taken_back(board: Place, make_artifact: MakeNamed, name: str, said: str) -> None:
    good = deployed(board, make_artifact("good"))
    proposal_health = Health(url=f"http://127.0.0.1:{board.port}/health", settle_s=0.3, deadline_s=4)
    answer = deployed(board, make_artifact(name), health=proposal_health)
    assert (answer.ok, answer.rolled_back, answer.release) == (False, True, good.release)
    assert said in answer.message and "runs again" in answer.message
    assert serving(board) == "good"


def test_the_first_release_of_a_board_that_does_not_work_leaves_nothing_running(board: Place, make_artifact: MakeNamed) -> None:
    answer = deployed(board, make_artifact("dead"), health=unkept(board))
    assert not answer.ok and answer.release == "" and "nothing runs, as before" in answer.message
    assert board.layout.running() == "" and not condition.status(board.layout).active


def test_deploying_what_runs_already_does_nothing(board: Place, make_artifact: MakeNamed) -> None:
    artifact = make_artifact("one")
    first = deployed(board, artifact)
    proposal = board.proposal(artifact)
    offer = receiving.offer(board.layout, proposal)
    assert offer.runs and offer.lacking == ()
    assert deployed(board, artifact).message == "runs already: nothing to do"
    assert board.layout.running() == first.release


def test_only_files_that_changed_are_uploaded(board: Place, make_artifact: MakeNamed) -> None:
    one, two = make_artifact("one"), make_artifact("two")
    deployed(board, one)
    sent = upload(board, two, board.proposal(two))
    assert sent == (two.path / "manifest.json").stat().st_size, "the names differ in the manifest alone"


def test_an_upload_goes_on_where_it_broke_off(board: Place, make_artifact: MakeNamed) -> None:
    artifact = make_artifact("one")
    proposal = board.proposal(artifact)
    model = next(part for part in proposal.parts if part.name.startswith("model"))
    data = (artifact.path / model.name).read_bytes()
    with board.layout.locked():
        board.layout.partial(model.sha256).write_bytes(data[:1000])
        found = {each.sha256: each.have for each in receiving.lacking(board.layout, proposal)}
        assert found[model.sha256] == 1000
        receiving.put(board.layout, model, 1000, io.BytesIO(data[1000:]))
    assert board.layout.blob(model.sha256).read_bytes() == data
    with pytest.raises(InputError, match="goes on at byte 9, here it ends at 0"):
        receiving.put(board.layout, Part(name="x", sha256="ab" * 32, bytes=20), 9, io.BytesIO(b""))


def test_what_arrived_before_the_connection_broke_stays_for_the_next_try(board: Place, make_artifact: MakeNamed) -> None:
    """An end of the input that comes too early is all that a board sees of it."""
    artifact = make_artifact("one")
    model = next(part for part in board.proposal(artifact).parts if part.name.startswith("model"))
    data = (artifact.path / model.name).read_bytes()
    with board.layout.locked():
        with pytest.raises(DeviceError, match=f"broke off: 700 of {len(data)} bytes have arrived"):
            receiving.put(board.layout, model, 0, io.BytesIO(data[:700]))
        assert board.layout.have(model) == 700
        receiving.put(board.layout, model, 700, io.BytesIO(data[700:]))
    assert board.layout.blob(model.sha256).read_bytes() == data


def test_what_arrives_damaged_is_dropped(board: Place) -> None:
    with board.layout.locked(), pytest.raises(DeviceError, match="was dropped"):
        receiving.put(board.layout, Part(name="x", sha256="ab" * 32, bytes=14), 0, io.BytesIO(b"something else"))
    assert list(board.layout.blobs.iterdir()) == []


def test_a_disk_without_room_is_said_before_the_upload(board: Place, make_artifact: MakeNamed) -> None:
    proposal = board.proposal(make_artifact("one"))
    huge = msgspec.structs.replace(proposal, parts=(*proposal.parts, Part(name="x", sha256="ab" * 32, bytes=1 << 60)))
    with board.layout.locked(), pytest.raises(DeviceError, match="MiB are free"):
        receiving.lacking(board.layout, huge)


def test_a_full_disk_gives_up_what_the_board_does_not_need_before_it_refuses(board: Place, make_artifact: MakeNamed) -> None:
    made = [make_artifact(name) for name in ("one", "two", "three", "four")]
    releases = [deployed(board, artifact).release for artifact in made]
    new = board.proposal(make_artifact("new"))
    given_up, wanted = board.layout.partial("cd" * 32), board.layout.partial(new.parts[0].sha256)
    for half in (given_up, wanted):
        half.write_bytes(b"half of it")
    with board.layout.locked():
        receiving.lacking(board.layout, new)
        assert given_up.exists() and set(board.layout.known()) == set(releases), "with room enough nothing goes"
        huge = msgspec.structs.replace(new, parts=(*new.parts, Part(name="x", sha256="ab" * 32, bytes=1 << 60)))
        with pytest.raises(DeviceError, match="MiB are free"):
            receiving.lacking(board.layout, huge)
    assert board.layout.known() == (releases[3], releases[2]), "what runs and what it would go back to"
    assert wanted.exists() and not given_up.exists()
    held = {part.sha256 for artifact in made[2:] for part in board.proposal(artifact).parts}
    there = {blob.name for blob in board.layout.blobs.iterdir()}
    assert there == held | {wanted.name}, "files that only the others had are gone with them"


def test_an_upload_that_nobody_went_on_with_for_a_day_goes_with_the_next_release(
    board: Place, make_artifact: MakeNamed
) -> None:
    board.layout.blobs.mkdir(parents=True)
    old, young = (board.layout.partial(two * 32) for two in ("ab", "cd"))
    for half in (old, young):
        half.write_bytes(b"half of it")
    os.utime(old, (0, 0))
    deployed(board, make_artifact("one"))
    assert young.exists() and not old.exists()


def test_the_newest_release_is_the_newest_whatever_the_boards_clock_says(board: Place, make_artifact: MakeNamed) -> None:
    one = make_artifact("one")
    first = deployed(board, one).release
    tomorrow = time.time() + 86400
    os.utime(board.layout.releases / first, (tomorrow, tomorrow))
    second = deployed(board, make_artifact("two")).release
    assert board.layout.known() == (second, first), "made before its clock went back by a day"
    assert deployed(board, one).release == first
    assert board.layout.known() == (first, second)


def test_a_board_without_an_engine_that_works_says_which_and_what_to_do_before_the_upload(
    board: Place, make_artifact: MakeNamed
) -> None:
    proposal = board.proposal(make_artifact("one"))
    assert proposal.engines[0] == "litert", "as the profile of its board has them"
    elsewhere = msgspec.structs.replace(proposal, engines=("unheard_of", "nowhere"))
    with board.layout.locked():
        assert receiving.offer(board.layout, proposal).lacking
        with pytest.raises(DeviceError, match=r"no engine here can run it: unheard_of: no runtime .+; nowhere: ") as refusal:
            receiving.offer(board.layout, elsewhere)
    assert refusal.value.hint
    assert list(board.layout.blobs.iterdir()) == []


def test_an_artifact_larger_than_the_memory_is_said_with_both_numbers_before_the_upload(
    board: Place, make_artifact: MakeNamed
) -> None:
    proposal = board.proposal(make_artifact("one"))
    memory = condition.status(board.layout).memory_bytes
    huge = msgspec.structs.replace(proposal, parts=(*proposal.parts, Part(name="x.gguf", sha256="ab" * 32, bytes=memory + 1)))
    with board.layout.locked(), pytest.raises(DeviceError, match=rf"x.gguf has {memory + 1} bytes, .* memory {memory}"):
        receiving.offer(board.layout, huge)


@pytest.mark.parametrize("name", ["../escape", "/etc/passwd", ".hidden", "a/b", "", "x" * 200])
def test_no_file_leaves_the_releases_folder(board: Place, make_artifact: MakeNamed, name: str) -> None:
    artifact = make_artifact("one")
    proposal = board.proposal(artifact)
    with board.layout.locked():
        upload(board, artifact, proposal)
        hostile = msgspec.structs.replace(proposal.parts[0], name=name)
        with pytest.raises(InputError, match="no name for a file"):
            switching.deploy(board.layout, msgspec.structs.replace(proposal, parts=(hostile,)))
    assert board.layout.running() == ""


@pytest.mark.parametrize("url", ["http://169.254.169.254/", "file:///etc/passwd", "http://127.0.0.1.evil.example/"])
def test_a_health_check_asks_the_board_itself_and_nobody_else(board: Place, make_artifact: MakeNamed, url: str) -> None:
    with pytest.raises(InputError, match="asks the board itself"):
        deployed(board, make_artifact("one"), health=Health(url=url))


def test_a_manifest_other_than_the_releases_is_refused(board: Place, make_artifact: MakeNamed) -> None:
    artifact = make_artifact("one")
    proposal = board.proposal(artifact)
    other = msgspec.structs.replace(proposal, release=msgspec.structs.replace(proposal.release, artifact="ab" * 32))
    with board.layout.locked(), pytest.raises(InputError, match="the release wants"):
        upload(board, artifact, other)
        switching.deploy(board.layout, other)


def test_an_artifact_that_does_not_hold_on_this_board_is_never_switched_to(board: Place, make_artifact: MakeNamed) -> None:
    artifact = make_artifact("one")
    damaged = next(path for path in artifact.path.iterdir() if path.name.startswith("model"))
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 4000] = bytes(4000)
    damaged.write_bytes(data)
    files = tuple(
        msgspec.structs.replace(file, sha256=sha256_bytes(data)) if file.name == damaged.name else file
        for file in artifact.manifest.files
    )
    (artifact.path / "manifest.json").write_bytes(artifacts.encode(msgspec.structs.replace(artifact.manifest, files=files)))
    with pytest.raises(EdgekitError):
        deployed(board, artifacts.read(artifact.path))
    assert board.layout.running() == ""


def test_going_back_and_forth_between_releases(board: Place, make_artifact: MakeNamed) -> None:
    first, second = deployed(board, make_artifact("one")), deployed(board, make_artifact("two"))
    with board.layout.locked():
        back = switching.rollback(board.layout)
        assert (back.ok, back.release, serving(board)) == (True, first.release, "one")
        forth = switching.rollback(board.layout, second.release)
        assert (forth.release, serving(board)) == (second.release, "two")
        with pytest.raises(InputError, match="no release nowhere"):
            switching.rollback(board.layout, "nowhere")


def test_a_failed_release_does_not_make_the_board_forget_what_it_could_go_back_to(
    board: Place, make_artifact: MakeNamed
) -> None:
    first, second = deployed(board, make_artifact("one")), deployed(board, make_artifact("two"))
    assert deployed(board, make_artifact("dead"), health=unkept(board)).release == second.release
    with board.layout.locked():
        assert switching.rollback(board.layout).release == first.release


def test_a_file_that_went_bad_on_the_disk_is_dropped_and_uploaded_anew(board: Place, make_artifact: MakeNamed) -> None:
    artifact = make_artifact("one")
    first = deployed(board, artifact)
    model = next(part for part in board.proposal(artifact).parts if part.name.startswith("model"))
    blob = board.layout.blob(model.sha256)
    blob.write_bytes(bytes(model.bytes))
    assert not receiving.offer(board.layout, board.proposal(artifact)).runs, "what is damaged does not count as running"
    with pytest.raises(DeviceError, match=rf"went bad on the board's disk and was dropped: {model.name}"):
        deployed(board, artifact)
    assert deployed(board, artifact).release == first.release
    assert blob.samefile(board.layout.releases / first.release / "artifact" / model.name)
    assert artifacts.read(board.layout.releases / first.release / "artifact").sha256 == artifact.sha256


def test_old_releases_and_their_files_go_but_not_those_one_can_go_back_to(board: Place, make_artifact: MakeNamed) -> None:
    answers = [deployed(board, make_artifact(f"release-{number}")) for number in range(KEPT + 3)]
    names = board.layout.known()
    assert len(names) == KEPT + 2
    assert {answers[-1].release, answers[-2].release} <= set(names)
    manifests = {path.stat().st_ino for path in board.layout.releases.glob("*/artifact/manifest.json")}
    blobs = {path.stat().st_ino for path in board.layout.blobs.iterdir()}
    assert manifests <= blobs and len(list(board.layout.blobs.iterdir())) == len(names) + 2


# Trust


@pytest.fixture
def keys(board: Place) -> object:
    pytest.importorskip("cryptography", reason="the extra [sign] is not installed")
    from edgekit.signing.secret import generate

    key = generate()
    board.layout.trusted.mkdir(parents=True)
    (board.layout.trusted / "owner.pub").write_text(public_text(key.public))
    return key


def signed(artifact: Artifact, key: object, release: int) -> Artifact:
    from edgekit.signing.sign import sign

    sign(artifact, key, release=release)  # type: ignore[arg-type]
    return artifact


def test_a_board_with_a_key_runs_what_its_owner_signed_and_nothing_else(
    board: Place, keys: object, make_artifact: MakeNamed
) -> None:
    from edgekit.signing.secret import generate

    with pytest.raises(GateFailed, match="is not signed"):
        deployed(board, make_artifact("one"))
    with pytest.raises(GateFailed, match="signed by key"):
        deployed(board, signed(make_artifact("two"), generate(), 1))
    assert board.layout.running() == ""
    assert deployed(board, signed(make_artifact("three"), keys, 1)).ok
    assert condition.status(board.layout).signed_by != ""


def test_an_older_release_does_not_come_back_by_deploying_only_by_going_back(
    board: Place, keys: object, make_artifact: MakeNamed
) -> None:
    old = deployed(board, signed(make_artifact("cam", "old"), keys, 5), arguments=("--port", str(board.port)))
    other = make_artifact("cam", "new")
    assert deployed(board, signed(other, keys, 6), health=Health(settle_s=0.1, deadline_s=20)).ok
    replayed = make_artifact("cam", "replayed")
    with pytest.raises(GateFailed, match="release 5, older than 6"):
        deployed(board, signed(replayed, keys, 5), health=Health(settle_s=0.2, deadline_s=20))
    with board.layout.locked():
        assert switching.rollback(board.layout).release == old.release, "the person at the board may"


@pytest.mark.parametrize("left", [None, b"", b'{"accepted": {"cam"'], ids=["gone", "empty", "cut off"])
def test_a_state_that_was_lost_lets_nothing_in_that_is_older_than_what_runs(
    board: Place, keys: object, make_artifact: MakeNamed, left: bytes | None
) -> None:
    assert deployed(board, signed(make_artifact("cam"), keys, 6)).ok
    file = board.layout.root / "state.json"
    file.unlink() if left is None else file.write_bytes(left)
    with pytest.raises(GateFailed, match="release 5, older than 6"):
        deployed(board, signed(make_artifact("cam", "old"), keys, 5), health=Health(settle_s=0.2, deadline_s=20))
    assert deployed(board, signed(make_artifact("cam", "new"), keys, 7), health=Health(settle_s=0.1, deadline_s=20)).ok


def test_a_newer_release_that_failed_does_not_lock_the_older_one_out(
    board: Place, keys: object, make_artifact: MakeNamed
) -> None:
    assert deployed(board, signed(make_artifact("cam"), keys, 5)).ok
    assert not deployed(board, signed(make_artifact("cam", "b"), keys, 9), app="nothing", health=unkept(board)).ok
    assert deployed(board, signed(make_artifact("cam", "c"), keys, 5), health=Health(settle_s=0.1, deadline_s=20)).ok


def test_going_back_to_what_nobody_signed_is_refused_before_anything_is_switched(
    board: Place, make_artifact: MakeNamed, request: pytest.FixtureRequest
) -> None:
    unsigned = deployed(board, make_artifact("one"))
    keys = request.getfixturevalue("keys")
    second = deployed(board, signed(make_artifact("two"), keys, 1))
    with board.layout.locked(), pytest.raises(GateFailed, match="is not signed"):
        switching.rollback(board.layout, unsigned.release)
    assert board.layout.running() == second.release and not board.layout.state().pending and serving(board) == "two"


# Power cuts

MUTATIONS = (
    "os.rename",
    "os.link",
    "os.symlink",
    "os.mkdir",
    "os.remove",
    "os.rmdir",
    "os.truncate",
    "shutil.rmtree",
    "subprocess.Popen",
)


def _dies_at(step: int, place: Place, proposal: Proposal) -> bool:
    """Deploy in a child that kills itself (as a power cut would) before its `step`-th change to the disk; whether it lived."""
    child = os.fork()
    if child == 0:
        count = 0

        def hook(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal count
            writes = event == "open" and isinstance(arguments[1], str) and any(sign in arguments[1] for sign in "wax+")
            if event in MUTATIONS or writes:
                if count == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                count += 1

        try:
            with place.layout.locked():
                sys.addaudithook(hook)
                answer = switching.deploy(place.layout, proposal)
            os._exit(0 if answer.ok else 1)
        except BaseException:
            os._exit(2)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, f"the deployment failed at step {step}"
    return os.WIFEXITED(status)


def as_before(place: Place, state: State, running: str, gone: str) -> None:
    """The board as it was before the deployment that died, without waiting until its service answers again."""
    shutil.rmtree(place.layout.releases / gone, ignore_errors=True)
    if place.layout.running() != running:
        place.layout.point_to(running)
        service.restart()
    place.layout.save(state)


def test_killed_at_any_step_the_old_or_the_new_release_runs_never_neither(board: Place, make_artifact: MakeNamed) -> None:
    """Every change that a deployment makes to the disk, and every program it starts, is a place to die at."""
    quick = {"health": Health(url=f"http://127.0.0.1:{board.port}/health", settle_s=0.05, deadline_s=20)}
    old = deployed(board, make_artifact("old"), **quick)
    new = make_artifact("new")
    proposal = board.proposal(new, **quick)
    names = {old.release: "old", name_of(proposal.release): "new"}
    with board.layout.locked():
        upload(board, new, proposal)
    before, seen, step = board.layout.state(), set(), 0
    while not _dies_at(step, board, proposal):
        running = board.layout.running()
        assert running in names, step
        assert board.layout.release(running).app == "sentinel", "and it is whole"
        with board.layout.locked():
            settled = switching.settle(board.layout)
        assert settled.ok and settled.release == running, (step, settled)
        assert board.layout.state().pending == "" and serving(board) == names[running]
        seen.add(running)
        as_before(board, before, old.release, name_of(proposal.release))
        step += 1
        assert step < 400, "a deployment cannot have so many steps"
    assert step > 10 and len(seen) == 2, "some deaths came before the switch and some after"


def test_a_switch_that_nobody_ended_is_judged_when_the_board_starts(board: Place, make_artifact: MakeNamed) -> None:
    good = deployed(board, make_artifact("good"))
    bad = make_artifact("dead")
    proposal = board.proposal(bad, health=unkept(board))
    with board.layout.locked():
        upload(board, bad, proposal)
        name = board.layout.assemble(proposal.release, proposal.parts)
        board.layout.save(State(previous=good.release, pending=name))
        board.layout.point_to(name)
    assert main(["settle", "--root", str(board.layout.root)]) == 0
    assert board.layout.running() == good.release and serving(board) == "good"
    unit = units(board.layout.root)[SETTLE]
    assert "edgekit.deploy.board settle" in unit and "WantedBy=multi-user.target" in unit


# The program


def test_refusals_are_answers_with_their_exit_code(
    board: Place, make_artifact: MakeNamed, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    proposal = board.proposal(make_artifact("one"))
    given = io.TextIOWrapper(io.BytesIO(msgspec.json.encode(proposal)))
    monkeypatch.setattr(sys, "stdin", given)
    assert main(["deploy", "--root", str(board.layout.root)]) == 1
    said = json.loads(capsys.readouterr().out)
    assert "never uploaded: manifest.json" in said["error"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"release": 3}')))
    assert main(["deploy", "--root", str(board.layout.root)]) == 3
    assert "release" in json.loads(capsys.readouterr().out)["error"]


def test_the_service_becomes_the_release_that_the_link_names(board: Place, make_artifact: MakeNamed) -> None:
    answer = deployed(board, make_artifact("one"))
    told = arguments(board.layout)
    assert told[:3] == ["run", "sentinel", "--artifact"]
    assert told[3] == str(board.layout.releases / answer.release / "artifact"), "not through the link, which moves"
    started = [sys.executable, "-m", "edgekit.deploy.board.start", str(board.layout.root)]
    done = subprocess.run(started, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "no app named 'sentinel'" in done.stderr, "edgekit itself answers, with its own status"


def test_equal_releases_have_one_name_and_others_another() -> None:
    one = Release(app="a", artifact="0" * 64)
    assert name_of(one) == name_of(Release(app="a", artifact="0" * 64, arguments=()))
    assert name_of(one) != name_of(Release(app="a", artifact="0" * 64, arguments=("x",)))


def test_status_of_a_bare_board(board: Place, tmp_path: Path) -> None:
    found = condition.status(board.layout)
    assert (found.release, found.active, found.problems) == ("", False, ())
    assert found.free_bytes > 0 and found.memory_bytes > 0


def test_a_release_has_one_name_however_its_times_are_written() -> None:
    whole, broken = (Release(app="digits", artifact="a" * 64, health=Health(deadline_s=each)) for each in (20, 20.0))
    assert name_of(whole) == name_of(broken) == name_of(msgspec.json.decode(msgspec.json.encode(whole), type=Release))
