"""Tokenizers of other people's models as vocabularies: from their tokenizer.json, or rebuilt from what a GGUF says of them."""

import functools
import hashlib
import json
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from research.data.vocabulary import Vocabulary, dtype_for
from research.errors import UsageError
from research.pretrained.splits import SPLITS

SEPARATOR = "<|endoftext|>"
_SPECIAL, _OWN = (2, 3, 5), 4  # kinds of tokens in a GGUF: unknown, control and unused ones; those that a user defined
_AT_ONCE = 64  # documents that are encoded in one call: what it returns takes a hundred times the room of the ids
_ALPHABET = frozenset(pre_tokenizers.ByteLevel.alphabet())
_log = logging.getLogger(__name__)


def from_json(path: Path, config: Mapping[str, Any], rows: int) -> Vocabulary:
    """Returns the vocabulary of a tokenizer.json beside the config.json that says `config`, for a table of `rows` rows.

    UsageError for a file that is none or is damaged, for a kind whose tokens' bytes are not known, and where it is another model's.
    """
    if not path.is_file():
        raise UsageError(f"{path.parent} has no {path.name}; save the model's fast tokenizer there (save_pretrained of transformers)")
    tokenizer = _built(path, lambda: Tokenizer.from_file(str(path)))
    return _vocabulary(str(path), tokenizer, {name: _first(config.get(f"{name}_token_id")) for name in ("bos", "eos")}, rows)


def from_gguf(fields: Mapping[str, Any], rows: int) -> Vocabulary:
    """Returns the vocabulary that a GGUF's metadata describes (plain values by key), for a table of `rows` rows.

    UsageError for what is not byte-level BPE, for an unknown way to cut text into words, and where it is another model's.
    """
    tokenizer = rebuilt(fields)
    special = {name: fields.get(f"tokenizer.ggml.{name}_token_id") for name in ("bos", "eos")}
    return _vocabulary(f"the tokenizer in this GGUF ({fields['tokenizer.ggml.pre']})", tokenizer, special, rows)


def rebuilt(fields: Mapping[str, Any]) -> Tokenizer:
    """Returns the tokenizer that a GGUF's metadata describes; UsageError as in `from_gguf`."""
    kind, pre = fields.get("tokenizer.ggml.model"), fields.get("tokenizer.ggml.pre")
    if kind != "gpt2":
        raise UsageError(f"tokenizer.ggml.model = {kind!r} in this GGUF is not implemented, only gpt2 (byte-level BPE); use the hf: folder")
    if pre not in SPLITS:
        raise UsageError(
            f"tokenizer.ggml.pre = {pre!r} in this GGUF is not known, and so not how text is cut into words; known: {', '.join(SPLITS)}; "
            "use the hf: folder, whose tokenizer.json says it"
        )
    return _built(f"the tokenizer in this GGUF ({pre})", lambda: _rebuilt(fields, pre))


def _first(ids: int | Sequence[int] | None) -> int | None:
    """A model may stop at any of several tokens; the first is its own."""
    return ids if ids is None or isinstance(ids, int) else next(iter(ids), None)


def _built(what: Path | str, build: Any) -> Tokenizer:
    """The tokenizer that `build` returns, without cuts and padding, which a file may ask for, and to which specials in text are text."""
    try:
        tokenizer: Tokenizer = build()
    except Exception as error:  # the library raises nothing narrower
        raise UsageError(f"{what} cannot be read as a tokenizer ({error}); take it from the model's source again") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    return tokenizer


def _rebuilt(fields: Mapping[str, Any], pre: str) -> Tokenizer:
    words, split = fields["tokenizer.ggml.tokens"], SPLITS[pre]
    kinds = fields.get("tokenizer.ggml.token_type") or [1] * len(words)
    vocab = {word: number for number, word in enumerate(words)}
    if len(vocab) < len(words):
        raise ValueError("it has the same token twice")
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, ignore_merges=split.whole))
    tokenizer.pre_tokenizer = split.pre_tokenizer(prefix=bool(fields.get("tokenizer.ggml.add_space_prefix")))
    if (normalizer := split.normalizer()) is not None:
        tokenizer.normalizer = normalizer
    tokenizer.decoder = decoders.ByteLevel()
    listed = list(zip(words, kinds, strict=True))
    tokenizer.add_special_tokens([AddedToken(word, special=True, normalized=False) for word, kind in listed if kind in _SPECIAL])
    tokenizer.add_tokens([AddedToken(word, special=False, normalized=False) for word, kind in listed if kind == _OWN])
    return tokenizer


