"""Figures of style against facts: what is drawn is what was read, an arm looks alike everywhere, what is missing is said or counted."""

import io
import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.image import imread

from experiments.style_vs_facts import readings
from experiments.style_vs_facts.plots import capacity, learning, looks, old, retrieval
from experiments.style_vs_facts.plots.every import figures
from experiments.style_vs_facts.ways import Read
from research.figures import style
from research.findings import Finding
from tests.experiments.style_vs_facts.planted import LOST, OLD, PARAMETERS, QUERY, RETRIEVED, STEPS, TRAINING, records

STYLES = ("64 entities in capitals: full", "64 entities in capitals: one matrix, rank 1", "4 entities in capitals: full")
BLUE = "#0072B2"  # of the one adapter of a single matrix


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return records()


@pytest.fixture(scope="module")
def read(frame: pd.DataFrame) -> Read:
    return Read(frame)


@pytest.fixture(scope="module")
def found(frame: pd.DataFrame) -> list[Finding]:
    return readings.findings(frame)


@pytest.fixture(scope="module")
def drawn(frame: pd.DataFrame, found: list[Finding]) -> dict[str, style.Captioned]:
    return dict(figures(frame, found))


def cut(figure: Figure) -> bool:
    """Whether something leaves its color in the outermost pixels."""
    pixels = imread(io.BytesIO(style.png(figure)))[..., :3]
    return bool(min(edge.min() for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])) < 0.99)


def crowded(axes: Axes) -> bool:
    """Whether names of two ticks below the axes touch."""
    low, high = axes.get_xlim()
    boxes = [label.get_window_extent() for label in axes.get_xticklabels() if label.get_text() and low <= label.get_position()[0] <= high]
    boxes = sorted((box for box in boxes if box.width), key=lambda box: box.x0)
    return any(first.x1 + 3 > second.x0 for first, second in itertools.pairwise(boxes))


def marks(axes: Axes) -> list[tuple[float, float, str, bool]]:
    """What is drawn with error bars: x, y, color, and whether it is filled."""
    lines = [container.lines[0] for container in axes.containers]
    return [
        (float(line.get_xdata()[0]), float(line.get_ydata()[0]), to_hex(line.get_color()), line.get_markerfacecolor() != "white")
        for line in lines
    ]


@pytest.mark.parametrize(
    ("name", "unit"), [("learning", "(1 = all)"), ("capacity", "bits of new facts"), ("old", "bits an old fact"), ("retrieval", "FLOPs")]
)
def test_no_text_is_cut_and_no_ticks_touch_and_the_caption_says_n(name: str, unit: str, drawn: dict[str, style.Captioned]) -> None:
    figure, caption = drawn[name]
    assert not cut(figure) and not any(crowded(axes) for axes in figure.axes)
    assert unit in " ".join(axes.get_xlabel() + axes.get_ylabel() + axes.get_title() for axes in figure.axes)
    assert "n = 3" in caption and "have no value" not in caption


def test_missing_records_give_a_sentence_and_no_figure(frame: pd.DataFrame, read: Read) -> None:
    for left in (pd.DataFrame(), frame[frame["phase"] == "reference"]):
        nothing = Read(left)
        sentences = [learning.learning(nothing), *(each(nothing, []) for each in (capacity.capacity, old.old, retrieval.retrieval))]
        assert all(not figure.axes and figure.texts for figure in sentences)
        assert not figures(left)
        for caption in (capacity.caption, old.caption, retrieval.caption):
            assert "n = 0" in caption(nothing, [])
    assert set(figures(frame)) == {"learning"}
    styles = frame[~frame["kind"].isin(["facts", "conflict"])]
    assert set(figures(styles, readings.findings(styles))) == {"learning", "old", "retrieval"}
    assert len(learning.learning(Read(styles)).axes) == 1


def test_curves_begin_at_the_base_and_are_means_of_shares_of_the_own_world(drawn: dict[str, style.Captioned]) -> None:
    styles, facts = drawn["learning"].figure.axes
    curves = [line for line in facts.lines if len(line.get_xdata()) == 1 + len(STEPS)]
    whole, few, once = (line for line in curves if line.get_color() != BLUE)
    assert len(curves) == 4 and whole.get_linestyle() == "-" != few.get_linestyle()
    assert list(whole.get_xdata()) == [0, *STEPS]
    np.testing.assert_allclose(whole.get_ydata(), [-5 / 1024, 100 / 1024, 500 / 1024, 1000 / 1024])
    np.testing.assert_allclose(few.get_ydata(), [-5 / 1024, 30 / 64, 60 / 64, 60 / 64])
    np.testing.assert_allclose(once.get_ydata()[-1], 800 / 1024)
    (adapter,) = [line for line in styles.lines if line.get_color() == BLUE]
    np.testing.assert_allclose(adapter.get_ydata(), [0.0, 0.25 * 0.87, 0.5 * 0.87, 0.87])


def test_readings_that_are_not_finite_are_left_out_and_counted(frame: pd.DataFrame) -> None:
    gone = (frame["arm"] == "facts:64:4/full") & (frame["metric"] == "new_bits") & (frame["seed"] == 0) & (frame["step"] == STEPS[-1])
    diverged = Read(frame.assign(value=frame["value"].where(~gone)))
    assert "1 of 84 readings are not finite" in learning.caption(diverged)
    lost = readings.findings(diverged.results)
    assert "n = 2 to 3" in capacity.caption(diverged, lost)
    none = [f._replace(value=None, low=None, high=None) if f.name == "bits_learned" and f.where["how"] == "full" else f for f in lost]
    assert "1 of 2 have no value" in capacity.caption(diverged, none)
    assert len(marks(capacity.capacity(diverged, none).axes[0])) == 1


