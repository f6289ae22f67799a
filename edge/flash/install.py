"""What is put on the card beside the settings: packages, artifact, a service, and the script that installs them without a network."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.artifact import read
from edgekit.core.errors import InputError
from edgekit.core.schema import Artifact
from edgekit.deploy.board.layout import INSTALLED, ROOT, encoded, name_of
from edgekit.deploy.board.service import UNIT
from edgekit.deploy.board.units import units
from edgekit.deploy.nouns import Release
from edgekit.flash import wheelhouse as wheelhouses
from edgekit.flash.environment import COMPILED, NAME
from edgekit.flash.firstboot import APP_FOLDER

SCRIPT = f"{APP_FOLDER}/install.sh"


@dataclass(frozen=True, slots=True, kw_only=True)
class Install:
    """An app that the board shall boot into: its artifact, its arguments, and packages for the board's Python (`3.11`)."""

    app: str
    artifact: Artifact
    environment: Path
    packages: int
    python: str
    arguments: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """Room it needs in the boot partition."""
        files = [self.environment, *(self.artifact.path / file.name for file in self.artifact.manifest.files)]
        return sum(path.stat().st_size for path in files) + (1 << 20)


def install_of(app: str, artifact: Path, folder: Path, arguments: Sequence[str] = ()) -> Install:
    """The parts, their hashes checked. Raises what `wheelhouse.read` and `artifact.read` do."""
    found = wheelhouses.read(folder)
    if found.environment is None:
        raise InputError(
            f"{str(folder)!r} has wheels and no {NAME} to install", f"edgekit wheelhouse --target {found.device} -o DIR"
        )
    return Install(
        app=app,
        artifact=read(artifact),
        environment=folder / found.environment.name,
        packages=len(found.wheels),
        python=found.python,
        arguments=tuple(arguments),
    )


def files(install: Install) -> dict[str, Path | bytes]:
    """Everything by its path in the boot partition: files to copy, and the text of those that are made here."""
    artifact = install.artifact
    copied: dict[str, Path | bytes] = {f"{APP_FOLDER}/{NAME}": install.environment}
    for file in artifact.path.iterdir():
        if file.is_file() and not file.is_symlink():
            copied[f"{APP_FOLDER}/release/artifact/{file.name}"] = file
    copied[f"{APP_FOLDER}/release/release.json"] = encoded(release_of(install))
    copied |= {f"{APP_FOLDER}/units/{name}": text.encode() for name, text in units().items()}
    copied[SCRIPT] = script(install).encode()
    return copied


def release_of(install: Install) -> Release:
    """The release that the board begins with: the same thing that `edgekit deploy` would make."""
    return Release(app=install.app, artifact=install.artifact.sha256, arguments=install.arguments)


def script(install: Install) -> str:
    """The POSIX script that installs everything; it may run any number of times, and after a power cut begins again."""
    words = {
        "app": install.app,
        "python": f"/usr/bin/python{install.python}",
        "home": str(ROOT),
        "name": name_of(release_of(install)),
        "environment": NAME,
        "compiled": COMPILED,
        "installed": INSTALLED,
        "units": " ".join(units()),
        "unit": UNIT,
    }
    return _HEAD + "".join(f"{name}={shlex.quote(value)}\n" for name, value in words.items()) + _BODY


_HEAD = f"""#!/bin/sh
# Installs edgekit from this folder, without a network. Run as root: {SCRIPT} [FOLDER_OF_THIS_SCRIPT]
set -eu
here="${{1:-$(dirname "$0")}}"
"""
_BODY = """
if [ ! -x "$python" ]; then
    echo "error: the packages on this card are for $python, which this system does not have" >&2
    exit 1
fi
release="$home/releases/$name"
half="$home/releases/.$name.partial"
if ! id edgekit >/dev/null 2>&1; then
    useradd --system --home-dir /var/lib/edgekit --shell /usr/sbin/nologin edgekit
fi
for group in video render dialout plugdev gpio; do
    if getent group "$group" >/dev/null; then usermod --append --groups "$group" edgekit; fi
done
mkdir -p "$home/releases"
if [ ! -e "$home/venv/.done" ]; then
    venv="$home/.venv.partial"
    rm -rf "$home/venv" "$venv"
    mkdir "$venv"
    tar -xzf "$here/$environment" -C "$venv" --no-same-owner
    ln -s "$python" "$venv/bin/python"
    ln -s python "$venv/bin/python3"
    printf 'home = %s\ninclude-system-site-packages = true\n' "$(dirname "$python")" >"$venv/pyvenv.cfg"
    if [ ! -e "$venv/$compiled" ]; then # a file of a package that does not compile is none that is imported
        "$python" -m compileall -q --invalidation-mode unchecked-hash -s "$venv" -p "$home/venv" "$venv/lib" || true
    fi
    touch "$venv/.done"
    sync
    mv -T "$venv" "$home/venv"
fi
if [ ! -e "$release/release.json" ]; then
    rm -rf "$release" "$half"
    cp -r "$here/release" "$half"
    chmod -R a+rX "$half" # the service is not root, and the boot partition may be mounted for root alone
    "$home/venv/bin/python" -m edgekit verify "$half/artifact"
    sync
    mv -T "$half" "$release"
fi
mkdir -p "$home/blobs" # so that a deployment sends no file that came with the card
for file in "$release"/artifact/*; do
    blob="$home/blobs/$(sha256sum <"$file" | cut -d ' ' -f 1)"
    [ -e "$blob" ] || ln "$file" "$blob"
done
if [ ! -e "$home/current" ]; then
    ln -sfn "$release" "$home/.current.new"
    mv -T "$home/.current.new" "$home/current"
fi
for each in $units; do
    install -m 644 "$here/units/$each" "/etc/systemd/system/$each"
done
systemctl daemon-reload
# shellcheck disable=SC2086  # several units, several arguments
systemctl enable $units
systemctl start --no-block "$unit"
sync
touch "$home/$installed"
echo "edgekit: $app is installed and starts with the board"
"""
