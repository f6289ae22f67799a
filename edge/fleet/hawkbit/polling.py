"""A board in a fleet that hawkBit runs: its actions carried out by the code of `edgekit deploy`.

A software module is an artifact when one of its files is `manifest.json`; its files are the artifact's, signature included. The
module's metadata says what runs it: `edgekit.app`, `edgekit.arguments` (a JSON list), `edgekit.health` (a URL on the board). Modules that
are no artifacts, an operating system's say, are somebody else's.
"""

from __future__ import annotations

import logging
import random
import time
from http.client import HTTPException, HTTPResponse

import msgspec

from edgekit.artifact import MANIFEST
from edgekit.core.errors import EdgekitError, InputError
from edgekit.deploy.nouns import Answer, Health, Lacking, Part, Proposal, Release
from edgekit.fleet.board.place import Place
from edgekit.fleet.hawkbit.ddi import Action, Chunk, Client, Execution, File, Link

log = logging.getLogger(__name__)
RETRY_S = 30.0
_PIECE = 1 << 18


def poll_always(client: Client, place: Place, app: str) -> None:
    """Until this process ends; a server that is away is asked again."""
    place.settle()
    while True:
        try:
            sleep_s = poll_once(client, place, app)
        except EdgekitError as exc:
            log.warning("%s", exc.message)
            sleep_s = RETRY_S
        time.sleep(sleep_s * random.uniform(0.9, 1.1))


def poll_once(client: Client, place: Place, app: str) -> float:
    """Ask, and do what is asked; the seconds until the next time."""
    base = client.poll()
    if link := base.links.get("configData"):
        client.configure(link, _attributes(place))
    if link := base.links.get("cancelAction"):
        _cancel(client, link)
    elif link := base.links.get("deploymentBase"):
        _act(client, place, client.action(link), app)
    return base.sleep_s


def proposal_of(action: Action, app: str) -> Proposal | None:
    """The release that an action asks for; None when nothing in it is an artifact. Raises `InputError` for two, or one half."""
    chunks = [chunk for chunk in action.deployment.chunks if any(file.filename == MANIFEST for file in chunk.artifacts)]
    if not chunks:
        return None
    if len(chunks) > 1:
        raise InputError(f"the action has {len(chunks)} artifacts, a board runs one: {', '.join(one.name for one in chunks)}")
    chunk = chunks[0]
    parts = tuple(Part(name=file.filename, sha256=file.hashes.sha256, bytes=file.size) for file in chunk.artifacts)
    manifest = next(part.sha256 for part in parts if part.name == MANIFEST)
    name = chunk.said("edgekit.app") or app
    if not name:
        raise InputError(f"the module {chunk.name!r} does not say what runs it", "its metadata edgekit.app, or --app")
    health = Health(url=chunk.said("edgekit.health"))
    return Proposal(release=Release(app=name, artifact=manifest, arguments=_arguments(chunk), health=health), parts=parts)


def _act(client: Client, place: Place, action: Action, app: str) -> None:
    """Carry out an action and say how it went: whatever goes wrong on the board is the action's failure."""
    try:
        proposal = proposal_of(action, app)
        if proposal is None:
            raise InputError("nothing in this action is an edgekit artifact: no module has a manifest.json")
        deployment = action.deployment
        if deployment.download == "skip" and deployment.update == "skip":
            return
        _tell(client, action, "proceeding")
        _download(client, place, action, proposal)
        _tell(client, action, "downloaded")
        if deployment.update == "skip" or deployment.maintenance_window == "unavailable":
            return
        answer = place.deploy(proposal)
    except Lost:
        raise
    except EdgekitError as exc:
        answer = Answer(ok=False, message=exc.message)
    client.feedback("deploymentBase", action.id, "closed", "success" if answer.ok else "failure", (answer.message,))


def _tell(client: Client, action: Action, execution: Execution) -> None:
    """How far it is. A server that is away now is no reason for the action to fail."""
    try:
        client.feedback("deploymentBase", action.id, execution, "none")
    except EdgekitError as exc:
        raise Lost(exc.message, exc.hint) from exc


def _cancel(client: Client, link: Link) -> None:
    """What has begun here is over before the next poll, so nothing runs that could still be stopped: the server may forget it."""
    cancel = client.cancel(link)
    client.feedback(
        "cancelAction", cancel.id, "closed", "success", (f"action {cancel.cancel_action.stop_id} is not carried out",)
    )


class Lost(EdgekitError):
    """The server or a download broke off: not the action's failure, the next poll goes on."""


def _download(client: Client, place: Place, action: Action, proposal: Proposal) -> None:
    files = {file.hashes.sha256: file for chunk in action.deployment.chunks for file in chunk.artifacts}
    parts = {part.sha256: part for part in proposal.parts}
    for lacking in place.offer(proposal).lacking:
        _fetch(client, place, files[lacking.sha256], parts[lacking.sha256], lacking)


def _fetch(client: Client, place: Place, file: File, part: Part, lacking: Lacking) -> None:
    """One file, from where it broke off. Raises `Lost` when it breaks off again, `DeviceError` when it is not what was announced."""
    start, answer = _opened(client, file, lacking.have if lacking.have < part.bytes else 0)
    with answer:
        place.begin(part, start)
        left = part.bytes - start
        while left:
            piece = _piece(answer, left)
            place.append(part, piece)
            left -= len(piece)
    place.complete(part)


def _opened(client: Client, file: File, offset: int) -> tuple[int, HTTPResponse]:
    try:
        return client.open(file, offset)
    except InputError:
        raise
    except EdgekitError as exc:
        raise Lost(exc.message, exc.hint) from exc


def _piece(answer: HTTPResponse, left: int) -> bytes:
    try:
        piece = answer.read(min(_PIECE, left))
    except (OSError, HTTPException) as exc:
        raise Lost(f"the download broke off {left} bytes before its end: {exc}") from exc
    if not piece:
        raise Lost(f"the download broke off {left} bytes before its end")
    return piece


def _arguments(chunk: Chunk) -> tuple[str, ...]:
    text = chunk.said("edgekit.arguments")
    try:
        return msgspec.json.decode(text, type=tuple[str, ...]) if text else ()
    except msgspec.DecodeError as exc:
        raise InputError(f"edgekit.arguments of {chunk.name!r} is no JSON list of strings: {exc}") from exc


def _attributes(place: Place) -> dict[str, str]:
    status = place.status()
    found = {
        "edgekit": status.edgekit,
        "edgekit.release": status.release,
        "edgekit.artifact": status.artifact_name,
        "edgekit.profile": status.device,
        "python": status.python,
    }
    return {key: value for key, value in found.items() if value}
