"""Figures of the landscape: one scale for all panels, what is missing is seen and counted, and nothing is drawn of what was not read."""

import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from mpl_toolkits.mplot3d import Axes3D

from experiments.loss_landscape.plots import barriers, contours, curvature, losses, plane, profiles, spectra, surfaces
from experiments.loss_landscape.plots.every import figures
from research.analysis.densities import Density
from research.figures import style
from research.findings import Finding
from tests.experiments.loss_landscape.planted_landscape import ENDS, LIMIT, PARAMETERS, SHARED, SHARP, landscape

FIGURES = {
    "losses": (losses.losses, losses.caption, "result"),
    "curvature": (curvature.along_the_way, curvature.caption, "curvature"),
    "barriers": (barriers.barriers, barriers.caption, "barrier"),
    "profiles": (profiles.profiles, profiles.caption, "grid"),
    "surfaces": (surfaces.surfaces, surfaces.caption, "grid"),
    "reliefs": (surfaces.reliefs, surfaces.relief_caption, "grid"),
    "trajectories": (plane.trajectories, plane.caption, "grid"),
    "spectra": (spectra.densities, spectra.caption, "density"),
}
LOWS = {"raw": 0.7, "matched": None}
every_figure = pytest.mark.parametrize("name", FIGURES)


@pytest.fixture(scope="module")
def small() -> pd.DataFrame:
    return landscape(inits=("pretrained", "shuffled", "random"), seeds=2, runs=2, points=5)


@pytest.fixture(scope="module")
def drawn(small: pd.DataFrame) -> dict[str, style.Captioned]:
    return dict(figures(small))


def cut(figure: Figure) -> bool:
    """Whether something runs out of the figure: it leaves its color in the outermost pixels."""
    pixels = imread(io.BytesIO(style.png(figure)))[..., :3]
    return bool(min(edge.min() for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])) < 0.99)


def titled(figure: Figure, *words: str) -> list:
    return [axes for axes in figure.axes if all(word in axes.get_title() for word in words)]


@every_figure
def test_no_text_is_cut_and_axes_are_named_with_units(name: str, drawn: dict[str, style.Captioned]) -> None:
    assert not cut(drawn[name].figure)
    words = " ".join(axes.get_xlabel() + axes.get_ylabel() for axes in drawn[name].figure.axes)
    assert ("(nats)" if name == "spectra" else "(bits/byte") in words


@every_figure
def test_a_missing_phase_gives_a_sentence(name: str, small: pd.DataFrame) -> None:
    draw, caption, needs = FIGURES[name]
    figure = draw(small[small["phase"] != needs])
    assert not figure.axes and f"'{needs}'" in figure.texts[0].get_text()
    assert not draw(pd.DataFrame()).axes and caption(pd.DataFrame())


def test_only_figures_with_records_are_returned(small: pd.DataFrame, drawn: dict[str, style.Captioned]) -> None:
    assert set(drawn) == {*FIGURES, "learning_rates"}
    start = small[(small["at"] == "start") & (small["phase"].isin(["grid", "curvature"]))].dropna(axis="columns", how="all")
    begun = figures(start)
    assert set(begun) == {"curvature", "profiles", "surfaces", "reliefs"}
    few = small[(small["metric"].isin(["profile", "lambda_max", "loss"]) & (small["step"] % 200 == 0)) | (small["phase"] == "barrier")]
    assert set(figures(few[few["phase"] != "density"])) == {"curvature", "profiles", "barriers"}
    assert not figures(pd.DataFrame())
    for name, captioned in begun.items():
        assert not cut(captioned.figure), name


def test_surfaces_of_all_initializations_have_one_scale_and_losses_their_colors(drawn: dict[str, style.Captioned]) -> None:
    panels = [axes for axes in drawn["surfaces"].figure.axes if axes.get_title()]
    assert len(panels) == 9
    (levels,) = {tuple(axes.collections[0].levels) for axes in panels}
    (norm,) = {axes.collections[0].norm for axes in panels}
    assert tuple(norm.boundaries) == levels
    assert levels[0] <= ENDS["pretrained"] and levels[-1] >= 12.5 + SHARP["shuffled"] / 9 * 1.25  # the missing corner would be higher
    assert np.ptp(np.diff(np.log(levels))) < 1e-6  # a factor apart: losses are
    assert {axes.get_xlim() for axes in panels} == {(-1.0, 1.0)}
    heights = {axes.get_zlim() for axes in drawn["reliefs"].figure.axes if isinstance(axes, Axes3D)}
    assert len(heights) == 1
    assert "5.00 at the center" in titled(drawn["surfaces"].figure, "pretrained", "before")[0].get_title()
    assert len(titled(drawn["surfaces"].figure, "LoRA")) == 3


