"""`/metrics` in the Prometheus text format: the process, the requests, and the app's own figures."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import GC_COLLECTOR, CollectorRegistry, ProcessCollector
from prometheus_client import exposition as text
from prometheus_client.registry import Collector

PREFIX = "edgekit"


def registry(collectors: tuple[Collector, ...]) -> CollectorRegistry:
    """The figures of this process and of the app."""
    figures = CollectorRegistry()
    for collector in (ProcessCollector(registry=None), GC_COLLECTOR, *collectors):
        figures.register(collector)
    return figures


def router(figures: CollectorRegistry) -> APIRouter:
    """`GET /metrics`."""
    routes = APIRouter(tags=["server"])

    @routes.get("/metrics", summary="Figures of this server for Prometheus")
    def metrics() -> Response:
        return Response(text.generate_latest(figures), media_type=text.CONTENT_TYPE_LATEST)

    return routes
