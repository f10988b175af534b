"""Figures of LoRA against full training: marks are what was read, nulls stand beside them, what is missing is left out and said."""

import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.lines import Line2D

from experiments.lora_vs_full.plots import cuts, detector, intruders, looks, maps, scaled, spectra, subspaces
from experiments.lora_vs_full.plots.every import figures
from experiments.lora_vs_full.readings import findings
from research.figures import style
from research.findings import Finding
from tests.experiments.lora_vs_full import planted
from tests.experiments.lora_vs_full.planted import (
    ADAPTERS,
    ALPHAS,
    AT,
    BASES,
    CUTS,
    GROWN,
    KEEPS,
    LEARNS,
    MATRICES,
    MORE,
    RISES,
    SIZE,
    START,
)

NAMES = {
    "spectra": "singular value / Frobenius norm",
    "intruders": "intruders a matrix",
    "detector": "share called intruders",
    "cuts": "at 80 % of what full learns",
    "scaled": "rise of the source's\nloss (bits/byte)",
    "subspaces": "overlap of subspaces",
    "maps": "rank of 90 % of the energy",
}


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return planted.records()


@pytest.fixture(scope="module")
def found(frame: pd.DataFrame) -> list[Finding]:
    return findings(frame)


@pytest.fixture(scope="module")
def drawn(frame: pd.DataFrame, found: list[Finding]) -> dict[str, style.Captioned]:
    return dict(figures(frame, found))


def cut(figure: Figure) -> bool:
    """Whether something runs out of the figure: it leaves its color in the outermost pixels."""
    pixels = imread(io.BytesIO(style.png(figure)))[..., :3]
    return bool(min(edge.min() for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])) < 0.99)


def marks(axes: Axes, color: str, marker: str | None = None, face: str | None = None) -> list[Line2D]:
    lines = [line for line in axes.lines if line.get_color() == color and marker in (None, line.get_marker())]
    return [line for line in lines if face in (None, line.get_markerfacecolor())]


def points(bars: ErrorbarContainer) -> np.ndarray:
    """What error bars are around, (n, 2)."""
    return np.asarray(bars.lines[0].get_xydata(), float)


def places(lines: list[Line2D]) -> np.ndarray:
    return np.concatenate([line.get_xydata() for line in lines])


@pytest.mark.parametrize("name", NAMES)
def test_nothing_runs_out_of_a_figure_and_what_is_drawn_is_named(name: str, drawn: dict[str, style.Captioned]) -> None:
    figure, caption = drawn[name]
    assert not cut(figure)
    assert any(NAMES[name] in text for axes in figure.axes for text in (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()))
    assert f"n = {BASES}" in caption and ("qual loss" in caption or name == "scaled")
    levels = [f"{share} of what full learns, {bits} bits/byte" in caption for share, bits in (("50 %", "3.20"), ("80 %", "2.60"))]
    assert levels == {"intruders": [True, True], "cuts": [True, True], "scaled": [False, False]}.get(name, [False, True])


def test_a_figure_without_its_records_is_a_sentence_and_is_left_out(frame: pd.DataFrame, found: list[Finding]) -> None:
    assert not figures(pd.DataFrame(), [])
    for needs, draw in {"spectrum": spectra.spectra, "update": intruders.intruders, "altered": scaled.scaled}.items():
        less = frame[frame["phase"] != needs]
        assert not draw(less).axes and f"'{needs}'" in draw(less).texts[0].get_text() and not draw(pd.DataFrame()).axes
    assert not maps.maps(frame[frame["at"].isna() | (frame["at"] == "end")]).axes
    assert not cuts.cuts(frame, []).axes and not detector.detector([]).axes and not subspaces.subspaces([]).axes
    begun = frame[frame["phase"].isin(["reference", "spectrum"])]
    assert set(figures(begun, findings(begun))) == {"spectra", "detector"}
    for caption in (spectra.caption, intruders.caption, scaled.caption, maps.caption):
        assert caption(pd.DataFrame())


