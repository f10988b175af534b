"""What holds of every figure: it survives missing parts, cuts no text, and says what its intervals are."""

import io

import pandas as pd
import pytest
from matplotlib.image import imread
from matplotlib.text import Text

from experiments.lora_rank_sweep.plots import costs, ledger, ranks, tradeoff
from research.figures import learning_curves, learning_rates, spectra, style
from tests.synthetic import TARGETS, star

FIGURES = {
    "ranks": (ranks.loss_against_rank, ranks.caption),
    "learning_rates": (learning_rates.loss_against_learning_rate, learning_rates.caption),
    "learning_curves": (learning_curves.learning_curves, learning_curves.caption),
    "spectra": (spectra.update_spectra, spectra.caption),
    "costs": (costs.cost_per_arm, costs.caption),
    "ledger": (ledger.ledger, ledger.caption),
    "tradeoff": (tradeoff.source_against_target, tradeoff.caption),
}
NEEDS = {
    **dict.fromkeys(("ranks", "learning_curves", "tradeoff"), "result"),
    "learning_rates": "select",
    "spectra": "spectrum",
    "costs": "cost",
    "ledger": "cost",
}
WIDE = {"inits": ("pretrained on another domain@10%", "random"), "arms": ("block", "block+norms"), "seeds": 2}
every_figure = pytest.mark.parametrize("name", FIGURES)


def _is_cut(figure):
    """Something that runs out of the figure leaves its color in the outermost pixels."""
    pixels = imread(io.BytesIO(style.png(figure)))[..., :3]
    frame = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]
    return any(edge.min() < 0.99 for edge in frame)


def _says(figure):
    return " ".join(text.get_text() for text in figure.findobj(Text))


@pytest.mark.parametrize(
    ("name", "shape"), [*((name, {}) for name in FIGURES), *((name, WIDE) for name in ("ranks", "learning_rates", "costs", "ledger"))]
)
def test_axes_are_named_with_units_and_no_text_is_cut(name, shape, make_results):
    figure = FIGURES[name][0](make_results(**shape))
    assert not _is_cut(figure)
    words = " ".join(axes.get_xlabel() + axes.get_ylabel() for axes in figure.axes)
    assert {"spectra": "Frobenius norm", "costs": "(bytes)", "ledger": "share of pretraining"}.get(name, "(bits/byte)") in words
    assert any(axes.get_xlabel() for axes in figure.axes)


def test_cut_text_would_be_noticed(results):
    figure = ranks.loss_against_rank(results)
    figure.text(0.98, 0.5, "████████")
    assert _is_cut(figure)


@every_figure
def test_missing_phase_gives_a_sentence(name, results):
    figure = FIGURES[name][0](results[results["phase"] != NEEDS[name]])
    assert not figure.axes and f"'{NEEDS[name]}'" in _says(figure)


@every_figure
def test_no_records_at_all(name):
    draw, caption = FIGURES[name]
    assert not draw(pd.DataFrame()).axes
    assert caption(pd.DataFrame())


@every_figure
def test_all_other_phases_may_be_missing(name, make_results):
    frame = make_results(inits=("pretrained",), ranks=(4,), seeds=1)
    figure = FIGURES[name][0](frame[frame["phase"] == NEEDS[name]].dropna(axis="columns", how="all"))
    assert figure.axes and not _is_cut(figure)


@every_figure
def test_diverged_members_do_no_harm(name, make_results):
    frame = make_results(inits=("shuffled", "random"), ranks=(8,), seeds=2)
    frame.loc[(frame["seed"] == 1) & (frame["init"] == "random"), ["value", "note"]] = [None, "diverged"]
    frame.loc[(frame["init"] == "shuffled") & (frame["rank"] == 8), ["value", "note"]] = [None, "diverged"]
    assert FIGURES[name][0](frame).axes


@every_figure
def test_only_everything_trained(name, results):
    frame = results[~results["trains"].isin(["lora", "matched"])]
    assert FIGURES[name][0](frame).axes


@pytest.mark.parametrize("name", ["ranks", "learning_rates"])
def test_figure_is_a_function_of_the_records_not_of_their_order(name, make_results):
    frame = make_results(inits=("pretrained",), ranks=(1, 8), seeds=2)
    before = frame.copy()
    shuffled = frame.sample(frac=1, random_state=1)
    assert style.png(FIGURES[name][0](frame)) == style.png(FIGURES[name][0](shuffled))
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize("name", [name for name in FIGURES if name not in ("costs", "ledger")])
def test_caption_states_n_and_what_is_left_out(name, results):
    text = FIGURES[name][1](results)
    assert f"n = {2 if name == 'learning_rates' else 3} seeds, each from a base of its own" in text
    left_out = {"learning_rates": "same validation text", "spectra": "another order of the data."}
    assert left_out.get(name, "same held-out documents") in text


@every_figure
def test_a_report_may_be_early(name, make_results):
    frame = star(make_results(inits=("pretrained", "rotated", "random"), arms=("block", "all"), ranks=(1, 8), seeds=1, targets=TARGETS))
    first = frame[(frame["target"] == TARGETS[0]) & (frame["arm"] != "all") | (frame["phase"] == "cost")]
    early = FIGURES[name][0](first)
    assert early.axes and not _is_cut(early)
    assert len([axes for axes in early.axes if axes.get_visible()]) == {"ranks": 1, "ledger": 2}.get(name, 3)
