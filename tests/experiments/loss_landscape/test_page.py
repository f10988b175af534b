"""What the page shows on a model of one's own runs as it stands there."""

import re
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_lines_on_a_foreign_model_run(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (root / "docs" / "experiments" / "loss_landscape.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    exec(compile(code, "loss_landscape.md", "exec"), {})
    numbers = [float(word) for word in re.findall(r"-?\d+\.\d+", capsys.readouterr().out)]
    assert numbers[0] > numbers[1] > numbers[2] > 0  # eigenvalues
    assert numbers[-2] > 0  # a Gauss-Newton trace
