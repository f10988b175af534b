"""What does LoRA change that full fine-tuning does not, and what of that is noise?

    python launch.py --config=configs/lora_vs_full.py              about 10 minutes on 2 CPU cores
    python launch.py --config=configs/lora_vs_full.py:smoke        a minute, to see that everything works

A decoder pretrained on `source` is tuned on `target` by each of `arms`: full; lora@RANK; slow@FACTOR (everything, at so much of full's
learning rate); slowlora@FACTOR (rank 16, at so much of lora@16's). Each is compared at its end, and where its loss is nearest to `equal_at`
(shares) of the way from the untouched model to full's end.

Read of each update: the rank that holds 90 % of its energy; its loss when it is cut to few directions, the best or random ones; intruders,
leading singular vectors of the tuned matrix that no singular vector of the start resembles; the subspaces that two seeds of a base, or two
arms, have in common; how much it amplifies. Beside each stands what noise reads: Gaussian of one norm, updates rotated at random with
their singular values, and full training of `nulls`, on labels that teach nothing (shuffled), and on the source, which is known (source).

Keys to change: base (own), source, target, arms, nulls, equal_at, intruders.top, intruders.eps, cut_ranks, factors, alphas, subspaces,
seeds (those from `pretraining.bases` on are second seeds of a base), steps, read_at, learning_rates.*, model.*
"""

from ml_collections import ConfigDict

from configs import base

VARIANTS = {
    "": "0.13 M parameters, code to generated sentences, full and LoRA of three ranks, 3 bases; about 10 minutes on 2 CPU cores",
    "smoke": "the same path, tiny; a minute, most of it compiling",
}


def default() -> dict[str, object]:
    """Returns the default's values."""
    return {
        **base.text("stdlib:code", "generated:restaurants"),
        "model": base.model(),
        "pretraining": {**base.pretraining(), "bases": 3},
        "optimizer": base.optimizer(),
        "mesh": base.mesh(),
        "adapter": {"targets": ("attention/", "mlp/"), "alpha": 16.0, "scaling": "standard", "dropout": 0.0, "form": "factored"},
        "arms": ("full", "slow@0.1", "lora@1", "lora@4", "lora@16", "slowlora@0.3"),
        "nulls": ("shuffled", "source"),
        "equal_at": (0.5, 0.8),
        "intruders": {"top": 10, "eps": 0.5},
        "cut_ranks": (1, 2, 4, 8, 16, 32),
        "factors": (0.75, 0.9),
        "alphas": (0.2, 0.4, 0.6, 0.8, 0.9),
        "subspaces": (1, 4, 16),
        "learning_rates": {"full": (7e-4, 2.5e-3, 8e-3, 2.5e-2), "lora": (1e-3, 3e-3, 1e-2, 3e-2)},
        "seeds": 6,
        "selection_seeds": 1,
        "steps": 300,
        "selection_steps": 0,
        "batch_size": 4,
        "read_at": (*(step / 60 for step in range(1, 25)), *(step / 20 for step in range(9, 20))),
        "members": 0,
    }


CHANGES: dict[str, dict[str, object]] = {
    "": {},
    "smoke": {
        "model": {"d_model": 32, "n_layers": 1, "max_length": 32, "d_mlp": 64},
        "data": {"validation_bytes": 16_384, "test_bytes": 16_384, "final_bytes": 16_384},
        "pretraining": {"steps": 200, "batch_size": 16, "bases": 2},
        "arms": ("full", "slow@0.3", "lora@2", "lora@8"),
        "cut_ranks": (1, 4, 16),
        "factors": (0.5,),
        "alphas": (0.5,),
        "subspaces": (1, 2),
        "seeds": 4,
        "steps": 40,
        "read_at": (0.25, 0.5, 0.75),
    },
}


def get_config(variant: str = "") -> ConfigDict:
    """Returns the locked config of a variant."""
    return base.changed(default(), CHANGES[variant])
