"""What a TensorRT build needs, decided without a GPU, and the calls of a build and a run against a stand-in for the vendor."""

from __future__ import annotations

import resource
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from nvidia import ENGINE, Cuda, TensorRT
from recorded import versions
from tiny import answer, artifact, tiny_onnx

from edgekit.converters.lower.tensorrt_build import build_recipe, recipe_bytes
from edgekit.core.errors import ArtifactError, DeviceError, Unsupported, UsageError
from edgekit.core.schema import Artifact
from edgekit.loading import open_artifact
from edgekit.runtimes import _trtexec, registry, tensorrt
from edgekit.runtimes._engine_cache import cache_folder, engine_name, keep_engine, power_mode
from edgekit.runtimes._trt_build import keep_in_float32
from edgekit.runtimes._trt_plan import BuildPlan, Recipe, parse_version, plan_build, plan_name, read_recipe

WEAK = Recipe(tensorrt="10.3", typing="weak", flags=("FP16", "INT8"), workspace_mib=1024)
STRONG = Recipe(tensorrt="10.13", typing="strong", flags=(), workspace_mib=512)


@pytest.mark.parametrize("version", ["8.5.2.2", "8.6.2", "10.3.0.26", "10.13.3"])
def test_the_recipe_s_flags_are_used_as_long_as_there_are_flags(version: str) -> None:
    assert plan_build(WEAK, version) == BuildPlan(typing="weak", flags=("FP16", "INT8"), workspace_bytes=1 << 30)


def test_where_the_flags_are_gone_the_file_s_types_count_and_the_log_says_it_is_slow(caplog: pytest.LogCaptureFixture) -> None:
    assert plan_build(WEAK, "11.4.1") == BuildPlan(typing="strong", flags=(), workspace_bytes=1 << 30)
    assert "no FP16/INT8 flags any more and will compute in float32" in caplog.text


@pytest.mark.parametrize("version", ["10.12.0", "10.15", "11.4.1.9"])
def test_a_file_with_its_own_types_is_built_strongly_typed(version: str, caplog: pytest.LogCaptureFixture) -> None:
    assert plan_build(STRONG, version) == BuildPlan(typing="strong", flags=(), workspace_bytes=512 << 20)
    assert not caplog.records


def test_a_file_with_its_own_types_needs_a_version_that_reads_them() -> None:
    with pytest.raises(Unsupported, match=r"made for TensorRT 10\.13, this board has 10\.3") as caught:
        plan_build(STRONG, "10.3.0")
    assert "convert again" in caught.value.hint


@pytest.mark.parametrize("version", ["8.2.1", "7.1", "8"])
def test_what_is_too_old_is_unsupported_with_a_way_out(version: str) -> None:
    with pytest.raises(Unsupported, match=r"older than 8\.5") as caught:
        plan_build(WEAK, version)
    assert "onnxruntime" in caught.value.hint


@pytest.mark.parametrize(("precision", "version"), [("fp32", "8.5.2"), ("fp16", "10.3"), ("int8", "10.3"), ("int8", "10.13")])
def test_the_converter_s_recipe_is_read(precision: Any, version: str) -> None:
    written = build_recipe(precision, version)
    read = read_recipe(recipe_bytes(written))
    assert (read.typing, read.flags, read.workspace_mib) == (written.typing, written.flags, written.workspace_mib)
    assert plan_build(read, f"{version}.0").typing == written.typing


@pytest.mark.parametrize("data", [b"", b"{}", b'{"typing": "none", "flags": [], "workspace_mib": 1, "tensorrt": "10.3"}'])
def test_a_damaged_recipe_is_an_artifact_error(data: bytes) -> None:
    with pytest.raises(ArtifactError, match="recipe is damaged"):
        read_recipe(data)


def test_versions_are_compared_as_numbers() -> None:
    assert parse_version("10.3.0.26") == (10, 3) < parse_version("10.12")
    with pytest.raises(DeviceError, match="no version number"):
        parse_version("unknown")


