"""How many directions does a fine-tune need, and is it pretraining that makes them few?

    python launch.py --config=configs/lora_rank_sweep.py              about 5 minutes on 2 CPU cores
    python launch.py --config=configs/lora_rank_sweep.py:smoke        about a minute, to see that everything works
    python launch.py --config=configs/lora_rank_sweep.py:gpu          one GPU; needs a text set, see below

A base model is pretrained on `source`. Then {pretrained, shuffled, random} x {everything, the adapted matrices, LoRA of rank r on them}
x learning rate x seed are trained on `target` (bits per byte of held-out text). Expect rank 1 from pretrained weights below everything
from random weights, in the same steps; no learning rate on the edge of its grid; and the *relative* rank for 90 % to depend on its
definition. The numbers of a run: docs/experiments/lora_rank_sweep.md.

Keys to change: source, target (stdlib:code, stdlib:docs, tfds:NAME[/FIELD], text:GLOB), inits, ranks, arms, learning_rates.lora,
learning_rates.full, seeds, selection_seeds, steps, batch_size, model.*, adapter.*, mesh.* (more ranks or seeds extend a run)

:gpu reads tfds:lm1b (prepared beforehand, see docs/data.md; about 2 GB) as source and stdlib:docs as target; any other text of 30 MB or
more will do, such as --config.source='text:PATH/site-packages/**/*.py'.
:paper is the same on several devices: four axes of the mesh, a longer pretraining, more seeds; it has not been run here.
"""

from ml_collections import ConfigDict

from configs import base

VARIANTS = {
    "": "0.13 M parameters, code to docs, 3 inits x 6 ranks x 3 seeds; about 5 minutes on 2 CPU cores",
    "smoke": "the same path, tiny; about a minute",
    "arms": "every matrix adapted, and norms, or embeddings, head and norms, trained beside; about 30 minutes",
    "thorough": "three pretrained bases, every matrix adapted, 2,500 steps; hours on 2 CPU cores",
    "gpu": "126 M parameters, bf16, cuDNN attention",
    "paper": ":gpu on several devices (data, fsdp), five seeds, ranks to 256",
}
NEEDS = {"gpu": "one GPU, the prepared TFDS set lm1b", "paper": "four GPUs or more, the prepared TFDS set lm1b"}


def default() -> dict[str, object]:
    """Returns the default's values."""
    return {
        **base.text("stdlib:code", "stdlib:docs"),
        "model": base.model(),
        "pretraining": base.pretraining(),
        "optimizer": base.optimizer(),
        "mesh": base.mesh(),
        "adapter": {"targets": ("attention/", "mlp/"), "alpha": 16.0, "scaling": "standard", "dropout": 0.0, "form": "auto"},
        "inits": ("pretrained", "shuffled", "random"),
        "arms": ("block",),
        "ranks": (1, 2, 4, 8, 16, 32),
        "learning_rates": {"lora": (3e-4, 1e-3, 3e-3, 1e-2), "full": (2e-4, 7e-4, 2.5e-3, 8e-3)},
        "seeds": 3,
        "selection_seeds": 1,
        "steps": 300,
        "batch_size": 4,
        "members": 0,
    }


GPU = {
    "source": "tfds:lm1b/text",
    "data": {"validation_bytes": 2**18, "test_bytes": 2**18, "final_bytes": 2**18, "max_bytes": 2**29},
    "model": {
        "d_model": 1024,
        "n_layers": 10,
        "n_heads": 16,
        "n_kv_heads": 16,
        "d_mlp": 4096,
        "max_length": 1024,
        "dtype": "bfloat16",
        "attention": "cudnn",
    },
    "pretraining": {"steps": 1000, "batch_size": 32, "learning_rate": 6e-4},
    "ranks": (1, 4, 16, 64),
    "learning_rates": {"lora": (2.5e-4, 1e-3, 4e-3, 1.6e-2), "full": (1e-5, 4e-5, 1.6e-4, 6.4e-4)},
    "steps": 100,
    "batch_size": 4,
}

CHANGES: dict[str, dict[str, object]] = {
    "": {},
    "smoke": {
        "model": {"d_model": 32, "n_layers": 1, "max_length": 32, "d_mlp": 64},
        "data": {"validation_bytes": 16_384, "test_bytes": 16_384, "final_bytes": 16_384},
        "pretraining": {"steps": 200, "batch_size": 16},
        "ranks": (1, 4),
        "seeds": 2,
        "steps": 40,
    },
    "arms": {"arms": ("block", "all", "block+norms", "block+ends"), "ranks": (1, 4, 16)},
    "thorough": {"arms": ("all",), "pretraining": {"bases": 3}, "steps": 2500, "batch_size": 8, "ranks": (1, 2, 4, 8, 16, 32, 64)},
    "gpu": GPU,
    "paper": {
        **GPU,
        "mesh": {"data": 2, "fsdp": 2},
        "pretraining": {"steps": 20_000, "batch_size": 128},
        "ranks": (1, 4, 16, 64, 256),
        "seeds": 5,
    },
}


def get_config(variant: str = "") -> ConfigDict:
    """Returns the locked config of a variant."""
    return base.changed(default(), CHANGES[variant])
