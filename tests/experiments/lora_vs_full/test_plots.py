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
from tests.experiments.lora_vs_full.planted_records import ARMS, BASES, END, MATRICES, SIZE, TARGET, WINS, records

NAMES = {
    "spectra": "singular value / Frobenius norm",
    "intruders": "intruders a matrix",
    "detector": "share called intruders",
    "cuts": "equal loss",
    "scaled": "rise of the source's\nloss (bits/byte)",
    "subspaces": "overlap of subspaces",
    "maps": "rank of 90 % of the energy",
}


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return records()


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
    assert f"n = {2 if name == 'detector' else BASES}" in caption and ("qual loss" in caption or name == "scaled")


def test_a_figure_without_its_records_is_a_sentence_and_is_left_out(frame: pd.DataFrame, found: list[Finding]) -> None:
    assert not figures(pd.DataFrame(), [])
    for needs, draw in {"spectrum": spectra.spectra, "update": intruders.intruders, "altered": scaled.scaled}.items():
        less = frame[frame["phase"] != needs]
        assert not draw(less).axes and f"'{needs}'" in draw(less).texts[0].get_text() and not draw(pd.DataFrame()).axes
    assert not maps.maps(frame[frame["at"] != "equal"]).axes
    assert not cuts.cuts(frame, []).axes and not detector.detector([]).axes and not subspaces.subspaces([]).axes
    begun = frame[frame["phase"].isin(["reference", "spectrum"])]
    assert set(figures(begun, findings(begun))) == {"spectra", "detector"}
    for caption in (spectra.caption, intruders.caption, scaled.caption, maps.caption):
        assert caption(pd.DataFrame())
    lost = [f._replace(value=None, note="does not come down to it in 2 of 6 runs") if f.name == "matched_loss" else f for f in found]
    assert "Not there: full does not come down to it in 2 of 6 runs;" in looks.level(lost) and "Not there" not in looks.level(found)


def test_arms_have_one_order_and_looks_that_tell_them_apart() -> None:
    words = ["source", "lora@16", "slow@0.1", "lora@4", "new@2", "shuffled", "full", "slow@0.3"]
    assert looks.ordered(words) == ["full", "slow@0.3", "slow@0.1", "lora@4", "lora@16", "new@2", "shuffled", "source"]
    own = looks.looks(words)
    assert list(own) == looks.ordered(words) and len({look.color for look in own.values()}) == len(words)
    assert looks.name("lora@16") == "LoRA, rank 16" and looks.name("new@2") == "new@2"


def test_a_spectrum_is_a_mean_over_bases_and_ends_at_the_rank_of_an_adapter(drawn: dict[str, style.Captioned]) -> None:
    trained, nulls = drawn["spectra"].figure.axes
    own = looks.looks(ARMS)
    for arm, rank in ARMS.items():
        line = next(line for line in marks(trained, own[arm].color) if len(line.get_xdata()) > 1)
        assert line.get_xdata().tolist() == list(range(1, (rank or SIZE) + 1))
        np.testing.assert_allclose(line.get_ydata(), 0.6 * 0.9 ** np.arange(rank or SIZE) + 0.001)
    assert sum(len(line.get_xdata()) > 1 for line in trained.lines) == 1 + len(ARMS)
    assert sum(len(line.get_xdata()) > 1 for line in nulls.lines) == 1 + 3  # noise once, full, two nulls
    (noise,) = marks(nulls, looks.NOISE_COLOR)
    assert noise.get_ydata()[0] == pytest.approx(0.25)


def test_a_cell_is_one_mark_joined_to_its_rotated_update(drawn: dict[str, style.Captioned]) -> None:
    equal, end = drawn["intruders"].figure.axes
    assert (equal.get_title(), end.get_title()) == (looks.PLACES["equal"], looks.PLACES["end"])
    full = looks.looks(["full"])["full"]
    for axes, grown in ((equal, 1.0), (end, 2.0)):
        own = places(marks(axes, full.color, full.marker, full.color))
        np.testing.assert_allclose(own, [[0.5 * grown * (1 + 0.1 * seed), 1.5 * grown] for seed in range(BASES)])
        rotated = places(marks(axes, full.color, full.marker, "white"))
        np.testing.assert_allclose(rotated, np.column_stack([own[:, 0], np.full(BASES, 2.5)]))
        assert len(places(marks(axes, looks.NOISE_COLOR, "x"))) == BASES * (len(ARMS) + 2)
        joined = axes.collections[0].get_segments()
        np.testing.assert_allclose(joined, np.stack([own, rotated], axis=1))


def test_curves_of_the_detector_are_findings_and_triangles_are_the_updates(drawn: dict[str, style.Captioned]) -> None:
    flat, _, base = drawn["detector"].figure.axes
    np.testing.assert_allclose([points(container)[:, 1] for container in base.containers], [[0.035, 0.155], [0.015, 0.055], [0.055, 0.255]])
    assert points(flat.containers[0])[1].tolist() == [0.5, pytest.approx(0.105)]
    np.testing.assert_allclose(places([line for line in flat.lines if line.get_marker() == "v"])[:, 0], [0.2] * len(ARMS))


