"""How long the made cells take on this machine, one after the other when the workers are done: timed together they would lie."""

from __future__ import annotations

from pathlib import Path

from edgekit.benchmark import bench
from edgekit.benchmark.conditions.environment import environment
from edgekit.core.errors import EdgekitError
from edgekit.core.progress import Progress, silent
from edgekit.sweep.cell import Latency

DURATION_S = 0.5


def timed(artifact: Path, progress: Progress = silent) -> Latency:
    """The median of one inference in the artifact's first engine that works here, or the reason why there is none."""
    try:
        report = bench(artifact, duration_s=DURATION_S, restarts=1, progress=progress)
    except EdgekitError as error:
        return Latency(median_ms=None, runtime="", machine=here(), own_engine=False, on_target=False, reason=error.message)
    (result,) = report.results
    median = next((p.value_ms for p in result.summary.percentiles if p.level == 50), result.summary.mean_ms)
    return Latency(
        median_ms=round(median, 4),
        runtime=result.engine.runtime,
        machine=here(),
        own_engine=result.engine.runtime == result.subject.target_runtime,
        on_target=result.on_target,
    )


def here() -> str:
    """This machine, as a latency is kept for it."""
    found = environment()
    return f"{found.machine}, {found.cpu}, {found.usable_cores} cores"
