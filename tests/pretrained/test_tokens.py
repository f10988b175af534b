"""Tokenizers of other models: what they encode, what each token's bytes are, what stands between documents, and what is refused."""

import json
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, normalizers

from research.data.batches import batch
from research.errors import UsageError
from research.pretrained.splits import SPLITS
from research.pretrained.tokens import from_gguf, from_json
from tests.tokenized import END, HOSTILE, fields, tokenizer_json, vocabulary

CONFIG = {"bos_token_id": 267, "eos_token_id": [267, 5]}
WORDS = {
    "gpt-2": "I|'|LL| say| 12345|'s|é|\r\n\n | HTTPServer|...|\n",
    "smollm": "I|'|LL| say| |1|2|3|4|5|'s|é|\r\n\n | HTTPServer|...|\n",
    "llama-bpe": "I|'LL| say| |123|45|'s|é|\r\n\n| | HTTPServer|...\n",
    "qwen2": "I|'LL| say| |1|2|3|4|5|'s|é|\r\n\n| | HTTPServer|...\n",
    "tekken": "I|'LL| say| |1|2|3|4|5|'sé|\r\n\n| | HTTPServer|...\n",
}


@pytest.mark.parametrize("pre", WORDS)
def test_text_is_cut_into_the_words_that_each_family_learned_merges_of(pre: str) -> None:
    words = WORDS[pre].split("|")
    split = SPLITS[pre].pre_tokenizer(prefix=False)
    assert [decoders.ByteLevel().decode([word]) for word, _ in split.pre_tokenize_str("".join(words))] == words


@pytest.mark.parametrize("pre", sorted(SPLITS))
def test_a_gguf_and_a_tokenizer_json_encode_alike_and_decode_to_the_text(pre: str, tmp_path: Path) -> None:
    rebuilt, read = from_gguf(fields(pre), 268), from_json(tokenizer_json(tmp_path / "tokenizer.json", pre), CONFIG, 268)
    normal = unicodedata.normalize("NFC", HOSTILE) if SPLITS[pre].nfc else HOSTILE
    for known in (rebuilt, read):
        tokens = known.encode(HOSTILE)
        assert np.array_equal(tokens, rebuilt.encode(HOSTILE)) and tokens.dtype == np.uint16
        assert known.decode(tokens) == normal and known.lengths[tokens].sum() == len(normal.encode())
        assert np.array_equal(known.encode_all([b"", HOSTILE.encode()])[1], tokens) and known.encode(b"").size == 0
        assert (known.separator, known.mark, known.lengths[267], known.lengths[268]) == (267, 268, 0, 0)
    assert HOSTILE.encode()[:2] == b"!!" and rebuilt.encode(HOSTILE)[0] == fields()["tokenizer.ggml.tokens"].index("!!")


def test_text_that_spells_a_special_token_is_text(tmp_path: Path) -> None:
    path = tokenizer_json(tmp_path / "tokenizer.json")
    assert 267 in Tokenizer.from_file(str(path)).encode(f"a{END}b").ids  # what the library does unless told
    for known in (from_json(path, CONFIG, 268), vocabulary()):
        tokens = known.encode(f"a{END}b")
        assert known.separator not in tokens and known.decode(tokens) == f"a{END}b"


def test_token_0_of_gpt_2_is_scored_and_so_is_the_separators_id_if_it_ever_comes() -> None:
    known = vocabulary()
    stream = np.array([known.mark, *known.encode("!a!"), known.mark, known.separator], known.dtype)
    assert known.encode("!a!")[0] == 0
    made = batch(stream[None], known)
    assert made["weights"].tolist() == [[1, 1, 1, 0, 1]]
    assert made["inputs"][0, 0] == made["inputs"][0, 4] == 267


def test_what_stands_between_documents_is_endoftext_then_bos_then_eos() -> None:
    assert from_gguf(fields(bos_token_id=None, eos_token_id=None), 268).separator == 267
    words = ["<s>" if word == END else word for word in fields()["tokenizer.ggml.tokens"]]
    kinds = [3 if number in (5, 267) else 1 for number in range(268)]
    other: dict[str, Any] = {"tokens": words, "token_type": kinds}
    assert from_gguf(fields(**other, bos_token_id=267, eos_token_id=5), 268).separator == 267
    assert from_gguf(fields(**other, bos_token_id=None, eos_token_id=5), 268).separator == 5
    assert "<s> (267) between documents" in from_gguf(fields(**other, eos_token_id=5), 268).name
    with pytest.raises(UsageError, match="nothing stands between documents"):
        from_gguf(fields(**other, bos_token_id=None, eos_token_id=None), 268)


