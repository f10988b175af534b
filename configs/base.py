"""What the configs of all experiments share: text, model, pretraining, optimizer, mesh. Plain values; no key is ever None."""

from ml_collections import ConfigDict


def data() -> dict[str, object]:
    """Returns how a text is carved: bytes of the held-out parts and of all, and `seed`, which says what is held out.

    part: on which part results are read, test or, once at the end, final.
    """
    return {"validation_bytes": 16_384, "test_bytes": 65_536, "final_bytes": 65_536, "seed": 0, "part": "test", "max_bytes": 2**31}


def text(source: str, target: str) -> dict[str, object]:
    """Returns the keys that name the base and the text: `source` to pretrain on, `target` to fine-tune on, and how both are carved.

    base: own (pretrained here on `source`), hf:FOLDER, hf:NAME[@REVISION], gguf:FILE, gguf:PACKAGE, or run:WORKDIR/CELL.
    """
    return {"base": "own", "source": source, "target": target, "data": data()}


def model() -> dict[str, object]:
    """Returns the smallest decoder that shows the effects on two CPU cores: 0.13 M parameters."""
    return {
        "d_model": 64,
        "n_layers": 2,
        "n_heads": 2,
        "n_kv_heads": 2,
        "head_dim": 0,
        "d_mlp": 256,
        "max_length": 64,
        "norm": "rms",
        "norm_eps": 1e-6,
        "norm_place": "pre",
        "qk_norm": "none",
        "positions": "rope",
        "rope_theta": 10_000.0,
        "rotary_dim": 0,
        "mlp": "plain",
        "activation": "gelu",
        "parallel": False,
        "bias": (),
        "tied": False,
        "dropout": 0.0,
        "scan": False,
        "remat": "none",
        "dtype": "float32",
        "param_dtype": "float32",
        "attention": "xla",
    }


def pretraining() -> dict[str, object]:
    """Returns the pretraining of the base: 4.1 M tokens, cosine to zero. `bases` draws so many, one per seed in turn.

    accumulate: parts of a batch whose gradients are averaged before a step, where a whole batch does not fit into memory.
    """
    return {"steps": 2000, "batch_size": 32, "accumulate": 1, "learning_rate": 3e-3, "schedule": "cosine", "warmup": 0.05, "bases": 1}


def optimizer() -> dict[str, object]:
    """Returns AdamW's constants; the schedule is constant after warm-up, so one run can be read at several budgets."""
    return {"schedule": "constant", "warmup": 0.05, "b1": 0.9, "b2": 0.99, "weight_decay": 0.0, "clip": 1.0}


def mesh() -> dict[str, object]:
    """Returns the mesh: all devices along the member axis."""
    return {"member": -1, "data": 1, "fsdp": 1, "tensor": 1}


def changed(values: dict[str, object], changes: dict[str, object]) -> ConfigDict:
    """Returns the values as a locked ConfigDict with a variant's changes, a dict changing single keys of its section."""
    config = locked(values)
    for key, value in changes.items():
        if isinstance(value, dict):
            config[key].update(value)
        else:
            config[key] = value
    return config


def locked(values: dict[str, object]) -> ConfigDict:
    """Returns the values as a ConfigDict to which no key can be added."""
    return ConfigDict(values).lock()
