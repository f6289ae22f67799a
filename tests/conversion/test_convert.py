"""From a model file to artifacts: what is promised about every target, and what happens when it cannot be done."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from edgekit import artifact as artifacts
from edgekit.conversion import convert
from edgekit.conversion.batch import convert_all
from edgekit.conversion.request import Request
from edgekit.core.errors import EdgekitError, GateFailed, InputError, NotFound, Unsupported, UsageError
from edgekit.core.progress import silent
from edgekit.core.schema import Recipe
from edgekit.loading import open_artifact
from edgekit.runtimes.onnxruntime import execute
from edgekit.verify import verify
from tests.conversion.conftest import classifier

TARGETS = ("jetson", "coral", "rpi", "cpu")
PRECISIONS = ("fp32", "int8")


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_target_gets_a_proven_artifact(model: Path, samples: list, tmp_path: Path, target: str, precision: str) -> None:
    made = convert(model, target=target, precision=precision, calibration=samples, output=tmp_path / "out")
    assert made.manifest.target.precision == precision
    assert made.manifest.parity is not None
    assert made.manifest.parity.ok
    assert made == artifacts.read(made.path)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_face_keeps_names_order_layout_and_meaning(
    model: Path, samples: list, tmp_path: Path, target: str, precision: str
) -> None:
    made = convert(model, target=target, precision=precision, calibration=samples, output=tmp_path / "out")
    source = execute(model)
    with open_artifact(made, runtime=made.manifest.runtimes[-1]) as session:
        assert [(s.name, s.shape, s.dtype) for s in session.inputs] == [("image", (1, 3, 32, 32), "float32")]
        assert [(s.name, s.shape, s.dtype) for s in session.outputs] == [("probabilities", (1, 10), "float32")]
        for sample in samples[:4]:
            expected, found = source(sample)["probabilities"], session.run(sample)["probabilities"]
            np.testing.assert_allclose(found, expected, atol=1e-4 if precision == "fp32" else 0.05)


@pytest.mark.parametrize("target", TARGETS)
def test_converting_twice_gives_the_same_bytes(model: Path, samples: list, tmp_path: Path, target: str) -> None:
    first, second = (convert(model, target=target, calibration=samples, output=tmp_path / name) for name in ("a", "b"))
    assert first.sha256 == second.sha256
    for file in first.path.iterdir():
        assert file.read_bytes() == (second.path / file.name).read_bytes()


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_inputs_and_outputs_may_be_single_numbers(
    save: Callable[..., Path], tmp_path: Path, target: str, precision: str
) -> None:
    """Without any dimension, as a threshold or a rate often is."""
    single = helper.make_tensor_value_info("threshold", TensorProto.FLOAT, [])
    row = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8])
    nodes = [helper.make_node("Sub", ["x", "threshold"], ["d"]), helper.make_node("ReduceMax", ["d"], ["most"], keepdims=0)]
    most = helper.make_tensor_value_info("most", TensorProto.FLOAT, [])
    proto = helper.make_model(helper.make_graph(nodes, "g", [row, single], [most]), opset_imports=[helper.make_opsetid("", 17)])
    proto.ir_version = 8
    rng = np.random.default_rng(0)
    given = [{"x": rng.random((1, 8), np.float32), "threshold": np.float32(rng.random())} for _ in range(16)]
    made = convert(
        save(proto), target=target, precision=precision, calibration=given, output=tmp_path / "out", allow_cpu_ops=True
    )
    with open_artifact(made, runtime=made.manifest.runtimes[-1]) as session:
        found = session.run({"x": np.arange(8, dtype=np.float32)[None] / 8, "threshold": np.array(0.25, np.float32)})["most"]
    assert found.shape == ()
    assert float(found) == pytest.approx(0.625, abs=0.02)


def test_raw_gives_the_engines_own_integers(model: Path, samples: list, tmp_path: Path) -> None:
    made = convert(model, target="rpi", precision="int8", calibration=samples, output=tmp_path)
    port = made.manifest.inputs[0]
    assert port.engine.dtype == "int8"
    with open_artifact(made) as session:
        raw = session.run({"image": np.zeros(port.engine.shape, port.engine.dtype)}, raw=True)
    assert raw["probabilities"].dtype == made.manifest.outputs[0].engine.dtype


@pytest.mark.parametrize("target", ["rpi", "cpu"])
def test_a_classifier_of_a_few_weights_stays_in_float_on_a_cpu_and_is_named(
    model: Path, samples: list, tmp_path: Path, target: str
) -> None:
    made = convert(model, target=target, precision="int8", calibration=samples, output=tmp_path)
    assert made.manifest.outputs[0].engine.dtype == "float32"
    assert len(made.manifest.float_layers) == 2


@pytest.mark.parametrize("precision", ["int16x8", "dynamic"])
def test_a_cpu_has_more_precisions_on_demand_and_their_pace_beside_float_is_told(
    model: Path, samples: list, tmp_path: Path, precision: str
) -> None:
    request = Request(recipe=Recipe(precision=precision), calibration=samples, output=tmp_path)  # type: ignore[arg-type]
    (cell,) = convert_all([model], ["rpi"], request, silent).artifacts
    assert (cell.precision, cell.format) == (precision, "tflite")
    assert cell.parity.value > 25
    assert cell.pace is not None
    assert cell.pace.artifact_ms > 0
    assert cell.pace.float_ms > 0
    assert "quantize" in [step.name for step in artifacts.read(Path(cell.path)).manifest.steps]


def test_sixteen_bits_are_nearer_to_float_than_eight(model: Path, samples: list, tmp_path: Path) -> None:
    wide, narrow = (
        convert(model, target="rpi", precision=precision, calibration=samples, output=tmp_path)
        for precision in ("int16x8", "int8")
    )
    assert wide.manifest.parity is not None
    assert narrow.manifest.parity is not None
    assert wide.manifest.parity.value > narrow.manifest.parity.value
    assert wide.manifest.inputs[0].engine.dtype == "int16"


def test_dynamic_range_needs_no_calibration_and_sixteen_bits_do(model: Path, tmp_path: Path) -> None:
    assert convert(model, target="rpi", precision="dynamic", output=tmp_path).manifest.target.precision == "dynamic"
    with pytest.raises(InputError, match="int16x8 needs calibration data"):
        convert(model, target="rpi", precision="int16x8", output=tmp_path)


@pytest.mark.parametrize(("target", "format"), [("coral", "edgetpu"), ("jetson", "auto"), ("cpu", "onnx")])
def test_only_cpu_engines_with_such_kernels_take_sixteen_bits(
    model: Path, samples: list, tmp_path: Path, target: str, format: str
) -> None:
    with pytest.raises(Unsupported, match="does not run int16x8"):
        convert(model, target=target, precision="int16x8", format=format, calibration=samples, output=tmp_path)


def test_rounding_wide_layers_together_is_an_option(model: Path, samples: list, tmp_path: Path) -> None:
    made = convert(model, target="rpi", precision="int8", calibration=samples, adaround=True, output=tmp_path)
    assert made.manifest.parity is not None
    assert made.manifest.parity.ok


def test_auto_takes_what_the_board_is_fast_at(model: Path, samples: list, tmp_path: Path) -> None:
    assert convert(model, target="rpi", calibration=samples, output=tmp_path).manifest.target.precision == "int8"


def test_auto_without_calibration_data_stays_in_float(model: Path, tmp_path: Path) -> None:
    assert convert(model, target="rpi", output=tmp_path).manifest.target.precision == "fp16"


def test_a_float_model_for_the_coral_says_that_the_cpu_runs_it(model: Path, tmp_path: Path) -> None:
    made = convert(model, target="coral", precision="fp32", output=tmp_path)
    assert made.manifest.target.runtime == "litert"
    assert any("not in edgetpu" in note for note in made.manifest.notes)


def test_the_folder_is_named_after_model_target_and_precision(model: Path, samples: list, tmp_path: Path) -> None:
    names = [
        convert(model, target="rpi", precision="int8", format=form, calibration=samples, output=tmp_path).path.name
        for form in ("auto", "onnx")
    ]
    assert names == ["classifier.rpi5.int8", "classifier.rpi5.int8-onnx"]


def test_an_edge_tpu_artifact_reports_where_every_op_runs(model: Path, samples: list, tmp_path: Path) -> None:
    made = convert(model, target="coral", calibration=samples, output=tmp_path)
    report = json.loads(made.file("report").read_text())
    assert report["mapped"] == report["total"] == len(report["operators"])


def test_the_manifest_traces_model_calibration_and_steps(model: Path, samples: list, tmp_path: Path) -> None:
    manifest = convert(model, target="rpi", precision="int8", calibration=samples, output=tmp_path).manifest
    assert manifest.source.name == "classifier.onnx"
    assert len(manifest.source.sha256) == len(manifest.calibration_sha256) == 64
    steps = "import, optimise, calibrate, quantize, round weights together, lower, write"
    assert ", ".join(step.name for step in manifest.steps) == steps
    assert all(step.version for step in manifest.steps)


def test_a_dynamic_batch_is_frozen_and_said_aloud(save: Callable[..., Path], tmp_path: Path) -> None:
    made = convert(save(classifier(batch="N"), "dynamic.onnx"), target="cpu", output=tmp_path)
    assert any("dynamic batch" in note for note in made.manifest.notes)


def test_preprocessing_given_by_the_user_is_recorded(model: Path, tmp_path: Path) -> None:
    made = convert(
        model, target="cpu", preprocess={"mean": (127.5,), "std": (127.5,), "scale": 1.0, "color": "bgr"}, output=tmp_path
    )
    assert made.manifest.preprocess is not None
    assert (made.manifest.preprocess.mean, made.manifest.preprocess.color) == ((127.5,), "bgr")


def test_an_artifact_that_exists_is_kept_unless_forced(model: Path, tmp_path: Path) -> None:
    made = convert(model, target="cpu", output=tmp_path)
    with pytest.raises(InputError, match="exists already"):
        convert(model, target="cpu", output=tmp_path)
    assert convert(model, target="cpu", output=tmp_path, force=True).sha256 == made.sha256


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        pytest.param({"target": "jetsen"}, NotFound, "no device named 'jetsen'", id="a target that does not exist"),
        pytest.param({"precision": "int8"}, InputError, "needs calibration data", id="int8 without calibration"),
        pytest.param({"format": "tensorrt"}, Unsupported, "runs no 'tensorrt'", id="a format the board does not run"),
        pytest.param({"calibration": "nowhere"}, NotFound, "nowhere", id="a calibration folder that is not there"),
        pytest.param({"calibration": [], "precision": "int8"}, InputError, "no", id="no calibration samples"),
        pytest.param(
            {"input_shapes": {"pixels": (1, 3, 8, 8)}}, InputError, "no input 'pixels'", id="a shape for another input"
        ),
    ],
)
def test_what_cannot_be_done_is_a_sentence_and_leaves_nothing(
    model: Path, tmp_path: Path, options: dict, error: type[EdgekitError], sentence: str
) -> None:
    with pytest.raises(error, match=sentence) as caught:
        convert(model, output=tmp_path / "out", **{"target": "rpi", **options})
    assert caught.value.hint
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param({"image": np.full((1, 3, 32, 32), np.nan, np.float32)}, id="nan"),
        pytest.param({"image": np.zeros((1, 3, 32, 31), np.float32)}, id="another shape"),
        pytest.param({"picture": np.zeros((1, 3, 32, 32), np.float32)}, id="another name"),
    ],
)
def test_bad_calibration_samples_are_refused(model: Path, samples: list, tmp_path: Path, bad: dict) -> None:
    with pytest.raises(InputError):
        convert(model, target="rpi", precision="int8", calibration=[*samples[:3], bad], output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_constant_calibration_data_is_refused(model: Path, tmp_path: Path) -> None:
    constant = [{"image": np.full((1, 3, 32, 32), 0.5, np.float32)}] * 8
    with pytest.raises(InputError, match="everywhere"):
        convert(model, target="rpi", precision="int8", calibration=constant, output=tmp_path / "out")


def labelled_folder(root: Path, model: Path) -> Path:
    """Noise pictures in folders named by the class that the model itself gives them."""
    from PIL import Image

    rng, run = np.random.default_rng(3), execute(model)
    for index in range(30):
        pixels = rng.integers(0, 256, (32, 32, 3), np.uint8)
        answer = run({"image": (pixels.astype(np.float32) / 255).transpose(2, 0, 1)[None]})["probabilities"].argmax()
        folder = root / str(answer)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{index}.png")
    return root


def test_accuracy_is_measured_beside_parity(model: Path, samples: list, tmp_path: Path) -> None:
    data = labelled_folder(tmp_path / "data", model)
    made = convert(
        model, target="rpi", precision="fp32", calibration=samples, evaluate=data, max_drop=0.01, output=tmp_path / "out"
    )
    assert made.manifest.accuracy is not None
    assert (made.manifest.accuracy.source, made.manifest.accuracy.drop, made.manifest.accuracy.samples) == (1.0, 0.0, 30)


def test_a_missed_budget_fails_with_the_numbers_and_writes_nothing(model: Path, samples: list, tmp_path: Path) -> None:
    data = labelled_folder(tmp_path / "data", model)
    poor = [{"image": 0.02 * sample["image"]} for sample in samples]
    with pytest.raises(GateFailed, match=r"accuracy: top1 fell from 1\.0000 to|parity: output") as caught:
        convert(
            model,
            target="rpi",
            precision="int8",
            calibration=poor,
            evaluate=data,
            max_drop=0.0,
            max_steps=0,
            output=tmp_path / "out",
        )
    assert caught.value.exit_code == 4
    assert not (tmp_path / "out").exists()


def test_auto_falls_back_to_the_next_precision_and_says_why(model: Path, samples: list, tmp_path: Path) -> None:
    data = labelled_folder(tmp_path / "data", model)
    poor = [{"image": 0.02 * sample["image"]} for sample in samples]
    made = convert(model, target="rpi", calibration=poor, evaluate=data, max_drop=0.0, max_steps=0, output=tmp_path / "out")
    assert made.manifest.target.precision == "fp16"
    assert any(note.startswith("int8 was tried first") for note in made.manifest.notes)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        pytest.param({"std": (0.0,)}, "nothing can be divided by 0", id="a std of zero"),
        pytest.param({"mean": (1.0, 2.0)}, "mean has 2 values for 3 channels", id="two means for three channels"),
        pytest.param({"mean": (float("nan"),)}, "mean is", id="nan"),
        pytest.param({"scale": 0.0}, "the scale is 0", id="a scale of zero"),
        pytest.param({"scale": float("inf")}, "the scale is inf", id="an infinite scale"),
        pytest.param({"layout": "nhwc"}, r"nhwc are \[1, 32, 32, 3\], input 'image' takes \[1, 3, 32, 32\]", id="layout"),
        pytest.param({"color": "gray"}, r"are \[1, 1, 32, 32\], input 'image' takes", id="too few channels"),
    ],
)
def test_preprocessing_that_cannot_be_is_refused_before_it_is_recorded(
    model: Path, tmp_path: Path, changed: dict, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence) as caught:
        convert(model, target="rpi", preprocess=changed, output=tmp_path / "out")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("budget", "sentence"), [(0.01, "no data to measure it on"), (-0.1, "drop is -0.1"), (1.0, "drop is 1")]
)
def test_a_budget_that_nothing_would_hold_to_is_refused(model: Path, tmp_path: Path, budget: float, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        convert(model, target="rpi", max_drop=budget, evaluate=None if budget == 0.01 else tmp_path, output=tmp_path / "out")


def test_a_recorded_accuracy_is_believed_for_the_same_data_only(model: Path, samples: list, tmp_path: Path) -> None:
    data = labelled_folder(tmp_path / "data", model)
    made = convert(model, target="rpi", precision="int8", calibration=samples, evaluate=data, output=tmp_path / "out")
    assert verify(made.path, labelled=data).accuracy == made.manifest.accuracy
    picture = next(data.rglob("*.png"))
    other = picture.parent.parent / ("0" if picture.parent.name != "0" else "1")
    other.mkdir(exist_ok=True)
    picture.rename(other / picture.name)
    with pytest.raises(UsageError, match="accuracy on this data is not recorded"):
        verify(made.path, labelled=data)
    again = verify(made.path, labelled=data, against=model).accuracy
    assert again is not None
    assert again.source == pytest.approx(29 / 30)


def test_pictures_without_labels_measure_agreement(model: Path, samples: list, tmp_path: Path) -> None:
    data = labelled_folder(tmp_path / "data", model)
    flat = tmp_path / "flat"
    flat.mkdir()
    for number, picture in enumerate(data.rglob("*.png")):
        picture.rename(flat / f"{number}.png")
    made = convert(model, target="rpi", precision="fp32", evaluate=flat, max_drop=0.0, output=tmp_path / "out")
    assert made.manifest.accuracy is not None
    assert (made.manifest.accuracy.metric, made.manifest.accuracy.source, made.manifest.accuracy.artifact) == (
        "agreement",
        1,
        1,
    )
    with pytest.raises(UsageError, match="30 pictures without labels"):
        verify(made.path, labelled=flat)


def test_two_names_of_one_board_are_one_target(model: Path, tmp_path: Path) -> None:
    batch = convert_all([model], ["rpi", " rpi5", "rpi"], Request(output=tmp_path), silent)
    assert ([cell.target for cell in batch.artifacts], batch.failed) == (["rpi"], ())
