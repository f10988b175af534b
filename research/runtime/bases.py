"""What the config's `base` names: weights pretrained here (`own`), a checkpoint from elsewhere, or a kept cell of a run."""

import functools
import logging
import re
from collections.abc import Collection, Mapping
from typing import Any, Protocol

import jax

from research.data.vocabulary import Vocabulary
from research.errors import UsageError
from research.models.configuration import FREE, DecoderConfig
from research.models.model import Variables
from research.runtime.workdir import OWN
from research.training import memory

DERIVED = ("head_dim", "rotary_dim")  # fields of which 0 says: as the others have it
WEIGHTY = ("spectra", "cuts")  # what comes `after` a sweep and takes full weights
_PART = re.compile(r"@\d+(\.\d+)?%$")  # behind a word of `inits`: of a pretraining that was done here
_log = logging.getLogger(__name__)


class Pretrained(Protocol):
    """A model with its weights, pretrained elsewhere or in another run, of which only the description is read so far.

    model: all fields of its DecoderConfig that are not free. context: tokens it was made for. note: what to say beside every number.
    nbytes: of its weights in float32. identity: SHA-256 of config, weights and tokenizer, wherever they lie.
    """

    @property
    def word(self) -> str: ...
    @property
    def model(self) -> Mapping[str, Any]: ...
    @property
    def context(self) -> int: ...
    @property
    def note(self) -> str: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def identity(self) -> str:
        """Returns the SHA-256 of config, weights and tokenizer."""

    def load(self, config: DecoderConfig) -> Variables:
        """Returns the parameters on the host, in `config.param_dtype`, layers stacked where `config.scan` says so."""

    def vocabulary(self) -> Vocabulary:
        """Returns what its tokens are."""


@functools.cache  # a command asks several times, and the metadata of a large vocabulary takes seconds
def found(word: str) -> Pretrained | None:
    """Returns what a `base` word names, None for `own`. UsageError for what is not there or not implemented."""
    if word == OWN:
        return None
    from research.pretrained import sources
    from research.runtime import kept

    return kept.find(word) if word.startswith("run:") else sources.find(word)


def settled(config: Any, typed: Collection[str]) -> Any:
    """Returns the config with what the checkpoint that `base` names decides: the shape of the model, and that nothing is pretrained.

    typed: the keys set by hand. UsageError where one of them says otherwise; what a default asks for beside and such a base cannot give is
    left out, which a line says.
    """
    word = config.get("base", OWN)
    if not isinstance(word, str) or word == OWN:
        return config
    if by_hand := [key for key in typed if key.startswith("pretraining.")]:
        raise UsageError(f"--config.{by_hand[0]} says nothing of base={word}, which is taken as it is; leave it out, or set base=own")
    if "base" not in config or "pretraining" not in config:
        raise UsageError("this experiment pretrains what it needs; leave base=own")
    checkpoint = found(word)
    assert checkpoint is not None
    new, model = config.copy_and_resolve_references(), dict(checkpoint.model)
    for key in typed:
        section, _, name = key.partition(".")
        agrees = section != "model" or name in FREE or config.model[name] == model[name] or (name in DERIVED and config.model[name] == 0)
        if not agrees:
            raise UsageError(f"--config.{key}={config.model[name]}, but {word} has {name} = {model[name]}; leave it out, or set base=own")
    if config.model.max_length > checkpoint.context:
        raise UsageError(f"model.max_length = {config.model.max_length}, but {word} was made for {checkpoint.context} tokens; lower it")
    if "model.scan" not in typed:
        model["scan"] = True  # unrolled, the layers of a large model compile for minutes
    with new.unlocked(), new.ignore_type():
        new.model.update(model)
        new.pretraining.update(steps=0, bases=1)
        new.update(_without(config, typed))
        if checkpoint.nbytes > memory.LARGE and jax.default_backend() == "cpu" and "mesh.member" not in typed:
            new.mesh.member = 1  # each host device would hold a copy of the base
    return new.lock()


def _without(config: Any, typed: Collection[str]) -> dict[str, tuple[str, ...]]:
    """What a default has without what a base from elsewhere cannot give: stages of a pretraining, and full weights that are not kept."""
    impossible: dict[str, list[str]] = {"inits": [word for word in config.get("inits", ()) if _PART.search(word)]}
    if not config.get("keep", ()) and "keep" not in typed:
        impossible["after"] = [word for word in config.get("after", ()) if word in WEIGHTY]
    left = {key: words for key, words in impossible.items() if words and key not in typed}
    for key, words in left.items():
        _log.info("%s without %s, which take what a base from elsewhere does not have", key, ", ".join(words))
    return {key: tuple(word for word in config[key] if word not in words) for key, words in left.items()}
