"""Loss against rank: the right numbers at the right places, and an axis nothing can squeeze."""

import numpy as np

from experiments.lora_rank_sweep.plots.ranks import loss_against_rank
from tests.synthetic import TARGETS, mean_of, star, texts_in


def _lines(axes):
    return [np.stack(line.get_data(), axis=1) for line in axes.lines]


def test_curve_passes_through_the_means(results):
    axes = loss_against_rank(results).axes[0]
    rows = results[(results["phase"] == "result") & (results["metric"] == "target_loss") & (results["step"] == 600)]
    rows = rows[(rows["init"] == "pretrained") & (rows["trains"] == "lora")]
    means = rows.groupby("rank")["value"].mean()
    expected = np.stack([np.log2(means.index), means], axis=1)
    assert any(line.shape == expected.shape and np.allclose(line.astype(float), expected) for line in _lines(axes))


def test_references_are_horizontal_lines_over_the_ranks(results):
    axes = loss_against_rank(results).axes[0]
    flat = [line for line in _lines(axes) if len(line) == 2 and line[0][1] == line[1][1]]
    assert len(flat) == 3 + 3 + 1 + 2  # full and matched of three, the one untouched in sight, unigram and bigram
    assert {"unigram\n4.83", "bigram\n3.44"} <= set(texts_in(axes))


def test_far_values_are_written_not_drawn(results):
    axes = loss_against_rank(results).axes[0]
    assert axes.get_ylim()[1] < 7
    far = {mean_of(results, phase="reference", metric="target_loss", init=init) for init in ("shuffled", "random")}
    assert min(far) > 7 and {f"{value:.1f} ↑" for value in far} <= set(texts_in(axes))


def test_wide_intervals_do_not_squeeze_the_axis(make_results):
    frame = make_results(seeds=2)
    frame.loc[(frame["phase"] == "result") & (frame["seed"] == 1), "value"] += 1.5
    low, high = loss_against_rank(frame).axes[0].get_ylim()
    assert high - low < 8


def test_failing_rank_is_marked(results):
    frame = results.copy()
    frame.loc[(frame["phase"] == "result") & (frame["init"] == "random") & (frame["rank"] == 4), "value"] = None
    frame.loc[(frame["phase"] == "result") & (frame["init"] == "random") & (frame["rank"] == 8), "value"] = 31.0
    texts = texts_in(loss_against_rank(frame).axes[0])
    assert "div. ×" in texts and "31.0 ↑" in texts


def test_the_floor_of_a_known_grammar_is_a_line_of_its_target(make_results):
    frame = star(make_results(inits=("pretrained", "random"), arms=("block", "block+ends"), ranks=(1, 8), seeds=1, targets=TARGETS))
    panels = {axes.get_title(loc="left"): axes for axes in loss_against_rank(frame).axes if axes.get_visible()}
    assert list(panels) == ["block · stdlib:docs", "block · generated:restaurants", "block+ends · stdlib:docs"]
    assert ["floor\n0.72" in texts_in(axes) for axes in panels.values()] == [False, True, False]
    ranks = [[label.get_text() for label in axes.get_xticklabels()][1:-2] for axes in panels.values()]
    assert ranks == [["1", "8"], ["1", "8"], ["0", "1", "8"]]


def test_one_panel_per_arm(make_results):
    axes = loss_against_rank(make_results(arms=("block", "all"), seeds=1)).axes
    assert [one.get_title(loc="left") for one in axes] == ["block", "all"]


def test_rank_zero_has_a_place(results):
    frame = results.copy()
    frame.loc[frame["rank"] == 1, "rank"] = 0
    assert "0" in [label.get_text() for label in loss_against_rank(frame).axes[0].get_xticklabels()]
