"""Figures of forgetting: marks are means over seeds, fronts are each method's own, what is missing or off the axes is counted."""

import io
import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from experiments.forgetting.plots import equal_target, kl, methods, pareto, rows, steps
from experiments.forgetting.plots.every import figures
from research.figures import style
from research.findings import Finding

STRENGTHS = {
    "full": (None,),
    "lora": (1.0, 8.0, 64.0),
    "top": (1.0, 2.0),
    "l2sp": (0.01, 0.1, 1.0),
    "ewc": (1.0, 10.0, 100.0),
    "replay": (1.0, 5.0, 10.0, 25.0),
    "slow": (0.1, 0.3),
    "wise": (0.25, 0.5, 0.75),
}
DEPTH = {"full": 1.0, "lora": 0.85, "top": 0.6, "l2sp": 0.8, "ewc": 0.9, "replay": 0.95, "slow": 0.7, "wise": 0.9}  # of what is learned
COST = {"full": 1.0, "lora": 0.8, "top": 0.5, "l2sp": 0.6, "ewc": 0.45, "replay": 0.12, "slow": 0.7, "wise": 0.55}  # of what is forgotten
BUDGETS = (20, 60, 140, 300)
SOURCE, TARGET = 2.0, 3.6  # the untouched base's losses


def strictness(method: str, place: int) -> float:
    return 1.0 - 0.18 * place * (-1 if method == "lora" else 1)


def records(seeds: int = 3) -> pd.DataFrame:
    """Returns records of every method, learning log-like with steps; one of EWC's runs diverges."""
    noise = np.random.default_rng(0)
    found = []
    for seed in range(seeds):
        start = {"phase": "reference", "seed": seed, "base": seed, "step": 0}
        own = {"source": SOURCE + 0.1 * seed, "target": TARGET + 0.05 * seed}
        for text, value in own.items():
            found += [{**start, "metric": f"{kind}{text}{end}", "value": value} for kind, end in (("budget_", ""), ("", "_loss"))]
        for method, strengths in STRENGTHS.items():
            for place, strength in enumerate(strengths):
                cell = {"method": method, "strength": strength, "seed": seed, "base": seed, "init": "pretrained"}
                found += _run(cell, own, strictness(method, place), noise)
    frame = pd.DataFrame(found).assign(experiment="forgetting", unit="bits/byte")
    gone = (frame["method"] == "ewc") & (frame["strength"] == 100) & (frame["seed"] == 0) & (frame["step"] == 300)
    return frame.assign(value=frame["value"].where(~gone))


def _run(cell: dict, base: dict, strict: float, noise: np.random.Generator) -> list[dict]:
    found = []
    for step in BUDGETS:
        way = np.log1p(step) / np.log1p(BUDGETS[-1])
        rise = 0.9 * COST[cell["method"]] * strict * way**2 + 0.02 * noise.normal() - 0.03 * (cell["method"] == "replay")
        now = {"source": base["source"] + rise, "target": base["target"] - 1.4 * DEPTH[cell["method"]] * strict**0.5 * way}
        far = {f"kl_{side}": size * abs(rise) * np.exp(0.2 * noise.normal()) for side, size in (("source", 1.2), ("target", 0.7))}
        parts = {"result": {f"budget_{text}": value for text, value in now.items()}} if cell["method"] != "wise" else {}
        parts |= (
            {"kept": {**{f"budget_{text}": value for text, value in now.items()}, **far}}
            if step in BUDGETS[-1 if cell["method"] == "wise" else -2 :]
            else {}
        )
        found += [{**cell, "phase": p, "step": step, "metric": m, "value": v} for p, own in parts.items() for m, v in own.items()]
    return found


def findings() -> list[Finding]:
    """Returns the findings that figures read; of the weakest layers and the slowest rate nothing is known at equal loss."""
    found = [
        Finding("kl_r2", {"on": on, "curve": "one"}, r2, r2 - 0.1, r2 + 0.04, "", 3, "bootstrap over seeds")
        for on, r2 in (("target", 0.83), ("source", 0.94))
    ]
    for method, strengths in STRENGTHS.items():
        for place, strength in enumerate(strengths):
            where = {"method": method, "strength": strength}
            value = 0.6 * COST[method] * strictness(method, place) - 0.05 * (method == "replay")
            found.append(Finding("target_loss", where, 2.3, 2.22, 2.38, "bits/byte", 3, "t over seeds"))
            found.append(Finding("source_rise", where, value, value - 0.06, value + 0.06, "bits/byte", 3, "t over seeds"))
            near = (value, value - 0.08, value + 0.07, "")
            if (method, strength) in (("top", 2.0), ("slow", 0.1)):
                near = (None, None, None, "never reaches the target loss; a longer run may")
            equal = Finding(equal_target.NAME, {**where, "bits": 2.5, "share": 0.8}, *near[:3], "bits/byte", 3, "t over seeds", near[3])
            found.append(equal._replace(high=None) if method == "wise" and strength == 0.5 else equal)
    return found


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return records()