PLAN = BuildPlan(typing="weak", flags=("FP16",), workspace_bytes=1 << 30)


def test_an_engine_s_name_tells_what_it_depends_on_apart_and_is_a_file_name() -> None:
    name = engine_name("ab" * 32, plan_name(PLAN), "10.3.0.26", "Orin (nvgpu)/../x")
    assert name == "abababababababab-weak-fp16-1024-trt10.3.0.26-orin-nvgpu-x.engine"
    plain = BuildPlan(typing="weak", flags=(), workspace_bytes=1 << 30)
    others = {
        engine_name("ab" * 32, plan_name(PLAN), "10.3.0", "Orin"),
        engine_name("cd" * 32, plan_name(PLAN), "10.3.0", "Orin"),
        engine_name("ab" * 32, plan_name(plain), "10.3.0", "Orin"),
        engine_name("ab" * 32, plan_name(PLAN), "10.4.0", "Orin"),
        engine_name("ab" * 32, plan_name(PLAN), "10.3.0", "Thor"),
        engine_name("ab" * 32, plan_name(PLAN), "10.3.0", "Orin", "pm2"),
    }
    assert len(others) == 6
    assert engine_name("ab" * 32, plan_name(PLAN), "10.3", "").endswith("-gpu.engine")


def test_engines_are_kept_in_the_user_s_cache() -> None:
    home = Path("/home/a")
    assert cache_folder({}, home) == home / ".cache" / "edgekit" / "tensorrt"
    assert cache_folder({"XDG_CACHE_HOME": "/fast"}, home) == Path("/fast/edgekit/tensorrt")


CUDA_OF = {"8.6.1": "11.8.7", "10.3.0": "12.9.4"}
"""Which of CUDA's recorded packages goes with which TensorRT; the newest with all others."""


class Vendor:
    """TensorRT and CUDA of one version, recorded."""

    def __init__(self, version: str) -> None:
        self.cuda = Cuda(CUDA_OF.get(version, "13.5.0"))
        self.trt = TensorRT(version, self.cuda)

    def installed(self, monkeypatch: pytest.MonkeyPatch) -> Vendor:
        monkeypatch.setitem(sys.modules, "tensorrt", self.trt.module)
        monkeypatch.setitem(sys.modules, "cuda", ModuleType("cuda"))
        monkeypatch.setitem(sys.modules, "cuda.bindings", ModuleType("cuda.bindings"))
        monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", self.cuda.module)
        return self

    @property
    def memory_in_use(self) -> int:
        return len(self.cuda.device) + len(self.cuda.pinned)

    def fail(self, what: str) -> None:
        self.trt.fails = self.cuda.fails = what


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache of this test's own, and no trtexec of this machine's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(_trtexec, "JETPACK", tmp_path / "no-trtexec")
    return tmp_path / "cache/edgekit/tensorrt"


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Vendor:
    return Vendor("10.3.0").installed(monkeypatch)


@pytest.fixture
def made(tmp_path: Path) -> Artifact:
    files = {"model.onnx": tiny_onnx(), "build.json": recipe_bytes(build_recipe("fp16", "10.3"))}
    return artifact(tmp_path / "tiny.jetson.fp16", files, "tensorrt", ("tensorrt", "onnxruntime"))


IMAGE = np.random.default_rng(2).uniform(-1, 1, (1, 3, 4, 4)).astype(np.float32)


