"""The sections that experiments share, where this machine cannot serve them."""

import pytest

from configs.intrinsic_dimension import get_config
from research.cells.study import Study
from research.errors import UsageError
from research.runtime import devices

SMOKE = get_config("smoke").to_dict()
CONFIG = {**SMOKE, "steps": SMOKE["steps"]["lm"]}


@pytest.mark.parametrize("field", ["dtype", "param_dtype"])
def test_float16_is_refused_where_the_processor_does_not_know_it(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = {**CONFIG, "model": {**CONFIG["model"], field: "float16"}}
    monkeypatch.setattr(devices, "computes_float16", lambda: True)
    assert getattr(Study.of(config).model, field) == "float16"
    monkeypatch.setattr(devices, "computes_float16", lambda: False)
    with pytest.raises(UsageError, match="F16C; choose bfloat16 or float32"):
        Study.of(config)
    assert Study.of(CONFIG).model.dtype == "float32"
