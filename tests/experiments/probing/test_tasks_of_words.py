"""Labels of words are those of a tree that is known by hand; rare classes are one."""

import numpy as np

from experiments.probing.tasks_of_words import MOST, OTHER, head, numbered, of_sentences, of_subjects, relation, tree
from research.data.relations import Relations, Subject
from research.data.treebank import Sentence

# A tree by hand: `In the old house we really saw cats today there now` with `saw` as its root.
WORDS = "In the old house we really saw cats today there now".split()
HEADS = np.array([3, 3, 3, 6, 6, 6, -1, 6, 6, 8, 9])
SENTENCE = Sentence(
    "one",
    " ".join(WORDS).encode(),
    np.zeros((11, 2), int),
    ("ADP",) * 11,
    ("case", "det", "amod", "obl", "nsubj", "advmod", "root", "obj", "obl:tmod", "advmod", "advmod"),
    HEADS,
)


def test_relations_are_the_universal_ones() -> None:
    assert relation(SENTENCE)[6:9] == ["root", "obj", "obl"]


def test_heads_are_near_or_far_on_one_side() -> None:
    right, left = "right, ", "left, "
    expected = [right + "up to 3", right + "up to 3", right + "up to 1", right + "up to 3", right + "up to 3", right + "up to 1", "root"]
    assert head(SENTENCE) == [*expected, left + "up to 1", left + "up to 3", left + "up to 1", left + "up to 1"]
    far = SENTENCE._replace(heads=np.array([10, -1, *[1] * 9]))
    assert head(far)[0] == right + "over 3" and head(far)[10] == left + "over 3"


def test_depths_count_arcs_to_the_root() -> None:
    assert tree(SENTENCE) == ["2", "2", "2", "1", "1", "1", "0", "1", "1", "2", "3"]
    chain = SENTENCE._replace(heads=np.arange(-1, 10))
    assert tree(chain) == ["0", "1", "2", "3", *["4"] * 7]
    circle = SENTENCE._replace(heads=np.array([1, 0, *[0] * 9]))
    assert set(tree(circle)) == {"4"}  # a broken tree ends, too


def test_labels_are_those_of_the_tasks_that_are_asked_for() -> None:
    (found,) = of_sentences([SENTENCE], ["head", "pos"])
    assert list(found.labels) == ["head", "pos"] and list(found.labels["pos"]) == ["ADP"] * 11 and found.document == "one"


def test_subjects_in_several_relations_have_no_label() -> None:
    subjects = (Subject("Chile", ("language",)), Subject("Peru", ("capital", "language")))
    (found,) = of_subjects(Relations("some", "", subjects))
    assert found.text == b"Chile" and found.spans.tolist() == [[0, 5]] and found.labels == {"attribute": ["language"]}


def test_classes_are_numbered_by_frequency_and_rare_ones_are_one() -> None:
    numbers, names = numbered(["b", "a", "b", "c"])
    assert numbers.tolist() == [0, 1, 0, 2] and names == ("b", "a", "c")
    many = [f"class {place:02}" for place in range(MOST + 3) for _ in range(MOST + 3 - place)]
    numbers, names = numbered(many)
    assert len(names) == MOST and names[-1] == OTHER and numbers.max() == MOST - 1
    assert (numbers == MOST - 1).sum() == sum(MOST + 3 - place for place in range(MOST - 1, MOST + 3))