def _vocabulary(what: str, tokenizer: Tokenizer, special: Mapping[str, int | None], rows: int) -> Vocabulary:
    described = json.loads(tokenizer.to_str())
    lengths = _lengths(what, tokenizer, described, rows)
    _check_special(what, tokenizer, special)
    named = (tokenizer.token_to_id(SEPARATOR), special["bos"], special["eos"])
    separator = next((number for number in named if number is not None), None)
    if separator is None:
        raise UsageError(f"{what} has no {SEPARATOR}, and its model neither a bos nor an eos: nothing stands between documents")
    digest = hashlib.sha256(json.dumps([described, separator, rows], sort_keys=True).encode()).hexdigest()
    name = f"{tokenizer.get_vocab_size()} tokens, {tokenizer.id_to_token(separator)} ({separator}) between documents"
    _log.info("%s: %s", what, name)
    encode_all = functools.partial(_encode_all, tokenizer, dtype_for(rows))
    return Vocabulary(
        name=name,
        size=rows,
        separator=separator,
        mark=rows,
        dtype=dtype_for(rows),
        encode=lambda text: encode_all([text])[0],
        encode_all=encode_all,
        decode=lambda tokens: str(tokenizer.decode(np.asarray(tokens).tolist(), skip_special_tokens=False)),
        lengths=lengths,
        fingerprint=digest,
    )


def _encode_all(tokenizer: Tokenizer, dtype: np.dtype, texts: Sequence[str | bytes]) -> list[np.ndarray]:
    found: list[np.ndarray] = []
    for first in range(0, len(texts), _AT_ONCE):
        some = [_text(text) for text in texts[first : first + _AT_ONCE]]
        found += [np.array(each.ids, dtype) for each in tokenizer.encode_batch_fast(some, add_special_tokens=False)]
    return found


def _text(text: str | bytes) -> str:
    return (text.encode("utf-8", "replace") if isinstance(text, str) else text).decode("utf-8", "replace")


def _lengths(what: str, tokenizer: Tokenizer, described: Mapping[str, Any], rows: int) -> np.ndarray:
    """The bytes of text of each token, and of the mark; UsageError where they are not known, or the table has no row for a token."""
    vocab, added = tokenizer.get_vocab(with_added_tokens=True), tokenizer.get_added_tokens_decoder()
    most = max(vocab.values())
    if most >= rows:
        raise UsageError(f"{what} has tokens up to {most}, but the model's table only {rows} rows: it is another model's")
    model = described["model"]
    if model["type"] != "BPE" or not (_is_byte_level(described) or model.get("byte_fallback")):
        raise UsageError(f"{what} is {model['type']}, not BPE over bytes: how many bytes a token stands for is not known for it")
    size = _size_of_bytes if _is_byte_level(described) else _size_of_pieces
    lengths = np.zeros(rows + 1, np.int32)
    for token, number in vocab.items():
        if number in added:
            lengths[number] = 0 if added[number].special else len(token.encode())
        else:
            lengths[number] = size(token)
    return lengths


def _is_byte_level(described: Mapping[str, Any]) -> bool:
    decoder = described["decoder"] or {"type": None}
    return any(part["type"] == "ByteLevel" for part in decoder.get("decoders", [decoder]))


def _size_of_bytes(token: str) -> int:
    """A byte-level token has one character for each byte; one with any other is no piece of text."""
    return len(token) if _ALPHABET.issuperset(token) else 0


def _size_of_pieces(token: str) -> int:
    """A piece of text where a space is U+2581, or a single byte written out."""
    return 1 if re.fullmatch("<0x[0-9A-F]{2}>", token) else len(token.replace("\u2581", " ").encode())


def _check_special(what: str, tokenizer: Tokenizer, special: Mapping[str, int | None]) -> None:
    """Raises UsageError where a bos or eos of the model is no special token here."""
    added = tokenizer.get_added_tokens_decoder()
    for name, number in special.items():
        if number is not None and not (number in added and added[number].special):
            spelled = tokenizer.id_to_token(number)
            raise UsageError(
                f"{what} has {'no token' if spelled is None else f'the ordinary token {spelled!r}'} where the model has its {name}, "
                f"{number}: it is another model's"
            )
