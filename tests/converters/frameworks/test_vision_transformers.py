"""Detectors, depth, poses and shapes by transformers, as PyTorch's two exporters write them, with random weights: each becomes TFLite that
answers the same.

Run by `.ci/frameworks families`. Networks are narrow and pictures small, so that the whole takes minutes. Batch norms know the statistics of
smooth pictures: a detector that picks its queries by score picks among scores that differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("onnxscript")

import edgekit  # noqa: E402

FLOAT_TOLERANCE = 1e-4
LEAST_DECIBELS = 10.0
"""Random weights amplify what int8 loses."""
SAMPLES = 8
Made = tuple[Any, tuple[int, int], Sequence[str]]
"""The network, the height and width of its pictures, and which of its answers count."""
NO_TIMM = {"use_timm_backbone": False, "use_pretrained_backbone": False, "backbone": None}
DETECTION = ("logits", "pred_boxes")
NARROW = {"d_model": 64, "decoder_layers": 2, "encoder_ffn_dim": 96, "decoder_ffn_dim": 96, "num_queries": 30}
HEADS = {"encoder_layers": 1, "encoder_attention_heads": 4, "decoder_attention_heads": 4}
VIT = {"hidden_size": 96, "num_hidden_layers": 4, "num_attention_heads": 3}
STAGES = {"hidden_sizes": [16, 32, 40, 64], "depths": [1, 1, 1, 1]}
DEPTH = {"neck_hidden_sizes": [16, 32, 48, 64], "fusion_hidden_size": 32}


def residual(kind: str, *stages: str) -> Any:
    sizes = {"embedding_size": 16, "hidden_sizes": [16, 32, 48, 64], "depths": [1, 1, 1, 1], "layer_type": "basic"}
    return getattr(transformers, f"{kind}Config")(**sizes, out_features=list(stages))


def of(kind: str, task: str, **config: Any) -> Any:
    return getattr(transformers, f"{kind}{task}")(getattr(transformers, f"{kind}Config")(**config))


def detr(kind: str, *stages: str, **more: Any) -> Any:
    return of(kind, "ForObjectDetection", backbone_config=residual("ResNet", *stages), **NARROW, **HEADS, **NO_TIMM, **more)


def rt_detr() -> Any:
    channels = {"encoder_in_channels": [32, 48, 64], "decoder_in_channels": [64, 64, 64], "encoder_hidden_dim": 64}
    backbone = residual("RTDetrResNet", "stage2", "stage3", "stage4")
    return of("RTDetr", "ForObjectDetection", backbone_config=backbone, **NARROW, **channels, **NO_TIMM)


def yolos() -> Any:
    config = {**VIT, "intermediate_size": 192, "image_size": [96, 96], "num_detection_tokens": 20}
    return of("Yolos", "ForObjectDetection", **config)


def depth_anything() -> Any:
    backbone = transformers.Dinov2Config(
        **VIT, image_size=126, out_indices=[1, 2, 3, 4], reshape_hidden_states=False, apply_layernorm=True
    )
    return of(
        "DepthAnything", "ForDepthEstimation", backbone_config=backbone, reassemble_hidden_size=96, patch_size=14, **DEPTH
    )


def vit_pose() -> Any:
    config = {**VIT, "image_size": [128, 96], "patch_size": [16, 16], "out_indices": [4]}
    return of("VitPose", "ForPoseEstimation", backbone_config=transformers.VitPoseBackboneConfig(**config), num_labels=17)


NETWORKS: dict[str, Callable[[], Made]] = {
    "DETR": lambda: (detr("Detr", "stage4"), (256, 256), DETECTION),
    "Conditional DETR": lambda: (detr("ConditionalDetr", "stage4"), (256, 256), DETECTION),
    "Deformable DETR": lambda: (
        detr("DeformableDetr", "stage2", "stage3", "stage4", disable_custom_kernels=True),
        (256, 256),
        DETECTION,
    ),
    "RT-DETR": lambda: (rt_detr(), (256, 256), DETECTION),
    "YOLOS": lambda: (yolos(), (96, 96), DETECTION),
    "SegFormer": lambda: (
        of("Segformer", "ForSemanticSegmentation", **STAGES, decoder_hidden_size=64, num_labels=7),
        (128, 128),
        ("logits",),
    ),
    "GLPN": lambda: (of("GLPN", "ForDepthEstimation", **STAGES, decoder_hidden_size=32), (128, 128), ("predicted_depth",)),
    "Depth Anything": lambda: (depth_anything(), (126, 126), ("predicted_depth",)),
    "ViTPose": lambda: (vit_pose(), (128, 96), ("heatmaps",)),
    "Swin2SR": lambda: (
        of("Swin2SR", "ForImageSuperResolution", image_size=32, embed_dim=24, depths=[2, 2], num_heads=[2, 2], upscale=2),
        (32, 32),
        ("reconstruction",),
    ),
}


class Told(torch.nn.Module):  # type: ignore[misc,name-defined]
    """Only the answers that count, in order."""

    def __init__(self, network: Any, answers: Sequence[str]) -> None:
        super().__init__()
        self.network, self.answers = network, answers

    def forward(self, x: Any) -> Any:
        told = self.network(pixel_values=x)
        return tuple(getattr(told, name) for name in self.answers)


def smooth(count: int, size: tuple[int, int]) -> Any:
    """[count, 3, height, width] from 0 to 1."""
    return torch.nn.functional.interpolate(torch.rand(count, 3, 12, 12), size=size, mode="bilinear")


def ready(made: Any, size: tuple[int, int]) -> None:
    """Weights that keep signals about as large as they come, and batch norms with the statistics of pictures."""
    for part in list(made.modules()):
        for name, child in list(part.named_children()):
            if "FrozenBatchNorm" in type(child).__name__:
                setattr(part, name, torch.nn.BatchNorm2d(child.weight.numel()))
    norms = []
    for part in made.modules():
        if isinstance(part, (torch.nn.Linear, torch.nn.Conv2d)):
            torch.nn.init.normal_(part.weight, 0, 1.2 * part.weight[0].numel() ** -0.5)
            if part.bias is not None:
                torch.nn.init.normal_(part.bias, 0, 0.1)
        elif isinstance(part, torch.nn.BatchNorm2d):
            part.momentum = None  # the mean over all pictures
            norms.append(part)
    if norms:
        made.train()
        made(pixel_values=smooth(8, size))
    made.eval()


@pytest.fixture(params=[False, True], ids=["TorchScript", "torch.export"])
def exported(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], tuple[Path, Path]]]:
    """Writes a network by one of the exporters, and samples for it."""

    def export(name: str) -> tuple[Path, Path]:
        torch.manual_seed(0)
        file, samples = tmp_path / "model.onnx", tmp_path / "samples.npz"
        newer = {"dynamo": True, "external_data": False} if request.param else {"dynamo": False, "opset_version": 17}
        with torch.no_grad():
            made, size, answers = NETWORKS[name]()
            ready(made, size)
            torch.onnx.export(Told(made, answers).eval(), (smooth(1, size),), file, input_names=["x"], **newer)
            np.savez(samples, x=smooth(SAMPLES, size).numpy())
        return file, samples

    yield export


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_answers_the_same_as_tflite(exported: Callable[[str], tuple[Path, Path]], tmp_path: Path, name: str) -> None:
    parity = converted(*exported(name), tmp_path, "fp32").manifest.parity
    assert parity.metric == "max_relative_error" and parity.value <= FLOAT_TOLERANCE


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "RT-DETR"])
def test_a_network_bears_int8(exported: Callable[[str], tuple[Path, Path]], tmp_path: Path, name: str) -> None:
    """Not RT-DETR, whose scores are alike with random weights: rounding picks other queries, and every box moves to another row."""
    parity = converted(*exported(name), tmp_path, "int8").manifest.parity
    assert parity.metric == "sqnr_db" and parity.value >= LEAST_DECIBELS


def converted(file: Path, samples: Path, folder: Path, precision: str) -> Any:
    return edgekit.convert(file, target="rpi5", precision=precision, calibration=samples, output=folder / "out")
