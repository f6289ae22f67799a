"""Stand-ins for TensorRT and CUDA, held to what NVIDIA's bindings were recorded to offer; engines compute in ONNX Runtime."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
from recorded import Recorded, checked, enum, record

from edgekit.runtimes.onnxruntime import execute

ENGINE = b"engine of "


class Cuda:
    """Device memory that is a block of ours, and a stream that does things at once, or records them for a graph."""

    def __init__(self, version: str) -> None:
        said = record(f"cuda-{version}")
        self.device: dict[int, Any] = {}
        self.pinned: dict[int, Any] = {}
        self.fails = ""
        self.launched = 0
        self.graphs: list[Any] = []
        """Recorded graphs and instantiated ones that nobody has destroyed yet."""
        self._recording: list[Callable[[], None]] | None = None
        self.module = ModuleType("cudart")
        does = {
            "cudaStreamCreate": lambda: (0, 7),
            "cudaStreamDestroy": lambda stream: (0,),
            "cudaStreamSynchronize": lambda stream: (0,),
            "cudaMalloc": lambda size: self._given(self.device, size),
            "cudaFree": lambda address: self._taken(self.device, address),
            "cudaHostAlloc": lambda size, flags: self._given(self.pinned, size),
            "cudaFreeHost": lambda address: self._taken(self.pinned, address),
            "cudaMemcpyAsync": self._copy,
            "cudaGetDeviceProperties": lambda index: (0, SimpleNamespace(name=b"Orin\0\0")),
            "cudaGetLastError": lambda: (0,),
            "cudaStreamBeginCapture": self._begin,
            "cudaStreamEndCapture": self._end,
            "cudaGraphInstantiateWithFlags": self._instantiate,
            "cudaGraphLaunch": self._launch,
            "cudaGraphExecDestroy": self._destroyed,
            "cudaGraphDestroy": self._destroyed,
        }
        for name, function in does.items():
            setattr(self.module, name, checked(said["functions"][name], function))
        for name, members in said["members"].items():
            setattr(self.module, name, enum(members))

    def enqueue(self, work: Callable[[], None]) -> None:
        """Do it, or record it."""
        if self._recording is None:
            work()
        else:
            self._recording.append(work)

    def array(self, address: int, shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
        return np.ndarray(shape, dtype, self.device[address])

    def _given(self, memory: dict[int, Any], size: int) -> tuple[int, int]:
        if self.fails == "memory" and memory:
            return 2, 0
        block = (ctypes.c_byte * size)()
        memory[ctypes.addressof(block)] = block
        return 0, ctypes.addressof(block)

    def _taken(self, memory: dict[int, Any], address: int) -> tuple[int]:
        return (0 if memory.pop(address, None) is not None else 1,)

    def _copy(self, to: int, of: int, size: int, kind: str, stream: int) -> tuple[int]:
        ways = {"cudaMemcpyHostToDevice": (self.pinned, self.device), "cudaMemcpyDeviceToHost": (self.device, self.pinned)}
        source, goal = ways[kind]
        if of not in source or to not in goal:
            return (1,)
        self.enqueue(lambda: ctypes.memmove(to, of, size) and None)
        return (0,)

    def _begin(self, stream: int, mode: str) -> tuple[int]:
        if self.fails == "capture":
            return (900,)
        self._recording = []
        return (0,)

    def _end(self, stream: int) -> tuple[int, Any]:
        recorded, self._recording = self._recording, None
        self.graphs.append(recorded)
        return 0, recorded

    def _instantiate(self, graph: list[Callable[[], None]], flags: int) -> tuple[int, Any]:
        if self.fails == "instantiate":
            return 2, None
        self.graphs.append(copy := [*graph])
        return 0, copy

    def _destroyed(self, graph: list[Callable[[], None]]) -> tuple[int]:
        held = next((index for index, one in enumerate(self.graphs) if one is graph), None)
        if held is None:
            return (1,)
        del self.graphs[held]
        return (0,)

    def _launch(self, graph: list[Callable[[], None]], stream: int) -> tuple[int]:
        self.launched += 1
        for work in graph:
            work()
        return (0,)


class TensorRT:
    """The package `tensorrt` of one version. `builds` are the flags, types and accelerator of every engine that was built."""

    def __init__(self, version: str, cuda: Cuda) -> None:
        said = record(f"tensorrt-{version}")
        self.builds: list[dict[str, Any]] = []
        self.timings: list[bytes] = []
        self.fails = ""
        self.runtimes: list[Any] = []
        self._classes, self._cuda, self._model = said["classes"], cuda, b""
        self.module = ModuleType("tensorrt")
        logger = type("Logger", (), {name: name for name in self._classes["Logger"]} | {"__init__": lambda self, level: None})
        vars(self.module).update(
            __version__=version,
            Logger=logger,
            Builder=lambda logger: self._of(
                "Builder",
                create_network=self._network,
                create_builder_config=self._config,
                build_serialized_network=self._build,
            ),
            OnnxParser=lambda network, logger: self._of(
                "OnnxParser", parse_from_file=self._parse, get_error=lambda index: "op X is not known", num_errors=1
            ),
            Runtime=self._runtime,
            nptype=lambda dtype: dtype,
            float32="float32",
            **{name: enum(members) for name, members in said["members"].items() if name != "NetworkDefinitionCreationFlag"},
            NetworkDefinitionCreationFlag=enum(
                said["members"]["NetworkDefinitionCreationFlag"], EXPLICIT_BATCH=0, STRONGLY_TYPED=1
            ),
        )

    def _of(self, kind: str, **given: Any) -> Recorded:
        does = {name: value for name, value in given.items() if callable(value)}
        return Recorded(self._classes[kind], does, **{name: value for name, value in given.items() if not callable(value)})

    def _network(self, flags: int = 0) -> Recorded:
        self.builds.append({"network": flags, "flags": []})
        return self._of("INetworkDefinition", num_layers=0)

    def _config(self) -> Recorded:
        build = self.builds[-1]
        self._configured = self._of(
            "IBuilderConfig",
            set_memory_pool_limit=lambda pool, size: build.update({pool: size}),
            set_flag=build["flags"].append,
            create_timing_cache=lambda data: self.timings.append(bytes(data)),
            set_timing_cache=lambda cache, ignore_mismatch: True,
            get_timing_cache=lambda: self._of("ITimingCache", serialize=lambda: b"timings"),
        )
        return self._configured

    def _parse(self, path: str) -> bool:
        self._model = Path(path).read_bytes()
        return self.fails != "parse"

    def _build(self, network: Any, config: Any) -> bytes | None:
        held = vars(self._configured)
        if "DLA_core" in held:
            self.builds[-1].update(dla=(held["default_device_type"], held["DLA_core"]))
        return None if self.fails == "build" else ENGINE + self._model

    def _runtime(self, logger: Any) -> Recorded:
        made = self._of("Runtime", deserialize_cuda_engine=self._read)
        self.runtimes.append(made)
        return made

    def _read(self, data: bytes) -> Recorded | None:
        if self.fails == "open" or not data.startswith(ENGINE):
            return None
        return self._engine(data.removeprefix(ENGINE))

    def _engine(self, model: bytes) -> Recorded:
        run, specs = execute(model), _specs(model)
        return self._of(
            "ICudaEngine",
            num_io_tensors=len(specs),
            get_tensor_name=lambda index: list(specs)[index],
            get_tensor_mode=lambda name: self.module.TensorIOMode.INPUT if specs[name][2] else self.module.TensorIOMode.OUTPUT,
            get_tensor_shape=lambda name: specs[name][0],
            get_tensor_dtype=lambda name: specs[name][1],
            create_execution_context=lambda: self._context(run, specs),
        )

    def _context(self, run: Any, specs: dict[str, Any]) -> Recorded:
        addresses: dict[str, int] = {}

        def work() -> None:
            arrays = {name: self._cuda.array(addresses[name], shape, dtype) for name, (shape, dtype, _) in specs.items()}
            for name, answer in run({name: arrays[name] for name in specs if specs[name][2]}).items():
                arrays[name][...] = answer

        def execute_async(stream: int) -> bool:
            self._cuda.enqueue(work)
            return self.fails != "run"

        return self._of("IExecutionContext", set_tensor_address=addresses.__setitem__, execute_async_v3=execute_async)


def _specs(model: bytes) -> dict[str, tuple[tuple[int, ...], Any, bool]]:
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    ports = [(port, True) for port in session.get_inputs()] + [(port, False) for port in session.get_outputs()]
    return {port.name: (tuple(port.shape), np.float32, into) for port, into in ports}