def test_cuts_lie_between_the_whole_update_and_the_untouched_model(frame: pd.DataFrame, drawn: dict[str, style.Captioned]) -> None:
    grid = drawn["cuts"].figure.axes
    assert [axes.get_title() for axes in grid[: len(ARMS)]] == [looks.name(arm) for arm in ARMS]
    for axes, arm in zip(grid[len(ARMS) :], ARMS, strict=True):
        best, random = axes.containers
        gain = TARGET - END[arm]
        kept = [1] if arm == "lora@2" else [1, 4]
        np.testing.assert_allclose(points(best)[:, 1], [0.4 * gain / rank + 0.01 for rank in kept])
        np.testing.assert_allclose(points(random)[:, 1], [0.8 * gain / rank + 0.01 for rank in kept])
        assert np.round(points(random)[:, 0]).tolist() == kept and axes.lines[1].get_ydata()[0] == pytest.approx(gain)
    wide = [Finding(cuts.NAME, {"arm": "full", "at": "end", "cut": 1, "directions": "best"}, 1.0, -50.0, 52.0, "bits/byte", 2, "t")]
    assert -2 < cuts.cuts(frame, wide).axes[0].get_ylim()[0] < 0 < 1 < cuts.cuts(frame, wide).axes[0].get_ylim()[1] < 4


def test_scaled_intruders_lie_beside_a_path_from_the_untouched_model(drawn: dict[str, style.Captioned]) -> None:
    for axes, (arm, below) in zip(drawn["scaled"].figure.axes, WINS.items(), strict=True):
        path = next(line for line in axes.lines if line.get_color() == "#222222" and line.get_linewidth() == 1.5)
        half = (TARGET + END[arm]) / 2
        np.testing.assert_allclose(path.get_xydata(), [[TARGET, 0.0], [half, 0.5], [END[arm], 1.0]], atol=1e-9)
        ((x, y),) = places([line for line in axes.lines if line.get_marker() == "s"])
        assert (x, y) == (pytest.approx(half), pytest.approx(0.5 - below + 0.001))
    assert "of 4 points 2 lose less of the source than the path, 1 more, 1 are not told apart" in drawn["scaled"].caption


def test_pairs_of_seeds_stand_above_pairs_of_arms_and_nulls_are_ticks(drawn: dict[str, style.Captioned]) -> None:
    one, four = drawn["subspaces"].figure.axes
    names = [label.get_text() for label in one.get_yticklabels()]
    assert names == ["full, two seeds", "LoRA, rank 2, two seeds", "full & LoRA 2", "full & LoRA 8", "LoRA 2 & LoRA 8"]
    ticks = places([line for line in one.lines if line.get_marker() == "|" and line.get_color() == "#222222"])
    assert len(ticks) == 10 and (ticks[:, 0] == pytest.approx(0.11))
    np.testing.assert_allclose(points(one.containers[0]), [[0.91 - 0.15 * i, i - subspaces.APART] for i in range(5)])
    assert points(four.containers[0])[:, 1].tolist() == [0 - subspaces.APART, 3 - subspaces.APART]


def test_maps_say_their_numbers_and_layers_share_rows_where_there_are_many(frame: pd.DataFrame, drawn: dict[str, style.Captioned]) -> None:
    ranks, counts = drawn["maps"].figure.axes
    assert [label.get_text() for label in ranks.get_xticklabels()] == [
        "full",
        "rate × 0.1",
        "LoRA 2",
        "LoRA 8",
        "shuffled",
        "source",
        "noise",
    ]
    rows = [label.get_text() for label in ranks.get_yticklabels()]
    assert rows == [f"{kind}, layer {layer}" for kind in ("attention query", "mlp up") for layer in range(2)]
    said = np.array([text.get_text() for text in ranks.texts]).reshape(len(MATRICES), -1)
    assert said[:, 0].tolist() == ["10", "12", "11", "13"] and said[0].tolist() == ["10", "10", "2", "8", "9", "10", "14"]
    assert [text.get_text() for text in counts.texts[:2]] == ["0.0", "0.0"] and counts.get_xticklabels()[-1].get_text() == "rotated"
    own = frame[(frame["phase"] == "update") & (frame["matrix"] == MATRICES[1])]
    deep = pd.concat([own.assign(matrix=f"layers_{i}/mlp/up", value=own["value"] + i) for i in range(12)])
    (first, *_) = maps.maps(deep).axes
    assert [label.get_text() for label in first.get_yticklabels()][:2] == ["mlp up, layers 0 to 1", "mlp up, layers 2 to 3"]
    assert first.texts[0].get_text() == f"{np.mean([11, 12]):.0f}" and len(first.get_yticklabels()) == maps.MOST


def test_figures_do_not_depend_on_the_order_of_records(frame: pd.DataFrame, drawn: dict[str, style.Captioned]) -> None:
    mixed = frame.sample(frac=1, random_state=1)
    for name, draw in {"intruders": intruders.intruders, "scaled": scaled.scaled, "maps": maps.maps}.items():
        assert style.png(draw(mixed)) == style.png(drawn[name].figure), name