def test_all_that_changes_a_stream_or_what_a_model_is_fed_changes_the_fingerprint() -> None:
    one = fields()
    other = {"token_type": [3 if number in (5, 267) else 1 for number in range(268)], "bos_token_id": 5}
    tokens = {"tokens": [*one["tokenizer.ggml.tokens"][:266], END, "zz"], "token_type": [1] * 266 + [3, 1]}
    found = [
        from_gguf(one, 268),
        from_gguf(one, 300),
        from_gguf(fields("qwen2"), 268),
        from_gguf(fields(**other), 268),
        from_gguf(fields(merges=one["tokenizer.ggml.merges"][:-1]), 268),
        from_gguf(fields(**tokens, bos_token_id=266, eos_token_id=266, merges=one["tokenizer.ggml.merges"][:-1]), 268),
    ]
    assert len({known.fingerprint for known in found}) == len(found)
    assert from_gguf(fields(), 268).fingerprint == found[0].fingerprint


def test_a_padded_table_is_fine_and_one_that_is_too_small_is_not() -> None:
    padded = from_gguf(fields(padding=5), 512)
    assert (padded.size, padded.mark, padded.lengths.shape) == (512, 512, (513,)) and not padded.lengths[267:].any()
    assert np.array_equal(padded.encode(HOSTILE), vocabulary().encode(HOSTILE))
    with pytest.raises(UsageError, match="tokens up to 267, but the model's table only 267 rows: it is another model's"):
        from_gguf(fields(), 267)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"pre": "viking"}, "pre = 'viking' in this GGUF is not known.*known: gpt-2, .*use the hf: folder"),
        ({"pre": None}, "pre = None in this GGUF is not known"),
        ({"model": "llama"}, "model = 'llama' in this GGUF is not implemented"),
        ({"bos_token_id": 5}, "has the ordinary token '&' where the model has its bos, 5: it is another model's"),
        ({"eos_token_id": 50_256}, "has no token where the model has its eos, 50256: it is another model's"),
        ({"tokens": ["a", "a"], "token_type": [1, 1]}, "cannot be read as a tokenizer .it has the same token twice"),
        ({"merges": ["a zz"]}, "cannot be read as a tokenizer"),
        ({"merges": None}, "cannot be read as a tokenizer"),
    ],
)
def test_what_cannot_be_rebuilt_is_refused_in_one_line(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint) as caught:
        from_gguf(fields(**changes), 300)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_none_is_damaged_or_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    with pytest.raises(UsageError, match="has no tokenizer.json; save the model's fast tokenizer there"):
        from_json(path, CONFIG, 300)
    path.write_text("{")
    with pytest.raises(UsageError, match="cannot be read as a tokenizer"):
        from_json(path, CONFIG, 300)
    for model in (models.WordLevel({"a": 0, "b": 1}, "a"), models.BPE({"a": 0, "b": 1}, [])):
        Tokenizer(model).save(str(path))
        with pytest.raises(UsageError, match="not BPE over bytes"):
            from_json(path, {}, 300)
    with pytest.raises(UsageError, match="has no token where the model has its eos, 50256"):
        from_json(tokenizer_json(path), {"eos_token_id": 50_256}, 50_257)


def test_tokens_that_write_spaces_and_bytes_out_have_the_bytes_of_the_text(tmp_path: Path) -> None:
    words = ["<unk>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581", "a", "\u2581a", "\u00e9"]
    kept = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.BPE(kept, [("\u2581", "a")], unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens(["<unk>", "</s>"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert not json.loads((tmp_path / "tokenizer.json").read_text())["pre_tokenizer"]
    known = from_json(tmp_path / "tokenizer.json", {"eos_token_id": 1}, 262)
    tokens = known.encode("a a \u00e9\u65e5</s>")
    assert known.decode(tokens) == "a a \u00e9\u65e5</s>" and known.separator == 1 not in tokens
    assert known.lengths[tokens[:5]].tolist() == [1, 2, 1, 2, 1]
    assert known.lengths[tokens].sum() == len("a a \u00e9\u65e5</s>".encode())
