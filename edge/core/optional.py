"""The one door to optional packages: `need("onnx")` imports it or says how to get it."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

from edgekit.core.errors import MissingDependency

EXTRAS = {
    "onnx": "convert",
    "onnxruntime": "onnx",
    "ai_edge_litert": "litert",
    "tflite_runtime": "litert",
    "flatbuffers": "convert",
    "PIL": "images",
    "torch": "torch",
    "onnxscript": "torch",
    "skl2onnx": "sklearn",
    "tensorflow": "keras",
    "tf2onnx": "keras",
    "keras": "keras",
    "h5py": "keras",
    "onnxmltools": "trees",
    "xgboost": "trees",
    "lightgbm": "trees",
    "tensorboard": "train",
    "matplotlib": "train",
    "tensorrt": "",
    "joblib": "sweep",
    "cryptography": "sign",
    "nats": "fleet",
    "nkeys": "fleet",
    "zstandard": "flash",
    "cv2": "opencv",
    "mediapipe": "mediapipe",
    "nicegui": "web",
    "fastapi": "web",
    "uvicorn": "web",
    "prometheus_client": "web",
    "gguf": "gguf",
    "jinja2": "llama",
    "llama_cpp": "llama",
    "xllamacpp": "llm",
    "docx": "assistant",
    "pocketsphinx": "voice",
    "pywhispercpp": "voice",
    "pypdf": "assistant",
    "usearch": "vectors",
    "av": "vision",
    "scipy": "vision",
    "supervision": "supervision",
    "apprise": "notify",
    "paho": "notify",
    "boto3": "cloud",
    "botocore": "cloud",
}


def need(module: str) -> ModuleType:
    """Import `module` (dotted names allowed) or raise `MissingDependency`.

    "Not installed" and "installed but does not load" are different messages: on boards the second is the common one.
    """
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as exc:
        if exc.name is not None and exc.name.partition(".")[0] == package and _is_absent(package):
            raise MissingDependency(f"{package} is not installed", _install_hint(package)) from exc
        raise MissingDependency(f"{package} is installed but does not load: it needs {exc.name!r}", "edgekit doctor") from exc
    except Exception as exc:  # whatever a vendor's package does when it meets the wrong numpy, protobuf or processor
        said = " ".join(str(exc).split()) or type(exc).__name__
        raise MissingDependency(f"{package} is installed but does not load: {said}", "edgekit doctor") from exc


def ensure_installed(package: str) -> None:
    """Raise `MissingDependency` when `package` is absent; it is not imported, so whether it loads is found out later."""
    if _is_absent(package):
        raise MissingDependency(f"{package} is not installed", _install_hint(package))


def _is_absent(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is None
    except ValueError:  # a module without a spec: made by hand, but there
        return False


def _install_hint(package: str) -> str:
    if package not in EXTRAS:
        return f"pip install {package}"
    extra = EXTRAS[package]
    return f'pip install "edgekit[{extra}]"' if extra else f"{package} comes with the board's own software: edgekit doctor"
