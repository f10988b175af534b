"""What is readable at which depth of a network, and is it pretraining that put it there?

python launch.py --config=configs/probing.py              about 5 minutes on 2 CPU cores
python launch.py --config=configs/probing.py:smoke        about a minute, to see that everything works
"""

from ml_collections import ConfigDict

from configs import base

VARIANTS = {
    "": "0.2 M parameters, 4 layers, 6 initializations, 3 bases, 5 tasks; about 5 minutes on 2 CPU cores",
    "smoke": "the same path, tiny; about a minute, most of it compiling",
}


def default() -> dict[str, object]:
    """Returns the default's values."""
    return {
        "base": "own",
        "source": "stdlib:code",
        "languages": ("stdlib:code", "stdlib:docs", "generated:restaurants"),
        "data": base.data(),
        "model": {**base.model(), "n_layers": 4},
        "pretraining": {**base.pretraining(), "steps": 1000, "bases": 3},
        "optimizer": base.optimizer(),
        "mesh": base.mesh(),
        "inits": ("pretrained", "pretrained@20%", "random", "gaussian", "shuffled", "rotated"),
        "tasks": ("boundary", "keyword", "nesting", "indentation", "language"),
        "depths": (),
        "examples": 1200,
        "choosing": 300,
        "groups": 12,
        "seeds": 3,
    }


CHANGES: dict[str, dict[str, object]] = {
    "": {},
    "smoke": {
        "model": {"d_model": 32, "n_layers": 2, "max_length": 32, "d_mlp": 64},
        "data": {"validation_bytes": 16_384, "test_bytes": 16_384, "final_bytes": 16_384},
        "pretraining": {"steps": 200, "batch_size": 16, "bases": 2},
        "inits": ("pretrained", "random", "gaussian"),
        "tasks": ("boundary", "nesting", "language"),
        "examples": 400,
        "choosing": 200,
        "seeds": 2,
    },
}


def get_config(variant: str = "") -> ConfigDict:
    """Returns the locked config of a variant."""
    return base.changed(default(), CHANGES[variant])
