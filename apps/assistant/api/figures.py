"""The assistant's figures for `/metrics`."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from edgekit.apps.assistant.analytics import Totals
from edgekit.apps.assistant.api.bridge import Door
from edgekit.apps.assistant.assistant import Assistant

PREFIX = "edgekit_assistant"


class Figures(Collector):
    """Counted since the server started; also where the log is off."""

    def __init__(self, assistant: Assistant, door: Door) -> None:
        self._assistant, self._door = assistant, door

    def collect(self) -> Iterator[Metric]:
        """Queries, tokens and seconds, by kind, source and outcome; what is going on now."""
        totals: Totals = self._assistant.totals
        labels = ["kind", "source", "outcome"]
        queries = CounterMetricFamily(f"{PREFIX}_queries", "Queries that ended", labels=labels)
        for key, count in totals.queries().items():
            queries.add_metric(list(key), count)
        yield queries
        for name, text in (
            ("prompt_n", "Tokens of prompts that were evaluated"),
            ("cache_n", "Tokens of prompts that were known from before"),
            ("predicted_n", "Tokens of answers"),
        ):
            yield CounterMetricFamily(f"{PREFIX}_{name}", text, value=totals.sum(name))
        for name, text in (("prompt_ms", "reading prompts"), ("predicted_ms", "answering")):
            seconds = totals.sum(name) / 1000
            yield CounterMetricFamily(f"{PREFIX}_{name.removesuffix('_ms')}_seconds", f"Seconds spent {text}", value=seconds)
        yield GaugeMetricFamily(f"{PREFIX}_inside", "Requests that are answered or wait", value=self._door.inside)
        loaded = self._assistant.generator.engine is not None and self._assistant.generator.engine.loaded is not None
        yield GaugeMetricFamily(f"{PREFIX}_model_loaded", "Whether a model is in memory", value=int(loaded))
        if self._assistant.library is not None:
            count = self._assistant.library.count()
            yield GaugeMetricFamily(f"{PREFIX}_documents", "Documents in the index", value=count)
