"""Keras files: their own layers are read, code and links are refused, and the export is held to Keras' own answers."""

from __future__ import annotations

import importlib.util
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.converters.importers.keras import HDF5, kind_of, load
from edgekit.converters.importers.keras_config import harmless_config
from edgekit.converters.importers.tensorflow_worker import modern, static_shapes
from edgekit.core.errors import InputError, MissingDependency, NotFound

WHOLE = {"module": "keras", "class_name": "Sequential", "config": {"layers": []}, "registered_name": None}


def archive(path: Path, **entries: str | bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in entries.items():
            file.writestr(
                name.replace("__", "/").replace("_h5", ".h5").replace("_json", ".json").replace("_weights", ".weights"), data
            )
    return path


def saved(path: Path, layer: dict[str, Any]) -> Path:
    config = {**WHOLE, "config": {"layers": [layer]}}
    return archive(path, config_json=json.dumps(config), model_weights_h5=HDF5)


def test_no_file_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no model file"):
        load(tmp_path / "none.keras")


def test_what_keras_did_not_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.h5").write_bytes(b"anything")
    with pytest.raises(InputError, match="not a Keras model"):
        load(tmp_path / "m.h5")


def test_a_file_is_told_by_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "m.keras").write_bytes(HDF5 + b"rest")
    assert kind_of(tmp_path / "m.keras") == "h5"
    assert kind_of(saved(tmp_path / "n.h5", {"module": "keras.layers", "class_name": "Dense", "config": {}})) == "keras"


def test_a_zip_bomb_is_refused_before_it_unfolds(tmp_path: Path) -> None:
    path = archive(tmp_path / "bomb.keras", config_json=json.dumps(WHOLE), model_weights_h5=bytes(64 << 20))
    with pytest.raises(InputError, match="would unfold to"):
        load(path)


def test_a_path_that_leaves_the_archive_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "slip.keras", **{"config_json": json.dumps(WHOLE), "model_weights_h5": HDF5, "../out": b"x"})
    with pytest.raises(InputError, match="a path that leaves it"):
        load(path)


def test_weights_alone_are_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no config.json"):
        load(archive(tmp_path / "w.keras", model_weights_h5=HDF5))
    with pytest.raises(InputError, match="weights and no model") as caught:
        harmless_config("{}", "w.h5")
    assert "model.save" in caught.value.hint


@pytest.mark.parametrize("kind", ["Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "StringLookup"])
@pytest.mark.parametrize("module", ["keras.layers", None])
def test_a_layer_that_runs_code_or_reads_paths_is_refused_unread(kind: str, module: str | None, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=kind) as caught:
        load(saved(tmp_path / "m.keras", {"module": module, "class_name": kind, "config": {}}))
    assert "model.export" in caught.value.hint


@pytest.mark.parametrize(
    ("module", "kind"),
    [("os", "system"), ("keras.utils", "get_file"), ("keras.config", "enable_unsafe_deserialization"), ("keras", "function"),
     ("keras.saving", "load_model"), ("keras.layersx", "Dense"), ("builtins", "function"), ("keras.src.utils", "get_file")],
)  # fmt: skip
def test_what_is_no_layer_of_keras_is_refused_however_deep(module: str, kind: str, tmp_path: Path) -> None:
    inner = {"module": module, "class_name": kind, "config": "run"}
    layer = {"module": "keras.layers", "class_name": "Dense", "config": {"activation": [{"deeper": inner}]}}
    with pytest.raises(InputError, match="not a layer of Keras"):
        load(saved(tmp_path / "m.keras", layer))


def test_a_class_of_ones_own_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a class of your own"):
        load(saved(tmp_path / "m.keras", {"module": None, "class_name": "Mine", "config": {}, "registered_name": "pkg>Mine"}))


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "[]", "3"])
def test_a_configuration_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        harmless_config(text, "m.keras")


def test_training_settings_are_left_unread() -> None:
    config = {**WHOLE, "compile_config": {"loss": {"module": "mine", "class_name": "Loss", "config": {}}}}
    assert harmless_config(json.dumps(config), "m.keras") == config


def test_the_group_count_that_keras_2_wrote_for_depthwise_convolutions_is_dropped() -> None:
    layers = [{"class_name": kind, "config": {"groups": 1, "name": kind}} for kind in ("DepthwiseConv2D", "Conv2D")]
    first, second = modern({"layers": layers})["layers"]
    assert first["config"] == {"name": "DepthwiseConv2D"}
    assert second["config"]["groups"] == 1


def test_an_open_batch_becomes_one_and_is_noted() -> None:
    shapes, notes = static_shapes({"x": (None, 8, 8, 3), "y": (2, 4)}, {})
    assert shapes == {"x": (1, 8, 8, 3), "y": (2, 4)}
    assert notes == ["the batch dimension of 'x' became 1"]


def test_other_open_dimensions_are_asked_for() -> None:
    with pytest.raises(InputError, match=r"'x' has the shape \?x\?x3") as caught:
        static_shapes({"x": (None, None, 3)}, {})
    assert "--input-shape x=1x224x3" in caught.value.hint
    assert static_shapes({"x": (None, None, 3)}, {"x": (1, 16, 3)})[0] == {"x": (1, 16, 3)}


def test_a_shape_for_an_input_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="no input 'z'"):
        static_shapes({"x": (1, 2)}, {"z": (1, 2)})