def test_an_arm_has_one_look_in_all_figures(drawn: dict[str, style.Captioned], read: Read) -> None:
    assert looks.looks(read)["one@1"].color == BLUE and looks.looks(read)["full"].color == "#000000"
    for name in ("capacity", "old", "retrieval"):
        colors = {color for *_, color, _ in marks(drawn[name].figure.axes[0])}
        assert {"#000000", BLUE.lower()} <= colors
    many = records().assign(how=lambda rows: rows["how"].replace("full", "lora@2"))
    both = Read(pd.concat([records(), many.assign(arm=many["arm"].str.replace("/full", "/lora@2"))]))
    assert looks.hows(both) == ["full", "lora@2", "one@1"]
    assert len({look.color for look in looks.looks(both).values()}) == 3


def test_capacity_has_the_law_the_world_and_retrieval_beside_the_bits_of_each_way(drawn: dict[str, style.Captioned]) -> None:
    (axes,) = drawn["capacity"].figure.axes
    assert [mark[:2] for mark in marks(axes)] == [
        (PARAMETERS["full"], pytest.approx(1000.0)),
        (PARAMETERS["one@1"], pytest.approx(640.0)),
    ]
    (law,) = [line for line in axes.lines if line.get_color() == capacity.LAW_LOOK.color]
    np.testing.assert_allclose(law.get_ydata(), 2 * law.get_xdata())
    levels = {round(float(line.get_ydata()[0])) for line in axes.lines if len(set(line.get_ydata())) == 1 and len(line.get_ydata()) == 2}
    assert {1024, RETRIEVED, -5, 0} <= levels
    assert {text.get_text() for text in axes.texts} == {"all there is\xa01,024", "retrieval\xa0900", "base alone\xa0−5"}
    assert "one matrix, rank 1 saturated: +1%" in drawn["capacity"].caption


def test_old_facts_are_the_base_and_the_change_from_it_in_the_order_of_lessons(drawn: dict[str, style.Captioned]) -> None:
    (axes,) = drawn["old"].figure.axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names[0] == "untouched base" and names[-2:] == [f"{kind}, 64 entities: full" for kind in ("known", "noise")]
    assert len(names) == 1 + len(LOST)
    assert names[1:4] == [f"style, {taught}" for taught in STYLES]
    filled = {names[round(y)]: x for x, y, _, own in marks(axes) if own}
    assert filled["untouched base"] == pytest.approx(OLD)
    assert filled["facts, 64 entities in 4 ways: full"] == pytest.approx(OLD - 1.5)
    assert filled["known, 64 entities: full"] == pytest.approx(OLD - 0.5) and filled[names[-1]] == pytest.approx(OLD - 0.7)
    hollow = [(names[int(y)], x) for x, y, _, own in marks(axes) if not own]
    assert len(hollow) == 3 and all(name.startswith("style") and x == pytest.approx(OLD - 0.5) for name, x in hollow)


def test_retrieval_stands_beside_training_and_prices_meet_where_the_findings_say(drawn: dict[str, style.Captioned]) -> None:
    bits, flops = drawn["retrieval"].figure.axes
    names = [label.get_text() for label in bits.get_yticklabels()]
    assert names[:4] == ["base alone", "base, a stray fact before", "retrieval: the fact before", "full\xa0(in 4 ways)"]
    read = {(names[int(y)], own): x for x, y, _, own in marks(bits)}
    assert read["retrieval: the fact before", True] == pytest.approx(RETRIEVED)
    assert read["base, a stray fact before", True] == pytest.approx(-20)
    assert read["full\xa0(in 4 ways)", True] == pytest.approx(1000) and read["full\xa0(in 4 ways)", False] == pytest.approx(700)
    assert read["full\xa0(in 1 way)", False] == pytest.approx(100)
    points = {(line.get_xdata()[0], line.get_ydata()[0]) for line in flops.lines if len(line.get_xdata()) == 1}
    assert points == {(TRAINING[how] / QUERY, TRAINING[how]) for how in TRAINING}
    (slope,) = [line for line in flops.lines if line.get_color() == looks.RETRIEVAL.color]
    assert slope.get_ydata()[1] / slope.get_xdata()[1] == pytest.approx(QUERY)
    assert {text.get_text() for text in flops.texts} == {"3k", "1.5k"}


def test_names_beside_prices_that_are_alike_do_not_touch(frame: pd.DataFrame) -> None:
    near = frame.assign(value=frame["value"].mask((frame["metric"] == "training_flops") & (frame["how"] == "one@1"), 5.95e6))
    figure = retrieval.retrieval(Read(near), readings.findings(near))
    style.png(figure)
    low, high = sorted((text.get_window_extent() for text in figure.axes[1].texts), key=lambda box: box.y0)
    assert low.y1 <= high.y0 + 1


def test_an_interval_that_reaches_far_is_cut_and_a_value_is_not() -> None:
    near, far = looks.Span(1.0, 0.9, 1.1), looks.Span(2.0, -50.0, 50.0)
    low, high = looks.view([near, far], [0.0])
    assert -1.0 < low < 0.0 and 2.0 < high < 3.2
    assert looks.view([near], [0.0])[1] > 1.1


def test_figures_do_not_depend_on_the_order_of_records(frame: pd.DataFrame, drawn: dict[str, style.Captioned]) -> None:
    mixed = frame.sample(frac=1, random_state=1)
    again = figures(mixed, readings.findings(mixed))
    assert all(style.png(again[name].figure) == style.png(drawn[name].figure) for name in ("learning", "old"))