def test_a_caption_says_which_arms_do_not_come_down_to_which_of_its_levels(drawn: dict[str, style.Captioned]) -> None:
    lost = "Not there: low rate, × 0.1 at 80 % does not come down to it in 3 of 3 runs."
    assert {name for name, (_, caption) in drawn.items() if lost in caption} == set(NAMES) - {"scaled"}


def test_an_arm_looks_alike_whatever_stands_beside_it() -> None:
    words = ["lora@2", "lora@4", "lora@16", "full"]
    own = looks.looks(words)
    assert looks.looks(["lora@16"], words) == {"lora@16": own["lora@16"]} != looks.looks(["lora@16"])


def test_places_are_ordered_by_what_was_learned_and_the_end_is_last() -> None:
    assert looks.places(["end", "0.8", "0.25", "end", "0.8"]) == ["0.25", "0.8", "end"]
    assert looks.last(["end", "0.8", "0.25"]) == "0.8" and looks.last(["end"]) == looks.last([]) == ""
    assert [looks.placed(at) for at in ("0.25", "end")] == ["at 25 % of what full learns", "at the end"]


def test_arms_have_one_order_and_looks_that_tell_them_apart() -> None:
    words = ["source", "lora@16", "slowlora@0.3", "slow@0.1", "lora@4", "new@2", "shuffled", "full", "slow@0.3"]
    assert looks.ordered(words) == ["full", "slow@0.3", "slow@0.1", "lora@4", "lora@16", "slowlora@0.3", "new@2", "shuffled", "source"]
    own = looks.looks(words)
    assert list(own) == looks.ordered(words) and len({look.color for look in own.values()}) == len(words)
    assert looks.name("lora@16") == "LoRA, rank 16" and looks.name("slowlora@0.3") == "LoRA, low rate, × 0.3"
    assert looks.name("new@2") == "new@2"


def test_a_spectrum_is_a_mean_over_bases_and_ends_at_the_rank_of_an_adapter(drawn: dict[str, style.Captioned]) -> None:
    trained, nulls = drawn["spectra"].figure.axes
    own = looks.looks(LEARNS)
    for arm in AT[planted.LAST]:
        rank = ADAPTERS.get(arm, SIZE)
        line = next(line for line in marks(trained, own[arm].color) if len(line.get_xdata()) > 1)
        assert line.get_xdata().tolist() == list(range(1, rank + 1))
        np.testing.assert_allclose(line.get_ydata(), 0.6 * 0.9 ** np.arange(rank) + 0.001)
    assert sum(len(line.get_xdata()) > 1 for line in trained.lines) == 1 + len(AT[planted.LAST])
    assert sum(len(line.get_xdata()) > 1 for line in nulls.lines) == 1 + 3  # noise once, full, two nulls
    (noise,) = marks(nulls, looks.NOISE_COLOR)
    assert noise.get_ydata()[0] == pytest.approx(0.25)


def test_a_cell_is_one_mark_joined_to_its_rotated_update(drawn: dict[str, style.Captioned]) -> None:
    panels = drawn["intruders"].figure.axes
    assert [axes.get_title() for axes in panels] == ["at 50 % of what full learns", "at 80 % of what full learns", "at the end"]
    full, far = looks.looks(["full"])["full"], np.array([planted.deviation(seed) for seed in range(BASES)])
    for axes, (at, grown) in zip(panels, GROWN.items(), strict=True):
        own = places(marks(axes, full.color, full.marker, full.color))
        spread = planted.COMMON + planted.OWN["full"]
        np.testing.assert_allclose(own, np.column_stack([0.5 * grown + 0.01 * far, 4.0 * grown + spread * far]))
        rotated = places(marks(axes, full.color, full.marker, "white"))
        np.testing.assert_allclose(rotated, np.column_stack([own[:, 0], 5.0 * grown + planted.COMMON * far]))
        assert len(places(marks(axes, looks.NOISE_COLOR, "x"))) == BASES * (len(AT[at]) + 2)
        joined = axes.collections[0].get_segments()
        np.testing.assert_allclose(joined, np.stack([own, rotated], axis=1))


