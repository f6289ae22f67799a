"""Every kind of document becomes text with headings, pages and places; and what must not be read is refused by name."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from edgekit.apps.assistant.documents.folder import look
from edgekit.apps.assistant.documents.read import read
from edgekit.apps.assistant.documents.text import Text
from edgekit.core.errors import EdgekitError, InputError


def blocks(document: Text) -> list[tuple[str, tuple[str, ...], int]]:
    return [(document.text[one.start : one.end], one.headings, one.page) for one in document.blocks]


@pytest.mark.parametrize(
    "data",
    [
        "Grüße\n\nzwei\nZeilen".encode(),
        "\ufeffGrüße\r\n\r\nzwei\r\nZeilen".encode(),
        "\ufeffGrüße\n\nzwei\nZeilen".encode("utf-16-le"),
        "Grüße\n\nzwei\nZeilen".encode("cp1252"),
    ],
    ids=["UTF-8", "UTF-8 from Windows", "UTF-16", "Windows-1252"],
)
def test_text_is_read_in_whatever_encoding_it_is(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.txt").write_bytes(data)
    assert blocks(read(tmp_path / "a.txt")) == [("Grüße", (), 0), ("zwei\nZeilen", (), 0)]


def test_markdown_keeps_its_own_text_and_knows_its_headings(tmp_path: Path) -> None:
    text = "# One\nfirst\n\n```sh\n# no heading\n\nstill code\n```\n\nTwo\n---\n\nsecond\n\n### Three ###\n\nthird\n"
    (tmp_path / "a.md").write_text(text)
    document = read(tmp_path / "a.md")
    assert document.text == text
    assert document.title == "One"
    assert blocks(document) == [
        ("# One", ("One",), 0),
        ("first", ("One",), 0),
        ("```sh\n# no heading\n\nstill code\n```", ("One",), 0),
        ("Two\n---", ("One", "Two"), 0),
        ("second", ("One", "Two"), 0),
        ("### Three ###", ("One", "Two", "Three"), 0),
        ("third", ("One", "Two", "Three"), 0),
    ]


def test_html_is_what_a_reader_sees(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        "<title>T &amp; U</title><style>p{}</style><script>alert('x')</script><h1>One</h1><p>a <b>bold</b>\n word<p>next"
        "<h2>Two</h2><table><tr><td>1</td><td>2</td></tr></table><pre>x\n  y</pre><p>unclosed <i>end"
    )
    document = read(tmp_path / "a.html")
    assert document.title == "T & U"
    assert blocks(document) == [
        ("One", ("One",), 0),
        ("a bold word", ("One",), 0),
        ("next", ("One",), 0),
        ("Two", ("One", "Two"), 0),
        ("1 2", ("One", "Two"), 0),
        ("x\n  y", ("One", "Two"), 0),
        ("unclosed end", ("One", "Two"), 0),
    ]


def pdf_bytes(*pages: str) -> bytes:
    """A PDF with one line of text on each page."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"", b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    kids = []
    for text in pages:
        content = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode()
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content))
        page = f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {len(objects)} 0 R"
        objects.append(f"{page} /Resources << /Font << /F1 3 0 R >> >> >>".encode())
        kids.append(f"{len(objects)} 0 R")
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>".encode()
    data, offsets = b"%PDF-1.4\n", []
    for number, one in enumerate(objects, 1):
        offsets.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, one)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    trailer = b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(data))
    return data + b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1) + table + trailer


def test_a_pdf_is_read_page_by_page(tmp_path: Path) -> None:
    pytest.importorskip("pypdf")
    (tmp_path / "a.pdf").write_bytes(pdf_bytes("The first page.", "The second page."))
    assert blocks(read(tmp_path / "a.pdf")) == [("The first page.", (), 1), ("The second page.", (), 2)]


def test_the_outline_of_a_pdf_is_its_headings(tmp_path: Path) -> None:
    pypdf = pytest.importorskip("pypdf")
    (tmp_path / "plain.pdf").write_bytes(pdf_bytes("Before.", "After."))
    writer = pypdf.PdfWriter(clone_from=tmp_path / "plain.pdf")
    chapter = writer.add_outline_item(title="Chapter", page_number=0)
    writer.add_outline_item(title="Section", page_number=1, parent=chapter)
    writer.write(tmp_path / "a.pdf")
    assert [(text, above) for text, above, _ in blocks(read(tmp_path / "a.pdf")) if text.endswith(".")] == [
        ("Before.", ("Chapter",)),
        ("After.", ("Chapter", "Section")),
    ]


