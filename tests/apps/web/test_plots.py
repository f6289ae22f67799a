"""Plots of the last values: what is told to the page that draws them."""

from __future__ import annotations

import pytest

pytest.importorskip("nicegui")

from nicegui import Client, ui

from edgekit.apps.web.pages.plots import OverTime, Rolling


def test_one_value_is_a_point_two_are_a_line_and_the_oldest_go() -> None:
    with Client(ui.page("/plots")):
        plot = Rolling("time", "ms", ["fast", "slow"], kept=3)
        plot.add((1.0, 4.0))
        assert [series["showSymbol"] for series in plot.chart.options["series"]] == [True, True]
        for value in (2.0, 3.0, 5.0):
            plot.add((value, value + 3))
    shown = {series["name"]: (series["data"], series["showSymbol"]) for series in plot.chart.options["series"]}
    assert shown == {"fast": ([2.0, 3.0, 5.0], False), "slow": ([5.0, 6.0, 8.0], False)}
    assert plot.chart.options["xAxis"]["data"] == [2, 3, 4], "which of all the values they are"


def test_over_time_the_axis_ends_now_and_what_is_older_than_it_is_not_shown() -> None:
    with Client(ui.page("/over-time")):
        plot = OverTime("time, ms", ["fast", "slow"], span_s=60.0, stacked=True)
        plot.show([(39.0, (9.0, 9.0)), (40.5, (1.0, 4.0)), (99.0, (2.0, None))], 100.0)
    options = plot.chart.options
    assert (options["xAxis"]["type"], options["xAxis"]["min"], options["xAxis"]["max"]) == ("time", 40_000, 100_000)
    assert options["dataset"]["source"] == [[40_500, 1.0, 4.0], [99_000, 2.0, None]]
    assert [(series["name"], series["encode"]) for series in options["series"]] == [
        ("fast", {"x": 0, "y": 1}),
        ("slow", {"x": 0, "y": 2}),
    ]


def test_a_single_stall_does_not_flatten_the_rest() -> None:
    with Client(ui.page("/stall")):
        plot = OverTime("time, ms", ["fast", "slow"], stacked=True)
        usual = [(float(at), (2.0, 3.0)) for at in range(10)]
        plot.show(usual, 10.0)
        assert plot.chart.options["yAxis"]["max"] is None
        plot.show([*usual, (10.0, (7000.0, None))], 10.0)
        assert plot.chart.options["yAxis"]["max"] == 30.0
        assert plot.chart.options["dataset"]["source"][-1] == [10_000, 7000.0, None], "which is told where one points"
        plot.show([], 10.0)
        assert plot.chart.options["yAxis"]["max"] is None
