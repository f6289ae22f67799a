"""From a model file to verified artifacts: import, clean, calibrate, lower, load, compare, write."""

from edgekit.core.optional import need

need("onnx")  # said in our own sentence, before the modules below import it

from edgekit.conversion.pipeline import convert  # noqa: E402

__all__ = ["convert"]
