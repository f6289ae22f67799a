"""Every kind of document becomes text with headings, pages and places; and what must not be read is refused by name."""

from __future__ import annotations

import os
import signal
import zipfile
from pathlib import Path

import pytest

from edgekit.apps.assistant.documents import html, limits, markdown, pdf, plain
from edgekit.apps.assistant.documents.confined import reading
from edgekit.apps.assistant.documents.folder import look
from edgekit.apps.assistant.documents.read import read
from edgekit.apps.assistant.documents.text import HEADING, Part, Text, assembled
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


OLD = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(1000)
HOSTILE = [
    pytest.param("a.docx", bomb, "zip bomb", id="a zip bomb"),
    pytest.param("a.txt", huge, "2,147,483,648 bytes", id="two gigabytes"),
    pytest.param("a.pdf", encrypted, "encrypted", id="an encrypted PDF"),
    pytest.param("a.pdf", lambda path: path.write_bytes(b"%PDF-1.7\nrubbish"), "no readable PDF", id="a damaged PDF"),
    pytest.param("a.pdf", lambda path: path.write_bytes(pdf_bytes("x")[:300]), "PDF", id="half a PDF"),
    pytest.param("a.pdf", endless_tree, "PDF|could not be read|no text", id="a PDF that goes round"),
    pytest.param("a.pdf", lambda path: path.write_bytes(pdf_bytes("")), "a scan", id="a PDF without text"),
    pytest.param("a.docx", lambda path: path.write_bytes(b"PK\x03\x04 rubbish"), "no readable archive", id="a damaged docx"),
    pytest.param("a.docx", lambda path: path.write_bytes(OLD), "encrypted, or of a Word before 2007", id="an old Word file"),
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


def test_what_is_slow_to_look_through_is_read_in_time(tmp_path: Path) -> None:
    spaces = "# a" + " " * 200_000 + "x"
    lines = "x\ny\n" + "---\n" * 100_000
    with reading(60) as reader:
        for name, text in (("spaces.md", spaces), ("lines.md", lines), ("spaces.txt", spaces), ("lines.txt", lines)):
            (tmp_path / name).write_text(text)
            assert read(tmp_path / name, reader).text == text


def test_a_document_that_takes_too_long_is_refused_and_the_next_one_is_read(tmp_path: Path) -> None:
    (tmp_path / "slow.html").write_text("<!--" * 1_000_000)
    (tmp_path / "next.html").write_text("<p>next")
    with reading(1) as reader:
        with pytest.raises(InputError, match=r"'slow.html' could not be read: its reader took longer than 1 s"):
            read(tmp_path / "slow.html", reader)
        assert read(tmp_path / "next.html", reader).text == "next"


def test_a_reader_that_is_killed_is_told_of_and_the_next_document_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("first")
    with reading() as reader:
        assert read(tmp_path / "a.txt", reader).text == "first"
        assert reader.pid is not None
        os.kill(reader.pid, signal.SIGKILL)
        with pytest.raises(InputError, match="its reader was killed by SIGKILL"):
            read(tmp_path / "a.txt", reader)
        assert read(tmp_path / "a.txt", reader).text == "first"


def test_more_paragraphs_than_any_document_has_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BLOCKS", 20)
    for name, reader in (("a.txt", plain), ("a.md", markdown), ("a.html", html)):
        (tmp_path / name).write_text("<p>a\n\n" * 21)
        with pytest.raises(InputError, match="more than 20 paragraphs"):
            reader.read(tmp_path / name)


def test_a_heading_is_kept_as_long_as_it_says_something(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(f"# {'very ' * 10_000}long\n\nbelow")
    document = read(tmp_path / "a.md")
    assert [len(one.headings[0]) for one in document.blocks] == [HEADING] * 2 == [len(document.title)] * 2
    assert document.title.startswith("very very") and document.title.endswith("…")


def test_the_sign_of_a_language_stays_in_a_heading(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# About C#\n\n## Closed ##\n\n#none\n\n####### seven\n")
    assert [above for _, above, _ in blocks(read(tmp_path / "a.md"))] == [
        ("About C#",), ("About C#", "Closed"), ("About C#", "Closed"), ("About C#", "Closed"),
    ]  # fmt: skip


def test_a_text_with_a_damaged_place_is_still_utf_8(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("Grüße an alle in Köln".encode() + b"\xff" + "äh".encode()[:1])
    assert read(tmp_path / "a.txt").text.startswith("Grüße an alle in Köln")


def test_a_page_is_read_in_the_encoding_that_it_declares(tmp_path: Path) -> None:
    for name, text in (("windows-1251", "Привет"), ("shift_jis", "こんにちは"), ("gb18030", "你好")):
        (tmp_path / "a.html").write_bytes(f"<html><meta charset={name}><p>{text}".encode(name))
        assert read(tmp_path / "a.html").text == text
    (tmp_path / "a.html").write_bytes(b"<meta charset=unicode_escape><p>\\u0041 caf\xe9")
    assert read(tmp_path / "a.html").text == "\\u0041 café"


def test_what_a_database_cannot_hold_is_replaced_and_offsets_stay() -> None:
    assert assembled([Part(text="a\ud800b\0c"), Part(text="d")]).text == "a?b c\n\nd"


def test_the_pages_of_a_pdf_are_no_longer_together_than_a_document_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pypdf")
    monkeypatch.setattr(limits, "TEXT_CHARACTERS", 20)
    (tmp_path / "a.pdf").write_bytes(pdf_bytes("Fourteen signs", "and as many as"))
    with pytest.raises(InputError, match="28 characters"):
        pdf.read(tmp_path / "a.pdf")


def test_an_outline_that_is_damaged_costs_the_headings_and_not_the_document(tmp_path: Path) -> None:
    pypdf = pytest.importorskip("pypdf")
    (tmp_path / "plain.pdf").write_bytes(pdf_bytes("Before.", "After."))
    for name, entry in (("/Next", None), ("/Title", pypdf.generic.NumberObject(7)), ("/Dest", pypdf.generic.NumberObject(99))):
        writer = pypdf.PdfWriter(clone_from=tmp_path / "plain.pdf")
        item = writer.add_outline_item(title="Chapter", page_number=0)
        item.get_object()[pypdf.generic.NameObject(name)] = item if entry is None else entry
        writer.write(tmp_path / "a.pdf")
        assert [text for text, _, _ in blocks(read(tmp_path / "a.pdf")) if text.endswith(".")] == ["Before.", "After."], name


def word_file(path: Path, body: str) -> Path:
    """A Word file whose body is that XML."""
    docx = pytest.importorskip("docx")
    docx.Document().save(str(path.with_suffix(".empty")))
    begun = '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>'
    with zipfile.ZipFile(path.with_suffix(".empty")) as empty, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for entry in empty.infolist():
            is_body = entry.filename == "word/document.xml"
            made.writestr(entry.filename, f"{begun}{body}</w:body></w:document>" if is_body else empty.read(entry))
    return path


def said(text: str) -> str:
    return f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"


def test_a_word_file_is_read_inside_of_forms_frames_and_tracked_changes(tmp_path: Path) -> None:
    form = f"<w:sdt><w:sdtPr/><w:sdtContent>{said('a form')}</w:sdtContent></w:sdt>"
    inner = f"<w:tbl><w:tr><w:tc>{said('left')}</w:tc><w:tc>{said('right')}</w:tc></w:tr></w:tbl>"
    frame = f"<w:tbl><w:tr><w:tc>{said('framed')}{inner}</w:tc></w:tr></w:tbl>"
    changed = (
        "<w:p><w:ins><w:r><w:t>new</w:t></w:r></w:ins><w:del><w:r><w:delText>old</w:delText></w:r></w:del>"
        "<w:moveFrom><w:r><w:t>away</w:t></w:r></w:moveFrom><w:r><w:tab/><w:t>kept</w:t></w:r></w:p>"
    )
    path = word_file(tmp_path / "a.docx", form + frame + changed)
    assert [text for text, _, _ in blocks(read(path))] == ["a form", "framed", "left | right", "new\tkept"]


def test_a_table_may_be_as_wide_and_as_long_as_it_likes(tmp_path: Path) -> None:
    wide = (
        f'<w:tr><w:tc><w:tcPr><w:gridSpan w:val="2000000000"/></w:tcPr>{said("wide")}</w:tc><w:tc>{said("cell")}</w:tc></w:tr>'
    )
    merged = "<w:tcPr><w:vMerge/></w:tcPr><w:p/>"
    long = "".join(f"<w:tr><w:tc>{merged}</w:tc><w:tc>{said(f'row {number}')}</w:tc></w:tr>" for number in range(3000))
    found = blocks(read(word_file(tmp_path / "a.docx", f"<w:tbl>{wide}{long}</w:tbl>")))
    assert [text for text, _, _ in found][:2] == ["wide | cell", "row 0"] and len(found) == 3001


def test_a_name_that_is_not_in_utf_8_is_refused_and_the_others_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "good.txt").write_text("mine")
    try:
        Path(os.fsdecode(bytes(folder) + b"/caf\xe9.txt")).write_text("from a stick")
    except OSError:
        pytest.skip("this file system has UTF-8 names only")
    found, refused = look(folder)
    assert [one.path for one in found] == ["good.txt"]
    assert [(one.path, one.reason) for one in refused] == [("caf?.txt", "its name is not in UTF-8")]