@pytest.fixture(scope="module")
def drawn(frame: pd.DataFrame) -> dict[str, style.Captioned]:
    return dict(figures(frame, findings()))


def cut(figure: Figure) -> bool:
    """Whether something runs out of the figure: it leaves its color in the outermost pixels, or a name is longer than its side."""
    pixels = imread(io.BytesIO(style.png(figure)))[..., :3]
    named = [label.get_window_extent() for axes in figure.axes for label in (axes.xaxis.label, axes.yaxis.label, axes.title)]
    if any(box.width and (min(box.p0) < 0 or box.x1 > figure.bbox.width or box.y1 > figure.bbox.height) for box in named):
        return True
    return bool(min(edge.min() for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])) < 0.99)


@pytest.mark.parametrize("name", ["pareto", "equal_target", "kl", "steps"])
def test_no_text_is_cut_and_axes_are_named_with_units(name: str, drawn: dict[str, style.Captioned]) -> None:
    figure, caption = drawn[name]
    assert not cut(figure)
    words = " ".join(axes.get_xlabel() + axes.get_ylabel() + axes.get_title() for axes in figure.axes)
    assert "(bits/byte" in words and re.search("n = (2 to )?3", caption)


@pytest.mark.parametrize("figure", [pareto.pareto, kl.kl, steps.steps])
def test_missing_records_give_a_sentence(figure, frame: pd.DataFrame) -> None:
    for left in (pd.DataFrame(), frame[frame["phase"] == "reference"]):
        assert not figure(left).axes and figure(left).texts
    assert not equal_target.equal_target([]).axes
    assert not figures(pd.DataFrame())
    for caption in (pareto.caption, kl.caption, steps.caption):
        assert "0" in caption(pd.DataFrame())


def test_only_figures_with_records_are_returned(frame: pd.DataFrame) -> None:
    assert set(figures(frame[frame["phase"].isin(["reference", "result"])])) == {"pareto", "steps"}
    assert set(figures(frame[frame["phase"].isin(["reference", "kept"]) & (frame["method"] != "wise")])) >= {"kl"}
    assert set(figures(pd.DataFrame(), findings())) == {"equal_target"}


def test_rises_are_above_the_same_base_and_points_are_means_over_seeds(frame: pd.DataFrame) -> None:
    readings = rows.budgets(frame)
    assert readings["rise"].notna().sum() == len(readings) - 1 and readings["rise"].max() < 1.1
    points = pareto.plane(frame)
    (one,) = points[(points["method"] == "lora") & (points["strength"] == 8) & (points["step"] == 300)].to_dict("records")
    own = frame[(frame["phase"] == "result") & (frame["method"] == "lora") & (frame["strength"] == 8) & (frame["step"] == 300)]
    losses = own[own["metric"] == "budget_source"].sort_values("seed")["value"].to_numpy()
    assert one["rise"] == pytest.approx(np.mean(losses - (SOURCE + 0.1 * np.arange(3)))) and one["n"] == 3 and one["last"]
    shifted = frame.assign(base=2 - frame["seed"])  # bases are told apart by their name where they have one
    pd.testing.assert_series_equal(rows.budgets(shifted)["rise"].sort_values(), readings["rise"].sort_values(), check_index=False)
    assert "n = 2 to 3" in pareto.caption(frame) and "1 of 216 readings are not finite" in pareto.caption(frame)


def test_fronts_are_what_nothing_beats_in_both() -> None:
    x, y = np.array([3.0, 1.0, 2.0, 2.0, 4.0]), np.array([0.2, 0.9, 0.5, 0.4, 0.3])
    found = pareto.front(np.column_stack([x, y]))
    assert found[np.argsort(np.asarray(x)[found])].tolist() == [1, 3, 0]
    assert pareto.front(np.empty((0, 2))).size == 0


def test_each_method_has_a_front_of_its_own_and_findings_give_the_crosses(drawn: dict[str, style.Captioned], frame: pd.DataFrame) -> None:
    (axes,) = drawn["pareto"].figure.axes
    fronts = {line.get_color(): line for line in axes.lines if line.get_drawstyle() == "steps-post"}
    look = methods.looks(STRENGTHS)
    assert set(fronts) == {own.color for own in look.values()} and len(set(fronts)) == len(STRENGTHS)
    assert all((np.diff(line.get_ydata()) < 0).all() and (np.diff(line.get_xdata()) > 0).all() for line in fronts.values())
    members = sum(map(len, STRENGTHS.values()))
    assert sum(container.has_xerr for container in axes.containers) == members == sum(container.has_yerr for container in axes.containers)
    assert "Hollow, with a dotted front: WiSE-FT" in drawn["pareto"].caption and "t over seeds" in drawn["pareto"].caption
    assert "No intervals." in pareto.caption(frame)
    star = [line for line in axes.lines if line.get_color() == "#ffd21f"]
    assert star[0].get_xydata().tolist() == [[pytest.approx(TARGET + 0.05), 0.0]]


