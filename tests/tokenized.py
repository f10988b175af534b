"""Tiny tokenizers, built here: as tokenizer.json, as the metadata of a GGUF, and as a vocabulary."""

from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, processors

from research.data.vocabulary import Vocabulary
from research.pretrained.splits import SPLITS
from research.pretrained.tokens import from_gguf

END = "<|endoftext|>"
HOSTILE = f"!! It's I'LL 12345 ½Ⅷ a{END}b\0c e\u0301 \u00e9 \u65e5\u672c\r\n\n  \u1f680 \U0001f680\tHTTPServer's  x"
MERGES = ["a b", "Ġ c", "l a", "la n", "lan d", "Ġ w", "o r", "or d", "Ġw ord", "1 2", "! !"]


def _alphabet() -> list[str]:
    """The 256 characters that stand for bytes, printable ones first, as in GPT-2, whose token 0 is '!'."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(byte) for byte in printable] + [chr(256 + place) for place in range(256 - len(printable))]


def fields(pre: str = "gpt-2", end: int = 0, padding: int = 0, **changes: Any) -> dict[str, Any]:
    """Returns the metadata of a GGUF: 256 bytes, what merges make, the special token (the only one), and rows that no token has.

    end: where the special token stands, 0 for the last place.
    """
    words = [*_alphabet(), *(merge.replace(" ", "") for merge in MERGES)]
    kinds = [1] * len(words)
    place = end or len(words)
    words.insert(place, END)
    kinds.insert(place, 3)
    listed = {"tokens": words + [f"[PAD{i}]" for i in range(padding)], "token_type": kinds + [5] * padding, "merges": MERGES}
    named = {"model": "gpt2", "pre": pre, "bos_token_id": place, "eos_token_id": place}
    return {f"tokenizer.ggml.{key}": value for key, value in {**listed, **named, **changes}.items() if value is not None}


def vocabulary(pre: str = "gpt-2", rows: int = 300) -> Vocabulary:
    """Returns a vocabulary of 268 tokens and as many rows as are wanted."""
    return from_gguf(fields(pre), rows)


def tokenizer_json(path: Path, pre: str = "gpt-2") -> Path:
    """Writes the tokenizer that `fields` describes, with all that may stand in such a file and must not change what is encoded."""
    known, split = fields(pre), SPLITS[pre]
    words = {word: number for number, word in enumerate(known["tokenizer.ggml.tokens"])}
    end = words.pop(END)
    merges = [tuple(merge.split()) for merge in MERGES]
    tokenizer = Tokenizer(models.BPE(vocab=words, merges=merges, ignore_merges=split.whole))
    tokenizer.pre_tokenizer, tokenizer.decoder = split.pre_tokenizer(prefix=False), decoders.ByteLevel()
    if split.nfc:
        tokenizer.normalizer = split.normalizer()
    tokenizer.add_special_tokens([AddedToken(END, special=True)])
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{END} $A", special_tokens=[(END, end)])
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=64, pad_id=end, pad_token=END)
    tokenizer.save(str(path))
    return path
