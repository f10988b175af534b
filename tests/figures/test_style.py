"""Looks that never change, files that never differ, and no JAX on the way."""

import subprocess
import sys
import weakref

import matplotlib
import pytest

from experiments.lora_rank_sweep.plots.ranks import loss_against_rank
from research.errors import UsageError
from research.figures import style


def test_words_keep_their_look_whoever_else_is_there():
    few, many = style.looks(["pretrained", "random"]), style.looks(["mine", "random", "shuffled", "pretrained@10%", "pretrained"])
    assert all(many[word] == look for word, look in few.items())
    assert len({look.color for look in many.values()}) == len({look.marker for look in many.values()}) == 5


def test_many_words_are_all_told_apart():
    words = [f"base{i}" for i in range(9)]
    assert len({(look.color, look.marker) for look in style.looks(words).values()}) == 9


def test_colors_differ_in_lightness_or_hue_for_each_rank():
    assert len(set(style.rank_colors([1, 2, 4, 8, 16, 32]).values())) == 6
    assert list(style.rank_colors([4])) == [4]


@pytest.mark.parametrize(
    ("value", "text"), [(0.003, "0.003"), (950, "950"), (1024, "1.02k"), (999_600, "1M"), (3.4e6, "3.4M"), (2e9, "2G")]
)
def test_compact(value, text):
    assert style.compact(value) == text


def test_saved_files_depend_on_the_figure_alone(make_results, tmp_path):
    results = make_results(inits=("pretrained",), ranks=(4,), seeds=2)
    for folder in ("first", "second"):
        png, pdf = style.save(loss_against_rank(results), tmp_path / folder, "ranks")
        assert png.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" and pdf.read_bytes()[:5] == b"%PDF-"
    for name in ("ranks.png", "ranks.pdf"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_save_replaces_another_figure_and_leaves_the_same(tmp_path):
    _, pdf = style.save(style.sentence("one"), tmp_path, "words")
    first, stamp = pdf.read_bytes(), pdf.stat().st_mtime_ns
    style.save(style.sentence("one"), tmp_path, "words")
    assert pdf.stat().st_mtime_ns == stamp
    style.save(style.sentence("another"), tmp_path, "words")
    assert pdf.read_bytes() != first


def test_a_name_with_a_path_in_it_stays_in_its_folder(tmp_path):
    saved = [path for name in ("../a b", "../a_b") for path in style.save(style.sentence("one"), tmp_path / "figures", name)]
    assert len(set(saved)) == 4 and {path.parent for path in tmp_path.rglob("*.p*")} == {tmp_path / "figures"}


def test_save_into_a_file_is_the_users_mistake(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(UsageError, match="taken"):
        style.save(style.sentence("one"), tmp_path / "taken", "words")


def test_drawn_bytes_do_not_keep_a_figure_alive():
    figure = style.sentence("one")
    style.png(figure)
    seen = weakref.ref(figure)
    del figure
    import gc

    gc.collect()
    assert seen() is None


def test_callers_settings_neither_leak_in_nor_out():
    with matplotlib.rc_context({"font.size": 30}):
        loud = style.png(style.sentence("words"))
        assert matplotlib.rcParams["font.size"] == 30
    assert loud == style.png(style.sentence("words"))


def test_no_jax_and_no_pyplot_is_imported(root):
    names = ("documents intervals layout learning_curves learning_rates report spectra style tensorboard").split()
    assert sorted(path.stem for path in (root / "research/figures").glob("*.py") if path.stem != "__init__") == names
    modules = ", ".join(f"research.figures.{name}" for name in names)
    barred = ("jax", "tensorflow", "flax", "matplotlib.pyplot")
    code = f"import sys, {modules}; print([name for name in {barred} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
