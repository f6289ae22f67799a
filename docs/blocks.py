"""What stands between the marks of README and docs: tables that are facts about the code, made from the code."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Mapping
from configparser import ConfigParser
from importlib import import_module
from inspect import cleandoc
from pathlib import Path
from typing import Any

import msgspec
from measured import assistant, digits, fleet, models, numbers
from measured_boards import deploying, emulated, flashing
from measured_converters import accuracy, peers, pruning, zoo
from measured_runtimes import face, loading, prediction, predictor
from measured_vision import eyes, pipeline, scenes
from tables import table

from edgekit.benchmark.report import Report
from edgekit.cli import build_parser
from edgekit.commands.run import app_names, app_parser, find_app
from edgekit.core.profiles import devices as all_devices
from edgekit.core.schema import Device, Manifest
from edgekit.demo.flow import flow

ROOT = Path(__file__).resolve().parent.parent

EXTRAS = {
    "assistant": "the assistant: its server, and reading PDF and Word files",
    "images": "reading pictures (Pillow)",
    "onnx": "running artifacts in ONNX Runtime",
    "litert": "running artifacts in LiteRT",
    "convert": "converting; this needs neither TensorFlow nor PyTorch",
    "sweep": "many models, targets and precisions at once (joblib)",
    "flash": "writing .zst images to cards (zstandard); the rest of flash needs mtools alone",
    "fleet": "many boards on one NATS server (nats-py)",
    "sign": "signing artifacts and checking who signed them (cryptography)",
    "sklearn": "fitted scikit-learn models as sources (skl2onnx)",
    "torch": "PyTorch programs as sources (.pt2, TorchScript)",
    "keras": "Keras and TensorFlow models as sources (.keras, .h5, SavedModel)",
    "trees": "boosted trees as sources (XGBoost, LightGBM)",
    "web": "the apps' pages (FastAPI, NiceGUI)",
    "gguf": "reading and writing language models (gguf)",
    "llm": "language models through xllamacpp, which needs no compiler",
    "llama": "language models through llama-cpp-python, which is built where it is installed",
    "opencv": "OpenCV's own engine, the last resort",
    "mediapipe": "running MediaPipe's tasks; it brings an OpenCV of its own, so not beside opencv",
    "vision": "camera apps (PyAV, SciPy)",
    "vectors": "an index for the vectors of an embedding model, from tens of thousands of passages on (usearch)",
    "voice": "speaking to the assistant (PocketSphinx, whisper.cpp); answers are read aloud by espeak-ng or Piper, which are programs",
    "notify": "telling others of events through MQTT and Apprise (paho-mqtt, apprise)",
    "cloud": "copies of clips in an S3-compatible store (boto3)",
    "supervision": "exchanging detections with supervision",
    "train": "training the shipped networks again, and distilling pruned ones (PyTorch)",
    "all": "everything that converting and running can use",
    "dev": "all, and what the tests and checks need",
}


def subcommands() -> str:
    """Every subcommand and what it does."""
    rows = ((f"`edgekit {name}`", parser.description or "") for name, parser in _parsers().items())
    return table(("command", "what it does"), rows)


def targets() -> str:
    """Every make target and what it does."""
    found = re.findall(r"^([a-z-]+):.*## (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    return table(("target", "what it does"), ((f"`make {name}`", text) for name, text in found))


def extras() -> str:
    """Every extra, what it is for and what it brings."""
    wanted = _settings()["options.extras_require"]
    rows = ((f"`edgekit[{name}]`", EXTRAS[name], _packages(wanted[name])) for name in wanted)
    return table(("install", "for", "brings"), rows)


def folders() -> str:
    """The folders of the code, each with the first sentence of its package."""
    settings = _settings()["options"]
    mapped = dict(re.findall(r"(\S+) = (\S+)", settings["package_dir"]))
    names = [name for name in settings["packages"].split() if name.count(".") == 1]
    rows = ((f"`{mapped.get(name) or name.replace('edgekit.', 'edge/')}/`", _first_line(name)) for name in names)
    return table(("folder", "what lives there"), rows)


def devices() -> str:
    """Every device profile, with the engines it runs, best first."""
    header = ("`--target`", "board", "engine", "file", "precisions, best first")
    return table(header, (_device_row(device) for device in all_devices()))


def cli() -> str:
    """The command line, from its own parsers."""
    return "\n\n".join(_command(name, parser) + (_apps() if name == "run" else "") for name, parser in _parsers().items())


def manifest_fields() -> str:
    """The fields of the manifest and what kind of value each has."""
    schema = msgspec.json.schema(Manifest)["$defs"]["Manifest"]
    required = set(schema["required"])
    rows = ((f"`{name}`", _kind(spec), "yes" if name in required else "") for name, spec in schema["properties"].items())
    return table(("field", "value", "always there"), rows)


def _schema(noun: type[Any], title: str) -> str:
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **msgspec.json.schema(noun)}
    return json.dumps(_dedented(schema), indent=2, ensure_ascii=False) + "\n"


def _dedented(value: Any) -> Any:
    """Descriptions without the indentation of docstrings, which Python keeps before 3.13 and drops since."""
    if isinstance(value, dict):
        return {
            key: cleandoc(one) if key == "description" and isinstance(one, str) else _dedented(one)
            for key, one in value.items()
        }
    return [_dedented(one) for one in value] if isinstance(value, list) else value


def _settings() -> ConfigParser:
    settings = ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    return settings


def _parsers() -> Mapping[str, argparse.ArgumentParser]:
    (subparsers,) = (action for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction))
    return dict(subparsers.choices)


def _command(name: str, parser: argparse.ArgumentParser) -> str:
    actions = [action for action in parser._actions if action.dest != "help"]
    arguments = " ".join(_metavar(action) for action in actions if not action.option_strings)
    rows = ((_option(action), _help(action)) for action in actions)
    usage = " ".join(part for part in ("edgekit", name, arguments, "[options]") if part)
    return f"## edgekit {name}\n\n{_sentence(parser.description or '')}\n\n`{usage}`\n\n{table(('option', 'meaning'), rows)}"


def _apps() -> str:
    """The options that one app alone has, app by app."""
    parsers = ((name, app_parser(name, find_app(name))) for name in app_names())
    return "".join(_own_options(name, parser) for name, parser in parsers)


def _own_options(name: str, parser: argparse.ArgumentParser) -> str:
    shared = {action.dest for action in _parsers()["run"]._actions}
    rows = [(_option(action), _help(action)) for action in parser._actions if action.dest not in shared]
    return f"\n\n### edgekit run {name}\n\n{table(('option of its own', 'meaning'), rows)}" if rows else ""


def _option(action: argparse.Action) -> str:
    value = "" if action.nargs == 0 else f" {_metavar(action)}"
    return f"`{', '.join(action.option_strings)}{value}`" if action.option_strings else f"`{_metavar(action)}`"


def _metavar(action: argparse.Action) -> str:
    name = str(action.metavar or (" | ".join(map(str, action.choices)) if action.choices else action.dest))
    name = name.upper() if action.option_strings and not action.metavar and not action.choices else name
    return {"+": f"{name}...", "*": f"[{name}...]", "?": f"[{name}]"}.get(str(action.nargs), name)


def _help(action: argparse.Action) -> str:
    return (action.help or "") % {"default": action.default, "prog": "edgekit"}


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _packages(lines: str) -> str:
    return ", ".join(re.split(r"[>=;]", line)[0].strip() for line in lines.split("\n") if line)


def _first_line(name: str) -> str:
    return (import_module(name).__doc__ or "").splitlines()[0].rstrip(".")


def _device_row(device: Device) -> tuple[str, ...]:
    names = ", ".join(f"`{name}`" for name in (device.name, *device.aliases))
    engines, files = ([getattr(engine, key) for engine in device.engines] for key in ("runtime", "format"))
    precisions = [" ".join(engine.precisions) for engine in device.engines]
    return (names, device.title, "<br>".join(engines), "<br>".join(files), "<br>".join(precisions))


def _kind(spec: Mapping[str, Any]) -> str:
    if "$ref" in spec:
        return str(spec["$ref"]).rpartition("/")[2]
    if "anyOf" in spec:
        return " or ".join(_kind(one) for one in spec["anyOf"])
    return f"list of {_kind(spec['items'])}" if spec.get("type") == "array" else str(spec.get("type", "any"))


BLOCKS: Mapping[str, Callable[[], str]] = {
    "accuracy": accuracy,
    "peers": peers,
    "pruning": pruning,
    "cli": cli,
    "devices": devices,
    "digits": digits,
    "pipeline": pipeline,
    "eyes": eyes,
    "scenes": scenes,
    "assistant": assistant,
    "fleet": fleet,
    "deploying": deploying,
    "emulated": emulated,
    "flashing": flashing,
    "extras": extras,
    "face": face,
    "folders": folders,
    "loading": loading,
    "manifest": manifest_fields,
    "models": models,
    "numbers": numbers,
    "prediction": prediction,
    "predictor": predictor,
    "subcommands": subcommands,
    "targets": targets,
    "zoo": zoo,
}
FILES: Mapping[str, Callable[[], str]] = {
    "docs/flow.svg": lambda: flow() + "\n",
    "docs/schema/manifest.schema.json": lambda: _schema(Manifest, "edgekit artifact manifest"),
    "docs/schema/report.schema.json": lambda: _schema(Report, "edgekit benchmark report"),
}
