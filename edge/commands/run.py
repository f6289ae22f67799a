"""`edgekit run APP`: start one of the apps."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from edgekit.commands._arguments import add_general
from edgekit.console import emit, note
from edgekit.core.errors import EdgekitError, MissingDependency, NotFound, UsageError
from edgekit.core.names import did_you_mean

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

HELP = "run an app: digits, detect, ..."
ENTRY_POINTS = "edgekit.apps"


def configure(parser: argparse.ArgumentParser) -> None:
    """Every app takes the same options and refuses those it has no use for; one with `configure` adds its own."""
    _add_shared(parser)
    parser.add_argument(
        "app",
        nargs=argparse.PARSER,
        action=_AppArguments,
        metavar="APP",
        help="name of the app, such as detect or digits; options of its own may follow it: edgekit run APP --help",
    )


def run(args: argparse.Namespace) -> int:
    """Find the app, hand it the options, print its answer. The runtime that was chosen is said, and why others were not."""
    from edgekit.apps.base import RunOptions
    from edgekit.loading import noted

    app = find_app(args.app)
    artifact, address = _artifact(args.artifact or "", args.app, app)
    options = RunOptions(
        artifact=artifact,
        address=address,
        image=args.image,
        source=args.source,
        config=args.config,
        runtime=args.runtime,
        output=args.output,
        host=args.host,
        port=args.port,
        own=args.own,
    )
    with noted() as choices:
        answer = app.run(options)
    for choice in choices:
        if not choice.passed_over:  # with reasons it is a warning, and on stderr already
            note(str(choice))
    emit(args, {**answer.result, "runtimes": [choice.plain() for choice in choices]}, answer.text)
    return 0


def _artifact(named: str, name: str, app: ModuleType) -> tuple[Path | None, str]:
    """The artifact's place, and its address where it is a server: a path would lose a slash of it. Raises `UsageError`."""
    if not named.startswith(("http://", "https://")):
        return (Path(named) if named else None), ""
    if not getattr(app, "TAKES_ADDRESS", False):
        raise UsageError(f"{name} runs an artifact that is here, not {named!r}", f"edgekit run {name} --artifact FOLDER")
    return None, named


def app_parser(name: str, app: ModuleType | None) -> argparse.ArgumentParser:
    """The parser of what may stand after APP: the options of every app, and those that `app` declares."""
    description = app.HELP if app else None
    parser = argparse.ArgumentParser(prog=f"edgekit run {name}", description=description, allow_abbrev=app is not None)
    add_general(parser)
    _add_shared(parser)
    if app is not None and hasattr(app, "configure"):
        app.configure(parser.add_argument_group(f"options of {name} alone"))
    return parser


class _AppArguments(argparse.Action):
    """Reads APP and what follows it: only now is it known which options there are."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: str | None = None
    ) -> None:
        name, *arguments = values
        shared = {*vars(namespace), "own"}
        app = _found(name)
        after = app_parser(name, app)
        if app is None:
            after.parse_known_args(arguments, namespace)
        else:
            after.parse_args(arguments, namespace)
        namespace.app = name
        namespace.own = {option: value for option, value in vars(namespace).items() if option not in shared}


def _found(name: str) -> ModuleType | None:
    """The app, or None for one that is not there or does not load: `run` says which of the two, and why."""
    try:
        return find_app(name)
    except EdgekitError:
        return None


def _add_shared(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--artifact", metavar="A", help="the artifact to run: a folder; for the assistant also a file, or a server"
    )
    given = parser.add_mutually_exclusive_group()
    given.add_argument("--image", type=Path, metavar="FILE", help="one picture")
    given.add_argument("--source", metavar="S", help="a camera, a stream or a recording")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings of the app")
    parser.add_argument(
        "--runtime", default="auto", metavar="NAME", help="engine to use (default: the artifact's first that works)"
    )
    parser.add_argument("-o", "--output", type=Path, metavar="OUT", help="where to write what the app makes")
    parser.add_argument("--host", default="127.0.0.1", help="address to serve on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8080, help="port to serve on (default: %(default)s)")


def find_app(name: str) -> ModuleType:
    """The app of that name, edgekit's own before those of other packages. Raises `NotFound` with the nearest name."""
    from importlib.metadata import entry_points

    own = {module.__name__.rpartition(".")[2]: module for module in _candidates(name)}
    if name in own:
        return own[name]
    others = {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}
    if name in others:
        return _loaded(others[name])
    known = sorted({*app_names(), *others})
    raise NotFound(f"no app named {name!r}", did_you_mean(name, known, f"there are: {', '.join(known)}"))


def _loaded(entry: EntryPoint) -> ModuleType:
    """Another package's app; what goes wrong while it loads is its maker's to mend, and is said with the package's name."""
    try:
        return cast(ModuleType, entry.load())
    except Exception as exc:
        package = entry.dist.name if entry.dist else entry.value
        raise MissingDependency(
            f"the app {entry.name!r} of {package} does not load: {exc}", f"pip install --upgrade {package}"
        ) from exc


def app_names() -> tuple[str, ...]:
    """Names of edgekit's own apps: the modules and folders of `edgekit.apps` that have `HELP` and `run`."""
    return tuple(module.__name__.rpartition(".")[2] for module in _candidates(""))


def _candidates(name: str) -> list[ModuleType]:
    """The app `name`, or every app for an empty name."""
    from edgekit import apps

    found = sorted(info.name for info in iter_modules(apps.__path__) if name in ("", info.name))
    modules = (import_module(f"{apps.__name__}.{each}") for each in found if not each.startswith("_"))
    return [module for module in modules if hasattr(module, "HELP") and hasattr(module, "run")]
