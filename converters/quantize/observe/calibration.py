"""What calibration learns: how the values of every activation spread over the calibration data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgekit.converters.quantize.observe.histogram import Histogram
from edgekit.core.errors import ConversionError


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """Histograms of a graph's floating-point activations (inputs and outputs included) and where they come from.

    `sha256` is over the samples as they were fed: names, dtypes, shapes and bytes, in order.
    """

    histograms: Mapping[str, Histogram]
    samples: int
    sha256: str
    notes: tuple[str, ...] = ()

    def histogram(self, name: str) -> Histogram:
        """The histogram of a tensor. Raises `ConversionError` when this calibration did not see it."""
        found = self.histograms.get(name)
        if found is None:
            raise ConversionError(
                f"tensor {name!r} was not calibrated", "was another graph calibrated than is being quantized?"
            )
        return found
