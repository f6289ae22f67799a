"""The tables of what was measured, from the results that the benchmarks wrote."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from tables import conditions, megabytes, result, table

from edgekit.core.schema import Parity
from edgekit.demo.result import agreement

LITERT_INT8 = (("edgekit", "int8"), ("onnx2tf", "int8"), ("onnx2tf+ai-edge-quantizer", "int8"))
ONNX_INT8 = (("edgekit", "int8-onnx"), ("onnxruntime", "int8-onnx"))


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
    return table(("what", "measured", "where and when"), [(what, found, _where(of["conditions"])) for what, found, of in rows])


def _overheads() -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """What a call and a load through edgekit take beside the engine's own."""
    calls, loads = result("face"), result("loading")
    for size, what in (
        ("tiny", "`session.run` more than a tiny network's own call"),
        ("middle", "and over a network's of 1 to 2 ms"),
    ):
        found = [f"{_engine(row)} {_more(row['raw'], size)}" for row in calls["rows"] if row["model"] == size]
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


def _engine(row: Mapping[str, Any]) -> str:
    return f"{row['runtime']} {row['precision']}"


def _more(told: Mapping[str, Any], size: str) -> str:
    return f"{told['more_us']:.1f} µs" if size == "tiny" else f"{told['ratio']:.3f}"


def _where(found: Mapping[str, Any]) -> str:
    return f"{found['machine']}; {found['date']}"


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
    finding, engine = result("retrieval"), result("assistant_engine")
    rows = [*_finding_rows(finding), *(row for name, found in engine["models"].items() for row in _engine_rows(name, found))]
    told = (
        f"Finding: {conditions(finding['conditions'])} Engine: {engine['engine']}, {engine['rounds']} rounds in turns. "
        f"{conditions(engine['conditions'])}"
    )
    return f"{table(('what', 'measured', 'goal'), rows)}\n\n{told}"