def test_curves_of_the_detector_are_findings_and_triangles_are_the_updates(drawn: dict[str, style.Captioned]) -> None:
    flat, _, base = drawn["detector"].figure.axes
    rates = list(planted.FPR.values())
    expected = [rates, [1 - rate for rate in rates], [0.5] * len(rates)]
    np.testing.assert_allclose([points(container)[:, 1] for container in base.containers], expected, atol=1e-9)
    assert points(flat.containers[0])[1].tolist() == [0.3, pytest.approx(0.3)]
    triangles = places([line for line in flat.lines if line.get_marker() == "v"])
    np.testing.assert_allclose(triangles[:, 0], [0.28 * GROWN[planted.LAST]] * len(AT[planted.LAST]))


def test_cuts_lie_between_the_whole_update_and_the_untouched_model(frame: pd.DataFrame, drawn: dict[str, style.Captioned]) -> None:
    grid = np.reshape(drawn["cuts"].figure.axes, (2, len(MORE)))
    assert [axes.get_title() for axes in grid[0]] == [looks.name(arm) for arm in MORE]
    for row, at in zip(grid, (planted.LAST, "end"), strict=True):
        assert row[0].get_ylabel() == looks.placed(at)
        for axes, arm in zip(row, MORE, strict=True):
            best, random = axes.containers
            gain = LEARNS[arm] * planted.WAY[AT[at][arm]]
            kept = [rank for rank in CUTS["best"] if rank < ADAPTERS.get(arm, SIZE)]
            np.testing.assert_allclose(points(best)[:, 1], [gain * (1 - CUTS["best"][rank]) for rank in kept])
            np.testing.assert_allclose(points(random)[:, 1], [gain * (1 - CUTS["random"][rank]) for rank in kept])
            assert np.round(points(random)[:, 0]).tolist() == kept and axes.lines[1].get_ydata()[0] == pytest.approx(gain)
    wide = [Finding(cuts.NAME, {"arm": "full", "at": "end", "cut": 1, "directions": "best"}, 1.0, -50.0, 52.0, "bits/byte", 2, "t")]
    assert -2 < cuts.cuts(frame, wide).axes[0].get_ylim()[0] < 0 < 1 < cuts.cuts(frame, wide).axes[0].get_ylim()[1] < 4


def test_an_arm_that_was_not_cut_at_a_place_has_no_panel_there(frame: pd.DataFrame, found: list[Finding]) -> None:
    some = [f for f in found if (f.where.get("arm"), f.where.get("at")) != ("lora@2", planted.LAST)]
    grid = np.reshape(cuts.cuts(frame, some).axes, (2, len(MORE)))
    assert [[axes.axison for axes in row] for row in grid] == [[True, False, True], [True, True, True]]
    assert not grid[0, 1].containers and grid[1, 1].containers


def test_scaled_updates_without_parts_are_drawn_and_told_without_them_and_nulls_are_no_way(frame: pd.DataFrame) -> None:
    """As a run's records that were read before parts were; what a null does at its end is not on the path of full."""
    some = frame[~frame["scaled"].isin(["others", "update"])]
    assert {line.get_marker() for axes in scaled.scaled(some).axes for line in axes.lines} == {"None", "*", "o", "s"}
    assert "Hollow" not in scaled.caption(some) and "Hollow triangles: as many of the other" in scaled.caption(frame)
    without = some[some["scaled"] != "whole"]
    assert style.png(scaled.scaled(some)) == style.png(scaled.scaled(without))


