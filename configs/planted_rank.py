"""Does the ruler of lora_rank_sweep measure the rank that is there?

    python launch.py --config=configs/planted_rank.py            about 7 minutes on 2 CPU cores
    python launch.py --config=configs/planted_rank.py:smoke      about a minute, to see that everything works

A teacher is a base model with an update of known rank k planted into chosen matrices. Students of every rank learn from its outputs, with
the populations, the learning rate choice and the records of lora_rank_sweep. Two rulers are read. The estimated rank is the smallest whose
divergence from the teacher lies below half of what leaving out the k-th component costs; it needs the answer. r90 does not: it is read by
lora_rank_sweep's own estimator, between the untouched divergence and that of the same matrices trained themselves, and held to its
analytic value, the smallest real rank at which the floor curve, linear between whole ranks, recovers 0.9 (flat spectra: 0.9 k).
Decoys must be told apart: nothing planted is rank 0; a full-rank plant, and one in matrices that the adapter may not touch, are not
reached.
Flat plants of `strength_ranks` are planted at all `strengths` (nats a token that the first component costs in each matrix), up to gains
like those of full training from pretrained weights on documentation in lora_rank_sweep; the rest at the weakest. Beside it: the loss floors
of linear students (Eckart & Young 1936) with r90 read on them, and the coverage of r90's interval on simulated curves.

Expect the estimated rank of weak plants to be the planted one, missed by a seed at flat rank 8; r90 below its analytic value (part of it
the interpolation in log rank, part the reference, which is not trained to the end); and both to break with strength.
Keys to change: planted_ranks, strength_ranks (up to the matrices' size), spectra (flat, decaying), decoys, strengths, learning_rates.lora,
learning_rates.matched, seeds, steps, simulations, target (the text that students see), source (of a pretrained init), model.*,
adapter.targets; more planted_ranks, strengths, strength_ranks or seeds extend a run
"""

from ml_collections import ConfigDict

from configs import base

VARIANTS = {
    "": "ranks 1, 2, 4, 8 in two spectra, five strengths of ranks 2 and 8, three decoys, 3 seeds; about 7 minutes on 2 CPU cores",
    "smoke": "ranks 1 and 2, two strengths, two seeds; about a minute",
}


def default() -> dict[str, object]:
    """Returns the default's values."""
    return {
        **base.text("stdlib:code", "stdlib:code"),
        "data": {"validation_bytes": 8_192, "test_bytes": 8_192, "final_bytes": 8_192, "seed": 0, "part": "test", "max_bytes": 2**31},
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
        "selection_seeds": 2,
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
        "selection_seeds": 1,
        "steps": 160,
        "pretraining": {"steps": 100},
        "simulations": 50,
    },
}


def get_config(variant: str = "") -> ConfigDict:
    """Returns the locked config of a variant."""
    return base.changed(default(), CHANGES[variant])