def test_near_losses_have_levels_a_difference_apart() -> None:
    flat = contours.Plane(np.arange(2.0), np.arange(2.0), np.array([[1.0, 2.0], [1.5, 1.2]]), np.empty((0, 2)))
    scale = contours.scale_of([flat])
    assert scale is not None and not scale.logarithmic and np.ptp(np.diff(scale.levels)) < 1e-9
    assert contours.scale_of([flat._replace(losses=np.full((2, 2), np.nan))]) is None
    even = contours.scale_of([flat._replace(losses=np.ones((2, 2)))])
    assert even is not None and even.levels[0] <= 1 <= even.levels[-1] and (np.diff(even.levels) > 0).all()


def test_a_missing_loss_is_left_open_and_counted(small: pd.DataFrame, drawn: dict[str, style.Captioned]) -> None:
    """The missing corner belongs to no filled contour, and its loss would have been the highest of all."""
    (holed,) = titled(drawn["surfaces"].figure, "shuffled", "before")
    (whole,) = titled(drawn["surfaces"].figure, "random", "before")
    reached = [
        max(float(path.vertices.sum(axis=1).max()) for path in axes.collections[0].get_paths() if len(path)) for axes in (holed, whole)
    ]
    assert reached == pytest.approx([1.5, 2.0])  # x + y: the corner's cell is cut off across
    assert holed.patches[0].get_hatch() == "///"
    assert "1 of 225 losses are not finite: hatched" in drawn["surfaces"].caption
    assert "not finite" not in surfaces.caption(small[small["init"] != "shuffled"])
    assert "1 of 225 losses are not finite: left out" in drawn["reliefs"].caption
    gone = small.assign(value=small["value"].where(small["metric"] != "surface"))
    assert not surfaces.surfaces(gone).axes and not plane.trajectories(gone).axes


def test_ways_are_drawn_from_start_to_end_and_their_shadow_is_measured(drawn: dict[str, style.Captioned]) -> None:
    for axes in titled(drawn["trajectories"].figure, "variance"):
        _, way, start, end = axes.lines
        np.testing.assert_allclose(way.get_xydata(), [(30, 1), (22, 6), (0, 0)])
        assert start.get_xydata().tolist() == [[30, 1]] and start.get_markerfacecolor() == "white"
        assert end.get_xydata().tolist() == [[0, 0]] and end.get_markerfacecolor() == "black"
        assert "90.0 % + 8.0 %" in axes.get_title()
    assert "reaches 0.003 from the center at most: two random" in drawn["surfaces"].caption
    assert not titled(drawn["surfaces"].figure, "LoRA")[0].lines


def test_profiles_are_medians_with_quantiles_and_a_lost_loss_counts_as_highest(small: pd.DataFrame) -> None:
    edge = (small["metric"] == "profile") & (small["init"] == "random") & (small["at"] == "end") & (small["x"] == 1.0)
    rows = small.copy()
    rows.loc[edge & (small["direction"] >= 4), "value"] = np.nan
    before, after = profiles.profiles(rows).axes
    assert before.get_ylim() == after.get_ylim() and before.get_xlim() == after.get_xlim()
    middle = {line.get_color(): line.get_ydata() for line in after.lines}
    pretrained, random = (middle[style.INIT_LOOKS[init].color] for init in ("pretrained", "random"))
    assert pretrained[-1] == pytest.approx(ENDS["pretrained"] + SHARP["pretrained"] / 9 * 1.4)  # the fifth of ten
    assert np.isnan(random[-1]) and np.isfinite(random[:-1]).all()
    assert "6 of 300 losses are not finite" in profiles.caption(rows) and "n = 10 directions" in profiles.caption(rows)


def test_curvature_stands_against_loss_with_the_shared_one_and_adams_against_its_limit(small: pd.DataFrame) -> None:
    largest, trace, edge = curvature.along_the_way(small).axes
    color = style.INIT_LOOKS["pretrained"].color
    own = [line for line in largest.lines if line.get_color() == color and len(line.get_xdata()) == 7]
    assert [line.get_ydata()[0] for line in own] == pytest.approx([30.0, 33.0])  # a line for each base
    assert largest.get_xlim()[0] > largest.get_xlim()[1]
    shared = curvature.shared_level(small)
    assert shared == pytest.approx(SHARED - 0.01)  # the last of two bases
    assert any(list(line.get_xdata()) == [shared, shared] for line in trace.lines)
    ratios = [line.get_ydata() for line in edge.lines if line.get_color() == color]
    np.testing.assert_allclose(ratios[0], 0.2 * np.array([5, 10, 20, 40, 100, 200]) ** 0.3)
    assert LIMIT != 1
    below = small.assign(value=small["value"].where(small["metric"] != "trace", -1.0))
    assert len(curvature.along_the_way(below).axes) == 2 and "42 readings" in curvature.caption(below)


