import random

import pytest

from research.data.documents import blocks, digest, distinct, fill, size


def test_copies_that_differ_in_white_space_count_once() -> None:
    seen: set[bytes] = set()
    assert len(distinct([b"one\n", b" one", b"o\0ne", b"two", b"", b" \n"], seen)) == 2
    assert distinct([b"two\n\n", b"three"], seen) == [b"three"]


@pytest.mark.parametrize("copy", [b"a\r\nb\r\n", b"a\rb", b"\xef\xbb\xbfa\nb", b"\xef\xbb\xbfa\r\nb\r\n\r\n"])
def test_copies_from_another_system_count_once_and_become_the_same_text(copy: bytes) -> None:
    assert distinct([copy], set()) == [b"a\nb"]
    assert distinct([b"a\nb", copy], set()) == [b"a\nb"]


def test_order_depends_on_content_alone() -> None:
    texts = [f"document {i}".encode() for i in range(50)]
    shuffled = random.Random(1).sample(texts, len(texts))
    assert distinct(texts, set()) == distinct(shuffled, set())
    assert distinct(texts, set()) != texts


@pytest.mark.parametrize("seed", range(5))
def test_fill_keeps_to_the_room_and_comes_near_it(seed: int) -> None:
    lengths = random.Random(seed).choices([10, 90, 240, 5000], k=200)
    texts = [b"x" * length for length in lengths]
    taken, left = fill(texts, 1000, 250)
    assert 750 <= size(taken) <= 1000
    assert sorted(taken + left) == sorted(texts)
    assert max(map(len, taken)) < 250


@pytest.mark.parametrize("glue", [b"\n\n", b"\n"])
def test_large_documents_become_blocks_that_lose_no_word(glue: bytes) -> None:
    lines = [f"paragraph number {i}".encode() for i in range(200)]
    origins: dict[bytes, set[bytes]] = {}
    cut = blocks([glue.join(lines), b"a short one"], 400, origins)
    assert origins == {digest(block): {digest(glue.join(lines))} for block in cut if block != b"a short one"}
    assert b"a short one" in cut and max(map(len, cut)) < 400
    assert len(cut) > 10
    assert sorted(b"\n".join(cut).replace(b"\n\n", b"\n").split(b"\n")) == sorted([*lines, b"a short one"])
