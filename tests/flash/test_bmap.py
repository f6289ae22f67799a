"""Block maps: what they list is written and compared, what they leave out is left alone, and a wrong map is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from edgekit.cli import main
from edgekit.core.errors import InputError, NotFound
from edgekit.core.progress import silent
from edgekit.flash import bmap
from edgekit.flash.image import look_at, opened
from edgekit.flash.target import Medium, new_file
from edgekit.flash.write import Expected, write

BLOCK = 4096
BLOCKS = 3072  # 12 MiB: three chunks


def image(folder: Path, mapped: Sequence[tuple[int, int]]) -> Path:
    """An image with data in the mapped blocks and other, meaningless bytes between."""
    data = bytearray(b"\xaa" * (BLOCKS * BLOCK))
    for first, last in mapped:
        for block in range(first, last + 1):
            data[block * BLOCK : (block + 1) * BLOCK] = hashlib.sha256(bytes([block % 251])).digest() * (BLOCK // 32)
    path = folder / "card.raw"
    path.write_bytes(data)
    return path


def block_map(path: Path, mapped: Sequence[tuple[int, int]], *, size: int = BLOCKS * BLOCK, kind: str = "sha256") -> Path:
    data = path.read_bytes()
    hashes = [hashlib.sha256(data[first * BLOCK : (last + 1) * BLOCK]).hexdigest() for first, last in mapped]
    ranges = "".join(
        f'<Range chksum="{digest}"> {first}{"" if first == last else f"-{last}"} </Range>'
        for (first, last), digest in zip(mapped, hashes, strict=True)
    )
    text = f'<?xml version="1.0" ?><bmap version="2.0"><ImageSize> {size} </ImageSize><BlockSize> {BLOCK} </BlockSize>'
    text += f"<ChecksumType> {kind} </ChecksumType><BlockMap>{ranges}</BlockMap></bmap>"
    made = path.with_suffix(".bmap")
    made.write_text(text)
    return made


MAPPED = ((0, 9), (300, 300), (1000, 2100), (3071, 3071))


def written(source: Path, map_file: Path, out: Path) -> bytes:
    with new_file(out, replace=True) as medium, opened(look_at(source)) as stream:
        write(stream, medium, limit_bytes=1 << 40, expected=Expected(), bmap=bmap.read(map_file), progress=silent)
    return out.read_bytes()


def test_only_what_the_map_lists_is_written_across_chunks(tmp_path: Path) -> None:
    source = image(tmp_path, MAPPED)
    found, whole = written(source, block_map(source, MAPPED), tmp_path / "out.img"), source.read_bytes()
    assert len(found) == len(whole)
    for first, last in MAPPED:
        assert found[first * BLOCK : (last + 1) * BLOCK] == whole[first * BLOCK : (last + 1) * BLOCK]
    assert found[400 * BLOCK : 1000 * BLOCK] == bytes(600 * BLOCK), "a file was new there: nothing was written"


def test_on_a_medium_that_was_used_the_rest_stays_and_does_not_count(tmp_path: Path) -> None:
    source, card = image(tmp_path, MAPPED), tmp_path / "used"
    card.write_bytes(b"\x55" * (BLOCKS * BLOCK))
    with card.open("r+b") as file, opened(look_at(source)) as stream:
        medium = Medium(card, file.fileno(), sparse=False)
        made = block_map(source, MAPPED)
        write(stream, medium, limit_bytes=1 << 40, expected=Expected(), bmap=bmap.read(made), progress=silent)
    assert card.read_bytes()[400 * BLOCK : 1000 * BLOCK] == b"\x55" * (600 * BLOCK)
    assert card.read_bytes()[3071 * BLOCK :] == source.read_bytes()[3071 * BLOCK :]


@pytest.mark.parametrize(
    ("spoil", "said"), [(1500 * BLOCK, "are not those of its block map"), (5, "are not those of its block map")]
)
def test_an_image_that_is_not_the_maps_is_refused_and_leaves_no_card(tmp_path: Path, spoil: int, said: str) -> None:
    source = image(tmp_path, MAPPED)
    made = block_map(source, MAPPED)
    data = bytearray(source.read_bytes())
    data[spoil] ^= 1
    source.write_bytes(data)
    with pytest.raises(InputError, match=said):
        written(source, made, tmp_path / "out.img")
    assert not (tmp_path / "out.img").exists()


def test_a_map_of_another_size_is_refused(tmp_path: Path) -> None:
    source = image(tmp_path, MAPPED)
    with pytest.raises(InputError, match="its block map says"):
        written(source, block_map(source, MAPPED, size=BLOCKS * BLOCK + 4096), tmp_path / "out.img")
    source.write_bytes(source.read_bytes()[: 2000 * BLOCK])
    with pytest.raises(InputError, match="the image ends before byte"):
        written(source, block_map(source, MAPPED), tmp_path / "out.img")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<bmap/>",
        "hello",
        '<!DOCTYPE bmap [<!ENTITY a "b">]><bmap>&a;</bmap>',
        "<bmap><ImageSize>8192</ImageSize><BlockSize>4096</BlockSize><ChecksumType>sha256</ChecksumType>"
        "<BlockMap><Range>0</Range></BlockMap></bmap>",
        "<bmap><ImageSize>8192</ImageSize><BlockSize>4096</BlockSize><ChecksumType>sha1</ChecksumType><BlockMap/></bmap>",
        "<bmap><ImageSize>8192</ImageSize><BlockSize>0</BlockSize><ChecksumType>sha256</ChecksumType><BlockMap/></bmap>",
    ],
)
def test_what_is_no_block_map_with_hashes_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.bmap").write_text(text)
    with pytest.raises(InputError, match="block map"):
        bmap.read(tmp_path / "x.bmap")
    with pytest.raises(NotFound, match="no block map"):
        bmap.read(tmp_path / "nosuch.bmap")


def test_the_command_takes_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = image(tmp_path, MAPPED)
    made = block_map(source, MAPPED)
    card = tmp_path / "card.img"
    assert main(["flash", "--image", str(source), "--bmap", str(made), "-o", str(card), "--dry-run"]) == 0
    assert "bytes that the block map lists" in capsys.readouterr().out
    assert main(["flash", "--image", str(source), "--bmap", str(made), "-o", str(card)]) == 0
    assert card.stat().st_size == BLOCKS * BLOCK
