"""The site's figures for Prometheus, in the names that people's dashboards of cameras know."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from time import time

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from edgekit.apps.vision.watching.guards import Guards
from edgekit.apps.vision.watching.site import SiteWatch


class SiteFigures(Collector):
    """Read from the site whenever somebody asks."""

    def __init__(self, site: SiteWatch, guards: Guards) -> None:
        self._site, self._guards = site, guards

    def collect(self) -> Iterator[Metric]:
        yield from self._cameras()
        yield from self._stages()
        yield from self._channels()
        yield from self._machine()

    def _cameras(self) -> Iterator[Metric]:
        statuses = {name: watch.status() for name, watch in self._site.cameras.items()}
        up = GaugeMetricFamily("edgekit_camera_up", "Whether the camera gives frames.", labels=["camera_name"])
        fps = GaugeMetricFamily("edgekit_camera_fps", "Frames looked at a second.", labels=["camera_name"])
        frames = CounterMetricFamily("edgekit_camera_frames", "Frames captured.", labels=["camera_name"])
        dropped = CounterMetricFamily("edgekit_camera_frames_dropped", "Frames that came too fast.", labels=["camera_name"])
        losses = CounterMetricFamily("edgekit_camera_losses", "How often the source was lost.", labels=["camera_name"])
        for name, status in statuses.items():
            up.add_metric([name], float(status.feed.link.state == "running" and not status.failed))
            fps.add_metric([name], status.fps)
            frames.add_metric([name], status.feed.captured)
            dropped.add_metric([name], status.feed.dropped)
            losses.add_metric([name], status.feed.link.losses)
        yield from (up, fps, frames, dropped, losses)

    def _stages(self) -> Iterator[Metric]:
        took = GaugeMetricFamily(
            "edgekit_stage_seconds", "How long a stage took lately.", labels=["camera_name", "stage", "quantile"]
        )
        for name, watch in self._site.cameras.items():
            for stage, figures in watch.stages.summary().items():
                took.add_metric([name, stage, "0.5"], figures["p50"] / 1000)
                took.add_metric([name, stage, "0.95"], figures["p95"] / 1000)
        yield took

    def _channels(self) -> Iterator[Metric]:
        waiting = GaugeMetricFamily("edgekit_outbox_waiting", "What is yet to be sent.", labels=["channel"])
        sent = CounterMetricFamily("edgekit_outbox_sent", "What was sent.", labels=["channel"])
        refused = CounterMetricFamily("edgekit_outbox_refused", "What the other side never takes.", labels=["channel"])
        dropped = CounterMetricFamily(
            "edgekit_outbox_dropped", "What was given up for want of room.", labels=["channel", "severity"]
        )
        latency = SummaryMetricFamily(
            "edgekit_notification_seconds", "From the notice to the delivery, lately.", labels=["channel"]
        )
        for status in self._guards.channels():
            waiting.add_metric([status.name], status.counts.waiting)
            sent.add_metric([status.name], status.counts.sent)
            refused.add_metric([status.name], status.counts.refused)
            for severity, number in status.counts.dropped.items():
                dropped.add_metric([status.name, severity], number)
            latency.add_metric([status.name], count_value=len(status.latencies_s), sum_value=sum(status.latencies_s))
        yield from (waiting, sent, refused, dropped, latency)

    def _machine(self) -> Iterator[Metric]:
        disk = shutil.disk_usage(self._site.folder)
        for name, value in (("free", disk.free), ("total", disk.total), ("used", disk.used)):
            yield GaugeMetricFamily(f"edgekit_storage_{name}_bytes", f"Bytes {name} where recordings are kept.", value=value)
        yield GaugeMetricFamily("edgekit_well", "Whether every watchdog is well.", value=float(not self._guards.troubles))
        yield GaugeMetricFamily(
            "edgekit_service_uptime_seconds", "Since the site was started.", value=time() - self._site.begun_s
        )
        unwritten = self._site.ledger.unwritten
        yield GaugeMetricFamily("edgekit_events_unwritten", "Events that the disk has not taken yet.", value=unwritten)
