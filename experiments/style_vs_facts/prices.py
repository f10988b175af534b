"""What teaching costs, and what a question costs that has its fact before it: parameters that move, and FLOPs."""

from collections.abc import Sequence

import jax
import numpy as np

from experiments.style_vs_facts.axes import StyleSweep
from experiments.style_vs_facts.material import LENGTH, Material, said
from research.adapters.lora import targeted
from research.adapters.sites import find_sites
from research.analysis.costs import FORWARD, flops_per_token, ledger
from research.cells.phases import reference
from research.cells.pretraining import example_batch, parameter_shapes
from research.cells.study import Study, model_of
from research.cells.subject import Rows


def prices(experiment: str, sweep: StyleSweep, study: Study, materials: Sequence[Material]) -> Rows:
    """Returns, for each way of training, the parameters that move and the FLOPs of a run; and of a question with its fact, what it adds.

    A question's FLOPs are those of the passes over its bytes with those of a statement before them, less those over its own alone.
    """
    rows, hows = [], {arm.how.word: arm.how for arm in sweep.parsed}
    for word, how in hows.items():
        flops = flops_per_token(study.model, LENGTH, sweep.moves(how)) * LENGTH * sweep.batch_size * sweep.steps
        where = {"phase": "cost", "how": word}
        rows.append(reference(experiment, "trained_parameters", _parameters(sweep, study, word), "count", **where))
        rows.append(reference(experiment, "training_flops", flops, "FLOPs", **where))
    asked = [sentence for own in materials for sentence in said(own.new, (own.order[0],))]
    told = [sentence for own in materials for sentence in said(own.new, (own.order[-1],))]
    alone = round(float(np.mean([1 + len(each.prompt) for each in asked])))
    context = round(float(np.mean([1 + len(each.text) for each in told])))
    rows.append(reference(experiment, "context_bytes", context, "bytes", phase="cost"))
    extra = forward_flops(study, alone + context) - forward_flops(study, alone)
    rows.append(reference(experiment, "query_flops", extra, "FLOPs", phase="cost"))
    return rows


def forward_flops(study: Study, length: int) -> float:
    """Returns the FLOPs of a forward pass over so many bytes."""
    return length * float(sum(product.flops for product in ledger(study.model, length) if product.kind == FORWARD))


def _parameters(sweep: StyleSweep, study: Study, word: str) -> int:
    recipe = next(arm.how.recipe for arm in sweep.parsed if arm.how.word == word)
    model, shapes = model_of(study), parameter_shapes(model_of(study))
    if recipe.rank is None:
        return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(shapes))
    spec = sweep.lora(recipe.targets or sweep.adapter["targets"], recipe.rank)
    sites = targeted(find_sites(model, shapes, example_batch()), spec, model.tied)
    return sum(rank * (site.inputs + site.outputs) for site, rank, _ in sites.values())
