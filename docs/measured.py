"""The tables of what was measured, from the results that the benchmarks wrote."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from measured_runtimes import engine
from tables import conditions, megabytes, result, table, where

from edgekit.core.schema import Parity
from edgekit.demo.result import agreement


def models() -> str:
    """The four real models on every target: what was written, how near it is, what it cost."""
    spine = result("spine")
    header = ("model", "target", "file", "agrees with the source", "AP50, source → artifact", "size", "converted in")
    rows = [_model_row(row) for row in spine["artifacts"]]
    return f"{table(header, rows)}\n\n{conditions(spine['conditions'])}"


FTS5 = "FTS5, content words"


def numbers() -> str:
    """What edgekit itself costs, measured by `make bench` and `benchmarks/peers.py`, each row with its own day and machine."""
    spine, size, start, peers, mobile = (result(name) for name in ("spine", "install_size", "startup", "peers", "mobilenet"))
    one = spine["yolox_nano_int8"]
    rows = (
        (
            "YOLOX-nano ONNX → int8 TFLite, calibration included",
            f"{one['seconds']:.1f} s, {megabytes(one['peak_rss_bytes'])} peak",
            spine,
        ),
        ("the int8 file over the bytes of its constants", f"{one['bytes'] / one['constant_bytes']:.3f}", spine),
        ("int8 latency over our own float (LiteRT)", f"{one['int8_ms'] / one['float_ms']:.2f}", spine),
        ("our float file's latency over that of onnx2tf's (LiteRT)", f"{peers['ratio']:.2f}", peers),
        (
            "MobileNetV2 → int8 TFLite on 64 samples; onnx2tf, then ai-edge-quantizer",
            f"{mobile['edgekit']['seconds']:.1f} s, {megabytes(mobile['edgekit']['peak_rss_bytes'])}; "
            f"{mobile['peers']['seconds']:.1f} s, {megabytes(mobile['peers']['peak_rss_bytes'])}",
            mobile,
        ),
        ("our int8 MobileNetV2's latency over that of Coral's own (LiteRT, x86-64)", f"{mobile['ratio']:.2f}", mobile),
        ("a fresh install of `edgekit[convert]`", megabytes(size["bytes"]), size),
        (
            "`import edgekit`",
            f"{start['import_over_python_ms']:.1f} ms over an empty Python's {start['python_ms']:.1f} ms",
            start,
        ),
        ("`edgekit --help`, `edgekit devices`", f"{start['help_ms']:.1f} ms, {start['devices_ms']:.1f} ms", start),
        *_overheads(),
        *_predictions(),
    )
    return table(("what", "measured", "where and when"), [(what, found, where(of["conditions"])) for what, found, of in rows])


def _overheads() -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """What a call and a load through edgekit take beside the engine's own."""
    calls, loads = result("face"), result("loading")
    for size, what in (
        ("tiny", "`session.run` more than a tiny network's own call"),
        ("middle", "and over a network's of 1 to 2 ms"),
    ):
        found = [f"{engine(row)} {_more(row['raw'], size)}" for row in calls["rows"] if row["model"] == size]
        yield what, ", ".join(found), calls
    found = [f"{row['artifact']} {row['load']['ratio']:.3f}" for row in loads["artifacts"]]
    yield "`edgekit.load` over the engine's own load and the hashes of the files", ", ".join(found), loads


def _predictions() -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """How far latency that was predicted lies from what was measured, here and in published tables."""
    here, published = result("prediction"), result("predictor")
    off = f"{here['summary']['mape']:.1%} of {here['summary']['models']} latencies on average"
    yield "latency predicted of models that the calibration has not seen: how far off", off, here
    known, unseen = published["leave_one_out"], published["unseen_family"]
    off = f"{known['mape']:.1%}, {known['within_10_percent']:.0%} of {known['predictions']:,} within 10 %; {unseen['mape']:.1%}"
    yield "published latencies (MLPerf) predicted from the others of their set-up; from other families alone", off, published


def _more(told: Mapping[str, Any], size: str) -> str:
    return f"{told['more_us']:.1f} µs" if size == "tiny" else f"{told['ratio']:.3f}"


