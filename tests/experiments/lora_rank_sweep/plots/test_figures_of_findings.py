"""Figures that are drawn from findings: each number stands where it belongs, with its interval, and captions say what that holds."""

import io
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.image import imread

from experiments import lora_rank_sweep
from experiments.lora_rank_sweep.plots import contrasts, cuts, forgetting, gaps
from research.figures import style
from research.findings import Estimate, Finding, finding
from tests.synthetic import TARGETS, planted, star, synthetic, texts_in

INITS = ("pretrained", "shuffled", "rotated", "random")
NOTE = "± 0.03 over 3 bases, ± 0.04 over 12 groups of documents"
PLACES = (
    (TARGETS[0], "block", INITS, (0, 1, 8, 32)),
    (TARGETS[1], "block", INITS, (0, 1, 8, 32)),
    (TARGETS[0], "all", INITS[::3], (0, 1, 8)),
)
DRAWN: dict[str, tuple[Callable, Callable]] = {
    "gaps": (gaps.gap_against_rank, gaps.caption),
    "contrasts": (contrasts.gap_contrasts, contrasts.caption),
    "cuts": (cuts.cut_updates, cuts.caption),
    "forgetting": (lambda found: forgetting.source_at_equal_loss(synthetic(ranks=(1,), seeds=1), found), forgetting.caption),
}
every_figure = pytest.mark.parametrize("name", DRAWN)


def _estimate(value: float, half: float = 0.05, n: int = 3, note: str = NOTE) -> Estimate:
    return Estimate(value, value - half, value + half, n, "mean over bases", note)


def _gap(target: str, arm: str, init: str, rank: int) -> float:
    reached = planted(target, init, arm, *(("lora", rank) if rank else ("nothing", None)))
    return reached - planted(target, init, arm, "matched")


def _of_rank(target: str, arm: str, inits: tuple[str, ...], rank: int) -> Iterator[Finding]:
    """Gaps from each initialization, cuts from two of them, contrasts between pretrained weights and the others."""
    where = {"target": target, "arm": arm}
    by_init = {init: _gap(target, arm, init, rank) for init in inits}
    for init, gap in by_init.items():
        at = {**where, "init": init, "rank": rank}
        yield finding("gap", {**at, "reference": "matched"}, _estimate(gap), "bits/byte")
        if rank and arm == "block" and init in INITS[::3]:
            yield finding("cut_update", {**at, "directions": "best"}, _estimate(0.5 * gap), "bits/byte")
            yield finding("cut_update", {**at, "directions": "random"}, _estimate(3 * gap), "bits/byte")
        if init != INITS[0]:
            what = {"of": "gap to matched", "between": f"pretrained - {init}", **where, "rank": rank}
            yield finding("contrast", what, _estimate(by_init["pretrained"] - gap), "bits/byte")


def _of_source(target: str, arm: str, ranks: tuple[int, ...]) -> Iterator[Finding]:
    """Source losses at equal target loss: by rank, of the same matrices, and, once for a target, of everything."""
    read: dict[tuple[str | None, str, int | None], float] = {(arm, "lora", rank): 2.5 + rank / 100 for rank in ranks if rank}
    read |= {(arm, "matched", None): 2.9} | ({(None, "full", None): 2.7} if arm == "block" else {})
    for (own, trains, rank), value in read.items():
        at = {"target": target, "init": "pretrained", "arm": own, "trains": trains, "rank": rank, "validation_bits": 2.751}
        yield finding("source_at_equal_loss", at, _estimate(value, note="± 0.02 over 3 bases, documents left out"), "bits/byte")


@pytest.fixture(scope="module")
def found() -> list[Finding]:
    """Returns what a star gives, with the planted numbers."""
    by_rank = [f for target, arm, inits, ranks in PLACES for rank in ranks for f in _of_rank(target, arm, inits, rank)]
    return [*by_rank, *(f for target, arm, _, ranks in PLACES for f in _of_source(target, arm, ranks))]


def _points(axes: Axes, color: str) -> list[tuple[float, float]]:
    lines = [line for line in axes.lines if line.get_color() == color and line.get_marker() not in ("None", "", "|", "_")]
    return [point for line in lines for point in zip(*map(np.asarray, line.get_data()), strict=True)]


