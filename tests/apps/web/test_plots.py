"""Plots of the last values: what is told to the page that draws them."""

from __future__ import annotations

import pytest

pytest.importorskip("nicegui")

from nicegui import Client, ui

from edgekit.apps.web.pages.plots import Rolling


def test_one_value_is_a_point_two_are_a_line_and_the_oldest_go() -> None:
    with Client(ui.page("/plots")):
        plot = Rolling("time", "ms", ["fast", "slow"], kept=3)
        plot.add((1.0, 4.0))
        assert [series["showSymbol"] for series in plot.chart.options["series"]] == [True, True]
        for value in (2.0, 3.0, 5.0):
            plot.add((value, value + 3))
    shown = {series["name"]: (series["data"], series["showSymbol"]) for series in plot.chart.options["series"]}
    assert shown == {"fast": ([2.0, 3.0, 5.0], False), "slow": ([5.0, 6.0, 8.0], False)}
