"""Every value a user can type is read as its default's type, or refused with a word that helps."""

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from ml_collections import ConfigDict

from research.errors import UsageError
from research.runtime import settings

CONFIG = """
from ml_collections import ConfigDict
VARIANTS = {"": "all of it", "smoke": "a minute"}
def get_config(variant=""):
    return ConfigDict({"steps": 3 if variant == "smoke" else 100}).lock()
"""


def config() -> ConfigDict:
    values: dict[str, Any] = {
        "source": "stdlib:code",
        "ranks": (1, 2, 4),
        "learning_rates": {"lora": (1e-3, 3e-3), "full": (1e-4,)},
        "steps": 600,
        "scale": 1.0,
        "bias": False,
        "adapter": {"targets": ("attention/.*", "mlp/.*"), "rules": (("a", 1),)},
        "none": (),
        "words": None,
    }
    return ConfigDict(values).lock()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")  # a config beside the working directory would be found first
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "lora_rank_sweep.py").write_text(CONFIG)
    (tmp_path / "configs" / "base.py").write_text("SHARED = 1")
    with patch.dict(sys.modules):  # these configs go by the names of the real ones
        yield tmp_path


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("source", "text:~/notes=old/*.txt", "text:~/notes=old/*.txt"),
        ("source", "", ""),
        ("source", "None", "None"),
        ("steps", "50", 50),
        ("steps", "1e3", 1000),
        ("steps", "3.0", 3),
        ("steps", "-1", -1),
        ("scale", "2", 2.0),
        ("scale", "1e-3", 1e-3),
        ("bias", "true", True),
        ("bias", "False", False),
        ("ranks", "3", (3,)),
        ("ranks", "1,8,1e2", (1, 8, 100)),
        ("ranks", "(1, 2)", (1, 2)),
        ("ranks", "[1,2]", (1, 2)),
        ("ranks", "(5,)", (5,)),
        ("ranks", "5,", (5,)),
        ("ranks", "()", ()),
        ("learning_rates.lora", "1,2e-3", (1.0, 2e-3)),
        ("adapter.targets", "attention/(query|value)/.*", ("attention/(query|value)/.*",)),
        ("adapter.targets", "(query|value)", ("(query|value)",)),
        ("adapter.targets", "(a|b)/x,(c|d)", ("(a|b)/x", "(c|d)")),
        ("adapter.targets", "('a','b')", ("a", "b")),
        ("adapter.targets", 'x{1,2},"y z"', ("x{1,2}", "y z")),
        ("none", "a,b", ("a", "b")),
    ],
)
def test_a_value_is_read_as_its_defaults_type(key: str, text: str, expected: Any) -> None:
    value: Any = settings.override(config(), [f"{key}={text}"])
    for part in key.split("."):
        value = value[part]
    assert value == expected
    assert type(value) is type(expected)
    if isinstance(expected, tuple):
        assert [type(item) for item in value] == [type(item) for item in expected]


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("rank=1", r"unknown key --config\.rank; did you mean 'ranks'\? \(keys there: bias, none, ranks"),
        ("learning_rates.lor=1", r"did you mean 'learning_rates\.lora'\? \(keys there: learning_rates\.full, learning_rates\.lora\)"),
        ("model.d_model=1", r"unknown key --config\.model\.d_model"),
        ("ranks.x=1", r"unknown key --config\.ranks\.x"),
        ("learning_rates=1", r"is a section; set one of learning_rates\.full, learning_rates\.lora"),
        ("bias", r"write --config\.bias=value"),
        ("bias=1", r"--config\.bias=1 does not fit: expected true or false, for example --config\.bias=true"),
        ("steps=fast", r"expected a whole number"),
        ("steps=2.5", r"expected a whole number"),
        ("steps=1e400", r"expected a whole number"),
        ("steps=", r"expected a whole number"),
        ("steps=true", r"expected a whole number"),
        ("scale=big", r"expected a number"),
        ("scale=nan", r"expected a number"),
        ("scale=inf", r"expected a number"),
        ("ranks=1,x", r"expected a whole number"),
        ("ranks=1;2", r"expected a whole number"),
        ("ranks=", r"expected values with commas between"),
        ("learning_rates.lora=0.1,,0.2", r"expected a number"),
        ("words=1", r"holds a NoneType and cannot be set"),
        ("adapter.rules=1", r"tuples of tuples"),
        ("ranks=1 ranks=2", r"--config\.ranks is given twice, as 1 and 2; .*quotes"),  # what bash makes of --config.ranks={1,2}
    ],
)
def test_a_mistake_is_named_with_its_mend(assignment: str, words: str) -> None:
    before = config()
    with pytest.raises(UsageError, match=words):
        settings.override(before, assignment.split())
    assert before == config()


def test_several_keys_are_set_and_the_original_stays() -> None:
    before = config()
    after = settings.override(before, ["scale=3", "steps=2"])
    assert (after.steps, after.scale, before.steps) == (2, 3.0, 600)
    assert after.is_locked


def test_plain_keeps_tuples() -> None:
    plain = settings.to_plain(config())
    assert plain["ranks"] == (1, 2, 4)
    assert type(plain["adapter"]) is dict
    assert math.isclose(plain["learning_rates"]["full"][0], 1e-4)


@pytest.mark.parametrize("place", ["", "~/", "{root}/"])
def test_a_config_is_found_from_the_root_or_by_its_own_path(root: Path, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(root))
    file = "configs/lora_rank_sweep.py"
    loaded = settings.load(f"{place.format(root=root)}{file}:smoke", root)
    assert (loaded.name, loaded.variant, loaded.config.steps) == ("lora_rank_sweep", "smoke", 3)
    assert settings.load(file, root).config.steps == 100


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("configs/lora_rank_swep.py", "no config file .*did you mean 'lora_rank_sweep'"),
        ("configs/lora_rank_sweep", "no config file .*did you mean 'lora_rank_sweep'"),
        ("configs/nothing_alike.py:smoke", "no config file .*--list"),
        ("configs", "no config file"),
        ("configs/lora_rank_sweep.py:smok", r"no variant 'smok'; did you mean 'smoke'\? \(variants: smoke\)"),
        ("configs/base.py", "is not a config"),
        ("gs://bucket/configs/x.py:smoke", "--config=gs://bucket/configs/x.py:smoke is a URL"),
    ],
)
def test_an_unknown_file_or_variant_is_named_with_the_nearest(root: Path, argument: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        settings.load(argument, root)
