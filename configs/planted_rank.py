"""Does the ruler of lora_rank_sweep measure the rank that is there?

    python launch.py --config=configs/planted_rank.py            about 4 minutes on 2 CPU cores
    python launch.py --config=configs/planted_rank.py:smoke      about a minute, to see that everything works

A teacher is a base model with an update of known rank k planted into chosen matrices. Students of every rank learn from its outputs, with
the populations, the learning rate choice and the records of lora_rank_sweep. The estimated rank is the smallest whose divergence from the
teacher lies below half of what leaving out the k-th component costs. Decoys must be told apart: nothing planted is rank 0; a full-rank
plant, and one in matrices that the adapter may not touch, are not reached. Two more rulers are checked beside it: the loss floors of linear
students (Eckart & Young 1936), and the coverage of r90's interval on simulated curves.

Expect the estimated rank to be the planted one (rank 8, decaying, is near the tolerance: with more seeds, one misses it now and then), and
no learning rate but the idle decoy's on an edge.
Keys to change: planted_ranks (up to the matrices' size), spectra (flat, decaying), decoys, strength, learning_rates.lora, seeds, steps,
simulations, target (the text that students see), source (of a pretrained init), model.*, adapter.targets; more
planted_ranks or seeds extend a run
"""

from ml_collections import ConfigDict

from configs import base

VARIANTS = {
    "": "ranks 1, 2, 4, 8 in two spectra, three decoys, 3 seeds; about 4 minutes on 2 CPU cores",
    "smoke": "ranks 1 and 2, two seeds; about a minute",
}


def default() -> dict[str, object]:
    """Returns the default's values."""
    return {
        **base.text("stdlib:code", "stdlib:code"),
        "data": {"validation_bytes": 8_192, "test_bytes": 8_192, "max_bytes": 2**31},
        "model": {**base.model(), "d_model": 48, "n_layers": 1, "d_mlp": 64, "max_length": 32},
        "pretraining": {**base.pretraining(), "steps": 500},
        "optimizer": {**base.optimizer(), "schedule": "cosine"},
        "mesh": base.mesh(),
        "adapter": {"targets": ("attention/(value|out)", "mlp/"), "alpha": 16.0, "scaling": "standard", "dropout": 0.0, "form": "auto"},
        "init": "random",
        "planted_ranks": (1, 2, 4, 8),
        "spectra": ("flat", "decaying"),
        "decoys": ("zero", "full_rank", "out_of_reach"),
        "out_of_reach": ("attention/(query|key)",),
        "strengths": (1e-4, 1e-3, 3e-3, 1e-2, 3e-2),
        "strength_ranks": (2, 8),
        "learning_rates": {"lora": (6e-3, 2e-2, 8e-2, 2.5e-1), "matched": (1e-3, 3e-3, 1e-2, 4e-2, 1.6e-1)},
        "seeds": 3,
        "selection_seeds": 1,
        "steps": 310,
        "batch_size": 6,
        "members": 0,
        "simulations": 1000,
    }


CHANGES: dict[str, dict[str, object]] = {
    "": {},
    "smoke": {
        "planted_ranks": (1, 2),
        "strength_ranks": (2,),
        "strengths": (1e-4, 1e-2),
        "spectra": ("flat",),
        "seeds": 2,
        "steps": 160,
        "pretraining": {"steps": 100},
        "simulations": 50,
    },
}


def get_config(variant: str = "") -> ConfigDict:
    """Returns the locked config of a variant."""
    return base.changed(default(), CHANGES[variant])
