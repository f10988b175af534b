import itertools
from collections import Counter

import numpy as np
import pytest

from research.data import facts
from research.data.facts import ATTRIBUTES, KNOWN, LONGEST, NAMES, PARAPHRASES, STYLES, VALUES, World, bits, rows, sentence, world
from research.errors import UsageError

ALL = [World(("bamok",), np.full((1, len(ATTRIBUTES)), value)) for value in range(VALUES)]
WAYS = list(itertools.product(range(len(ATTRIBUTES)), range(PARAPHRASES), STYLES))


def test_the_first_byte_of_a_value_says_which_it_is_and_nothing_before_it_does() -> None:
    for attribute, paraphrase, style in WAYS:
        said = [sentence(own, 0, attribute, paraphrase, style) for own in ALL]
        assert len({one.prompt for one in said}) == len({one.candidates for one in said}) == 1
        assert len({tuple(number for _, number in one.told) for one in said}) == 1
        assert len(set(said[0].candidates)) == len({one.text for one in said}) == VALUES
        for value, one in enumerate(said):
            assert one.answer == value and one.text.startswith(one.prompt) and one.text[len(one.prompt)] == one.candidates[value]
            assert len(one.text) <= LONGEST


def test_paraphrases_and_attributes_are_told_apart_before_the_value() -> None:
    prompts = [
        sentence(KNOWN, 0, attribute, paraphrase).prompt for attribute in range(len(ATTRIBUTES)) for paraphrase in range(PARAPHRASES)
    ]
    assert len(set(prompts)) == len(ATTRIBUTES) * PARAPHRASES
    assert all(len(set(said.values)) == VALUES and len(said.templates) == PARAPHRASES for said in ATTRIBUTES.values())


def test_a_style_changes_the_surface_alone() -> None:
    for attribute, paraphrase in itertools.product(range(len(ATTRIBUTES)), range(PARAPHRASES)):
        plain, capitals, tagged = (sentence(KNOWN, 3, attribute, paraphrase, style) for style in ("plain", "capitals", "tagged"))
        assert capitals.text == plain.text.upper() and tagged.text == b"<" + plain.text[:-1] + b"!>"
        assert plain.told == () and plain.answer == capitals.answer == tagged.answer


def test_a_style_is_told_where_it_differs_from_plain_but_never_in_a_value() -> None:
    tagged, capitals = (sentence(KNOWN, 3, 0, 0, style) for style in ("tagged", "capitals"))
    assert tagged.told == ((0, 0), (len(tagged.text) - 2, 1))
    words = [at for at, byte in enumerate(capitals.prompt) if byte != ord(" ")]
    assert capitals.told == tuple((at, 0) for at in words)


def test_a_style_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match="no style 'loud'; choose one of plain, capitals, tagged"):
        sentence(KNOWN, 0, 0, 0, "loud")


def test_a_world_is_a_pure_function_of_its_arguments_with_names_of_its_own() -> None:
    first, again, other = world(5, 64), world(5, 64), world(6, 64)
    assert first.names == again.names and (first.values == again.values).all()
    assert first.names != other.names and (first.values != other.values).any()
    assert len(set(first.names)) == 64 and first.values.shape == (64, len(ATTRIBUTES))
    rest = world(5, 64, without=first.names[:10])
    assert not set(rest.names) & set(first.names[:10]) and rest.names[:54] == first.names[10:]
    assert (rest.values == first.values).all()


def test_values_are_uniform_and_independent_of_each_other() -> None:
    values = world(1, 4000).values
    for attribute in range(values.shape[1]):
        counts = np.bincount(values[:, attribute], minlength=VALUES)
        assert ((counts - 250) ** 2 / 250).sum() < 37.7  # chi-square, 15 degrees, 0.1 %
    for one, other in itertools.combinations(range(values.shape[1]), 2):
        pairs = np.bincount(values[:, one] * VALUES + values[:, other], minlength=VALUES**2)
        assert ((pairs - 15.625) ** 2 / 15.625).sum() < 330.5  # 255 degrees, 0.1 %


def test_names_are_equally_likely() -> None:
    names = world(2, 3000).names
    for place, letters in enumerate((facts.CONSONANTS, facts.VOWELS) * 2):
        counts = Counter(name[place] for name in names)
        expected = 3000 / len(letters)
        assert sum((counts[letter] - expected) ** 2 / expected for letter in letters) < (37.7 if place % 2 == 0 else 18.5)


@pytest.mark.parametrize(("entities", "without"), [(0, ()), (-1, ()), (NAMES + 1, ()), (NAMES, ("bamok",))])
def test_no_world_has_fewer_than_one_entity_or_more_than_names(entities: int, without: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match=f"a world of {entities} entities: choose 1 to"):
        world(0, entities, without)


def test_bits_are_those_of_the_values() -> None:
    assert bits(world(0, 64)) == 1024


def test_rows_begin_with_a_mark_and_are_filled_up_with_marks() -> None:
    assert rows([b"ab", b"abcd"], 4).tolist() == [[0, 97, 98, 0, 0], [0, 97, 98, 99, 100]]
    with pytest.raises(UsageError, match="'abcd' has 4 bytes, and a row has room for 3"):
        rows([b"a", b"abcd"], 3)
