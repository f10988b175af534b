import bz2
import gzip
import io
import lzma
import tarfile
import zipfile

import pytest

from research.data.decoding import decoded
from research.errors import UsageError

TEXT = "naïve – 日本\nline\n" * 100


def _zip(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("a.txt", content)
    return file.getvalue()


def _tar(content: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        entry = tarfile.TarInfo("a.txt")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return file.getvalue()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_what_a_mark_says_is_read_rightly(encoding: str) -> None:
    assert decoded(TEXT.encode(encoding), "a.txt") == (TEXT.encode(), 0)


@pytest.mark.parametrize(("codec", "mark"), [("utf-16-be", b"\xfe\xff"), ("utf-32-be", b"\0\0\xfe\xff")])
def test_the_other_byte_order_is_read_too(codec: str, mark: bytes) -> None:
    assert decoded(mark + TEXT.encode(codec), "a.txt").text == TEXT.encode()


@pytest.mark.parametrize("bad", [b"\xff", b"\0"])
def test_one_bad_byte_in_a_big_file_is_harmless(bad: bytes) -> None:
    found = decoded(bad + b"x" * 2000, "a.txt")
    assert found.text.endswith(b"x" * 2000) and found.replaced == bad.count(b"\xff")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("Söhne, naïve".encode("cp1252"), r"a.txt is not text in UTF-8 \(2 invalid bytes of 12\).*CP1252"),
        (TEXT.replace("日本", "").encode("cp1252"), "not text in UTF-8"),
        (TEXT.encode("utf-16")[2:], "binary, or UTF-16 without a byte-order mark"),
        (b"\xff\xfe" + b"\0\xd8a\0" * 50, "not text in UTF-16-LE"),
        (bytes(range(256)) * 10, "a.txt is not text"),
        (b"abc" + bytes(500), "a.txt is binary"),
        (gzip.compress(TEXT.encode(), mtime=0), "a.txt is a gzip file, not text; unpack it"),
        (bz2.compress(TEXT.encode()), "a bzip2 file"),
        (lzma.compress(TEXT.encode()), "a xz file"),
        (_zip(b"plain " * 10_000), "a zip file"),
        (_tar(b"plain " * 500_000), "a tar file"),
        (b"%PDF-1.7 text", "a PDF file"),
    ],
)
def test_what_is_no_text_is_named(raw: bytes, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        decoded(raw, "a.txt")


@pytest.mark.parametrize("cut", range(1, 8))
def test_half_a_character_at_the_end_of_a_part_is_left_out(cut: int) -> None:
    whole = ("x" * 5000 + "日本日").encode()
    text = decoded(whole[:-cut], "a.txt", whole=False).text.decode()
    assert text == whole[:-cut].decode("utf-8", "ignore")
