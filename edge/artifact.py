"""An artifact on disk: a folder with `manifest.json` and payload files, written whole, read with suspicion."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from edgekit.core.errors import ArtifactError, NotFound
from edgekit.core.files import new_folder, sha256_bytes, sha256_file
from edgekit.core.schema import MANIFEST_VERSION, Artifact, File, Manifest

MANIFEST = "manifest.json"
MANIFEST_LIMIT_BYTES = 16 << 20
NAME_LIMIT = 80
"""Characters of a payload file's name; ours have a dozen, and 255 bytes is where file systems give up."""


def write(path: Path, manifest: Manifest, files: Mapping[str, bytes | Path], *, replace: bool = False) -> Artifact:
    """Write the folder atomically; a payload is its bytes, or the file to copy. `manifest.files` must describe exactly `files`."""
    with new_folder(path, replace=replace) as folder:
        for name, data in files.items():
            if isinstance(data, Path):
                shutil.copyfile(data, folder / name)
            else:
                (folder / name).write_bytes(data)
        (folder / MANIFEST).write_bytes(encode(manifest))
    return read(path)


def described(files: Mapping[str, bytes | Path], roles: Mapping[str, str]) -> tuple[File, ...]:
    """The manifest entries of payload files: name, role, hash and size, in name order."""
    entries = [
        {"name": name, "role": roles[name], "sha256": digest, "bytes": size}
        for name, (digest, size) in sorted((name, _measured(data)) for name, data in files.items())
    ]
    return msgspec.convert(entries, tuple[File, ...])


def _measured(data: bytes | Path) -> tuple[str, int]:
    """Hash and size of a payload."""
    return (sha256_file(data), data.stat().st_size) if isinstance(data, Path) else (sha256_bytes(data), len(data))


def encode(manifest: Manifest) -> bytes:
    """Canonical bytes of a manifest: equal manifests give the same bytes, whichever way a default came to stand in them."""
    return msgspec.json.format(msgspec.json.encode(_plain(manifest), order="deterministic"), indent=2) + b"\n"


def _plain(value: Any) -> Any:
    """Structs as dictionaries without what equals its default. msgspec itself leaves out only what *is* the default object."""
    if isinstance(value, msgspec.Struct):
        kept = ((field, getattr(value, field.name)) for field in msgspec.structs.fields(type(value)))
        brief = value.__struct_config__.omit_defaults
        return {field.encode_name: _plain(held) for field, held in kept if not (brief and held == _default(field))}
    if isinstance(value, Mapping):
        return {key: _plain(held) for key, held in value.items()}
    return [_plain(held) for held in value] if isinstance(value, tuple | list) else value


def _default(field: msgspec.structs.FieldInfo) -> Any:
    return field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()


def read(path: Path | str, *, check_hashes: bool = True) -> Artifact:
    """Read and check an artifact folder.

    Raises `NotFound` when there is none, `ArtifactError` when the manifest does not parse, was written by a newer edgekit,
    or a payload file is missing, escapes the folder or does not have its hash.
    """
    folder = Path(path)
    text = _manifest_bytes(folder)
    manifest = _parsed(folder, text)
    place = os.fspath(folder)
    for file in manifest.files:
        _ensure_intact(place, file, check_hashes)
    return Artifact(path=folder, manifest=manifest, sha256=sha256_bytes(text))


def is_artifact(path: Path) -> bool:
    """Whether `path` looks like an artifact folder."""
    return (path / MANIFEST).is_file()


def _manifest_bytes(folder: Path) -> bytes:
    file = os.path.join(folder, MANIFEST)  # noqa: PTH118  (every load of a small model pays for a `Path`)
    found = _looked_at(file)
    if found is None and not folder.exists():
        raise NotFound(f"no artifact at {str(folder)!r}", "make one with 'edgekit convert MODEL --target T'")
    if found is None or not stat.S_ISREG(found.st_mode):
        raise ArtifactError(
            f"{str(folder)!r} is not an artifact: it has no {MANIFEST}", "pass the folder that 'edgekit convert' wrote"
        )
    if found.st_size > MANIFEST_LIMIT_BYTES:
        message = f"{file!r} has {found.st_size} bytes, more than the {MANIFEST_LIMIT_BYTES} a manifest may have"
        raise ArtifactError(message, _AGAIN)
    with open(file, "rb", buffering=0) as manifest:  # noqa: PTH123
        return manifest.readall()


def _looked_at(file: str, *, follow: bool = True) -> os.stat_result | None:
    """What stands there, asked once; None where nothing does. Every load asks it of every file, hence no `Path`."""
    try:
        return os.stat(file, follow_symlinks=follow)  # noqa: PTH116
    except OSError as exc:
        if exc.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return None
        raise


def _parsed(folder: Path, text: bytes) -> Manifest:
    """The manifest. One of another version may have other keys: its version is said before they are."""
    try:
        found = msgspec.json.decode(text, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        _ensure_known(folder, _version_of(text))
        raise ArtifactError(f"{str(folder / MANIFEST)!r} is damaged: {exc}", _AGAIN) from exc
    _ensure_known(folder, found.schema_version)
    return found


def _version_of(text: bytes) -> int:
    """The version that a manifest says it has; this one's where it says none."""
    try:
        return msgspec.json.decode(text, type=_Versioned).schema_version
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return MANIFEST_VERSION


def _ensure_known(folder: Path, version: int) -> None:
    if version > MANIFEST_VERSION:
        message = (
            f"{str(folder)!r} was written by a newer edgekit (manifest version {version}, this one reads {MANIFEST_VERSION})"
        )
        raise ArtifactError(message, 'pip install --upgrade "edgekit"')
    if version < 1:
        raise ArtifactError(f"{str(folder / MANIFEST)!r} is damaged: there is no manifest version {version}", _AGAIN)


def _ensure_intact(folder: str, file: File, check_hash: bool) -> None:
    if len(file.name) > NAME_LIMIT or "\0" in file.name:
        manifest = os.path.join(folder, MANIFEST)  # noqa: PTH118
        raise ArtifactError(f"{manifest!r} is damaged: {file.name[:40]!r}… is not the name of a file", _AGAIN)
    target = os.path.join(folder, file.name)  # noqa: PTH118
    plain = file.name not in ("", ".", "..") and os.path.basename(file.name) == file.name  # noqa: PTH119
    found = _looked_at(target, follow=False) if plain else None
    if not plain or (found is not None and stat.S_ISLNK(found.st_mode)):
        raise ArtifactError(f"payload file {file.name!r} points outside the artifact {folder!r}", "do not use this artifact")
    if found is None or not stat.S_ISREG(found.st_mode):
        raise ArtifactError(f"payload file {file.name!r} is missing from {folder!r}", _AGAIN)
    if found.st_size != file.bytes:
        raise ArtifactError(f"payload file {file.name!r} has {found.st_size} bytes, its manifest says {file.bytes}", _AGAIN)
    if check_hash and (digest := sha256_file(target)) != file.sha256:
        raise ArtifactError(
            f"payload file {file.name!r} has sha256 {digest[:12]}…, its manifest says {file.sha256[:12]}…", _AGAIN
        )


class _Versioned(msgspec.Struct):
    """The one field that every manifest version has."""

    schema_version: int


_AGAIN = "convert the model again, or copy the artifact again"