def _finding_rows(found: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    xquad, medical = (found["recall"][name] for name in ("xquad.en", "pubmedqa_dev500"))
    speed = found["speed"]
    return [
        (
            f"XQuAD English, {xquad['questions']:,} questions: recall@1, recall@5",
            f"{xquad['edgekit']['recall@1']:.4f}, {xquad['edgekit']['recall@5']:.4f}",
            "0.95, 0.99",
        ),
        ("the same by FTS5 alone", f"{xquad[FTS5]['recall@1']:.4f}, {xquad[FTS5]['recall@5']:.4f}", ""),
        (f"PubMedQA passages, {medical['questions']} questions: recall@1", f"{medical['edgekit']['recall@1']:.3f}", "0.96"),
        ("the same by FTS5 alone", f"{medical[FTS5]['recall@1']:.3f}", ""),
        ("a query among 10,000 chunks, p50, p95", f"{speed['p50_ms']:.1f} ms, {speed['p95_ms']:.1f} ms", "p95 10 ms"),
        ("idle server without a model", megabytes(found["idle_server_rss_bytes"]), "120 MB"),
    ]


def _engine_rows(name: str, found: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    rate, turn = found["tokens_per_s"], found["second_turn_first_token_ms"]
    return [
        (
            f"`{name}` ({megabytes(found['bytes'])}): tokens/s over the bare engine's",
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


def zoo() -> str:
    """Every graph of the zoo by edgekit and its peers: what converts, how near it is, what it takes."""
    found = result("zoo")
    header = (
        *("model", "float: edgekit", "onnx2tf"),
        *("int8 in LiteRT: edgekit", "onnx2tf", "+ ai-edge-quantizer"),
        *("int8 in ONNX Runtime: edgekit", "its own"),
    )
    rows = [(row["model"], *_zoo_cells(row)) for row in found["models"]]
    return f"{table(header, [*rows, _converted(found['models'])])}\n\n{conditions(_flat(found['conditions']))}"


def peers() -> str:
    """What converting costs, and what comes of it, beside others: each row with its own day and machine."""
    float_, mobile = result("peers"), result("mobilenet")
    others = ", ".join(f"{ms:.1f} ms ({backend})" for backend, ms in float_["onnx2tf_ms"].items())
    times = {
        name: f"{mobile[name]['seconds']:.1f} s, {megabytes(mobile[name]['peak_rss_bytes'])}" for name in ("edgekit", "peers")
    }
    rows = (
        ("YOLOX-nano float32 in LiteRT, one thread", f"{float_['edgekit_ms']:.1f} ms", f"onnx2tf: {others}", float_),
        (
            "MobileNetV2 to int8 TFLite on 64 samples, time and memory",
            times["edgekit"],
            f"onnx2tf, ai-edge-quantizer: {times['peers']}",
            mobile,
        ),
        (
            "MobileNetV2 int8 in LiteRT, one thread",
            f"{mobile['int8_ms']:.2f} ms, {megabytes(mobile['int8_bytes'])}",
            f"Coral's own file: {mobile['official_ms']:.2f} ms, {megabytes(mobile['official_bytes'])}",
            mobile,
        ),
    )
    header = ("what", "edgekit", "others", "where and when")
    return table(header, [(what, ours, theirs, _where(of["conditions"])) for what, ours, theirs, of in rows])


def accuracy() -> str:
    """int8 on real labels, for every target, beside the int8 files that others ship."""
    found = result("accuracy")
    targets = tuple(found["models"][0]["int8"])
    header = ("model", "metric", "samples", "float", *(f"int8 {target}" for target in targets), "int8 by others")
    rows = [
        (
            row["model"],
            row["float"]["metric"],
            f"{row['float']['samples']:,}",
            *(_score(told) for told in (row["float"], *row["int8"].values(), row.get("official_int8"))),
        )
        for row in found["models"]
    ]
    return f"{table(header, rows)}\n\n{conditions(found['conditions'])}"


def pruning() -> str:
    """Pruned networks before and after they learned from the whole one."""
    found = result("pruning")
    header = ("model", "asked", "MACs", "parameters", "metric", "whole", "pruned", "distilled", "time, one thread", "pictures")
    rows = [_pruning_row(row) for row in found["models"]]
    told = (f"{row['model']}. {conditions(row['conditions'])}" for row in found["models"] if "conditions" in row)
    fast = (f"{row['model']}, time. {conditions(row['speed']['conditions'])}" for row in found["models"] if "speed" in row)
    return "\n".join([table(header, rows), "", *(f"- {line}" for line in (*told, *fast))])


def prediction() -> str:
    """Models that no calibration has seen: what the calibrated machine was predicted to take for them, and took."""
    found = result("prediction")
    header = ("engine", "models", "mean error (MAPE)", "median", "worst", "within 10 %", "within the interval")
    rows = [(name, *_prediction_cells(told)) for name, told in (*found["by_engine"].items(), ("together", found["summary"]))]
    left_out = ", ".join(f"{name} {error:.1%}" for name, error in found["left_out"].items())
    return f"{table(header, rows)}\n\nThe calibration's own networks, each predicted from the others: {left_out}. {conditions(found['conditions'])}"


def _prediction_cells(told: Mapping[str, Any]) -> tuple[str, ...]:
    refused = f", {told['refused']} refused" if told["refused"] else ""
    return (
        f"{told['models']}{refused}",
        *(f"{told[key]:.1%}" for key in ("mape", "median", "worst", "within_10_percent", "within_interval")),
    )


def loading() -> str:
    """What `edgekit.load` adds to the engine's own load and a hash of the files."""
    found = result("loading")
    header = (
        "artifact",
        "size",
        "engine and hashes",
        "`edgekit.load`: more",
        "ratio",
        "asking the engine for its tensors: more",
    )
    rows = [
        (
            row["artifact"],
            megabytes(row["bytes"]),
            f"{row['load']['base_us'] / 1e3:.2f} ms",
            f"{enclosed(row['load'], 'more_us', '.0f')} µs",
            enclosed(row["load"], "ratio", ".3f"),
            f"{enclosed(row['asked'], 'more_us', '.0f')} µs",
        )
        for row in found["artifacts"]
    ]
    return f"{table(header, rows)}\n\n{_paired(found['artifacts'][0]['load'])} {conditions(found['conditions'])}"


def face() -> str:
    """What a call through edgekit takes beside the engine's own."""
    found = result("face")
    header = (
        *("network", "engine", "its own call", "`raw` over it", "`raw` more"),
        *("`run` over by hand", "`run` more than by hand", "its own call over itself"),
    )
    return f"{table(header, map(_face_row, found['rows']))}\n\n{_paired(found['rows'][0]['raw'])} {conditions(found['conditions'])}"


def _face_row(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        row["model"],
        _engine(row),
        f"{row['raw']['base_us'] / 1e3:.3f} ms",
        enclosed(row["raw"], "ratio", ".3f"),
        f"{enclosed(row['raw'], 'more_us', '.1f')} µs",
        enclosed(row["face"], "ratio", ".3f"),
        f"{enclosed(row['face'], 'more_us', '.1f')} µs",
        enclosed(row["control"], "ratio", ".3f"),
    )


def enclosed(told: Mapping[str, Any], what: str, form: str) -> str:
    """A value and between which ones it lies."""
    low, high = told[f"{what}_between"]
    return f"{told[what]:{form}} ({low:{form}} to {high:{form}})"


def _paired(one: Mapping[str, Any]) -> str:
    return f"Medians over pairs of calls; the middle one of {one['processes']} processes, and in brackets the least and the greatest."


def predictor() -> str:
    """Published latencies, each predicted from the others of its set-up, and those of whole families from the other families."""
    found = result("predictor")
    rows = [
        ("every model from all others of its set-up", *_near(found["leave_one_out"]), "6 %, 80 %"),
        ("every family from all other families", *_near(found["unseen_family"]), "12 %"),
        *((f"of these, {family}", *_near(told), "") for family, told in found["families"].items()),
    ]
    left_out = "; ".join(f"{name}: {reason}" for name, reason in found["left_out"].items())
    text = f"{found['set_ups']} set-ups. Left out by the rules of `benchmarks/predictor.py`: {left_out}."
    return f"{table(('predicted', 'predictions', 'mean error (MAPE)', 'within 10 %', 'goal'), rows)}\n\n{text}"


def _near(told: Mapping[str, Any]) -> tuple[str, ...]:
    return (f"{told['predictions']:,}", f"{told['mape']:.1%}", f"{told['within_10_percent']:.0%}")


def _pruning_row(row: Mapping[str, Any]) -> tuple[str, ...]:
    times = (_share(one) for one in row["speed"]["engines"]) if "speed" in row else ("not measured",)
    if "accuracy" not in row:
        return (row["model"], *["not measured yet"] * 7, "<br>".join(times), "")
    score = row["accuracy"]
    return (
        row["model"],
        f"`{row['settings']}`",
        f"−{1 - row['macs_after'] / row['macs_before']:.1%}",
        f"−{1 - row['params_after'] / row['params_before']:.1%}",
        f"{score['metric']} of {score['samples']:,}",
        *(f"{score[key]:.4f}" for key in ("source", "pruned", "distilled")),
        "<br>".join(times),
        f"{row['pictures']:,}",
    )


def _share(one: Mapping[str, Any]) -> str:
    low, high = one["share_95"]
    return f"{one['share']:.3f} ({low:.3f} to {high:.3f}) of {one['source_ms']:.2f} ms ({one['engine']})"


def _zoo_cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    floats = (_float(row.get(name, {}).get("float")) for name in ("edgekit", "onnx2tf"))
    return (*floats, *_best_bold(row, LITERT_INT8), *_best_bold(row, ONNX_INT8))


def _float(told: Mapping[str, Any] | None) -> str:
    """`2.0e-06, 16 T`: largest error over the largest value, and transposes where there are any."""
    if told is None or "failed" in told:
        return "fails" if told else ""
    moves = f", {told['transposes']} T" if told["transposes"] else ""
    return f"{told['worst_relative']:.0e}{moves}"


def _best_bold(row: Mapping[str, Any], ways: tuple[tuple[str, str], ...]) -> list[str]:
    """SQNR of each way in dB, the best in bold."""
    told = [row.get(name, {}).get(precision, {"failed": ""}) for name, precision in ways]
    best = max((one["sqnr_db"] for one in told if "failed" not in one), default=None)
    return ["fails" if "failed" in one else _decibels(one["sqnr_db"], best) for one in told]


def _decibels(value: float, best: float | None) -> str:
    return f"**{value:.1f} dB**" if value == best else f"{value:.1f} dB"


def _converted(rows: list[Mapping[str, Any]]) -> tuple[str, ...]:
    """The last row: how many converted and ran, of all."""
    ways = (("edgekit", "float"), ("onnx2tf", "float"), *LITERT_INT8, *ONNX_INT8)
    counts = (sum("failed" not in row.get(name, {}).get(precision, {"failed": ""}) for row in rows) for name, precision in ways)
    return ("**converted and ran**", *(f"**{count} of {len(rows)}**" for count in counts))


def _flat(told: Mapping[str, Any]) -> Mapping[str, Any]:
    """Conditions with the versions of the peers among them."""
    return {**{key: value for key, value in told.items() if key != "versions"}, **told["versions"]}


def _score(told: Mapping[str, Any] | None) -> str:
    if not told:
        return ""
    return "refused" if "failed" in told else f"{told['value']:.4f}"


def _model_row(row: Mapping[str, Any]) -> tuple[str, ...]:
    accuracy = row["accuracy"]
    scores = f"{accuracy['source']:.3f} → {accuracy['artifact']:.3f}" if accuracy else "no labels"
    near = agreement(msgspec.convert(row["parity"], Parity))
    file = f"{row['precision']} {row['format']}"
    return (row["model"], row["target"], file, near, scores, megabytes(row["bytes"]), f"{row['seconds']:.1f} s")
