"""In how many random directions is a network trained, and how few does pretraining leave to fine-tuning?

    python launch.py --config=configs/intrinsic_dimension.py            digits and a language model, about 6 minutes on 2 CPU cores
    python launch.py --config=configs/intrinsic_dimension.py:smoke      about a minute, to see that everything works
    python launch.py --config=configs/intrinsic_dimension.py:mnist      the two networks of Li et al. 2018; needs tfds:mnist
"""

from ml_collections import ConfigDict

from configs import base

VARIANTS = {
    "": "digits by three projections, and fine-tuning from four initializations; about 6 minutes on 2 CPU cores",
    "smoke": "the same path, tiny; about a minute",
    "mnist": "784-200-200-10 and LeNet on MNIST, 5 and 3 draws; about 30 minutes; needs the prepared TFDS set mnist",
    "thorough": "five stages of pretraining, eight dimensions, 5 draws; about an hour",
    "gpu": "language models of three sizes, bf16, one GPU; needs the prepared TFDS set lm1b",
}


def default() -> dict[str, object]:
    """Returns the default's values."""
    return {
        "models": ("fc", "lm"),
        "images": "sklearn:digits",
        "validation_images": 300,
        "hidden": (64, 64),
        **base.text("stdlib:code", "stdlib:docs"),
        "model": base.model(),
        "widths": (64,),
        "pretraining": base.pretraining(),
        "inits": ("random", "pretrained@20%", "pretrained", "shuffled"),
        "optimizer": base.optimizer(),
        "mesh": base.mesh(),
        "projections": {"fc": ("count_sketch", "fastfood", "dense"), "lenet": ("count_sketch",), "lm": ("count_sketch",)},
        "per_layer": False,
        "dimensions": {"fc": (8, 16, 32, 64, 128, 256), "lenet": (100, 200, 250, 290, 350, 450), "lm": (4, 16, 64, 256, 1024, 4096)},
        "learning_rates": {
            "fc": {"subspace": (1e-2, 3e-2, 1e-1), "full": (1e-3, 3e-3, 1e-2)},
            "lenet": {"subspace": (1e-2, 3e-2, 1e-1), "full": (3e-4, 1e-3, 3e-3)},
            "lm": {"subspace": (3e-3, 1e-2, 3e-2), "full": (7e-4, 2.5e-3, 8e-3)},
        },
        "rates_at": {"fc": 0, "lenet": 2, "lm": 0},
        "absolute": 0.9,
        "draws": {"fc": 3, "lenet": 3, "lm": 3},
        "selection_draws": {"fc": 1, "lenet": 1, "lm": 1},
        "steps": {"fc": 400, "lenet": 2345, "lm": 150},
        "batch_size": {"fc": 64, "lenet": 128, "lm": 4},
        "members": 0,
        "known_draws": 10,
    }


CHANGES: dict[str, dict[str, object]] = {
    "": {},
}


def get_config(variant: str = "") -> ConfigDict:
    """Returns the locked config of a variant."""
    return base.changed(default(), CHANGES[variant])
