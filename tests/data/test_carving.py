import pytest

from research.data.carving import ORDER, carve
from research.data.documents import blocks, digest, size
from research.errors import UsageError

ROOMS = {"test": 3000, "validation": 1500, "final": 1500}


def _rows(word: str, count: int) -> list[bytes]:
    return [f"{word} row {i} {'word ' * (i % 30)}".strip().encode() for i in range(count)]


def _words(documents: list[bytes]) -> set[bytes]:
    return {document.split()[0] for document in documents}


@pytest.mark.parametrize(
    ("count", "home", "said"), [(100, b"test", "what the set's own test split has left"), (30, b"train", "documents of train")]
)
def test_the_final_part_is_the_rest_of_a_test_split_or_of_train(count: int, home: bytes, said: str) -> None:
    carving = carve("set", {"train": _rows("train", 100), "test": _rows("test", count)}, ROOMS, 0, frozenset())
    assert {part: _words(carving.held_out[part].scored) for part in ORDER} == {"test": {b"test"}, "validation": {b"train"}, "final": {home}}
    assert carving.how == f"test: the set's own split; validation: documents of train; final: {said}"
    assert not set(carving.held_out["test"].held) & set(carving.held_out["final"].held)
    assert set(carving.train).isdisjoint(document for part in carving.held_out.values() for document in part.held)


def test_a_split_of_one_document_is_scored_in_blocks_and_the_document_stays_out_of_train() -> None:
    book = b"\n".join(_rows("test", 100))
    carving = carve("set", {"train": _rows("train", 100), "test": [book]}, ROOMS, 0, frozenset())
    assert len(carving.held_out["test"].scored) > 10 and set(carving.held_out["test"].held) <= set(blocks(book))
    assert carving.how.startswith("test: the set's own split, cut into blocks of paragraphs;")
    assert carve("set", {"train": [*_rows("train", 100), book]}, ROOMS, 0, carving.digests).train.count(book) == 0


def test_an_empty_split_is_refused() -> None:
    with pytest.raises(UsageError, match="set has an empty validation split"):
        carve("set", {"train": _rows("train", 100), "validation": []}, ROOMS, 0, frozenset())


@pytest.mark.parametrize("paragraphs", range(33, 100, 11))
def test_what_is_left_to_train_on_is_as_much_as_is_scored(paragraphs: int) -> None:
    book = b"\n\n".join(b"%d" % i + b" word" * 100 for i in range(paragraphs))
    if paragraphs < 50:
        with pytest.raises(UsageError, match=r"set is too short: \d+ bytes are left to train on|set has too few documents"):
            carve("set", {"train": [book]}, ROOMS, 0, frozenset())
    else:
        carving = carve("set", {"train": [book]}, ROOMS, 0, frozenset())
        assert size(carving.train) >= sum(ROOMS.values())
        assert carving.digests.isdisjoint(map(digest, carving.train))
