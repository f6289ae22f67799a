"""A file of a person's own as an entry of the catalogue: what its header says, and its hash."""

from __future__ import annotations

from pathlib import Path

from edgekit.core.errors import NotFound
from edgekit.core.files import sha256_file
from edgekit.core.gguf_file import is_gguf, read_header
from edgekit.core.language import shape_of
from edgekit.models.catalogue import Entry


def entry_of(path: Path, licence: str = "") -> Entry:
    """The entry of a model file. Raises `NotFound`, and `InputError` for a GGUF that is none."""
    if not path.is_file():
        raise NotFound(f"no model at {str(path)!r}", "is the path right?")
    known = {"bytes": path.stat().st_size, "sha256": sha256_file(path), "url": path.resolve().as_uri()}
    if not (is_gguf(path) or path.suffix.lower() == ".gguf"):
        return Entry(name=path.stem.lower(), kind="vision", title=path.stem, licence=licence or "not said", page="", **known)  # type: ignore[arg-type]
    header = read_header(path)
    return Entry(
        name=path.stem.lower(),
        kind="text",
        title=str(header.get("general.name") or path.stem),
        licence=licence or str(header.get("general.license") or "not said"),
        page="",
        parameters=sum(tensor.size for tensor in header.tensors),
        kv_bytes_per_token=shape_of(header).kv_bytes_per_token,
        **known,  # type: ignore[arg-type]
    )
