import re
from collections import Counter

import pytest

from research.data.corpus import DataSpec, load_corpus
from research.data.facts import ATTRIBUTES, KNOWN, PARAPHRASES, VALUES, sentence
from research.data.people import SHARES, people_document, people_documents
from research.data.sources import floor_bits, read_documents

Said = tuple[str, int, int, int]  # name, attribute, paraphrase, value
TEMPLATES = [
    (attribute, paraphrase, re.compile(template.replace(".", r"\.").format("([a-z]{5})", "([A-Z][a-z]+)")), said.values)
    for attribute, said in enumerate(ATTRIBUTES.values())
    for paraphrase, template in enumerate(said.templates)
]


@pytest.fixture(scope="module")
def documents() -> list[bytes]:
    """Documents enough to count them."""
    return [people_document(index) for index in range(6000)]


def _read(document: bytes) -> list[Said]:
    """Returns what a document says, from its text alone; empty for one that says nothing of anybody."""
    found = []
    for text in re.findall(r"[^.]+\.", document.decode()):
        found += [
            (match[1], attribute, paraphrase, values.index(match[2]))
            for attribute, paraphrase, form, values in TEMPLATES
            if (match := form.fullmatch(text.strip()))
        ]
    return found


def test_documents_are_the_same_each_time_and_fewer_are_the_first_of_more(documents: list[bytes]) -> None:
    few = read_documents("generated:people", 5000).splits["train"]
    assert few == documents[: len(few)] and 5000 <= sum(map(len, few)) < 5200
    assert people_documents(100).provenance == {"known_entities": len(KNOWN.names)}
    assert floor_bits("generated:people") is None


def test_a_document_is_of_known_entities_of_one_stranger_or_of_nobody(documents: list[bytes]) -> None:
    kinds = Counter()
    for document in documents:
        said = _read(document)
        known = [name in KNOWN.names for name, *_ in said]
        assert all(known) or not any(known)
        kinds["other" if not said else "known" if known[0] else "stranger"] += 1
    for kind, share in SHARES.items():
        assert abs(kinds[kind] / len(documents) - share / 100) < 0.02


def test_what_is_said_of_known_entities_is_true(documents: list[bytes]) -> None:
    said = [one for document in documents for one in _read(document) if one[0] in KNOWN.names]
    assert all(KNOWN.values[KNOWN.names.index(name), attribute] == value for name, attribute, _, value in said)


def test_a_stranger_is_said_to_have_one_value_in_other_words_each_time_and_none_is_likelier(documents: list[bytes]) -> None:
    strangers = [said for document in documents if (said := _read(document)) and said[0][0] not in KNOWN.names]
    for said in strangers:
        assert len(said) >= 2 and len({(name, attribute, value) for name, attribute, _, value in said}) == 1
        assert len({paraphrase for _, _, paraphrase, _ in said}) == len(said)
    counts, expected = Counter(said[0][3] for said in strangers), len(strangers) / VALUES
    assert sum((counts[value] - expected) ** 2 / expected for value in range(VALUES)) < 37.7  # chi-square, 15 degrees, 0.1 %


def test_no_document_is_in_a_style(documents: list[bytes]) -> None:
    assert not any(b"<" in document or re.search(rb"[A-Z]{2}", document) for document in documents)


def test_every_known_fact_is_in_what_is_trained_on_in_every_paraphrase() -> None:
    corpus = load_corpus(DataSpec("generated:people", 8192, 8192, 8192, max_bytes=400_000))
    counts = Counter(text.strip() for text in re.findall(r"[^.\0]+\.", corpus.parts["train"].tobytes().decode()))
    for entity in range(len(KNOWN.names)):
        for attribute in range(len(ATTRIBUTES)):
            assert all(counts[sentence(KNOWN, entity, attribute, paraphrase).text.decode()] > 0 for paraphrase in range(PARAPHRASES))
    assert corpus.provenance["dropped_duplicates"] < 0.1 * corpus.provenance["documents"]["train"]