def test_points_off_the_axes_are_arrows_and_counted_and_full_is_never_one(frame: pd.DataFrame) -> None:
    far = frame["metric"].eq("budget_source") & frame["step"].eq(300)
    rows_far = frame.assign(value=frame["value"] + 9.0 * (far & frame["method"].eq("lora") & frame["strength"].eq(64)))
    (axes,) = pareto.pareto(rows_far).axes
    (arrow,) = [line for line in axes.lines if line.get_marker() == "^" and line.get_markerfacecolor() == "white"]
    assert axes.get_ylim()[0] < arrow.get_ydata()[0] < axes.get_ylim()[1] < 1.5
    assert "Off the axes, arrows at the edge: 1 of 75 points." in pareto.caption(rows_far)
    assert "Off the axes" not in pareto.caption(frame)
    rows_far = frame.assign(value=frame["value"] + 9.0 * (far & frame["method"].eq("full")))
    assert "Off the axes" not in pareto.caption(rows_far) and pareto.pareto(rows_far).axes[0].get_ylim()[1] > 9


def test_members_are_sorted_and_those_without_a_value_stand_below_with_the_reason(drawn: dict[str, style.Captioned]) -> None:
    (axes,) = drawn["equal_target"].figure.axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names[0] == "replay, 25 %" and names[-2:] == ["top 2 layers", "low rate, × 0.1"]
    said = {text.get_text() for text in axes.texts}
    assert "never reaches the target loss" in said and "0.600 [0.520, 0.670]" in said
    (dashed,) = [line for line in axes.lines if line.get_color() == "black"]
    assert list(dashed.get_xdata()) == [0.6, 0.6]
    assert "2 of 21 have no value" in drawn["equal_target"].caption and "1 of 19 intervals" in drawn["equal_target"].caption
    (open_end,) = [line for line in axes.lines if line.get_marker() == ">"]
    assert open_end.get_xdata()[0] == axes.get_xlim()[1]
    two = [*findings(), *(f._replace(where={**f.where, "bits": 2.2}) for f in findings() if f.name == equal_target.NAME)]
    assert equal_target.equal_target(two).axes[0].get_yticklabels()[0].get_text() in ("replay, 25 % at 2.50", "replay, 25 % at 2.20")


def test_kl_has_its_r2_in_the_title_and_a_scale_that_holds_every_rise(drawn: dict[str, style.Captioned], frame: pd.DataFrame) -> None:
    target, source = drawn["kl"].figure.axes
    assert target.get_title().endswith("R² = 0.83 [0.73, 0.87]") and source.get_title().endswith("R² = 0.94 [0.84, 0.98]")
    assert target.get_yscale() == "symlog" and "log scale above 0.1" in target.get_ylabel()
    kept = rows.kept(frame)
    drawn_marks = sum(len(line.get_xdata()) for line in source.lines if line.get_linestyle() == "None")
    assert drawn_marks == int(kept["rise"].notna().sum()) == len(kept) - 1
    assert "1 of 117 on the source's contexts" in drawn["kl"].caption
    up = frame.assign(value=frame["value"] + (frame["phase"].eq("kept") & frame["metric"].eq("budget_source")))
    assert kl.kl(up).axes[0].get_yscale() == "log"


def test_curves_are_means_of_the_middle_strength_between_the_extremes(drawn: dict[str, style.Captioned], frame: pd.DataFrame) -> None:
    rise, target = drawn["steps"].figure.axes
    readings = rows.budgets(frame)
    own = readings[(readings["method"] == "lora") & (readings["strength"] == 8)].groupby("step")["target"]
    color = methods.looks(["lora"])["lora"].color
    (line,) = [line for line in target.lines if line.get_color() == color]
    np.testing.assert_allclose(line.get_ydata(), own.mean())
    band = target.collections[list(methods.looks(methods.methods_of(readings))).index("lora")].get_paths()[0].vertices
    assert band[:, 1].min() == pytest.approx(own.min().min()) and band[:, 1].max() == pytest.approx(own.max().max())
    assert "LoRA, rank 8; top layer;" in drawn["steps"].caption and "WiSE-FT" not in drawn["steps"].caption
    assert [text.get_text() for text in rise.get_xticklabels()] == ["20", "60", "140", "300"]


def test_figures_do_not_depend_on_the_order_of_records(frame: pd.DataFrame) -> None:
    mixed = frame.sample(frac=1, random_state=1)
    assert style.png(pareto.pareto(mixed, findings())) == style.png(pareto.pareto(frame, findings()))
