"""What `edgekit run camera` and `edgekit run surveillance` have in common: settings and models in, one answer out."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from time import sleep
from typing import Any

from edgekit.apps.base import Answer, RunOptions
from edgekit.apps.vision.analysis.analyst import Analyst
from edgekit.apps.vision.analysis.recorded import Recorded, go_through
from edgekit.apps.vision.events import Event
from edgekit.apps.vision.networks.artifacts import opened
from edgekit.apps.vision.networks.detector import Detector
from edgekit.apps.vision.networks.lanes import Lanes, side_by_side
from edgekit.apps.vision.networks.presence import Presence
from edgekit.apps.vision.poses.keypoints import PoseNetwork
from edgekit.apps.vision.poses.many_poses import pose_model
from edgekit.apps.vision.privacy.veil import veil_of
from edgekit.apps.vision.recording.recovery import end_left_open
from edgekit.apps.vision.recording.store import EventStore, Media
from edgekit.apps.vision.rules.read import read_site
from edgekit.apps.vision.rules.settings import Camera, Detect, Site, looked_for
from edgekit.apps.vision.showing.explaining import Explainer, gradients_of
from edgekit.apps.vision.sources.address import Address, parse_address
from edgekit.apps.vision.sources.open import open_source
from edgekit.apps.vision.stages import Stages
from edgekit.apps.vision.watching.camera import CLIPS, DATABASE, Told
from edgekit.apps.vision.watching.guards import Guards, guarding
from edgekit.apps.vision.watching.site import SiteWatch
from edgekit.apps.vision.watching.site_file import GOOD, NAME, SiteFile, with_source
from edgekit.apps.vision.watching.unit import unit_of
from edgekit.apps.web import options as web_options
from edgekit.core.errors import UsageError
from edgekit.core.files import ensure_writable
from edgekit.core.schema import Artifact
from edgekit.models.boxed import boxed_detector
from edgekit.runtimes.face import FaceSession

log = logging.getLogger(__name__)
EXAMPLE = "edgekit run {app} --source RECORDING --artifact DETECTOR --no-serve --json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """The models of a run, open."""

    detector: Detector
    pose: PoseNetwork | None
    artifact: Artifact
    """Of the detector."""


def configure(parser: Any) -> None:
    """The options that the camera apps add to those of every app."""
    parser.add_argument("--no-serve", action="store_true", help="go through a recording as fast as possible, without a page")
    parser.add_argument("--headless", action="store_true", help="watch the cameras as they come, without a page, until Ctrl-C")
    parser.add_argument("--unit", action="store_true", help="print the systemd service that runs this command, and end")
    parser.add_argument("--strict", action="store_true", help="end when the site's file is broken, whatever it said before")
    parser.add_argument(
        "--pose",
        type=Path,
        metavar="P",
        help="pose model, of one person (MoveNet, MediaPipe) or of several (PoseNet, YOLO-pose): an artifact folder, a .tflite or .task file",
    )
    parser.add_argument(
        "--presence",
        type=Path,
        metavar="P",
        help="a classifier of pictures with and without people, asked before the detector while nobody is followed",
    )
    parser.add_argument(
        "--original",
        type=Path,
        metavar="MODEL",
        help="the model that the detector was made from: the page Explain takes its gradients, too (Grad-CAM; extra torch)",
    )
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="CPU threads of the models (default: every core)")
    web_options.configure(parser)


def run(app: str, options: RunOptions) -> Answer:
    """With `--no-serve` what recordings hold; else the sources are watched as they come, on a page unless `--headless`.

    Raises as the models, the settings and the sources do.
    """
    if options.image is not None:
        raise UsageError(f"{app} has no use for --image", EXAMPLE.format(app=app))
    if options.config is None and options.source is None:
        raise UsageError(f"{app} needs --source or --config", EXAMPLE.format(app=app))
    if options.own.get("unit"):
        text = unit_of(app, options)
        return Answer(result={"unit": text}, text=text)
    if options.own.get("no_serve"):
        return run_recorded(app, options)
    return run_live(app, options)


def folder_of(app: str, options: RunOptions) -> Path:
    """Where events, clips, snapshots and settings made on the page are kept."""
    return options.output or Path(f"edgekit-{app}")


def file_of(app: str, options: RunOptions) -> SiteFile:
    """The file that settings are read from and written to: `--config`, else one in the folder of what is kept.

    `--source` stands for the source of a file's only camera.
    """
    folder = folder_of(app, options)
    source = None if options.source is None else parse_address(options.source)
    begins = "" if options.config is not None else f"cameras:\n  camera:\n    source: {json.dumps(options.source)}\n"
    return SiteFile(options.config or folder / NAME, folder / GOOD, source=source, begins=begins)


def site_of(app: str, options: RunOptions) -> Site:
    """The cameras and models that the options name, for one pass: nothing is written."""
    source = None if options.source is None else parse_address(options.source)
    if options.config is None:
        assert source is not None
        return Site(cameras=(_camera(source),))
    return with_source(read_site(options.config), source, options.config.name)


def _camera(source: Address) -> Camera:
    return Camera(name="camera", source=source, detect=Detect(), zones={}, lines={}, rules=())


@contextmanager
def models_of(app: str, site: Site, options: RunOptions, wanted: frozenset[str] = frozenset()) -> Iterator[Models]:
    """The detector, of whose classes only those `wanted` are given (all, when it is empty), and the pose model, open for the
    length of the block."""
    detector = options.artifact or (Path(site.detector) if site.detector else boxed_detector())
    pose, presence = (
        options.own.get(name) or (Path(written) if written else None)
        for name, written in (("pose", site.pose), ("presence", site.presence))
    )
    threads = int(options.own.get("threads") or 0)
    if detector is None:
        raise UsageError(f"{app} needs a detector: --artifact", EXAMPLE.format(app=app))
    with ExitStack() as stack:
        session: FaceSession | Lanes
        if options.own.get("no_serve"):
            session = stack.enter_context(side_by_side(detector, runtime=options.runtime, threads=threads))
        else:
            session = stack.enter_context(opened(detector, runtime=options.runtime, threads=threads))
        posed = pose_model(stack.enter_context(opened(pose, threads=threads))) if pose else None
        seen = Presence(stack.enter_context(opened(presence, threads=1))) if presence else None
        yield Models(detector=Detector(session, wanted=wanted, presence=seen), pose=posed, artifact=session.artifact)


def run_recorded(app: str, options: RunOptions) -> Answer:
    """Every camera's recording, one after the other, in one answer."""
    site = site_of(app, options)
    wanted = frozenset[str]().union(*(looked_for(camera) for camera in site.cameras))
    for camera in site.cameras:
        if camera.source.live:
            raise UsageError(f"--no-serve goes through recordings; {camera.source.shown!r} never ends", "leave out --no-serve")
    stages = Stages()
    with models_of(app, site, options, wanted) as models:
        found = [(camera, _gone_through(camera, models, stages)) for camera in site.cameras]
        names = {"detector": models.detector.name, "runtime": models.detector.runtime}
    result = _result([each for _, each in found], stages, names)
    return Answer(result=result, text=_text(result))