def test_a_run_that_begins_lower_leaves_no_shared_loss(small: pd.DataFrame) -> None:
    start = (small["metric"] == "loss") & (small["at"] == "start") & (small["init"] == "pretrained") & (small["phase"] == "curvature")
    rows = small.assign(value=small["value"].mask(start, 1.2))
    assert losses.shared_level(rows) is None and curvature.shared_level(rows) is None
    assert "No loss was read that every" in losses.caption(rows) and "nothing is compared at one loss" in curvature.caption(rows)
    assert losses.shared_level(small) == pytest.approx(SHARED - 0.01)
    assert [text.get_text() for text in losses.losses(small).axes[0].texts] == ["shared 1.46"]


def test_a_density_integrates_to_one_and_a_single_eigenvalue_stands_above_the_axis() -> None:
    one = Density(np.array([[0.0, 10.0]] * 2), np.array([[1 - 1 / PARAMETERS, 1 / PARAMETERS]] * 2), PARAMETERS)
    places = np.linspace(-1, 11, 4001)
    density, _, _ = one.on(places, 0.1)
    assert np.trapezoid(density, places) == pytest.approx(1.0, abs=1e-6)
    assert density[np.abs(places - 10).argmin()] == pytest.approx(1 / PARAMETERS / (0.1 * np.sqrt(2 * np.pi)), rel=1e-3)
    rows = landscape(inits=("pretrained", "random"), seeds=1, runs=1, points=3)
    panels = spectra.densities(rows).axes
    assert [axes.get_title().split("\n")[0] for axes in panels] == ["before training", "at the shared loss", "after training"]
    assert len({axes.get_xlim() for axes in panels}) == len({axes.get_ylim() for axes in panels}) == 1
    width = spectra.WIDTH * (120.0 + 12.0)
    assert panels[0].get_ylim()[0] == pytest.approx(0.3 / PARAMETERS / (width * np.sqrt(2 * np.pi)))


def test_pairs_are_joined_raw_to_matched_and_means_are_theirs(small: pd.DataFrame, drawn: dict[str, style.Captioned]) -> None:
    _, two, start = drawn["barriers"].figure.axes
    own = small[(small["metric"] == "barrier") & (small["init"] == "pretrained") & (small["pair"] == "two bases")]
    color = style.INIT_LOOKS["pretrained"].color
    joined = [tuple(line.get_ydata()) for line in two.lines if line.get_color() == color and line.get_marker() in ("None", "")]
    raw, matched = (own[own["matching"] == name].sort_values("run")["value"].tolist() for name in ("raw", "matched"))
    np.testing.assert_allclose(sorted(joined), sorted(zip(raw, matched, strict=True)))
    means = {round(float(line.get_ydata()[0]), 9) for line in two.lines if line.get_color() == "black"}
    assert {round(np.mean(raw), 9), round(np.mean(matched), 9)} <= means
    assert len([line for line in start.lines if line.get_color() == "black"]) == 3  # a start has no units to match
    assert "two runs of one base: 2; runs of two bases: 2; a start and its solution: 4" in drawn["barriers"].caption
    lost = small.assign(value=small["value"].mask(small["phase"] == "barrier"))
    assert not barriers.barriers(lost).axes


def test_figures_do_not_depend_on_the_order_of_records(small: pd.DataFrame) -> None:
    mixed = small.sample(frac=1, random_state=1)
    assert style.png(barriers.barriers(mixed)) == style.png(barriers.barriers(small))


def test_means_of_barriers_have_the_intervals_of_their_findings(small: pd.DataFrame) -> None:
    where = {"init": "shuffled", "pair": "two bases"}
    found = [Finding("barrier", {**where, "matching": name}, 1.0, low, 1.4, "bits/byte", 2, "jackknife") for name, low in LOWS.items()]
    axes = titled(barriers.barriers(small, found), "two bases")[0]
    ((_, _, (bars,)),) = [container for container in axes.containers if container[0] is not None and len(container[0].get_xdata())]
    np.testing.assert_allclose([segment[:, 1] for segment in bars.get_segments()], [(0.7, 1.4), (1.0, 1.4)])
    np.testing.assert_allclose([segment[0, 0] for segment in bars.get_segments()], [0.82, 1.18])
    assert "Dashes: means, with intervals: jackknife." in barriers.caption(small, found)
    assert "Dashes: means, without intervals." in barriers.caption(small)
