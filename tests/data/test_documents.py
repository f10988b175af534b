import random

import pytest

from research.data.documents import blocks, digest, distinct, excerpt, fill, size


def test_copies_that_differ_in_white_space_count_once() -> None:
    seen: set[bytes] = set()
    assert len(distinct([b"one\n", b" one", b"o\0ne", b"two", b"", b" \n"], seen)) == 2
    assert distinct([b"two\n\n", b"three"], seen) == [b"three"]


@pytest.mark.parametrize("copy", [b"a\r\nb\r\n", b"a\rb", b"\xef\xbb\xbfa\nb", b"\xef\xbb\xbfa\r\nb\r\n\r\n"])
def test_copies_from_another_system_count_once_and_become_the_same_text(copy: bytes) -> None:
    assert distinct([copy], set()) == [b"a\nb"]
    assert distinct([b"a\nb", copy], set()) == [b"a\nb"]


def test_order_depends_on_content_and_seed_alone() -> None:
    texts = [f"document {i}".encode() for i in range(50)]
    shuffled = random.Random(1).sample(texts, len(texts))
    orders = [distinct(texts, set(), seed) for seed in range(4)]
    assert orders == [distinct(shuffled, set(), seed) for seed in range(4)]
    assert orders[0] == sorted(texts, key=digest)
    assert all(orders[i] not in [texts, *orders[:i]] for i in range(4))


@pytest.mark.parametrize("seed", range(5))
def test_fill_keeps_to_the_room_and_comes_near_it(seed: int) -> None:
    lengths = random.Random(seed).choices([10, 90, 240, 5000], k=200)
    texts = [b"x" * length for length in lengths]
    taken = fill(texts, 1000)
    assert 750 <= size(taken) <= 1000 and max(map(len, taken)) < 250


@pytest.mark.parametrize("glue", [b"\n\n", b"\n", b" "])
def test_an_excerpt_is_pieces_in_a_row_that_fill_the_room(glue: bytes) -> None:
    pieces = [f"piece-{i:03}-{'x' * (i % 37)}".encode() for i in range(200)]
    document = glue.join(pieces)
    found = [excerpt(document, 400, seed) for seed in range(400)]
    for text in found:
        first = pieces.index(text.split(glue)[0])
        assert text.split(glue) == pieces[first : first + len(text.split(glue))]
        assert 400 - 47 - len(glue) < len(text) <= 400
    assert {piece for text in found for piece in text.split(glue)} == set(pieces)  # no place is out of reach


def test_an_excerpt_stands_in_its_document_as_it_is() -> None:
    code = b"\n\n\n".join(b"class C%d:\n    x = 1\n  \n    def f(self):\n        return %d" % (i, i) for i in range(100))
    found = [excerpt(code, 200, seed) for seed in range(100)]
    assert all(text in code and 130 < len(text) <= 200 for text in found)
    assert {text.startswith(b"    def") for text in found} == {True, False}


def test_a_small_document_is_its_own_excerpt_and_its_place_depends_on_content_and_seed() -> None:
    assert excerpt(b"a b c", 5, 7) == b"a b c"
    one, other = (b"\n".join(b"%d %d" % (i, start) for i in range(500)) for start in (1, 2))
    assert excerpt(one, 50, 3) == excerpt(one, 50, 3) != excerpt(one, 50, 4)
    assert excerpt(one, 50, 3).split()[0] != excerpt(other, 50, 3).split()[0]


def test_inside_a_paragraph_that_does_not_fit_lines_count_and_inside_a_line_words() -> None:
    lines = b"\n".join(b"a line of words, number %d" % i for i in range(100))
    words = b" ".join(b"word%d" % i for i in range(100))
    found = {excerpt(b"short\n\n" + lines + b"\n\n" + words, 60, seed) for seed in range(50)}
    assert {b"a line" in text for text in found} == {b"word" in text.split(b" ")[0] for text in found} == {True, False}
    assert all(text == b"short" or text in lines or text in words for text in found)
    assert excerpt(b"x" * 1000, 60, 0) == b""


@pytest.mark.parametrize("glue", [b"\n\n", b"\n"])
def test_large_documents_become_blocks_that_lose_no_word_and_are_cut_no_further(glue: bytes) -> None:
    lines = [f"paragraph number {i}".encode() for i in range(200)]
    cut = blocks(glue.join(lines))
    assert len(cut) > 5 and all(512 <= len(glue + block) < 512 + 23 for block in cut[:-1])
    assert glue.join(cut).split(glue) == lines
    assert [piece for block in cut for piece in blocks(block)] == cut
    assert blocks(b"a short one") == [b"a short one"]
