"""How byte-level vocabularies cut text into words before any merge: the names that GGUF files give to it."""

from typing import NamedTuple

from tokenizers import Regex, normalizers, pre_tokenizers

_MARKS = r"'s|'t|'re|'ve|'m|'ll|'d"
_WORDS = rf"(?i:{_MARKS})|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_LLAMA3 = rf"{_WORDS}|\p{{N}}{{1,3}}{_REST}"
_QWEN2 = rf"{_WORDS}|\p{{N}}{_REST}"
_TEKKEN = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


class Split(NamedTuple):
    """How text becomes words: a pattern ("" for GPT-2's), whether digits are cut singly before, NFC before that, and whole words first.

    whole: a word that is a token is taken as one, whatever merges would make of it.
    """

    pattern: str = ""
    digits: bool = False
    nfc: bool = False
    whole: bool = False

    def pre_tokenizer(self, prefix: bool) -> pre_tokenizers.PreTokenizer:
        """Returns the pre-tokenizer; `prefix`: a space is put before a text that begins with none."""
        parts: list[pre_tokenizers.PreTokenizer] = [pre_tokenizers.Digits(individual_digits=True)] if self.digits else []
        parts += [pre_tokenizers.Split(Regex(self.pattern), behavior="isolated")] if self.pattern else []
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=not self.pattern)
        return pre_tokenizers.Sequence([*parts, byte_level])

    def normalizer(self) -> normalizers.Normalizer | None:
        """Returns what text goes through first."""
        return normalizers.NFC() if self.nfc else None


# By `tokenizer.ggml.pre`: patterns and aliases as in llama.cpp's src/llama-vocab.cpp, `whole` its ignore_merges. NFC, which it leaves out,
# is that of the tokenizer.json that a name was made for: Qwen's, and GPT-NeoX's, which OLMo and Pythia share.
SPLITS = {
    "gpt-2": Split(),
    "phi-2": Split(),
    "olmo": Split(nfc=True),
    **dict.fromkeys(("smollm", "starcoder", "refact"), Split(digits=True)),
    **dict.fromkeys(("llama-bpe", "llama3", "llama-v3"), Split(_LLAMA3, whole=True)),
    "dbrx": Split(_LLAMA3),  # also OLMo 2's
    **dict.fromkeys(("qwen2", "deepseek-r1-qwen"), Split(_QWEN2, nfc=True)),
    "tekken": Split(_TEKKEN, whole=True),
}
