"""What is in a language model's GGUF file: its shape, its tensors' types, and what a board would make of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgekit import artifact
from edgekit.core import profiles
from edgekit.core.errors import EdgekitError, NotFound
from edgekit.core.gguf_file import Header, is_gguf, read_header
from edgekit.core.language import Need, Shape, need_of, read_per_token, shape_of, weights_of
from edgekit.core.language_room import Room, room_of, speed
from edgekit.core.schema import Artifact, Device

CONTEXT = 2048
"""Tokens of conversation that memory is reckoned with, where the model was trained for as many."""
FORMAT = "gguf"


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageInspection:
    """What was found. `need` is memory with a conversation; `tokens_per_s` what the board's memory allows, None where not known."""

    path: Path
    name: str
    shape: Shape
    parameters: int
    file_bytes: int
    types: Mapping[str, int]
    """Tensors of each type."""
    need: Need
    read_bytes: int
    """What one token makes the engine read."""
    has_template: bool
    licence: str = ""
    artifact: Artifact | None = None
    device: Device | None = None
    room: Room | None = None

    @property
    def bits_per_weight(self) -> float:
        """Of all tensors together."""
        return 8 * self.need.weights / max(1, self.parameters)

    @property
    def fits(self) -> bool | None:
        """Whether the board has the memory; None where that is not known."""
        return None if self.room is None or self.room.usable is None else self.need.total <= self.room.usable

    @property
    def tokens_per_s(self) -> float | None:
        """What the board's memory allows."""
        return None if self.room is None else speed(self.room, self.read_bytes)


def is_language(path: Path) -> bool:
    """Whether `inspect_language` is for it: a GGUF file, a file that says it is one, or an artifact that holds one."""
    if path.is_file():
        return is_gguf(path) or path.suffix.lower() == ".gguf"
    try:
        return path.is_dir() and artifact.read(path).manifest.target.format == FORMAT
    except EdgekitError:
        return False


def inspect_language(path: str | Path, *, target: str | None = None) -> LanguageInspection:
    """Look into a GGUF file, or an artifact with one. Raises `NotFound`, and `InputError` for a file that is damaged or none."""
    place = Path(path)
    device = profiles.find(target) if target else None
    if not place.exists():
        raise NotFound(f"no file or artifact at {str(place)!r}", "is the path right?")
    made = artifact.read(place) if place.is_dir() else None
    header = read_header(_model_in(made) if made is not None else place)
    shape = shape_of(header)
    return LanguageInspection(
        path=place,
        name=str(header.get("general.name") or header.path.stem),
        shape=shape,
        parameters=sum(tensor.size for tensor in header.tensors),
        file_bytes=header.path.stat().st_size,
        types=dict(Counter(tensor.kind for tensor in header.tensors).most_common()),
        need=need_of(shape, weights_of(header), min(CONTEXT, shape.context)),
        read_bytes=read_per_token(header.tensors),
        has_template=_has_template(header),
        licence=str(header.get("general.license") or ""),
        artifact=made,
        device=device,
        room=room_of(device) if device is not None else None,
    )


def _model_in(made: Artifact) -> Path:
    model = made.manifest.file("model")
    if model is None:
        raise NotFound(f"{made.path.name!r} holds no model file", "convert the model again")
    return made.path / model.name


def _has_template(header: Header) -> bool:
    return "tokenizer.chat_template" in header.values