def digits() -> str:
    """How well the digit artifacts read, clean and spoiled, alone and through the whole app."""
    found = result("digits")
    artifacts = found["artifacts"]
    header = ("test digits", *(name for artifact in artifacts for name in (f"`{artifact}` reads rightly", "calibration error")))
    ways = next(iter(artifacts.values()))
    rows = [(name, *_digit_cells(artifacts, name)) for name in ways["network"]]
    rows += [(f"through the app: {name}", *_app_cells(artifacts, name)) for name in ways["app"]]
    counted = (
        f"{found['test_digits']:,} test digits, {found['through_the_app_digits']:,} of them, the last ones, through the app"
    )
    return f"{table(header, rows)}\n\n{counted}. {conditions(found['conditions'])}"


def _digit_cells(artifacts: Mapping[str, Any], name: str) -> list[str]:
    scores = [each["network"][name] for each in artifacts.values()]
    return [f"{score[what]:.2f} %" for score in scores for what in ("accuracy", "calibration_error")]


def _app_cells(artifacts: Mapping[str, Any], name: str) -> list[str]:
    return [text for each in artifacts.values() for text in (f"{each['app'][name]:.1f} %", "")]


def assistant() -> str:
    """What the assistant finds, how fast, and what it costs over its engine driven bare; asked beside measured."""
    finding, engines = result("retrieval"), [result(f"assistant_engine_{name}") for name in ("xllamacpp", "llama_cpp")]
    cold = result("assistant_cold")
    rows = _finding_rows(finding) + _vector_rows(finding["vectors"])
    rows += [_cold_row(name, found) for name, found in cold["engines"].items()]
    rows += [
        row for each in engines for name, found in each["models"].items() for row in _engine_rows(each["engine"], name, found)
    ]
    told = [f"{each['engine']}: {each['rounds']} rounds in turns. {conditions(each['conditions'])}" for each in engines]
    told = [f"Vectors: random directions, the hardest for an index. {conditions(finding['vectors']['conditions'])}", *told]
    told = [f"Cold start: {cold['rounds']} rounds in turns. {conditions(cold['conditions'])}", *told]
    return f"{table(('what', 'measured', 'goal'), rows)}\n\nFinding: {conditions(finding['conditions'])} {' '.join(told)}"


def _cold_row(engine: str, found: Mapping[str, Any]) -> tuple[str, str, str]:
    measured = f"{found['median_s']:.2f} s ({found['least_s']:.2f} to {found['most_s']:.2f})"
    return (f"{engine}: from the command to the first token of the model in the box", measured, "3 s")


