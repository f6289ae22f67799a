"""Deploy over the system's ssh: what changed is uploaded, the board proves it and switches, and says how it went."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Any, TypeVar

import msgspec

from edgekit.artifact import MANIFEST
from edgekit.core import process
from edgekit.core.errors import DeviceError, EdgekitError, GateFailed, InputError
from edgekit.core.files import sha256_file
from edgekit.core.progress import Event, Progress, silent, staged
from edgekit.core.schema import Artifact
from edgekit.core.ssh import FAILED, by_hand, hint, ssh
from edgekit.deploy.board.layout import ROOT
from edgekit.deploy.nouns import Answer, Going, Offer, Part, Proposal, Release, Status
from edgekit.loading import order as engines
from edgekit.signing.sign import SIGNATURE

ORDER_TIMEOUT_S = 300.0
DEPLOY_TIMEOUT_S = 3600.0
"""A Jetson builds its engine in it."""
_Kind = TypeVar("_Kind")


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """A board as ssh knows it, and where edgekit lies on it."""

    host: str
    root: Path = ROOT
    sudo: bool = False
    """Whether the board's side runs as root through `sudo -n`: needed unless ssh logs in as root."""

    @property
    def python(self) -> Path:
        """The Python that has edgekit."""
        return self.root / "venv/bin/python"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How it went on one board: its answer, the bytes that were uploaded, or the error."""

    host: str
    answer: Answer | None = None
    sent_bytes: int = 0
    error: EdgekitError | None = None

    @property
    def ok(self) -> bool:
        return self.answer is not None and self.answer.ok


def proposal_of(artifact: Artifact, release: Release) -> Proposal:
    """The release with the artifact's files: manifest, payload, and the signature if there is one; and the engines that can run it."""
    names = [MANIFEST, *(file.name for file in artifact.manifest.files)]
    if (artifact.path / SIGNATURE).is_file():
        names.append(SIGNATURE)
    parts = [(name, artifact.path / name) for name in names]
    return Proposal(
        release=release,
        parts=tuple(Part(name=name, sha256=sha256_file(path), bytes=path.stat().st_size) for name, path in parts),
        engines=engines(artifact),
    )


def deploy_to_all(
    boards: Sequence[Board], artifact: Artifact, release: Release, *, any_board: bool = False, progress: Progress = silent
) -> tuple[Outcome, ...]:
    """Deploy to every board at once; what goes wrong on one is its own outcome and nobody else's."""
    proposal = proposal_of(artifact, release)

    def one(board: Board) -> Outcome:
        try:
            return deploy_to(board, artifact, proposal, any_board=any_board, progress=staged(progress, board.host))
        except EdgekitError as exc:
            return Outcome(host=board.host, error=exc)

    with ThreadPoolExecutor(max_workers=max(1, min(len(boards), 16))) as pool:
        return tuple(pool.map(one, boards))


def deploy_to(
    board: Board, artifact: Artifact, proposal: Proposal, *, any_board: bool = False, progress: Progress = silent
) -> Outcome:
    """Deploy to one board. Raises `EdgekitError`s; a release that was taken back is an answer, not an error."""
    offer = order(board, "offer", proposal, Offer)
    if offer.runs:
        answer = Answer(ok=True, message="runs already: nothing to do", release=offer.status.release)
        return Outcome(host=board.host, answer=answer)
    _ensure_fits(offer.status, artifact, any_board)
    sent = _upload(board, offer, artifact, proposal, progress)
    progress(Event(stage="prove and switch"))
    answer = order(board, "deploy", proposal, Answer, timeout_s=DEPLOY_TIMEOUT_S)
    return Outcome(host=board.host, answer=answer, sent_bytes=sent)


def _upload(board: Board, offer: Offer, artifact: Artifact, proposal: Proposal, progress: Progress) -> int:
    """Send what the board lacks, from where an earlier try broke off; the bytes that were sent."""
    parts = {part.sha256: part for part in proposal.parts}
    total, sent = sum(parts[each.sha256].bytes - each.have for each in offer.lacking), 0
    for lacking in offer.lacking:
        progress(Event(stage="upload", done=sent >> 10, total=max(total >> 10, 1)))
        part = parts[lacking.sha256]
        arguments = ["--sha256", part.sha256, "--bytes", str(part.bytes), "--offset", str(lacking.have)]
        _said(board, partial(_feed, board, "put", arguments, artifact.path / part.name, lacking.have))
        sent += part.bytes - lacking.have
    return sent


