"""Figures of intrinsic dimension: what is read stands where it was read, bounds are arrows, and nothing to draw is said."""

import pandas as pd
import pytest

from experiments.intrinsic_dimension.plots import projections, quality, trends
from research.findings import Finding

FC = {"model": "fc", "parameters": 199_210, "data": "tfds:mnist/3.0.1"}
LM = {"model": "lm", "parameters": 131_392, "data": "stdlib:docs"}


def d90(subject: dict, value: float | None, low: float | None, high: float | None, note: str = "", **where: object) -> Finding:
    return Finding("d90", {"init": "random", "projection": "count_sketch", **subject, **where}, value, low, high, "dimensions", 3, "", note)


FOUND = [
    d90(FC, 750.0, 700.0, 800.0, threshold="absolute"),
    d90(FC, 600.0, 500.0, None, "interval open above the largest dimension", threshold="relative"),
    d90(FC, 760.0, 700.0, 820.0, threshold="absolute", projection="dense"),
    d90(LM, 5e4, 3e4, None, "interval open above", threshold="relative", pretraining_steps=0),
    d90(LM, 9e3, 6e3, 1.3e4, threshold="relative", pretraining_steps=2000, init="pretrained"),
    d90(
        LM,
        None,
        None,
        64.0,
        "at or below the smallest",
        threshold="shared_loss",
        target="worst_best",
        target_bits=3.8,
        pretraining_steps=2000,
        init="pretrained",
    ),
    d90(
        LM,
        None,
        65536.0,
        None,
        "not reached at the largest",
        threshold="shared_loss",
        target="worst_best",
        target_bits=3.8,
        pretraining_steps=2000,
        init="shuffled",
    ),
    d90(
        LM, None, None, None, "full-space training itself", threshold="shared_loss", target="best_90", target_bits=2.8, pretraining_steps=0
    ),
    *(
        Finding(name, {**FC, "projection": kind}, 1e-3, None, None, "s", 1, "")
        for name in ("step_time", "member_memory")
        for kind in ("count_sketch", "dense", None)
    ),
]


@pytest.fixture
def results() -> pd.DataFrame:
    rows = [
        {**FC, "phase": "reference", "metric": m, "value": v, "step": 0}
        for m, v in (("chance", 0.1), ("absolute_level", 0.9), ("accuracy", 0.12))
    ]
    rows += [{**LM, "phase": "reference", "metric": "unigram_loss", "value": 4.7, "step": 0}]
    for init in ("random", "pretrained"):
        rows.append({**LM, "phase": "reference", "metric": "target_loss", "init": init, "value": 3.3, "step": 0})
    for seed in (0, 1, 2):
        for d in (100, 1000, None):
            trains = {"trains": "subspace", "projection": "count_sketch", "dimension": d} if d else {"trains": "full"}
            own = {"phase": "result", **trains, "seed": seed, "step": 9}
            rows.append({**FC, **own, "init": "random", "metric": "accuracy", "value": 0.8 + 0.01 * seed})
            rows += [{**LM, **own, "init": init, "metric": "target_loss", "value": 3.0 + 0.01 * seed} for init in ("random", "pretrained")]
    return pd.DataFrame(rows)


def test_each_model_has_a_panel_with_its_curves_thresholds_and_published_values(results: pd.DataFrame) -> None:
    figure = quality.quality_against_dimension(results, FOUND)
    network, language = figure.axes
    assert "199,210" in network.get_title() and "131,392" in language.get_title()
    words = [text.get_text() for text in network.get_legend().get_texts()]
    assert {"count-sketch", "full space", "0.9 of it", "0.9"} <= set(words) and any("released" in word for word in words)
    assert any("published 750" in text.get_text() for text in network.texts)
    marks = [
        (float(c[0].get_xdata()[0]), float(c[0].get_ydata()[0]))
        for c in network.containers
        if len(c[0].get_xdata()) and c[0].get_marker() == "D"
    ]
    assert (750.0, 0.9) in marks
    assert [text.get_text() for text in language.get_legend().get_texts()] == ["pretrained", "random"]
    assert "fully connected: 3" in quality.quality_caption(results)