def test_scaled_intruders_lie_beside_a_path_from_the_untouched_model(drawn: dict[str, style.Captioned]) -> None:
    assert [axes.get_title() for axes in drawn["scaled"].figure.axes[: len(MORE)]] == [looks.name(arm) for arm in MORE]
    start = START + planted.HIGHER + 0.05
    for axes, (arm, more) in zip(drawn["scaled"].figure.axes, MORE.items(), strict=False):
        path = next(line for line in axes.lines if line.get_color() == "#222222" and line.get_linewidth() == 1.5)
        way = np.array([0.0, *ALPHAS, 1.0])
        np.testing.assert_allclose(path.get_xydata(), np.column_stack([start - LEARNS[arm] * way, RISES[arm] * way**2]), atol=1e-9)
        squares = places([line for line in axes.lines if line.get_marker() == "s"])
        kept = np.array(list(KEEPS.values()))
        risen = RISES[arm] * np.interp(kept, ALPHAS, np.square(ALPHAS)) + more
        np.testing.assert_allclose(squares, np.column_stack([start - LEARNS[arm] * kept, risen]))
        for marker, part in (("^", "others"), ("d", "update")):
            hollow = places([line for line in axes.lines if line.get_marker() == marker])
            np.testing.assert_allclose(hollow, np.column_stack([squares[:, 0], squares[:, 1] + planted.PARTS[part][0]]), atol=1e-9)
    assert "of 6 squares 2 lose less of the source than the path, 2 more, 2 are not told apart" in drawn["scaled"].caption


def test_pairs_of_seeds_stand_above_pairs_of_arms_and_nulls_are_ticks(drawn: dict[str, style.Captioned]) -> None:
    one, four = drawn["subspaces"].figure.axes
    names = [label.get_text() for label in one.get_yticklabels()]
    assert names == ["full, two seeds", "LoRA, rank 2, two seeds", "full & LoRA 2", "full & LoRA 8", "LoRA 2 & LoRA 8"]
    ticks = places([line for line in one.lines if line.get_marker() == "|" and line.get_color() == "#222222"])
    assert len(ticks) == 10 and (ticks[:, 0] == pytest.approx(planted.PERMUTED))
    inputs = [[planted.alike(pair, planted.LAST, "inputs"), i - subspaces.APART] for i, pair in enumerate(planted.PAIRS)]
    np.testing.assert_allclose(points(one.containers[0]), inputs)
    assert points(four.containers[0])[:, 1].tolist() == [0 - subspaces.APART, 3 - subspaces.APART]


def test_maps_say_their_numbers_and_layers_share_rows_where_there_are_many(frame: pd.DataFrame, drawn: dict[str, style.Captioned]) -> None:
    ranks, counts = drawn["maps"].figure.axes
    assert [label.get_text() for label in ranks.get_xticklabels()] == "full,LoRA 2,LoRA 8,shuffled,source,noise".split(",")
    rows = [label.get_text() for label in ranks.get_yticklabels()]
    assert rows == [f"{kind}, layer {layer}" for kind in ("attention query", "mlp up") for layer in range(2)]
    said = np.array([text.get_text() for text in ranks.texts]).reshape(len(MATRICES), -1)
    assert said[:, 0].tolist() == ["27", "31", "29", "33"]  # 20 x 1.5, and -3, 1, -1, 3
    assert said[0].tolist() == [f"{value - 3:.0f}" for value in (30, 7.5, 7.5, 45, 37.5, 60)]
    assert [text.get_text() for text in counts.texts[:2]] == ["3", "6"] and counts.get_xticklabels()[-1].get_text() == "rotated"
    own = frame[(frame["phase"] == "update") & (frame["matrix"] == list(MATRICES)[1])]
    deep = pd.concat([own.assign(matrix=f"layers_{i}/mlp/up", value=own["value"] + i) for i in range(12)])
    (first, *_) = maps.maps(deep).axes
    assert [label.get_text() for label in first.get_yticklabels()][:2] == ["mlp up, layers 0 to 1", "mlp up, layers 2 to 3"]
    assert first.texts[0].get_text() == f"{np.mean([29, 30]):.0f}" and len(first.get_yticklabels()) == maps.MOST


def test_figures_do_not_depend_on_the_order_of_records(frame: pd.DataFrame, drawn: dict[str, style.Captioned]) -> None:
    mixed = frame.sample(frac=1, random_state=1)
    for name, draw in {"intruders": intruders.intruders, "scaled": scaled.scaled, "maps": maps.maps}.items():
        assert style.png(draw(mixed)) == style.png(drawn[name].figure), name