def rollback(board: Board, to: str = "") -> Answer:
    """Back to the release before, or to one by name."""
    return order(board, "rollback", Going(to=to), Answer, timeout_s=DEPLOY_TIMEOUT_S)


def status(board: Board) -> Status:
    """The board as it is."""
    return order(board, "status", None, Status)


def logs_command(board: Board, *, follow: bool, lines: int) -> list[str]:
    """The program that shows the app's log."""
    words = ["journalctl", "-u", "edgekit-app.service", "-n", str(lines), "--no-pager", *(["-f"] if follow else [])]
    return ssh(board.host, " ".join([*_as_root(board), *map(quote, words)]))


def command(board: Board, verb: str, arguments: Sequence[str] = ()) -> list[str]:
    """The program that carries out a verb on the board."""
    # Not from the home folder: `python -m` would import whatever modules lie there before the real ones.
    words = ["cd / &&", *_as_root(board), quote(str(board.python)), "-m", "edgekit.deploy.board", verb]
    return ssh(board.host, " ".join([*words, "--root", quote(str(board.root)), *map(quote, arguments)]))


def order(board: Board, verb: str, message: Any, kind: type[_Kind], *, timeout_s: float = ORDER_TIMEOUT_S) -> _Kind:
    """Carry out a verb with `message` as its order; the board's answer. Raises what the board raised, by its exit code."""
    text = msgspec.json.encode(message).decode() if message is not None else None
    said = _said(board, lambda: process.run(command(board, verb), timeout_s=timeout_s, stdin=text, exits=_EXITS))
    try:
        return msgspec.json.decode(said, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise DeviceError(
            f"{board.host} answered with something else: {said[:80]!r}", by_hand(board.host, "journalctl -n 20")
        ) from exc


_EXITS = (0, *sorted({kind.exit_code for kind in (EdgekitError, InputError, DeviceError, GateFailed)}), FAILED)
"""Exit statuses with which the board's side still answers in JSON, and that of ssh itself."""
_ERRORS: dict[int, type[EdgekitError]] = {1: InputError, 3: DeviceError, 4: GateFailed}


def _said(board: Board, call: Callable[[], process.Finished]) -> str:
    try:
        done = call()
    except EdgekitError as exc:
        raise DeviceError(f"{board.host}: {exc.message}", _hint(board, exc.message)) from exc
    if done.status == FAILED:
        raise DeviceError(f"{board.host}: {process.last_line(done)}", hint(board.host, done.stderr))
    if done.status:
        try:
            refusal = msgspec.json.decode(done.stdout, type=dict[str, str])
        except msgspec.DecodeError:
            last = process.last_line(done)
            raise DeviceError(f"{board.host}: {last}", _hint(board, last)) from None
        raise _ERRORS[done.status](f"{board.host}: {refusal.get('error', '')}", refusal.get("hint", ""))
    return done.stdout


def _feed(board: Board, verb: str, arguments: Sequence[str], file: Path, offset: int) -> process.Finished:
    return process.run(command(board, verb, arguments), timeout_s=DEPLOY_TIMEOUT_S, stdin_file=(file, offset), exits=_EXITS)


def _ensure_fits(status: Status, artifact: Artifact, any_board: bool) -> None:
    """An artifact made for another board is refused, unless that is what is wanted."""
    wanted = artifact.manifest.target.device
    if status.device and not any_board and wanted not in (status.device, "host") and not wanted.startswith("coral"):
        raise InputError(
            f"{artifact.manifest.name!r} was made for {wanted}, this board is a {status.device}",
            f"convert it with --target {status.device}, or --any-board",
        )


def _as_root(board: Board) -> list[str]:
    return ["sudo", "-n"] if board.sudo else []


def _hint(board: Board, message: str) -> str:
    for sign, advice in (
        ("status 127", f"there is no {board.python} on the board: flash it with an app, or make that environment"),
        ("No such file", f"there is no {board.python} on the board: flash it with an app, or make that environment"),
        ("No module named", by_hand(board.host, f"{board.python} -m pip install edgekit")),
        ("a password is required", _PASSWORD),
        ("authentication is required", _PASSWORD),  # sudo-rs
        ("a terminal is required", _PASSWORD),
        ("Permission denied", "--sudo, or deploy as root"),
    ):
        if sign in message:
            return advice
    return f"{by_hand(board.host, '').strip()} and look"


_PASSWORD = "the user needs sudo without a password, or deploy as root"
