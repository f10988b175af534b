"""The parts of a sweep over ranks: a star around the first arm, or everything crossed."""

from collections import Counter
from typing import Any

import pytest

from configs.lora_rank_sweep import get_config
from experiments.lora_rank_sweep import arm_costs
from experiments.lora_rank_sweep.arm_costs import Budget
from experiments.lora_rank_sweep.arms import RankSweep
from research import tree
from research.cells.pretraining import parameter_shapes
from research.cells.study import Study, model_of
from research.errors import UsageError
from research.training.population import Task

FULL = {"phase": "result", "arm": None, "trains": "full", "rank": None, "seed": 0}


def sweep(variant: str = "", **changes: Any) -> RankSweep:
    return RankSweep.of({**get_config(variant).to_dict(), **changes})


def test_the_default_is_a_star_of_about_two_hundred_cells_and_the_first_target_comes_first() -> None:
    block, other, ends = sweep().spokes()
    assert (block.target, other.target, ends.target) == ("stdlib:docs", "generated:restaurants", "stdlib:docs")
    assert [len(part.results()) for part in (block, other, ends)] == [78, 78, 42]
    assert sum(len(part.selection()) for part in (block, other, ends)) == 368
    ranks = Counter((c["init"], c["rank"]) for c in block.results() if c["trains"] == "lora")
    assert {rank for init, rank in ranks if init == "random"} == {1, 2, 4, 8, 16, 32}
    assert {rank for init, rank in ranks if init == "rotated"} == {1, 8, 32}
    assert set(ranks.values()) == {3}


def test_rank_zero_is_trained_where_something_moves_beside_the_adapter_and_everything_once() -> None:
    _, _, ends = sweep().spokes()
    by_arm = {arm: {c["rank"] for c in ends.results() if c["arm"] == arm and c["trains"] == "lora"} for arm in ends.arms}
    assert by_arm == {"block+ends": {0, 1, 8}, "all": {1, 8}}
    assert {c["rank"] for c in ends.selection() if c["arm"] == "block+ends" and c["trains"] == "lora"} == {0, 1, 16}
    assert {c["trains"] for c in ends.results()} == {"lora", "matched"} and ends.name == "block+ends and all on stdlib:docs"


def test_each_seed_has_a_base_of_its_own_and_selection_has_other_seeds() -> None:
    block = sweep().spokes()[0]
    assert {(c["seed"], c["base"]) for c in block.results()} == {(0, 0), (1, 1), (2, 2)}
    assert {c["seed"] for c in block.selection()} == {1000, 1001}
    assert {c["rank"] for c in block.selection() if c["trains"] == "lora"} == {1, 16}


def test_crossed_every_arm_has_every_rank_on_every_target() -> None:
    parts = sweep(crossed=True, rate_ranks=()).spokes()
    assert [part.target for part in parts] == ["stdlib:docs", "generated:restaurants"]
    for part in parts:
        lora = Counter((c["arm"], c["init"]) for c in part.results() if c["trains"] == "lora")
        assert len(lora) == 12 and {(arm, count // 3) for (arm, _), count in lora.items()} == {("block", 6), ("block+ends", 7), ("all", 6)}
        assert {c["rank"] for c in part.selection() if c["arm"] == "all" and c["trains"] == "lora"} == {1, 2, 4, 8, 16, 32}


def test_fewer_ranks_leave_no_part_empty() -> None:
    block, _, ends = sweep(ranks=(3,)).spokes()
    assert {c["rank"] for c in (*block.results(), *ends.results()) if c["rank"]} == {3}
    assert len(sweep(inits=("shuffled",), arms=("block",)).spokes()) == 2


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"ranks": (0, 1)}, "rank 0 is read"),
        ({"targets": ("a", "a")}, "twice"),
        ({"targets": ()}, "targets"),
        ({"inits": ("shuffled",)}, "crossed=True"),
        ({"after": ("cut",)}, "choose among spectra"),
        ({"matched": False}, "set matched=True"),
        ({"keep": (3,)}, "seeds 0 to 2"),
        ({"keep": ("zero",)}, "numbers"),
        ({"base": "gguf:x"}, "set --config.keep=0"),
        ({"read_at": (1.5,)}, "between 0 and 1"),
        ({"selection_steps": 13}, "a multiple of 7"),
        ({"selection_steps": 14, "rates_per_budget": True}, "later steps"),
    ],
)
def test_axes_that_cannot_be_are_refused(changes: dict[str, Any], word: str) -> None:
    with pytest.raises(UsageError, match=word):
        sweep(**changes)


