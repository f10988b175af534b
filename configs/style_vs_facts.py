"""Is a style learned cheaply and are facts learned dearly, what do new facts cost old ones, and when is retrieval the right tool?

python launch.py --config=configs/style_vs_facts.py              about 8 minutes on 2 CPU cores
python launch.py --config=configs/style_vs_facts.py:smoke        a minute, to see that everything works
"""

from ml_collections import ConfigDict

from configs import base

VARIANTS = {
    "": "0.13 M parameters",
    "smoke": "the same path, tiny; a minute, most of it compiling",
}


def default() -> dict[str, object]:
    """Returns the default's values."""
    return {
        "base": "own",
        "source": "generated:people",
        "data": base.data(),
        "model": base.model(),
        "pretraining": {**base.pretraining(), "bases": 3},
        "optimizer": base.optimizer(),
        "mesh": base.mesh(),
        "adapter": {"targets": ("attention/", "mlp/"), "alpha": 16.0, "scaling": "standard", "dropout": 0.0, "form": "factored"},
        "arms": (
            *("style:capitals:64/full", "style:capitals:16/full", "style:capitals:4/full"),
            *("style:capitals:64/lora@4", "style:capitals:64/lora@1", "style:capitals:64/one@1"),
            *("facts:64:4/full", "facts:16:4/full", "facts:4:4/full", "facts:64:1/full"),
            *("facts:64:4/lora@16", "facts:64:4/lora@4", "facts:64:4/lora@1", "facts:64:4/one@1"),
            *("mixed:capitals:64/full", "conflict:64/full", "known:64/full", "known:64/lora@4"),
        ),
        "learning_rates": {"full": (1e-3, 3e-3, 1e-2), "lora": (3e-3, 1e-2, 3e-2), "one": (1e-2, 3e-2, 1e-1)},
        "seeds": 3,
        "selection_seeds": 1,
        "steps": 400,
        "selection_steps": 0,
        "batch_size": 32,
        "kept_at": (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64),
        "members": 0,
    }


CHANGES: dict[str, dict[str, object]] = {
    "": {},
    "smoke": {
        "model": {"d_model": 32, "n_layers": 2, "d_mlp": 64},
        "data": {"validation_bytes": 16_384, "test_bytes": 16_384, "final_bytes": 16_384},
        "pretraining": {"steps": 200, "batch_size": 16, "bases": 2},
        "arms": ("style:capitals:8/full", "facts:8:4/full"),
        "seeds": 2,
        "steps": 40,
        "batch_size": 16,
        "kept_at": (0.1, 0.25, 0.5),
    },
}


def get_config(variant: str = "") -> ConfigDict:
    """Returns the locked config of a variant."""
    return base.changed(default(), CHANGES[variant])