@pytest.mark.parametrize("version", versions("tensorrt"))
def test_every_call_is_one_that_this_version_of_the_vendor_s_bindings_takes(
    version: str, made: Artifact, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor = Vendor(version).installed(monkeypatch)
    for _ in range(2):
        with open_artifact(made, runtime="tensorrt") as session:
            for sign in (1, -1, 1):
                np.testing.assert_allclose(
                    session.run({"image": sign * IMAGE})["scores"], answer(sign * IMAGE), rtol=1e-5, atol=1e-6
                )
        assert not vendor.memory_in_use
    (build,) = vendor.trt.builds
    strong = version.startswith("11")
    assert (build["network"], build["flags"]) == ((2, []) if strong else (1, ["FP16"]))
    assert build["WORKSPACE"] == 1 << 30
    (kept,) = cache.glob("*.engine")
    model = made.manifest.file("model")
    assert model is not None
    assert kept.name == engine_name(model.sha256, plan_name(plan_build(read_recipe(recipe_of(made)), version)), version, "Orin")
    assert [file.name for file in made.path.iterdir() if file.suffix == ".engine"] == []


def recipe_of(made: Artifact) -> bytes:
    return made.file("recipe").read_bytes()


@pytest.mark.parametrize("version", ["10.13.3.9", "10.16.1.11", "11.4.0.106"])
def test_a_file_with_its_own_types_is_built_as_a_strongly_typed_network(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor = Vendor(version).installed(monkeypatch)
    files = {"model.onnx": tiny_onnx(), "build.json": recipe_bytes(build_recipe("fp16", "10.13"))}
    open_artifact(artifact(tmp_path / "a", files, "tensorrt", ("tensorrt",)), runtime="tensorrt").close()
    (build,) = vendor.trt.builds
    assert build["network"] & 2 and not build["flags"]


def test_from_the_second_run_on_one_graph_is_launched(vendor: Vendor, made: Artifact) -> None:
    session = tensorrt.runtime.load(made)
    answers = [session.run({"image": sign * IMAGE})["scores"] for sign in (1, -1, 2)]
    assert vendor.cuda.launched == 2
    for sign, found in zip((1, -1, 2), answers, strict=True):
        np.testing.assert_allclose(found, answer(sign * IMAGE), rtol=1e-5, atol=1e-6)
    assert len(vendor.cuda.graphs) == 1, "the recorded graph is given back as soon as the one that is launched was made of it"
    session.close()
    assert not vendor.memory_in_use and not vendor.cuda.graphs


@pytest.mark.parametrize("step", ["capture", "instantiate"])
def test_an_engine_that_cannot_be_recorded_runs_call_by_call_and_keeps_no_graph(
    vendor: Vendor, made: Artifact, caplog: pytest.LogCaptureFixture, step: str
) -> None:
    vendor.fail(step)
    session = tensorrt.runtime.load(made)
    with caplog.at_level("INFO"):
        for sign in (1, -1):
            np.testing.assert_allclose(
                session.run({"image": sign * IMAGE})["scores"], answer(sign * IMAGE), rtol=1e-5, atol=1e-6
            )
    assert not vendor.cuda.launched and not vendor.cuda.graphs
    assert "runs call by call" in caplog.text


@pytest.mark.parametrize(
    ("feed", "said"), [({}, "has no 'image'"), ({"image": IMAGE[0]}, r"must be \[1, 3, 4, 4\], got \[3, 4, 4\]")]
)
def test_a_feed_that_does_not_fit_never_reaches_the_gpu(vendor: Vendor, made: Artifact, feed: Any, said: str) -> None:
    with pytest.raises(DeviceError, match=said):
        tensorrt.runtime.load(made).run(feed)


def test_an_artifact_without_a_recipe_says_so(vendor: Vendor, tmp_path: Path) -> None:
    bare = artifact(tmp_path / "a", {"model.onnx": tiny_onnx()}, "tensorrt", ("tensorrt",))
    with pytest.raises(ArtifactError, match="holds no recipe file"):
        tensorrt.runtime.load(bare)


def test_a_session_closes_twice_and_does_not_run_afterwards(vendor: Vendor, made: Artifact) -> None:
    session = tensorrt.runtime.load(made)
    session.close()
    session.close()
    with pytest.raises(DeviceError, match="closed"):
        session.run({"image": np.zeros((1, 3, 4, 4), np.float32)})


@pytest.mark.parametrize(
    ("fails", "said"),
    [
        ("parse", "op X is not known"),
        ("build", "could not build an engine"),
        ("open", "refused the engine"),
        ("memory", "CUDA said 2"),
    ],
)
def test_what_the_vendor_refuses_is_a_device_error_with_a_hint(vendor: Vendor, made: Artifact, fails: str, said: str) -> None:
    vendor.fail(fails)
    with pytest.raises(DeviceError, match=said) as caught:
        tensorrt.runtime.load(made)
    assert caught.value.hint
    assert not vendor.memory_in_use, "what was allocated before it failed was not freed"


def test_an_engine_of_another_tensorrt_is_built_again_and_the_log_says_so(
    vendor: Vendor, made: Artifact, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tensorrt.runtime.load(made).close()
    (engine,) = cache.glob("*.engine")
    keep_engine(engine, b"foreign")
    tensorrt.runtime.load(made).close()
    assert len(vendor.trt.builds) == 2
    assert engine.read_bytes().startswith(ENGINE)
    assert "is of no use any more" in caplog.text


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: data[:20] + b"?" + data[21:], lambda data: b""])
def test_a_damaged_engine_is_built_again_before_tensorrt_sees_it(
    vendor: Vendor, made: Artifact, cache: Path, damage: Any
) -> None:
    tensorrt.runtime.load(made).close()
    (engine,) = cache.glob("*.engine")
    whole = engine.read_bytes()
    engine.write_bytes(damage(whole))
    tensorrt.runtime.load(made).close()
    assert len(vendor.trt.builds) == 2
    assert len(vendor.trt.runtimes) == 2, "a damaged engine was given to TensorRT"
    assert engine.read_bytes() == whole


@pytest.mark.parametrize("change", ["model", "TensorRT", "GPU", "power mode", "plan"])
def test_an_engine_is_built_again_when_anything_it_depends_on_changes(
    vendor: Vendor, made: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    tensorrt.runtime.load(made).close()
    tensorrt.runtime.load(made).close()
    assert len(vendor.trt.builds) == 1
    recipe, model = recipe_bytes(build_recipe("fp16", "10.3")), tiny_onnx()
    if change == "TensorRT":
        vendor = Vendor("10.16.1.11").installed(monkeypatch)
    elif change == "GPU":
        vendor.cuda.module.cudaGetDeviceProperties = lambda index: (0, SimpleNamespace(name="Thor"))  # type: ignore[attr-defined]
    elif change == "power mode":
        monkeypatch.setattr(tensorrt, "power_mode", lambda: "pm1")
    elif change == "plan":
        recipe = recipe_bytes(build_recipe("fp32", "10.3"))
    else:
        model = model.replace(b"tiny", b"tinY")
    before = len(vendor.trt.builds)
    changed = artifact(tmp_path / "changed", {"model.onnx": model, "build.json": recipe}, "tensorrt", ("tensorrt",))
    tensorrt.runtime.load(changed).close()
    assert len(vendor.trt.builds) == before + 1


def test_a_board_out_of_memory_does_not_build_its_engine_again(vendor: Vendor, made: Artifact) -> None:
    tensorrt.runtime.load(made).close()
    vendor.fail("memory")
    with pytest.raises(DeviceError, match="CUDA said 2"):
        tensorrt.runtime.load(made)
    assert len(vendor.trt.builds) == 1


def test_a_second_build_is_given_the_timings_of_the_first(vendor: Vendor, made: Artifact, cache: Path) -> None:
    tensorrt.runtime.load(made).close()
    next(cache.glob("*.engine")).unlink()
    tensorrt.runtime.load(made).close()
    assert vendor.trt.timings == [b"", b"timings"]


def test_where_nothing_can_be_kept_the_engine_runs_all_the_same(
    vendor: Vendor, made: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "full").write_bytes(b"a file where a folder should be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "full"))
    tensorrt.runtime.load(made).close()
    assert "cannot be kept" in caplog.text


def test_a_disk_that_fills_while_the_engine_is_kept_leaves_nothing_half_written(
    vendor: Vendor, made: Artifact, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        session = tensorrt.runtime.load(made)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    np.testing.assert_allclose(session.run({"image": IMAGE})["scores"], answer(IMAGE), rtol=1e-5, atol=1e-6)
    session.close()
    assert "cannot be kept for the next time" in caplog.text
    assert not [*cache.glob("*.engine"), *cache.glob(".*engine*")]
    tensorrt.runtime.load(made).close()
    assert len(vendor.trt.builds) == 2, "the next start builds it, and keeps it"
    assert len([*cache.glob("*.engine")]) == 1


ORIN_NX = "jetson-orin-nx-16gb"


def for_board(folder: Path, board: str, precision: Any = "fp16", version: str = "10.3") -> Artifact:
    files = {"model.onnx": tiny_onnx(), "build.json": recipe_bytes(build_recipe(precision, version))}
    made = artifact(folder / f"tiny.{board}.{precision}", files, "tensorrt", ("tensorrt",))
    target = msgspec.structs.replace(made.manifest.target, device=board)
    return msgspec.structs.replace(made, manifest=msgspec.structs.replace(made.manifest, target=target))


def test_a_board_with_deep_learning_accelerators_builds_for_one_and_lets_the_gpu_take_the_rest(
    vendor: Vendor, tmp_path: Path, cache: Path
) -> None:
    session = registry.get("tensorrt@dla:1").load(for_board(tmp_path, ORIN_NX))
    np.testing.assert_allclose(session.run({"image": IMAGE})["scores"], answer(IMAGE), rtol=1e-5, atol=1e-6)
    (build,) = vendor.trt.builds
    assert (build["dla"], build["flags"]) == (("DLA", 1), ["FP16", "GPU_FALLBACK"])
    assert vars(vendor.trt.runtimes[-1])["DLA_core"] == 1
    (engine,) = cache.glob("*.engine")
    assert "-dla1-" in engine.name


@pytest.mark.parametrize(
    ("board", "core", "said"),
    [
        ("jetson-orin-nano", 0, "jetson-orin-nano has none"),
        ("jetson-thor-t5000", 0, "jetson-thor-t5000 has none"),
        (ORIN_NX, 2, "has 2, numbered from 0: there is no deep learning accelerator 2"),
        ("no-such-board", 0, "whether 'no-such-board' has deep learning accelerators is not known"),
    ],
)
def test_an_accelerator_that_the_board_does_not_have_is_refused_before_anything_is_built(
    vendor: Vendor, tmp_path: Path, board: str, core: int, said: str
) -> None:
    with pytest.raises(Unsupported, match=said):
        registry.get(f"tensorrt@dla:{core}").load(for_board(tmp_path, board))
    assert not vendor.trt.builds


@pytest.mark.parametrize(
    ("precision", "version", "said"),
    [
        ("fp32", "10.3.0", "do not compute in float32"),
        ("int8", "10.3.0", "read no quantized"),
        ("fp16", "10.13.0", "does not use deep learning accelerators"),
        ("fp16", "11.3.0", "does not use deep learning accelerators"),
    ],
)
def test_what_the_accelerators_of_a_release_do_not_take_is_said(precision: Any, version: str, said: str) -> None:
    recipe = read_recipe(recipe_bytes(build_recipe(precision, "10.3")))
    with pytest.raises(Unsupported, match=said) as caught:
        plan_build(recipe, version, dla_core=0)
    assert caught.value.hint


def test_from_11_4_on_the_accelerators_take_strongly_typed_files() -> None:
    plan = plan_build(STRONG, "11.4.1", dla_core=0)
    assert (plan.typing, plan.dla_core) == ("strong", 0)


@pytest.mark.parametrize("device", ["dla", "dla:", "dla:10", "gpu", "", "dla:0 "])
def test_what_names_no_accelerator_is_refused(device: str) -> None:
    with pytest.raises(UsageError, match="has no device called"):
        registry.get(f"tensorrt@{device}")


@pytest.mark.parametrize(("status", "mode"), [("pmode:0002", "pm2"), ("", ""), ("nonsense", ""), (None, "")])
def test_the_power_mode_is_the_one_nvpmodel_keeps(tmp_path: Path, status: str | None, mode: str) -> None:
    if status is not None:
        (tmp_path / "var/lib/nvpmodel").mkdir(parents=True)
        (tmp_path / "var/lib/nvpmodel/status").write_text(status)
    assert power_mode(tmp_path) == mode


def test_a_run_the_vendor_refuses_is_a_device_error(vendor: Vendor, made: Artifact) -> None:
    session = tensorrt.runtime.load(made)
    vendor.fail("run")
    with pytest.raises(DeviceError, match="could not run the engine"):
        session.run({"image": np.zeros((1, 3, 4, 4), np.float32)})


def test_a_probe_says_the_version_or_that_it_is_too_old(vendor: Vendor) -> None:
    assert tensorrt.runtime.probe().version == "10.3.0"
    vendor.trt.module.__version__ = "8.2.1"  # type: ignore[attr-defined]
    assert "older than 8.5" in tensorrt.runtime.probe().reason


def test_without_cuda_s_python_package_the_probe_says_how_to_get_it(vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", None)
    monkeypatch.setitem(sys.modules, "cuda.cudart", None)
    probe = tensorrt.runtime.probe()
    assert not probe.ok
    assert "cuda-python" in probe.hint


@pytest.mark.parametrize(("version", "flags"), [("8.5", ("FP16", "INT8", "SPARSE_WEIGHTS")), ("11.4", ("SPARSE_WEIGHTS",))])
def test_sparse_weights_are_looked_for_however_types_are_chosen(version: str, flags: tuple[str, ...]) -> None:
    recipe = Recipe(tensorrt="8.5", typing="weak", flags=("FP16", "INT8", "SPARSE_WEIGHTS"), workspace_mib=1024)
    assert plan_build(recipe, version).flags == flags


def test_layers_that_must_stay_in_float32_are_pinned_and_tell_engines_apart() -> None:
    recipe = Recipe(
        tensorrt="8.5",
        typing="weak",
        flags=("FP16", "OBEY_PRECISION_CONSTRAINTS"),
        workspace_mib=1024,
        float32_layers=("norm",),
    )
    plan = plan_build(recipe, "8.5.2")
    assert plan.float32_layers == ("norm",)
    other = replace(plan, float32_layers=("pow",))
    names = {
        engine_name("ab" * 32, plan_name(each), "8.5.2", "Xavier") for each in (plan, other, replace(plan, float32_layers=()))
    }
    assert len(names) == 3


def test_where_the_file_carries_its_types_nothing_is_pinned() -> None:
    flags = ("FP16", "OBEY_PRECISION_CONSTRAINTS")
    recipe = Recipe(tensorrt="8.5", typing="weak", flags=flags, workspace_mib=1024, float32_layers=("norm",))
    plan = plan_build(recipe, "11.4.1")
    assert (plan.flags, plan.float32_layers) == ((), ())


class Layer:
    """A layer with a float and an integer output; remembers what it is told."""

    def __init__(self, name: str) -> None:
        self.name, self.precision, self.outputs, self.num_outputs = name, "", {}, 2

    def get_output(self, index: int) -> SimpleNamespace:
        return SimpleNamespace(dtype=("float32", "int32")[index])

    def set_output_type(self, index: int, dtype: str) -> None:
        self.outputs[index] = dtype


def test_pinning_touches_the_named_layers_and_their_floats_alone() -> None:
    layers = [Layer("norm"), Layer("conv")]
    network = SimpleNamespace(num_layers=2, get_layer=lambda index: layers[index])
    trt = ModuleType("tensorrt")
    vars(trt)["float32"] = "float32"
    keep_in_float32(trt, network, ("norm",))
    assert [(layer.precision, layer.outputs) for layer in layers] == [("float32", {0: "float32"}), ("", {})]