def test_a_checkpoint_is_one_base_and_no_matched_references_are_trained_where_none_are_asked_for() -> None:
    (block,) = sweep("smollm2_cpu").spokes()
    assert {(c["trains"], c["rank"]) for c in block.results()} == {("lora", 1), ("lora", 8), ("full", None)}
    assert len(block.selection()) == len(block.results()) == 18 and (block.selection_steps, block.steps) == (6, 14)
    bases = {(c["init"], c["seed"], c["base"]) for c in block.results()}
    assert bases == {("pretrained", seed, 0) for seed in range(3)} | {("random", seed, seed) for seed in range(3)}


def test_adapters_are_always_kept_and_full_weights_where_something_reads_them_or_keep_names_the_seed() -> None:
    def kept(axes: RankSweep) -> dict[str, set[int]]:
        found: dict[str, set[int]] = {}
        for c in axes.spokes()[0].results():
            if axes.keeps({**c, "chosen_for": axes.steps}, axes.steps):
                found.setdefault(c["trains"], set()).add(c["seed"])
        return found

    assert kept(sweep()) == {"lora": {0, 1, 2}, "full": {0, 1, 2}, "matched": {0, 1, 2}}
    assert kept(sweep(after=("costs",))) == {"lora": {0, 1, 2}}
    assert kept(sweep(after=("costs",), keep=(1,))) == {"lora": {0, 1, 2}, "full": {1}, "matched": {1}}
    assert kept(sweep(base="gguf:x", keep=(1,))) == {"lora": {0, 1, 2}, "full": {1}, "matched": {1}}
    early = [sweep(after=after).keeps({**FULL, "chosen_for": 150}, 15) for after in (("spectra",), ("costs",))]
    assert early == [True, False]


def tied(scan: bool, **shape: object) -> Study:
    config = get_config("smoke").to_dict()
    config["model"] |= {"d_model": 16, "n_layers": 2, "d_mlp": 24, "tied": True, "scan": scan, **shape}
    return Study.of({**config, "target": "stdlib:docs"})


@pytest.mark.parametrize("scan", [False, True])
@pytest.mark.parametrize("positions", ["rope", "learned"])
def test_on_a_tied_model_all_leaves_the_table_alone_and_the_ends_have_no_head(
    scan: bool, positions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arm_costs, "compiled_flops", lambda program: 0.0)
    axes = sweep("smoke", arms=("block", "block+ends", "all"))
    study = tied(scan, positions=positions)
    shapes = {"params": parameter_shapes(model_of(study))}
    tasks = axes.tasks(study)
    block, every = (set(find(tasks[f"{arm}/matched"], shapes)) for arm in ("block", "all"))
    table = {"params/position/embedding"} if positions == "learned" else set()
    assert every == block | table and len(block) == (6 if scan else 12)
    ends = set(find(tasks["block+ends/matched"], shapes)) - block
    layers = ["layers"] if scan else ["layers_0", "layers_1"]
    norms = {"params/final_norm/scale", *(f"params/{layer}/{name}_norm/scale" for layer in layers for name in ("attention", "mlp"))}
    assert ends == norms | {"params/embedding/embedding"}
    config, budget = study.model, Budget(4, 2)
    rows = arm_costs.arm_costs("e", {name: task for name, task in tasks.items() if "/lora" in name}, (1,), config, budget, None)
    trained = {row["arm"]: row["value"] for row in rows if row["metric"] == "trainable_parameters"}
    layer = 4 * (16 + 16) + 2 * (16 + 24)
    widths = 16 + 32 if positions == "learned" else 0  # of the table of positions, one rank
    assert trained == {"block": 2 * layer, "block+ends": 2 * layer + 256 * 16 + 5 * 16, "all": 2 * layer + widths}


def find(task: Task, shapes: dict[str, object]) -> dict[str, object]:
    return tree.flatten(tree.partition(shapes, task.moves)[0])