def _bars(axes: Axes, color: str) -> np.ndarray:
    """Intervals as (bars, 2 ends, x and y)."""
    rgb = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    own = [c for c in axes.collections if hasattr(c, "get_segments") and np.allclose(c.get_color()[0][:3], rgb, atol=0.01)]
    return np.concatenate([np.stack(c.get_segments()) for c in own if len(c.get_segments())])


def _shown(figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.get_visible()]


@every_figure
def test_axes_are_named_with_units_and_no_text_is_cut(name: str, found: list[Finding]) -> None:
    figure = DRAWN[name][0](found)
    pixels = imread(io.BytesIO(style.png(figure)))[..., :3]
    assert min(edge.min() for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])) > 0.99
    assert "(bits/byte)" in " ".join(axes.get_xlabel() + axes.get_ylabel() for axes in figure.axes)


@every_figure
def test_without_findings_a_sentence_says_what_is_missing(name: str, found: list[Finding]) -> None:
    draw, caption = DRAWN[name]
    undefined = [f._replace(value=None, low=None, high=None) for f in found]
    for some in ([], undefined):
        figure = draw(some)
        assert not figure.axes and "needs" in " ".join(texts_in(figure))
        assert "could" in caption(some)


@every_figure
@pytest.mark.parametrize("kept", ["one target", "one init", "a single base", "diverged"])
def test_early_and_broken_findings_are_drawn(name: str, kept: str, found: list[Finding]) -> None:
    some = {
        "one target": [f for f in found if f.where["target"] == TARGETS[0] and f.where["arm"] in ("block", None)],
        "one init": [f for f in found if f.where.get("init") in ("pretrained", None) and "shuffled" not in str(f.where.get("between"))],
        "a single base": [f._replace(low=None, high=None, n=1, note="no interval over one base, documents left out") for f in found],
        "diverged": [f._replace(value=None, low=None, high=None) if f.where["rank"] == 8 else f for f in found],
    }[kept]
    figure = DRAWN[name][0](some)
    assert figure.axes and style.png(figure)
    assert {"a single base": "no interval could be had", "diverged": "could not be read"}.get(kept, "n = 3") in DRAWN[name][1](some)


def test_gaps_stand_at_their_ranks_with_their_intervals(found: list[Finding]) -> None:
    figure = gaps.gap_against_rank(found)
    assert [axes.get_title(loc="left") for axes in _shown(figure)] == [TARGETS[0], TARGETS[1], TARGETS[0]]
    axes = _shown(figure)[1]
    color = style.INIT_LOOKS["pretrained"].color
    points = dict(_points(axes, color))
    expected = [_gap(TARGETS[1], "block", "pretrained", rank) for rank in (1, 8, 32)]
    assert list(points.values()) == pytest.approx(expected)
    assert np.round(list(points)).tolist() == [0, 3, 5]
    np.testing.assert_allclose(_bars(axes, color)[:, :, 1], [[value - 0.05, value + 0.05] for value in expected])
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "1", "8", "32"]


def test_gaps_far_above_the_ranks_are_numbers_and_squeeze_nothing(found: list[Finding]) -> None:
    axes = _shown(gaps.gap_against_rank(found))[0]
    written = {f"{_gap(TARGETS[0], 'block', init, 0):.1f} ↑" for init in INITS}
    assert written <= set(texts_in(axes)) and axes.get_ylim()[1] < 1.5
    assert any(np.allclose(line.get_ydata(), 0) for line in axes.lines)


def test_a_panel_is_fitted_to_its_own_ranks_and_stretched_by_no_interval(found: list[Finding]) -> None:
    first, second, third = (axes.get_ylim()[1] for axes in _shown(gaps.gap_against_rank(found)))
    assert third < first and third < second
    wide = [f._replace(high=9.0, low=-9.0) if f.where.get("init") == "random" and f.where["rank"] == 8 else f for f in found]
    low, top = _shown(gaps.gap_against_rank(wide))[2].get_ylim()
    assert -1 < low < 0 < top < 2


