"""A language model's inspection as JSON and as a page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import msgspec

from edgekit.commands._inspect_lines import in_bytes, in_thousands
from edgekit.core.columns import aligned
from edgekit.inspect_language import LanguageInspection


def language_json(found: LanguageInspection) -> dict[str, Any]:
    """The object of CLI.md, in which a language model has no fixed inputs, outputs and operators; `language` says what it has."""
    made = found.artifact
    return {
        "path": str(found.path),
        "target": msgspec.to_builtins(made.manifest.target) if made else None,
        "inputs": [],
        "outputs": [],
        "ops": {},
        "macs": found.parameters,
        "params": found.parameters,
        "parameter_bytes": found.need.weights,
        "mapping": None,
        "memory_bytes": found.need.total,
        "prediction": None,
        "language": _language(found),
        "notes": list(_notes(found)),
    }


def _language(found: LanguageInspection) -> dict[str, Any]:
    room = found.room
    return {
        "name": found.name,
        **asdict(found.shape),
        "types": dict(found.types),
        "bits_per_weight": round(found.bits_per_weight, 2),
        "kv_bytes_per_token": found.shape.kv_bytes_per_token,
        "need": asdict(found.need) | {"total": found.need.total},
        "read_bytes_per_token": found.read_bytes,
        "has_template": found.has_template,
        "licence": found.licence or None,
        "usable_bytes": room.usable if room else None,
        "fits": found.fits,
        "tokens_per_s": found.tokens_per_s,
        "tokens_per_s_from": room.known_from if room and found.tokens_per_s is not None else None,
    }


def language_text(found: LanguageInspection) -> str:
    """The same as a page."""
    sections = [[str(found.path), "", *aligned([*_about(found)])], [f"note: {note}" for note in _notes(found)]]
    return "\n\n".join("\n".join(lines) for lines in sections if lines)


def _about(found: LanguageInspection) -> Iterator[tuple[str, str]]:
    shape = found.shape
    if found.artifact:
        target = found.artifact.manifest.target
        yield "artifact", f"{target.format} {target.precision} for {target.device}, runs on {target.runtime}"
    yield "model", f"{found.name}, {shape.architecture}" + (f", {found.licence}" if found.licence else "")
    yield (
        "parameters",
        f"{in_thousands(found.parameters)} ({in_bytes(found.need.weights)}, {found.bits_per_weight:.2f} bits each)",
    )
    yield "tensors", ", ".join(f"{kind} {count}" for kind, count in found.types.items())
    yield "layers", f"{shape.layers} of width {shape.embedding}, {shape.heads} heads, {shape.kv_heads} for keys and values"
    yield "vocabulary", f"{shape.vocabulary:,} pieces, {'a' if found.has_template else 'no'} chat template"
    yield "context", f"{shape.context:,} tokens, {in_bytes(shape.kv_bytes_per_token)} each"
    yield "memory", found.need.sentence()
    if found.device is not None and found.room is not None:
        yield "board", _board(found)
        yield "speed", _speed(found)


def _board(found: LanguageInspection) -> str:
    assert found.device is not None and found.room is not None  # asked only then
    if found.room.usable is None:
        return f"{found.device.name}: its memory is not known"
    word = "fits" if found.fits else "does not fit"
    return f"{word} {found.device.name}: {found.need.total / 1e9:.2f} GB of {found.room.usable / 1e9:.2f} GB that can be used"


def _speed(found: LanguageInspection) -> str:
    if found.tokens_per_s is None or found.room is None:
        return "not known: no source says how fast this board's memory is"
    return f"about {found.tokens_per_s:,.1f} tokens/s, {found.room.known_from}"


def _notes(found: LanguageInspection) -> Iterator[str]:
    if not found.has_template:
        yield "there is no chat template in the file: messages are joined in a plain form"
