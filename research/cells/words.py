"""Words of a config such as lora@8: a name, and behind an @ its strength; what each does is a value of a table."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from research.errors import UsageError

Recipe = TypeVar("Recipe")
Table = Mapping[str, Callable[[float | None], Recipe]]


class Word(NamedTuple, Generic[Recipe]):
    """A word taken apart: the one way in which it is written, its name, what stands behind the @, and what it does."""

    word: str
    name: str
    strength: float | None
    recipe: Recipe


def parse(key: str, word: str, table: Table[Recipe]) -> Word[Recipe]:
    """Returns a word of the config's `key`, NAME or NAME@STRENGTH, by a table of name -> function of the strength.

    Raises UsageError for a name that is not there, and with what the function says of a strength that cannot be.
    """
    name, at, strength = word.partition("@")
    if name not in table:
        raise UsageError(f"{key} has {word!r}: choose among {', '.join(table)}, with @ and a strength where one is taken")
    try:
        value = float(strength) if at else None
        return Word(name if value is None else f"{name}@{value:g}", name, value, table[name](value))
    except (ValueError, UsageError) as error:
        raise UsageError(
            f"{key} has {word!r}: {error if isinstance(error, UsageError) else 'what stands behind the @ is a number'}"
        ) from None


def check_slowed(key: str, words: Sequence[Word[Any]]) -> None:
    """Raises UsageError for a word whose recipe takes its learning rate, `slowed` = (word, factor), from one that is not there."""
    for each in words:
        if each.recipe.slowed and each.recipe.slowed[0] not in {known.word for known in words}:
            raise UsageError(f"{key} has {each.word}, which takes its learning rate from {each.recipe.slowed[0]}; add that one")


def nothing(strength: float | None, name: str) -> None:
    """Raises UsageError for a strength behind a name that takes none."""
    if strength is not None:
        raise UsageError(f"{name} takes nothing behind it")


def count(strength: float | None, what: str) -> int:
    """Returns a strength that counts something; UsageError, saying `what`, for one that does not."""
    if strength is None or not 1 <= strength < float("inf") or strength != int(strength):
        raise UsageError(what)
    return int(strength)


def positive(strength: float | None, example: str) -> float:
    """Returns a strength above 0; UsageError, with an example, for another one."""
    if strength is None or not 0 < strength < float("inf"):
        raise UsageError(f"a strength above 0, such as {example}")
    return strength


def share(strength: float | None, what: str, whole: float = 1.0) -> float:
    """Returns a strength between 0 and `whole`; UsageError, saying `what`, for another one."""
    if strength is None or not 0 < strength < whole:
        raise UsageError(what)
    return strength
