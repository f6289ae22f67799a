"""Fitted scikit-learn models as graphs, through skl2onnx. A pickle of one is never read: give the fitted model itself."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.converters.graph_onnx import ML_DOMAIN, ML_OPSET
from edgekit.converters.importers.base import Imported
from edgekit.converters.importers.onnx import file as onnx_file
from edgekit.core.errors import InputError
from edgekit.core.optional import need
from edgekit.core.schema import Source

OPSET = 17


def from_estimator(model: Any, features: int, name: str = "model") -> Imported:
    """The graph of a fitted estimator or pipeline over `features` numbers; its input is "features", (1, features) float32.

    A classifier gives its label and its probabilities as tensors. Raises `InputError` for what skl2onnx does not know (an
    estimator of another package, text features) and `MissingDependency` without skl2onnx.
    """
    skl2onnx = need("skl2onnx")
    tensor = need("skl2onnx.common.data_types").FloatTensorType([None, features])
    options = {id(model): {"zipmap": False}} if hasattr(model, "predict_proba") else None
    try:
        proto = skl2onnx.to_onnx(
            model, initial_types=[("features", tensor)], options=options, target_opset={"": OPSET, ML_DOMAIN: ML_OPSET}
        )
    except Exception as exc:  # skl2onnx raises what its many converters raise
        said = (str(exc).strip().splitlines() or [type(exc).__name__])[0][:200]
        raise InputError(
            f"skl2onnx could not convert {type(model).__name__}: {said}", "is it fitted, and of scikit-learn?"
        ) from exc
    with tempfile.TemporaryDirectory(prefix="edgekit-") as scratch:
        path = Path(scratch) / f"{name}.onnx"
        path.write_bytes(proto.SerializeToString())
        found = onnx_file.load(path, input_shapes={"features": (1, features)})
        source = Source(name=name, sha256=found.source.sha256, bytes=found.source.bytes, framework="scikit-learn")
        return replace(
            found, source=source, model=found.model or path.read_bytes(), answers=(_answers(model, features, found),)
        )


def _answers(model: Any, features: int, found: Imported) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the estimator itself answers to a seeded row."""
    row = np.random.default_rng(0).random((1, features), np.float32)
    told = [model.predict(row)] + ([model.predict_proba(row)] if hasattr(model, "predict_proba") else [])
    outputs = {
        spec.name: np.asarray(value).reshape(spec.shape).astype(spec.dtype)
        for spec, value in zip(found.graph.outputs, told, strict=True)
    }
    return {"features": row}, outputs
