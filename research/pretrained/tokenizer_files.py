"""The tokenizer beside a model that goes out: the files of a folder byte for byte, or those that a GGUF's metadata amounts to."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from research.files import atomic_write
from research.pretrained.checkpoint import Checkpoint

COPIED = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "chat_template.jinja",
    "generation_config.json",
)


def put(folder: Path, base: Checkpoint) -> None:
    """Writes the tokenizer of a base, and which token ends a text, into the folder of a model."""
    if base.source.is_dir():
        for name in COPIED:
            if (base.source / name).is_file():
                shutil.copyfile(base.source / name, folder / name)
        return
    from research.pretrained.tokens import rebuilt

    fields = base.config
    atomic_write(folder / "tokenizer.json", rebuilt(fields).to_str(pretty=True).encode())
    words = fields["tokenizer.ggml.tokens"]
    named = {f"{name}_token": words[number] for name, number in base.special.items()}
    template = {"chat_template": fields["tokenizer.chat_template"]} if "tokenizer.chat_template" in fields else {}
    said = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": base.context, "clean_up_tokenization_spaces": False}
    write_json(folder / "tokenizer_config.json", {**said, **named, **template})
    write_json(folder / "generation_config.json", {f"{name}_token_id": number for name, number in base.special.items()})


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Returns once `path` holds `value`, whole."""
    atomic_write(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())
