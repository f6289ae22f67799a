"""Record what NVIDIA's Python bindings offer: names and signatures, out of the bindings themselves, on a machine without a GPU.

    python record.py tensorrt UNPACKED_WHEEL OUT.json      of tensorrt_cu12_bindings, or tensorrt_bindings before 10
    python record.py cuda MODULE OUT.json                  cuda.cudart (cuda-python 11) or cuda.bindings.runtime (12 and later)

TensorRT's bindings need its libraries to be imported. Every symbol they ask for is given by an empty function here (a C compiler
and `nm` are needed), which is enough to read the classes and calls nothing of TensorRT's.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

CLASSES = [
    "Builder",
    "INetworkDefinition",
    "IBuilderConfig",
    "OnnxParser",
    "ParserError",
    "ICudaEngine",
    "IExecutionContext",
    "Runtime",
    "ILayer",
    "ITensor",
    "ITimingCache",
    "IHostMemory",
    "Logger",
]
ENUMS = ["BuilderFlag", "NetworkDefinitionCreationFlag", "MemoryPoolType", "TensorIOMode", "DeviceType", "DataType"]
CUDA = [
    "cudaStreamCreate",
    "cudaStreamDestroy",
    "cudaStreamSynchronize",
    "cudaMalloc",
    "cudaFree",
    "cudaHostAlloc",
    "cudaFreeHost",
    "cudaMemcpyAsync",
    "cudaGetDeviceProperties",
    "cudaGetLastError",
    "cudaStreamBeginCapture",
    "cudaStreamEndCapture",
    "cudaGraphInstantiateWithFlags",
    "cudaGraphLaunch",
    "cudaGraphExecDestroy",
    "cudaGraphDestroy",
]
CUDA_ENUMS = ["cudaMemcpyKind", "cudaStreamCaptureMode"]


def signatures(name: str, doc: str | None) -> list[str]:
    """The signatures a docstring begins with: one, or one for each overload."""
    lines = [line.strip() for line in (doc or "").splitlines()]
    numbered = [found[1] for line in lines if (found := re.match(rf"\d+\. ({name}\(.*)", line))]
    return numbered or [line for line in lines[:1] if line.startswith(f"{name}(")]


def tensorrt(folder: Path) -> dict[str, object]:
    (library,) = folder.glob("*/tensorrt.so")
    stub_libraries(library)
    sys.path.insert(0, str(folder))
    trt = importlib.import_module(library.parent.name)
    classes = {
        each: {
            name: signatures(name, getattr(getattr(trt, each), name).__doc__)
            for name in dir(getattr(trt, each))
            if name[0] != "_"
        }
        for each in CLASSES
    }
    members = {each: sorted(getattr(trt, each).__members__) for each in ENUMS if hasattr(trt, each)}
    return {
        "version": trt.__version__,
        "classes": classes,
        "members": members,
        "functions": sorted(n for n in dir(trt) if n[0] != "_"),
    }


def stub_libraries(library: Path) -> None:
    """Load, under the names the bindings ask for, libraries in which every missing symbol is a function that answers 0."""
    listed = subprocess.run(["nm", "-D", "--undefined-only", library], capture_output=True, text=True, check=True).stdout
    missing = [
        line.split()[-1]
        for line in listed.splitlines()
        if " U " in line and "@" not in line and " Py" not in line and " _Py" not in line
    ]
    needed = subprocess.run(["objdump", "-p", library], capture_output=True, text=True, check=True).stdout
    folder = Path(tempfile.mkdtemp())
    source = folder / "stub.c"
    source.write_text(
        "".join(f'void *f{i}(void) __asm__("{name}");\nvoid *f{i}(void) {{ return 0; }}\n' for i, name in enumerate(missing))
    )
    for name in re.findall(r"NEEDED\s+(libnv\S+)", needed):
        made = folder / name
        subprocess.run(["cc", "-shared", "-fPIC", "-o", made, source, f"-Wl,-soname,{name}"], check=True)
        ctypes.CDLL(str(made), mode=ctypes.RTLD_GLOBAL)


def cuda(module: str) -> dict[str, object]:
    found = importlib.import_module(module)
    package = module.partition(".")[0]
    version = importlib.import_module(f"{package}.bindings" if "bindings" in module else package).__version__
    functions = {name: signatures(name, getattr(found, name).__doc__) for name in CUDA}
    return {
        "version": version,
        "functions": functions,
        "members": {each: sorted(getattr(found, each).__members__) for each in CUDA_ENUMS},
    }


if __name__ == "__main__":
    kind, what, out = sys.argv[1:]
    recorded = tensorrt(Path(what)) if kind == "tensorrt" else cuda(what)
    said = json.dumps(recorded, indent=1, sort_keys=True).replace("tensorrt_bindings.tensorrt.", "")
    Path(out).write_text(said + "\n")
