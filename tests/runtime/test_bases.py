"""What a base from elsewhere decides of a config, and what is left out of a default that it cannot give."""

import types
from collections.abc import Collection
from typing import Any

import pytest
from ml_collections import ConfigDict

from configs import base, lora_rank_sweep
from configs import intrinsic_dimension as dimensions
from research.errors import UsageError
from research.models.configuration import FREE, DecoderConfig
from research.runtime import bases

SHAPE = vars(DecoderConfig(d_model=96, n_heads=3, n_kv_heads=3, head_dim=16, rotary_dim=8))
CHECKPOINT = types.SimpleNamespace(model={key: value for key, value in SHAPE.items() if key not in FREE}, context=64, nbytes=0)


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bases, "found", lambda _: CHECKPOINT)


def settled(default: dict[str, Any], typed: Collection[str] = (), **changes: Any) -> ConfigDict:
    """Returns what becomes of a config that starts from the checkpoint; `changes` were set, of the model too."""
    config = base.changed(default, {"base": "hf:x"}).unlock()
    for key, value in changes.items():
        (config.model if key in config.model else config)[key] = value
    return bases.settled(config.lock(), typed)


@pytest.mark.parametrize("name", ["head_dim", "rotary_dim"])
def test_0_agrees_with_whatever_a_derived_field_is(name: str) -> None:
    assert settled(lora_rank_sweep.default(), [f"model.{name}"], **{name: 0}).model[name] == CHECKPOINT.model[name]
    with pytest.raises(UsageError, match=f"has {name} = "):
        settled(lora_rank_sweep.default(), [f"model.{name}"], **{name: 24})
    with pytest.raises(UsageError, match="has d_model = 96"):
        settled(lora_rank_sweep.default(), ["model.d_model"], d_model=32)


def test_what_takes_full_weights_is_left_out_unless_it_is_typed_or_they_are_kept() -> None:
    default = lora_rank_sweep.default()
    assert default["after"] == ("spectra", "cuts", "costs")
    assert settled(default).after == ("costs",)
    assert settled(default, ["after"]).after == default["after"]
    assert settled(default, ["keep"], keep=(0,)).after == default["after"]
    assert bases.settled(base.changed(default, {}), ()).after == default["after"]  # base=own


def test_stages_of_a_pretraining_are_left_out_unless_they_are_typed(caplog: pytest.LogCaptureFixture) -> None:
    default = dimensions.default()
    assert "pretrained@20%" in default["inits"]
    with caplog.at_level("INFO", logger="research.runtime.bases"):
        assert settled(default).inits == ("random", "pretrained", "shuffled")
    assert "inits without pretrained@20%" in caplog.text
    assert settled(default, ["inits"]).inits == default["inits"]
    words = ("pretrained@main", "pretrained@step3", "pretrained@2.5%")
    assert settled(default, inits=words).inits == words[:2]