@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is not None, reason="TensorFlow is installed here")
def test_without_tensorflow_the_command_that_installs_it_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingDependency, match="tensorflow is not installed") as caught:
        load(saved(tmp_path / "m.keras", {"module": "keras.layers", "class_name": "Dense", "config": {}}))
    assert caught.value.hint == 'pip install "edgekit[keras]"'


@pytest.fixture(scope="module")
def keras() -> Any:
    pytest.importorskip("tensorflow", reason="the extra keras is not installed")
    pytest.importorskip("tf2onnx", reason="the extra keras is not installed")
    return pytest.importorskip("keras")


@pytest.fixture(scope="module")
def net(keras: Any) -> Any:
    layers = keras.layers
    keras.utils.set_random_seed(0)
    given = keras.Input((8, 8, 3), name="picture")
    found = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same", strides=2)(given)))
    found = layers.DepthwiseConv2D(3, padding="same", activation="swish")(found)
    return keras.Model(given, layers.Dense(2, activation="softmax")(layers.GlobalAveragePooling2D()(found)))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_saved_model_answers_the_same_as_a_graph(suffix: str, net: Any, tmp_path: Path) -> None:
    from edgekit.formats import import_model

    net.save(tmp_path / f"net{suffix}")
    found = import_model(tmp_path / f"net{suffix}", {})
    assert found.source.framework == "keras"
    assert found.graph.inputs[0].shape == (1, 8, 8, 3)
    assert found.graph.outputs[0].shape == (1, 2)
    assert found.answers
    assert found.notes == ("the batch dimension of 'picture' became 1",)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_inspect_shows_the_face_and_the_cost_of_a_saved_model(
    suffix: str, net: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from edgekit.cli import main

    net.save(tmp_path / f"net{suffix}")
    assert main(["inspect", str(tmp_path / f"net{suffix}"), "--target", "coral", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["shape"] for one in (*told["inputs"], *told["outputs"])] == [[1, 8, 8, 3], [1, 2]]
    assert told["macs"] == 4 * 4 * 4 * 27 + 4 * 4 * 4 * 9 + 4 * 2
    assert told["mapping"]


@pytest.mark.filterwarnings("ignore")
def test_a_model_of_two_inputs_keeps_them_apart(keras: Any, tmp_path: Path) -> None:
    from edgekit.formats import import_model

    given = {name: keras.Input((size,), name=name) for name, size in (("b", 3), ("a", 5))}
    both = keras.layers.Concatenate()([keras.layers.Dense(2)(given["b"]), given["a"]])
    keras.Model(given, both).save(tmp_path / "two.keras")
    found = import_model(tmp_path / "two.keras", {})
    assert {spec.name: spec.shape for spec in found.graph.inputs} == {"a": (1, 5), "b": (1, 3)}


@pytest.mark.filterwarnings("ignore")
def test_a_lambda_in_an_h5_file_is_refused_unread(keras: Any, tmp_path: Path) -> None:
    keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x * 2)]).save(tmp_path / "sly.h5")
    with pytest.raises(InputError, match="Lambda"):
        load(tmp_path / "sly.h5")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["external", "soft", "storage", "virtual"])
def test_an_hdf5_file_that_leaves_itself_is_refused(kind: str, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="the extra keras is not installed")
    pytest.importorskip("tensorflow", reason="the extra keras is not installed")
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.attrs["model_config"] = json.dumps(WHOLE)
        if kind == "external":
            file["w"] = h5py.ExternalLink("/etc/passwd", "/")
        elif kind == "soft":
            file["w"] = h5py.SoftLink("/elsewhere")
        elif kind == "storage":
            file.create_dataset("w", (4,), "u1", external=[("/etc/passwd", 0, 4)])
        else:
            layout = h5py.VirtualLayout((4,), "u1")
            layout[:] = h5py.VirtualSource("other.h5", "w", (4,))
            file.create_virtual_dataset("w", layout)
    with pytest.raises(InputError, match=r"may leave the file|in another file"):
        load(tmp_path / "m.h5")


@pytest.mark.filterwarnings("ignore")
def test_an_hdf5_file_that_unfolds_beyond_measure_is_refused(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="the extra keras is not installed")
    pytest.importorskip("tensorflow", reason="the extra keras is not installed")
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.create_dataset("w", (1 << 34,), "u1", chunks=(1 << 20,), compression="gzip")
    with pytest.raises(InputError, match="would unfold to 17179869184"):
        load(tmp_path / "m.h5")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "twin"), [("ic_resnet8", "ic_resnet8_fp32"), ("vww_96", "vww_96_float")])
def test_a_keras_file_of_years_ago_answers_as_its_tflite_twin(name: str, twin: str, keras: Any, shared_data: Path) -> None:
    from edgekit.formats import import_model, source_run

    paths = [shared_data / "models_mlperf_tiny" / file for file in (f"{name}.h5", f"{twin}.tflite")]
    if not all(path.is_file() for path in paths):
        pytest.skip("the MLPerf Tiny models are not there")
    both = [import_model(path, {}) for path in paths]
    picture = np.random.default_rng(0).random(both[0].graph.inputs[0].shape, np.float32)
    first, second = (
        source_run(path, found)({found.graph.inputs[0].name: picture})[found.graph.outputs[0].name]
        for path, found in zip(paths, both, strict=True)
    )
    np.testing.assert_allclose(first, second, atol=1e-5)
