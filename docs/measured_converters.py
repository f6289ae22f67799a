"""The tables of what the converters were measured to do, beside their peers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tables import conditions, megabytes, result, table, where

LITERT_INT8 = (("edgekit", "int8"), ("onnx2tf", "int8"), ("onnx2tf+ai-edge-quantizer", "int8"))
ONNX_INT8 = (("edgekit", "int8-onnx"), ("onnxruntime", "int8-onnx"))


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
    return table(header, [(what, ours, theirs, where(of["conditions"])) for what, ours, theirs, of in rows])


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
    header = (
        "model",
        "asked",
        "MACs",
        "parameters",
        "metric",
        "whole",
        "pruned",
        "distilled",
        "agreement",
        "time, one thread",
        "pictures",
    )
    rows = [_pruning_row(row) for row in found["models"]]
    told = (f"{row['model']}. {conditions(row['conditions'])}" for row in found["models"] if "conditions" in row)
    fast = (f"{row['model']}, time. {conditions(row['speed']['conditions'])}" for row in found["models"] if "speed" in row)
    return "\n".join([table(header, rows), "", *(f"- {line}" for line in (*told, *fast))])


def _pruning_row(row: Mapping[str, Any]) -> tuple[str, ...]:
    times = (_share(one) for one in row["speed"]["engines"]) if "speed" in row else ("not measured",)
    if "accuracy" not in row:
        return (row["model"], *["not measured yet"] * 8, "<br>".join(times), "")
    score, chance = row["accuracy"], row.get("difference_95")
    told = f" ({chance[0]:+.3f} to {chance[1]:+.3f} of the whole's)".replace("-", "−") if chance else ""
    return (
        row["model"],
        f"`{row['settings']}`",
        f"−{1 - row['macs_after'] / row['macs_before']:.1%}",
        f"−{1 - row['params_after'] / row['params_before']:.1%}",
        f"{score['metric']} of {score['samples']:,}",
        *(f"{score[key]:.4f}" for key in ("source", "pruned")),
        f"{score['distilled']:.4f}{told}",
        f"{row['agreement_before']:.3f} → {row['agreement_after']:.3f}",
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
