"""Every module imports on a board that has none of the vendors' packages, and nothing heavy is imported before it is needed."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from pkgutil import walk_packages

import pytest

import edgekit
from edgekit.cli import command_names

VENDORS = (
    "PIL",
    "ai_edge_litert",
    "cryptography",
    "cv2",
    "fastapi",
    "flatbuffers",
    "matplotlib",
    "ml_dtypes",
    "nicegui",
    "onnx",
    "onnxruntime",
    "prometheus_client",
    "pycoral",
    "tensorboard",
    "tensorflow",
    "tensorrt",
    "tflite_runtime",
    "torch",
    "uvicorn",
)
NEEDS_ONNX = (
    *(
        "edgekit.converters.",
        "edgekit.conversion",
        "edgekit.formats",
        "edgekit.inspect",
        "edgekit.sweep",
        "edgekit.calibration",
        "edgekit.distill",
        "edgekit.gradients",
    ),
    *("edgekit.adoption", "edgekit.calibration", "edgekit.distill", "edgekit.evaluation"),
    *("edgekit.engine_mapping", "edgekit.prediction", "edgekit.roofline"),
    *("edgekit.emulate.boards", "edgekit.emulate.family_rules", "edgekit.emulate.full"),
)
"""What reads graphs, and what stands on it; nothing of this is needed to run an artifact."""
NO_NETWORKS = re.compile(
    r"edgekit\.(converters\.(gguf|tflite_file)\b|conversion(\.(batch|language|language_board|made|request|routes))?$)"
)
"""Language models are no graphs, TFLite files are read as they lie, and a conversion is asked for before it is known what comes."""

WEB_PAGES = re.compile(r"edgekit\.(apps\.\w+|fleet)\.(pages|api)\b")
"""What is written in FastAPI and NiceGUI: an app imports its pages once `need` has found these."""
BLOCKED = f"import sys\nfor name in {VENDORS!r}: sys.modules[name] = None\n"

IMPORT_ALL = """
import importlib, json
wrong = {}
for name in json.loads(sys.stdin.read()):
    try:
        importlib.import_module(name)
    except Exception as exc:
        wrong[name] = f"{type(exc).__name__}: {exc}"
print(json.dumps(wrong))
"""


def _python(code: str, *, given: str = "", cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], input=given, capture_output=True, text=True, check=False, cwd=cwd
    )


def _modules() -> list[str]:
    """Every module's name. The mapped folders are walked by name: an editable install need not list them under edgekit."""
    tops = ("edgekit", *(f"edgekit.{name}" for name in ("apps", "converters", "hardware_profiles", "runtimes")))
    found = {info.name for top in tops for info in walk_packages(importlib.import_module(top).__path__, f"{top}.")}
    return sorted({*tops, *found} - {"edgekit.__main__"})


def _needs_onnx(name: str) -> bool:
    return name.startswith(NEEDS_ONNX) and not NO_NETWORKS.match(name)


def test_the_walk_sees_the_whole_tree() -> None:
    assert {"edgekit.cli", "edgekit.core.schema", "edgekit.runtimes.base", "edgekit.converters.graph"} <= set(_modules())
    assert len(_modules()) > 50


def test_every_module_but_the_converters_imports_without_any_vendor_package() -> None:
    names = [name for name in _modules() if not _needs_onnx(name) and not WEB_PAGES.match(name)]
    done = _python(BLOCKED + IMPORT_ALL, given=json.dumps(names))
    assert json.loads(done.stdout) == {}, done.stderr


@pytest.mark.parametrize("arguments", [("convert", "m.onnx", "--target", "rpi"), ("inspect", "setup.cfg")], ids=lambda a: a[0])
def test_a_command_that_needs_onnx_says_how_to_get_it(arguments: tuple[str, ...]) -> None:
    done = _python(BLOCKED + f"from edgekit.cli import main\nraise SystemExit(main({list(arguments)!r}))")
    assert done.returncode == 1
    assert done.stderr == 'error: onnx is not installed\n  try: pip install "edgekit[convert]"\n'


def test_every_module_imports_where_the_vendors_are() -> None:
    pytest.importorskip("onnx")
    done = _python("import sys" + IMPORT_ALL, given=json.dumps(_modules()))
    assert json.loads(done.stdout) == {}, done.stderr


def test_the_converters_need_no_vendor_package_but_onnx() -> None:
    pytest.importorskip("onnx")
    names = [name for name in _modules() if _needs_onnx(name)]
    but_onnx = BLOCKED + "for name in ('onnx', 'ml_dtypes'): del sys.modules[name]\n"
    done = _python(but_onnx + IMPORT_ALL, given=json.dumps(names))
    assert json.loads(done.stdout) == {}, done.stderr


@pytest.mark.parametrize("name", command_names())
def test_help_of_every_subcommand_works_without_any_vendor_package(name: str) -> None:
    done = _python(BLOCKED + f"from edgekit.cli import main\nmain([{name!r}, '--help'])")
    assert done.returncode == 0, done.stderr
    assert f"usage: edgekit {name}" in done.stdout
    assert "--json" in done.stdout


def test_help_imports_nothing_heavy() -> None:
    code = "import sys\nfrom edgekit.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit: pass\n"
    done = _python(code + "print(sorted(sys.modules), file=sys.stderr)")
    loaded = set(eval(done.stderr))
    assert "numpy" not in loaded
    assert "yaml" not in loaded
    assert loaded.isdisjoint(VENDORS)
    assert (
        len({name for name in loaded if name.startswith("edgekit.")} - {f"edgekit.commands.{n}" for n in command_names()}) < 20
    )


def test_import_edgekit_imports_nothing_of_what_it_holds() -> None:
    bare, loaded = (eval(_python(f"import sys\n{line}\nprint(set(sys.modules))").stdout) for line in ("", "import edgekit"))
    assert loaded - bare <= {"edgekit", "__future__"}, "a millisecond over an empty Python, not ten"


def test_a_name_that_edgekit_does_not_have_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = edgekit.nonsense