def test_bounds_are_arrows_and_what_is_not_read_is_a_cross() -> None:
    figure = trends.against_pretraining(FOUND)
    axes = figure.axes[0]
    assert len(axes.texts) == 3  # one open interval, one bound above, one below
    assert sum(line.get_marker() == "x" for line in axes.lines) == 1
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "2,000"]
    assert "3.80, which every initialization reaches" in trends.pretraining_caption(FOUND)


def untouched(f: Finding, **changes: object) -> Finding:
    where = {key: value for key, value in f.where.items() if key != "threshold"}
    return f._replace(name="d90_by_definition", where={**where, "start": "untouched"}, **changes)


def test_both_starts_stand_in_one_figure_and_zero_at_its_foot() -> None:
    gains = [f for f in FOUND if f.where.get("model") == "lm" and f.where.get("threshold") == "relative"]
    starts = [untouched(f, value=f.value / 10, low=f.low / 10, note="") for f in gains]
    lower = [f._replace(name="d90_by_definition", where={**f.where, "start": "min"}, value=7.0) for f in starts]
    zero = next(f for f in FOUND if f.where.get("target") == "worst_best")._replace(value=0.0, low=0.0, high=64.0, note="")
    axes = trends.against_pretraining([*gains, *starts, *lower, zero]).axes[0]
    drawn = sorted(float(y) for c in axes.containers for y in c[0].get_ydata())
    assert drawn == [9e2, 5e3, 9e3, 5e4]
    assert [text.get_text() for text in axes.texts if text.get_text()] == ["0"]
    words = [text.get_text() for text in axes.figure.legends[0].get_texts()]
    assert words[:2] == ["90 % of its own gain", "the same from the untouched loss"]


def test_captions_say_how_many_bases_there_were(results: pd.DataFrame) -> None:
    assert "pretrained weights are of 3 bases" in quality.quality_caption(results.assign(base=results["seed"]))
    shared = results.assign(base=results["seed"] % 2)
    assert "pretrained weights are of 2 bases, and draws that share one are averaged first" in quality.quality_caption(shared)
    assert "bases" not in quality.quality_caption(results[results["model"] == "fc"])


def test_draws_that_share_a_base_are_one_point_of_an_interval(results: pd.DataFrame) -> None:
    """Of 0.80, 0.81, 0.82 with the last two from one base the mean is that of 0.80 and 0.815."""
    shared = results.assign(base=results["seed"].clip(upper=1))
    figure = quality.quality_against_dimension(shared[shared["model"] == "fc"], [])
    heights = [float(y) for c in figure.axes[0].containers for y in c[0].get_ydata()]
    assert heights == pytest.approx([0.8075, 0.8075])


def test_projections_stand_in_rows_beside_their_costs() -> None:
    figure = projections.compared(FOUND)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["count-sketch", "dense", "full space"]
    drawn = [float(c[0].get_xdata()[0]) for c in figure.axes[0].containers]
    assert sorted(drawn) == [600.0, 750.0, 760.0]
    assert [float(c[0].get_xdata()[0]) for c in figure.axes[1].containers] == [1.0] * 3  # milliseconds
    assert "3 draws" in projections.caption(FOUND)


def test_sizes_are_drawn_where_there_are_several() -> None:
    wide = [f._replace(where={**f.where, "parameters": 500_000}) for f in FOUND if f.where["model"] == "lm"]
    figure = trends.against_size([*FOUND, *wide])
    assert not figure.axes[0].get_xticks(minor=True).size
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["131k", "500k"]


def test_nothing_to_draw_is_said(results: pd.DataFrame) -> None:
    assert quality.quality_against_dimension(results.query("phase == 'reference'"), FOUND).texts
    assert trends.against_pretraining([]).texts and trends.against_size(FOUND).texts
    assert projections.compared([]).texts and projections.caption([])
    assert trends.pretraining_caption([]) and trends.size_caption([])