def test_a_contrast_stands_left_of_zero_where_rank_costs_less_from_pretrained_weights(found: list[Finding]) -> None:
    axes = contrasts.gap_contrasts(found).axes[0]
    points = _points(axes, style.INIT_LOOKS["random"].color)
    heights = dict(zip([label.get_text() for label in axes.get_yticklabels()], axes.get_yticks(), strict=False))
    assert list(heights)[:4] == ["rank 0", "rank 1", "rank 8", "rank 32"]
    first = [x for x, y in points if round(y) == 2]  # rank 1 on the first target, below its heading and rank 0
    second = [x for x, y in points if round(y) == 7]
    assert first == pytest.approx([_gap(*PLACES[0][:2], "pretrained", 1) - _gap(*PLACES[0][:2], "random", 1)]) and first[0] < 0
    assert second == pytest.approx([_gap(*PLACES[1][:2], "pretrained", 1) - _gap(*PLACES[1][:2], "random", 1)]) and second[0] > 0
    assert [text for text in texts_in(axes) if text.startswith(tuple(TARGETS))] == [f"{t} · {a}" for t, a, *_ in PLACES]
    assert any(text.startswith("← −") for text in texts_in(axes))


def test_cuts_stand_beside_the_gap_of_the_same_rank(found: list[Finding]) -> None:
    axes = _shown(cuts.cut_updates(found))[0]
    expected = [_gap(TARGETS[0], "block", "pretrained", rank) for rank in (1, 8, 32)]
    assert [y for _, y in _points(axes, "#333333")] == pytest.approx(expected)
    drawn = [y for _, y in _points(axes, style.INIT_LOOKS["pretrained"].color)]
    assert drawn == pytest.approx([0.5 * gap for gap in expected] + [3 * gap for gap in expected])
    far = [f._replace(value=9.0) if f.where.get("directions") == "random" and f.where["rank"] == 1 else f for f in found]
    axes = _shown(cuts.cut_updates(far))[0]
    assert "9.0 ↑" in texts_in(axes) and axes.get_ylim()[1] < 2


def test_the_source_at_equal_loss_stands_above_that_of_untouched_weights(found: list[Finding]) -> None:
    axes = _shown(DRAWN["forgetting"][0](found))[0]
    assert [y for _, y in _points(axes, style.INIT_LOOKS["pretrained"].color)] == pytest.approx([2.51, 2.58, 2.82])
    assert [y for _, y in _points(axes, style.FULL.color)] == pytest.approx([2.7])
    assert "untouched\n2.01" in texts_in(axes)
    assert f"2.75 on {TARGETS[0]}, 2.75 on {TARGETS[1]}" in forgetting.caption(found)


def test_captions_say_what_the_intervals_hold(found: list[Finding]) -> None:
    assert "over bases and over documents, added in squares" in gaps.caption(found)
    assert "over bases; documents are left out" in forgetting.caption(found)
    alone = [f._replace(n=1, note="no interval over one base, ± 0.04 over 12 groups of documents") for f in found]
    assert "n = 1 base; 95 % intervals over documents alone" in gaps.caption(alone)
    seeds = [f._replace(note=NOTE.replace("3 bases", "3 seeds of one base: the base is left out")) for f in found]
    assert "3 seeds of one base; 95 % intervals over these seeds and over documents, added in squares: the base" in gaps.caption(seeds)
    mixed = [f._replace(n=2) if f.where.get("init") == "random" else f for f in found]
    assert "n = 2 to 3 bases" in gaps.caption(mixed)


def test_an_experiments_figures_are_all_there_and_begin_with_what_a_rank_costs() -> None:
    records = star(synthetic(inits=("pretrained", "random"), arms=("block", "block+ends"), ranks=(1,), seeds=2, bases=2))
    drawn = lora_rank_sweep.figures(records)
    assert next(iter(drawn)) == "gap_against_rank"
    counted = drawn.keys() - {"cost_per_arm", "ledger"}
    assert all(drawn[name].figure.axes and "n = " in drawn[name].caption for name in counted)
    early = records[records["phase"].isin(["result", "reference"]) & (records["arm"] != "block+ends") & (records["seed"] != 1)]
    first = lora_rank_sweep.figures(pd.DataFrame(early))
    assert drawn.keys() - first.keys() == {"cut_updates", "update_spectra", "learning_rates", "ledger", "cost_per_arm"}
    assert first.keys() < drawn.keys() and len(_shown(first["gap_against_rank"].figure)) == 1