def test_a_word_file_keeps_headings_and_tables(tmp_path: Path) -> None:
    docx = pytest.importorskip("docx")
    document = docx.Document()
    document.add_heading("One", 1)
    document.add_paragraph("text below")
    document.add_heading("Two", 2)
    table = document.add_table(rows=1, cols=2)
    table.rows[0].cells[0].text, table.rows[0].cells[1].text = "voltage", "12 V"
    document.save(str(tmp_path / "a.docx"))
    assert blocks(read(tmp_path / "a.docx")) == [
        ("One", ("One",), 0),
        ("text below", ("One",), 0),
        ("Two", ("One", "Two"), 0),
        ("voltage | 12 V", ("One", "Two"), 0),
    ]


def bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"word/{number}.xml", bytes(100 << 20))


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2 << 30)


def encrypted(path: Path) -> None:
    pypdf = pytest.importorskip("pypdf")
    path.with_suffix(".plain").write_bytes(pdf_bytes("secret"))
    writer = pypdf.PdfWriter(clone_from=path.with_suffix(".plain"))
    writer.encrypt("password", algorithm="RC4-128")
    writer.write(path)


def endless_tree(path: Path) -> None:
    """Pages that are their own parents and children."""
    path.write_bytes(pdf_bytes("x").replace(b"/Kids [5 0 R]", b"/Kids [2 0 R]"))


HOSTILE = [
    pytest.param("a.docx", bomb, "zip bomb", id="a zip bomb"),
    pytest.param("a.txt", huge, "2,147,483,648 bytes", id="two gigabytes"),
    pytest.param("a.pdf", encrypted, "encrypted", id="an encrypted PDF"),
    pytest.param("a.pdf", lambda path: path.write_bytes(b"%PDF-1.7\nrubbish"), "no readable PDF", id="a damaged PDF"),
    pytest.param("a.pdf", lambda path: path.write_bytes(pdf_bytes("x")[:300]), "PDF", id="half a PDF"),
    pytest.param("a.pdf", endless_tree, "PDF|could not be read|no text", id="a PDF that goes round"),
    pytest.param("a.pdf", lambda path: path.write_bytes(pdf_bytes("")), "a scan", id="a PDF without text"),
    pytest.param("a.docx", lambda path: path.write_bytes(b"PK\x03\x04 rubbish"), "no readable archive", id="a damaged docx"),
    pytest.param("a.docx", lambda path: zipfile.ZipFile(path, "w").close(), "no readable Word file", id="an empty archive"),
    pytest.param("a.txt", lambda path: path.write_bytes(b"a\0b"), "no text", id="a program called text"),
    pytest.param("a.txt", os.mkfifo, "no regular file", id="a pipe"),
    pytest.param("a.exe", lambda path: path.write_bytes(b"x"), "of a kind that is not read", id="another kind"),
]


@pytest.mark.parametrize(("name", "make", "reason"), HOSTILE)
def test_what_must_not_be_read_is_refused_by_name(tmp_path: Path, name: str, make: object, reason: str) -> None:
    path = tmp_path / name
    make(path)  # type: ignore[operator]
    with pytest.raises(InputError, match=reason) as caught:
        read(path)
    assert repr(name) in caught.value.message


def test_links_lead_no_further_than_the_folder(tmp_path: Path) -> None:
    folder, outside = tmp_path / "in", tmp_path / "outside.txt"
    folder.mkdir()
    outside.write_text("secret")
    (folder / "real.txt").write_text("mine")
    (folder / "alias.txt").symlink_to(folder / "real.txt")
    (folder / "out.txt").symlink_to(outside)
    (folder / "round.txt").symlink_to(folder / "round.txt")
    (folder / "up").symlink_to(tmp_path)
    (folder / ".hidden.txt").write_text("hidden")
    found, refused = look(folder)
    assert [one.path for one in found] == ["alias.txt", "real.txt"]
    assert {one.path: one.reason for one in refused}["out.txt"] == "it is a link to a file outside the folder"
    assert {one.path for one in refused} == {"out.txt", "round.txt"}


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(EdgekitError, match="no folder"):
        look(tmp_path / "gone")