def _finding_rows(found: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    xquad, medical = (found["recall"][name] for name in ("xquad.en", "pubmedqa_dev500"))
    many = found["among_many"]
    return [
        (
            f"XQuAD English, {xquad['questions']:,} questions: recall@1, recall@5",
            f"{xquad['edgekit']['recall@1']:.4f}, {xquad['edgekit']['recall@5']:.4f}",
            "0.95, 0.99",
        ),
        ("the same by FTS5 alone", f"{xquad[FTS5]['recall@1']:.4f}, {xquad[FTS5]['recall@5']:.4f}", ""),
        (f"PubMedQA passages, {medical['questions']} questions: recall@1", f"{medical['edgekit']['recall@1']:.3f}", "0.96"),
        ("the same by FTS5 alone", f"{medical[FTS5]['recall@1']:.3f}", ""),
        ("XQuAD's questions among 10,000 chunks: recall@1, recall@5", f"{many['recall@1']:.4f}, {many['recall@5']:.4f}", ""),
        ("a query among 10,000 chunks, p50, p95", f"{many['p50_ms']:.1f} ms, {many['p95_ms']:.1f} ms", "p95 10 ms"),
        ("idle server without a model", megabytes(found["idle_server_rss_bytes"]), "120 MB"),
    ]


def _vector_rows(found: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Of each size that was measured: a search of the vectors, both ways."""
    rows = []
    for size, one in ((int(name), one) for name, one in found.items() if name.isdigit()):
        exact, index = (f"{one[way]['search_p50_ms']:.1f} ms, {one[way]['search_p95_ms']:.1f} ms" for way in ("exact", "index"))
        recall = ", ".join(f"{one['index'][f'recall@{top}']:.2f}" for top in (1, 10, 50))
        rows.append((f"{size:,} vectors of {found['width']} numbers compared one by one, p50, p95", exact, ""))
        rows.append((f"the same through the index (recall@1, @10, @50: {recall})", index, ""))
    return rows


def _engine_rows(engine: str, name: str, found: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    rate, turn = found["tokens_per_s"], found["second_turn_first_token_ms"]
    return [
        (
            f"{engine}, `{name}` ({megabytes(found['bytes'])}): tokens/s over the bare engine's",
            f"{found['generation_share_of_bare']:.3f} ({rate['edgekit']:,.0f} of {rate['bare']:,.0f})",
            "0.97",
        ),
        (
            "its second turn: time to first token over the bare engine's",
            f"{found['second_turn_over_bare']:.2f} ({turn['edgekit']:.1f} over {turn['bare']:.1f} ms)",
            "1.1",
        ),
    ]


def fleet() -> str:
    """What a simulated fleet cost its server, and the same on paper for a hundred thousand boards."""
    found, many = result("fleet"), 100_000
    idle, rollout = found["server"]["idle_per_board_and_hour"], found["server"]["rollout_per_board"]
    boards, payload = found["boards"], found["payload_bytes"]
    resident = found["server"]["peak_rss_bytes"] / boards
    header = ("cost at the server", "per board", f"{boards:,} boards", f"{many:,} boards, on paper")
    rows = [
        _fleet_row("at rest, messages in and out", idle["in_msgs"] + idle["out_msgs"], "an hour", boards, many),
        _fleet_row("at rest, bytes in and out", idle.get("in_bytes", 0) + idle.get("out_bytes", 0), "B an hour", boards, many),
        _fleet_row("at rest, processor", idle.get("cpu_ms", 0), "ms an hour", boards, many),
        _fleet_row(f"a release of {megabytes(payload)}, bytes out", rollout["out_bytes"], "B", boards, many),
        _fleet_row("the same, messages in and out", rollout["in_msgs"] + rollout["out_msgs"], "", boards, many),
        _fleet_row("the same, processor", rollout["cpu_ms"], "ms", boards, many),
        _fleet_row("memory at its peak", resident, "B", boards, many),
    ]
    return f"{table(header, rows)}\n\n{_fleet_story(found)} {conditions(found['conditions'])}"


def _fleet_row(name: str, each: float, unit: str, boards: int, many: int) -> tuple[str, ...]:
    return (name, *(f"{each * count:,.0f} {unit}".strip() for count in (1, boards, many)))


def _fleet_story(found: Mapping[str, Any]) -> str:
    rollout = found["rollout"]
    return (
        f"{found['boards']:,} boards in waves of {', '.join(f'{100 * wave:g} %' for wave in found['waves'])}: {rollout['seconds']:.0f} s, "
        f"with the server killed and started again in the third; {found['bad_found']} of {rollout['bad']} bad boards were found and went back, "
        f"{found['good_called_bad']} good ones were called bad; {found['on_the_wrong_release']} boards ended on a wrong release, "
        f"{found['between_releases']} between two. Boards and server counted differently the events of {found['boards_that_lost_events']} boards and "
        f"{abs(found['readings_lost'])} of {found['readings']:,} readings. A release that fails everywhere was halted after "
        f"{found['bad_release']['seconds']:.1f} s."
    )


def _model_row(row: Mapping[str, Any]) -> tuple[str, ...]:
    accuracy = row["accuracy"]
    scores = f"{accuracy['source']:.3f} → {accuracy['artifact']:.3f}" if accuracy else "no labels"
    near = agreement(msgspec.convert(row["parity"], Parity))
    file = f"{row['precision']} {row['format']}"
    return (row["model"], row["target"], file, near, scores, megabytes(row["bytes"]), f"{row['seconds']:.1f} s")
