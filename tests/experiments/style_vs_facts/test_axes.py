"""The axes: what cannot be is refused with its cause and what mends it; each arm's cells stand where they belong."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from configs.style_vs_facts import get_config
from experiments.style_vs_facts import hows, lessons
from experiments.style_vs_facts.axes import StyleSweep
from experiments.style_vs_facts.material import LENGTH, TAUGHT, marginal_bits, material
from experiments.style_vs_facts.subject import style_subjects
from research.cells.runs import SELECTION_SEEDS
from research.data.facts import KNOWN, PARAPHRASES, VALUES, World
from research.errors import UsageError
from tests.commands import assert_refused

ARMS = ("style:capitals:8/full", "style:tagged:4/full", "facts:8:4/full", "facts:4:1/full", "known:8/full", "facts:8:4/one@1")


def config(**changes: Any) -> dict[str, Any]:
    """Returns the plain config of the smoke test with changes, those of a section by `section__key`."""
    made = get_config("smoke")
    for name, value in changes.items():
        section, _, key = name.partition("__")
        (made[section] if key else made)[key or section] = value
    return dict(made.to_dict())


@pytest.mark.parametrize(
    ("changes", "cause", "mend"),
    [
        ({"base": "gguf:some"}, "base=gguf:some", "leave base=own"),
        ({"arms": ()}, "arms = ", "name at least one"),
        ({"arms": ("facts:8:4/full", "facts:8:4/full")}, "arms = ", "twice"),
        ({"arms": ("facts:8:4/lora@1", "facts:08:4/lora@1.0")}, "arms = ", "twice"),
        ({"arms": ("facts:8:4",)}, "arms has 'facts:8:4'", "such as facts:64:4/full"),
        ({"arms": ("fact:8:4/full",)}, "arms has 'fact:8:4'", "choose among style, facts"),
        ({"arms": ("facts:8/full",)}, "arms has 'facts:8'", "such as facts:64:4"),
        ({"arms": ("facts:0:4/full",)}, "'0' is no whole number above 0", "arms has"),
        ({"arms": (f"facts:8:{PARAPHRASES + 1}/full",)}, "arms has", f"1 to {PARAPHRASES} paraphrases"),
        ({"arms": ("facts:8:0/full",)}, "arms has", "above 0"),
        ({"arms": ("style:italics:8/full",)}, "'italics' is no new style", "capitals"),
        ({"arms": ("style:plain:8/full",)}, "'plain' is no new style", "tagged"),
        ({"arms": ("facts:8:4/lora",)}, "arms has 'lora'", "such as lora@4"),
        ({"arms": ("facts:8:4/lora@x",)}, "arms has 'lora@x'", "is a number"),
        ({"arms": ("facts:8:4/lora@1.5",)}, "arms has 'lora@1.5'", "a rank"),
        ({"arms": ("facts:8:4/full@2",)}, "arms has 'full@2'", "nothing behind it"),
        ({"arms": ("facts:8:4/half",)}, "arms has 'half'", "choose among full"),
        ({"arms": ("known:8/full",)}, "arms has known:8/full", "add such as facts:64:4/full"),
        ({"arms": ("noise:8:4/full",)}, "arms has 'noise:8:4'", "such as noise:64"),
        ({"arms": ("noise:8/full",)}, "arms has noise:8/full", "add such as facts:64:4/full"),
        ({"arms": (f"known:{TAUGHT + 1}/full",)}, f"of {2 * TAUGHT} known entities", "may be taught"),
        ({"arms": (f"style:capitals:{TAUGHT + 1}/full",)}, f"of {2 * TAUGHT} known entities", "may be taught"),
        ({"arms": ("facts:1000:1/full",)}, "16,000 bits are more than", "choose fewer entities"),
        ({"kept_at": (1.0,)}, "kept_at = (1.0,)", "both ends are there anyway"),
        ({"selection_steps": 3}, "selection_steps = 3", "a multiple of 2"),
        ({"learning_rates__full": (1e-3,)}, "learning_rates.full", "at least 3"),
    ],
)
def test_axes_that_cannot_be_are_refused(changes: dict[str, Any], cause: str, mend: str) -> None:
    with pytest.raises(UsageError) as refused:
        StyleSweep.of(config(**changes))
    line = str(refused.value)
    assert cause in line and mend in line and "\n" not in line


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"arms": ("facts:8:4/one@1",), "model__n_layers": 1}, "layers_1/mlp/up/kernel"),
        ({"arms": ("facts:8:4/lora@64",)}, "rank 64 is above"),
        ({"model__max_length": 32}, "model.max_length = 32"),
    ],
)
def test_what_the_model_has_not_is_refused(changes: dict[str, Any], cause: str) -> None:
    with pytest.raises(UsageError, match=cause):
        style_subjects(config(**changes))


def test_more_entities_than_names_are_refused_before_anything_is_written(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(UsageError, match="has a name of its own"):
        style_subjects(config(steps=4_000_000, arms=("facts:10000000:1/full",)))
    assert_refused("--config=configs/style_vs_facts.py:smoke", "arms=facts:10000000:1/full", "can carry", tmp_path, capsys)


def test_words_are_written_in_one_way() -> None:
    assert lessons.parse("facts:064:4").word == "facts:64:4" and hows.parse("lora@4.0").word == "lora@4"
    sweep = StyleSweep.of(config(arms=("facts:08:4/lora@1.0",)))
    assert [arm.word for arm in sweep.parsed] == ["facts:8:4/lora@1"]


def test_rates_are_chosen_for_each_way_of_training_by_styles_and_by_facts_apart() -> None:
    sweep = StyleSweep.of(config(arms=ARMS))
    taken = {c["arm"]: c.get("rate_of") for c in sweep.results()}
    assert {arm for arm, by in taken.items() if by is None} == {"style:capitals:8/full", "facts:8:4/full", "facts:8:4/one@1"}
    assert taken["style:tagged:4/full"] == ("style:capitals:8/full", 1.0) and taken["known:8/full"] == ("facts:8:4/full", 1.0)
    chosen = {(c["arm"], c["learning_rate"]) for c in sweep.selection()}
    assert len(chosen) == sum(len(sweep.learning_rates[trains]) for trains in ("full", "full", "one")) and all(
        "rate_of" not in c for c in sweep.selection()
    )
    assert {c["seed"] for c in sweep.selection()} == {SELECTION_SEEDS} and {c["seed"] for c in sweep.results()} == {0, 1}


def test_halves_run_their_own_arms_and_share_their_programs() -> None:
    subjects = style_subjects(config(arms=ARMS))
    assert [subject.name for subject in subjects] == ["style", "facts"] and subjects[0].layout is subjects[1].layout
    arms = [{c["arm"] for c in subject.sweep.results()} for subject in subjects]
    assert arms == [set(ARMS[:2]), set(ARMS[2:])]
    assert subjects[0].row == LENGTH + 1 and [subject.name for subject in style_subjects(config(arms=ARMS[2:]))] == ["facts"]


@pytest.mark.parametrize("seed", [0, 3, 7])
def test_nobody_is_asked_of_whom_anybody_was_taught(seed: int) -> None:
    own = material(seed, 16)
    assert not set(own.asked.names) & (set(own.taught.names) | set(own.new.names)) and not set(own.new.names) & set(KNOWN.names)
    assert (own.other.values != own.taught.values).all() and own.other.names == own.taught.names
    assert material(seed + 1, 16).new.names != own.new.names and material(seed, 8).new.names == own.new.names[:8]


def test_lessons_state_what_they_say_and_withhold_the_last_paraphrase() -> None:
    own = material(2, 8)
    taught = {
        word: own.of(lessons.parse(word)) for word in ("facts:8:1", "facts:8:4", "facts:8:5", "mixed:capitals:8", "conflict:8", "known:8")
    }
    assert {word: len(sentences) for word, sentences in taught.items()} == {
        **dict.fromkeys(("facts:8:4", "conflict:8", "known:8"), 128),
        "facts:8:1": 32,
        "facts:8:5": 160,
        "mixed:capitals:8": 256,
    }
    facts = lessons.parse("facts:8:4")
    first, last = ({sentence.text for sentence in own.learned(facts, own.order[place])} for place in (0, -1))
    for word, sentences in taught.items():
        texts = {sentence.text for sentence in sentences}
        assert len(texts) == len(sentences) and max(map(len, texts)) <= LENGTH - 1
        assert (first <= texts) == word.startswith(("facts", "mixed")) and bool(last & texts) == (word == "facts:8:5")
    capitals = [sentence.text for sentence in taught["mixed:capitals:8"] if sentence.text.isupper()]
    assert len(capitals) == 128 and len({sentence.text.upper() for sentence in taught["known:8"]} & set(capitals)) == 128
    answers = [[sentence.answer for sentence in taught[word]] for word in ("known:8", "conflict:8")]
    assert all(one != other for one, other in zip(*answers, strict=True))


def test_noise_says_every_value_of_every_new_name_as_often_in_no_more_paraphrases_than_facts() -> None:
    own, entities = material(2, TAUGHT + 1), TAUGHT + 1  # more than may be taught of those that are known
    noise, facts = (own.of(lessons.parse(word)) for word in (f"noise:{entities}", f"facts:{entities}:4"))
    times = Counter(sentence.prompt for sentence in noise)
    assert set(times) == {sentence.prompt for sentence in facts} and set(times.values()) == {VALUES}
    assert len({sentence.text for sentence in noise}) == len(noise) == VALUES * len(facts) and len(facts) == 4 * 4 * entities
    StyleSweep.of(config(arms=("facts:8:4/full", f"noise:{entities}/full")))


@pytest.mark.parametrize("entities", [1, 5, 64])
def test_marginal_bits_are_those_of_who_counts_values(entities: int) -> None:
    new, read = material(3, 64).new, 0.0
    for attribute in range(4):
        said = [new.values[entity, attribute] for entity in range(entities)]
        read += sum(np.log2(said.count(value) / entities) - np.log2(1 / VALUES) for value in said)
    assert marginal_bits(World(new.names[:entities], new.values[:entities])) == pytest.approx(read)


def test_of_values_that_are_equally_frequent_counting_reads_nothing_and_of_one_value_everything() -> None:
    names, even = tuple("abcdefghijklmnop"), np.tile(np.arange(VALUES)[:, None], 4)
    assert marginal_bits(World(names, even)) == pytest.approx(0)
    assert marginal_bits(World(names, even * 0 + 7)) == pytest.approx(16 * VALUES)
