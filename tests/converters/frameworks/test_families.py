"""Published networks as PyTorch's two exporters write them, with random weights: each becomes TFLite that answers the same.

Run by `.ci/frameworks families`, which brings torchvision and timm (several GB). Pictures are small so that the whole takes minutes; batch
norms have statistics of their own, since exporters fold those of a new network to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")
torchvision = pytest.importorskip("torchvision")

import edgekit  # noqa: E402

FLOAT_TOLERANCE = 1e-4
LEAST_DECIBELS = 10.0
"""Random weights amplify what int8 loses; trained ones are judged on labels, in benchmarks/accuracy.py."""
SAMPLES = 8

CONVOLUTIONAL = {
    "mobilenetv1_100": 96,
    "mobilenetv2_050": 96,
    "mobilenetv3_small_050": 96,
    "mobilenetv4_conv_small_050": 96,
    "efficientnet_b0": 96,
    "efficientnet_lite0": 96,
    "tf_efficientnetv2_b0": 96,
    "resnet10t": 96,
    "seresnext26ts": 96,
    "regnetx_002": 96,
    "regnety_002": 96,
    "ghostnet_050": 96,
    "ghostnetv2_100": 96,
    "densenet121": 96,
    "mnasnet_small": 96,
    "convnext_atto": 96,
    "convnextv2_atto": 96,
    "repvgg_a0": 96,
    "ese_vovnet19b_dw": 96,
    "lcnet_050": 96,
    "tinynet_e": 96,
    "poolformer_s12": 96,
    "hrnet_w18_small": 96,
}
ATTENTIVE = {
    "vit_tiny_patch16_224": 224,
    "deit_tiny_distilled_patch16_224": 224,
    "swin_tiny_patch4_window7_224": 224,
    "swinv2_tiny_window8_256": 256,
    "mobilenetv4_hybrid_medium": 128,
    "mobilevit_xxs": 128,
    "mobilevitv2_050": 128,
    "levit_128s": 224,
    "efficientvit_b0": 128,
    "edgenext_xx_small": 128,
    "fastvit_t8": 128,
    "coatnet_nano_rw_224": 224,
    "eva02_tiny_patch14_224": 224,
}


class Mask(torch.nn.Module):  # type: ignore[misc,name-defined]
    """A segmentation network's one output."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Any) -> Any:
        return self.network(x)["out"]


def segments(name: str) -> Any:
    return Mask(torchvision.models.get_model(name, weights=None, weights_backbone=None))


OTHERS: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "shufflenet": (torchvision.models.shufflenet_v2_x0_5, (3, 96, 96)),
    "squeezenet": (torchvision.models.squeezenet1_1, (3, 96, 96)),
    "googlenet": (lambda: torchvision.models.googlenet(aux_logits=False, init_weights=False), (3, 96, 96)),
    "deeplab": (lambda: segments("deeplabv3_mobilenet_v3_large"), (3, 128, 128)),
    "lraspp": (lambda: segments("lraspp_mobilenet_v3_large"), (3, 128, 128)),
    "r3d": (torchvision.models.video.r3d_18, (3, 8, 64, 64)),
    "mc3": (torchvision.models.video.mc3_18, (3, 8, 64, 64)),
    "r2plus1d": (torchvision.models.video.r2plus1d_18, (3, 8, 64, 64)),
    "s3d": (torchvision.models.video.s3d, (3, 16, 224, 224)),
    "lstm": (lambda: Recurrent(torch.nn.LSTM), (9, 12)),
    "gru": (lambda: Recurrent(torch.nn.GRU), (9, 12)),
}


class Recurrent(torch.nn.Module):  # type: ignore[misc,name-defined]
    """Two layers in both directions, and a linear one."""

    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.cells = kind(12, 20, num_layers=2, bidirectional=True, batch_first=True)
        self.head = torch.nn.Linear(40, 5)

    def forward(self, x: Any) -> Any:
        return self.head(self.cells(x)[0])


def network(name: str) -> tuple[Any, tuple[int, ...]]:
    """The network, ready to be asked, and the shape of one sample."""
    torch.manual_seed(0)
    if name in OTHERS:
        make, shape = OTHERS[name]
        made = make()
    else:
        size = {**CONVOLUTIONAL, **ATTENTIVE}[name]
        made, shape = timm.create_model(name, pretrained=False, exportable=True), (3, size, size)
    for part in made.modules():
        if isinstance(part, torch.nn.modules.batchnorm._BatchNorm):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 1.5)
    return made.eval(), shape


@pytest.fixture(params=[False, True], ids=["TorchScript", "torch.export"])
def exported(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], tuple[Path, Path]]]:
    """Writes a network by one of the exporters, and samples for it."""

    def export(name: str) -> tuple[Path, Path]:
        made, shape = network(name)
        file, samples = tmp_path / "model.onnx", tmp_path / "samples.npz"
        newer = {"dynamo": True, "external_data": False} if request.param else {"dynamo": False, "opset_version": 17}
        with torch.no_grad():
            torch.onnx.export(made, (torch.randn(1, *shape),), file, input_names=["x"], **newer)
        np.savez(samples, x=np.random.default_rng(0).standard_normal((SAMPLES, *shape), np.float32))
        return file, samples

    yield export


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [*CONVOLUTIONAL, *ATTENTIVE, *OTHERS])
def test_a_network_answers_the_same_as_tflite(exported: Callable[[str], tuple[Path, Path]], tmp_path: Path, name: str) -> None:
    file, samples = exported(name)
    artifact = converted(file, samples, tmp_path, "fp32")
    assert artifact.manifest.parity.metric == "max_relative_error" and artifact.manifest.parity.value <= FLOAT_TOLERANCE


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name", [*CONVOLUTIONAL, "shufflenet", "squeezenet", "googlenet", "lraspp", "r3d", "mc3", "lstm", "gru"]
)
def test_a_network_bears_int8(exported: Callable[[str], tuple[Path, Path]], tmp_path: Path, name: str) -> None:
    file, samples = exported(name)
    artifact = converted(file, samples, tmp_path, "int8")
    assert artifact.manifest.parity.metric == "sqnr_db" and artifact.manifest.parity.value >= LEAST_DECIBELS


def converted(file: Path, samples: Path, folder: Path, precision: str) -> Any:
    return edgekit.convert(file, target="rpi5", precision=precision, calibration=samples, output=folder / "out")
