"""What `edgekit run camera` and `edgekit run surveillance` have in common: settings and models in, one answer out."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from time import sleep
from typing import Any

from edgekit.apps.base import Answer, RunOptions
from edgekit.apps.vision.address import Address, parse_address
from edgekit.apps.vision.analyst import Analyst
from edgekit.apps.vision.artifacts import opened
from edgekit.apps.vision.detector import Detector
from edgekit.apps.vision.events import Event
from edgekit.apps.vision.keypoints import SinglePose
from edgekit.apps.vision.live import DATABASE, CameraWatch, OneAtATime
from edgekit.apps.vision.recorded import Recorded, go_through
from edgekit.apps.vision.recording.store import EventStore
from edgekit.apps.vision.rules.read import read_site
from edgekit.apps.vision.rules.settings import DEFAULT_RULES, Camera, Detect, Site
from edgekit.apps.vision.sources.open import open_source
from edgekit.apps.vision.stages import Stages
from edgekit.core.errors import UsageError
from edgekit.core.files import ensure_writable

log = logging.getLogger(__name__)
EXAMPLE = "edgekit run {app} --source RECORDING --artifact DETECTOR --no-serve --json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """The models of a run, open."""

    detector: Detector
    pose: SinglePose | None


def configure(parser: Any) -> None:
    """The options that the camera apps add to those of every app."""
    parser.add_argument("--no-serve", action="store_true", help="go through a recording as fast as possible, without a page")
    parser.add_argument("--pose", type=Path, metavar="P", help="pose model: an artifact folder, or MoveNet's .tflite file")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="CPU threads of the models (default: every core)")


def site_of(app: str, options: RunOptions) -> Site:
    """The cameras and models that the options name; `--source` replaces the source of a file's only camera."""
    if options.image is not None:
        raise UsageError(f"{app} has no use for --image", EXAMPLE.format(app=app))
    source = None if options.source is None else parse_address(options.source)
    if options.config is None:
        if source is None:
            raise UsageError(f"{app} needs --source or --config", EXAMPLE.format(app=app))
        return Site(cameras=(_camera(source),))
    site = read_site(options.config)
    if source is None:
        return site
    if len(site.cameras) != 1:
        raise UsageError(
            f"--source stands for the source of one camera, {options.config.name!r} has {len(site.cameras)}", "leave it out"
        )
    return replace(site, cameras=(replace(site.cameras[0], source=source),))


def _camera(source: Address) -> Camera:
    return Camera(name="camera", source=source, detect=Detect(), zones={}, lines={}, rules=())


@contextmanager
def models_of(app: str, site: Site, options: RunOptions) -> Iterator[Models]:
    """The detector and the pose model, open for the length of the block."""
    detector = options.artifact or (Path(site.detector) if site.detector else None)
    pose = options.own.get("pose") or (Path(site.pose) if site.pose else None)
    threads = int(options.own.get("threads") or 0)
    if detector is None:
        raise UsageError(f"{app} needs a detector: --artifact", EXAMPLE.format(app=app))
    rules = [rule for camera in site.cameras for rule in camera.rules or DEFAULT_RULES]
    with ExitStack() as stack:
        session = stack.enter_context(opened(detector, runtime=options.runtime, threads=threads))
        posed = SinglePose(stack.enter_context(opened(pose, threads=threads))) if pose else None
        yield Models(detector=Detector(session, wanted=frozenset(rule.label for rule in rules) | {"person"}), pose=posed)


def run_recorded(app: str, options: RunOptions) -> Answer:
    """Every camera's recording, one after the other, in one answer."""
    site = site_of(app, options)
    for camera in site.cameras:
        if camera.source.live:
            raise UsageError(f"--no-serve goes through recordings; {camera.source.shown!r} never ends", "leave out --no-serve")
    stages = Stages()
    with models_of(app, site, options) as models:
        found = [(camera, _gone_through(camera, models, stages)) for camera in site.cameras]
        names = {"detector": models.detector.name, "runtime": models.detector.runtime}
    result = _result([each for _, each in found], stages, names)
    return Answer(result=result, text=_text(result))


def run_live(app: str, options: RunOptions) -> Answer:
    """Watch the cameras until Ctrl-C, or until every recording among them has ended; events and clips go into `--output`."""
    site, folder = site_of(app, options), options.output or Path(f"edgekit-{app}")
    ensure_writable(folder)
    with models_of(app, site, options) as models, closing(EventStore(folder / DATABASE)) as store:
        told: list[Event] = []
        lock = Lock()
        watches = [_watch(camera, models, store, folder, told, lock) for camera in site.cameras]
        try:
            for watch in watches:
                watch.start()
            while not all(watch.done for watch in watches):
                sleep(0.2)
        except KeyboardInterrupt:
            log.info("stopped by the keyboard")
        finally:
            for watch in watches:
                watch.stop()
    return Answer(result={"folder": str(folder), "events": len(told)}, text=f"{len(told)} events in {folder / DATABASE}")


def _watch(camera: Camera, models: Models, store: EventStore, folder: Path, told: list[Event], lock: Lock) -> CameraWatch:
    def tell(event: Event) -> None:
        log.info("%s %s: %s", event.camera, event.type, "ended" if event.end_s else "began")
        if event.end_s is not None:
            told.append(event)

    pose = None if models.pose is None else OneAtATime(models.pose, lock)
    return CameraWatch(camera, OneAtATime(models.detector, lock), pose, store, folder, tell)


def _gone_through(camera: Camera, models: Models, stages: Stages) -> Recorded:
    capture = open_source(camera.source)
    try:
        return go_through(capture, Analyst(camera, models.detector, models.pose, stages=stages), models.detector.labels)
    finally:
        capture.close()


def _result(found: list[Recorded], stages: Stages, names: Mapping[str, str]) -> dict[str, Any]:
    frames, seconds = sum(each.frames for each in found), sum(each.seconds for each in found)
    summary = stages.summary()
    return {
        "events": [event.as_json() for each in found for event in each.events],
        "tracks": [track.as_json() for each in found for track in each.tracks],
        "frames": frames,
        "fps": round(frames / max(seconds, 1e-9), 2),
        "stages_ms": {name: figures["p50"] for name, figures in summary.items()},
        "stages": summary,
        "looks": sum(each.looks for each in found),
        "skipped": sum(each.skipped for each in found),
        "people": [list(pair) for each in found for pair in each.people],
        **names,
    }


def _text(result: Mapping[str, Any]) -> str:
    lines = [
        f"{event['start_s']:8.1f} s  {event['type']:<15} {event['score']:.2f}  {event['camera']}"
        + (f"  track {event['track']}" if event["track"] is not None else "")
        + f"  {', '.join(f'{name} {value}' for name, value in event['evidence'].items())}"
        for event in result["events"]
    ]
    stages = ", ".join(f"{name} {took:g} ms" for name, took in result["stages_ms"].items())
    return "\n".join(
        [
            *(lines or ["no events"]),
            f"{result['frames']} frames at {result['fps']} a second, {len(result['tracks'])} tracks; {result['runtime']}; {stages}",
        ]
    )