def run_live(app: str, options: RunOptions) -> Answer:
    """Watch the cameras until Ctrl-C, on a page unless `--headless`; events, clips and snapshots go into `--output`."""
    folder, told = folder_of(app, options), Counted()
    ensure_writable(folder)
    file = file_of(app, options)
    site, problem = file.open(strict=bool(options.own.get("strict")))
    with (
        models_of(app, site, options) as models,
        closing(EventStore(folder / DATABASE)) as store,
        guarding(site, folder) as guards,
    ):
        gradients = gradients_of(models.artifact, options.own.get("original"))
        told.also = guards.told
        recover(store, folder, guards)
        watch = SiteWatch(
            site,
            file,
            models.detector,
            models.pose,
            store,
            folder,
            told=told.hear,
            kept=guards.kept,
            veil=veil_of,
            problem=problem,
        )
        guards.start(watch)
        if options.own.get("headless"):
            _watched(watch)
        else:
            _served(app, options, watch, guards, Explainer(watch.detector, gradients))
    return Answer(result={"folder": str(folder), "events": told.ended}, text=f"{told.ended} events in {folder / DATABASE}")


def recover(store: EventStore, folder: Path, guards: Guards) -> None:
    """End what a killed run left open, tell of it, and offer its clips to the store of copies."""
    for stored in end_left_open(store, folder / CLIPS):
        guards.told(stored.event, stored.media)
        clip = folder / CLIPS / stored.clip
        if stored.clip and clip.is_file():
            guards.kept(clip, stored.event.camera, stored.event.severity)


class Counted:
    """Says and counts the events, and passes them on to `also`; may be called by several threads."""

    def __init__(self) -> None:
        self.ended, self._lock = 0, Lock()
        self.also: Told = lambda event, media: None

    def hear(self, event: Event, media: Media) -> None:
        log.info("%s %s: %s", event.camera, event.type, "ended" if event.end_s else "began")
        with self._lock:
            self.ended += event.end_s is not None
        self.also(event, media)


def _watched(watch: SiteWatch) -> None:
    """Without a page: until Ctrl-C, or until every recording among the sources has ended."""
    try:
        watch.start()
        while not watch.done:
            sleep(0.2)
    except KeyboardInterrupt:
        log.info("stopped by the keyboard")
    finally:
        watch.stop()


def _served(app: str, options: RunOptions, watch: SiteWatch, guards: Guards, explain: Explainer) -> None:
    """With the pages, until the server is told to stop."""
    from edgekit.apps.web.serve import ensure_packages, serve

    ensure_packages()
    from edgekit.apps.surveillance.api.shell import with_api
    from edgekit.apps.vision.pages.shell import shell

    serve(with_api(shell(app, watch, explain), watch, guards), web_options.serving(options))


def _gone_through(camera: Camera, models: Models, stages: Stages) -> Recorded:
    capture = open_source(camera.source, masks=camera.masks)
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
