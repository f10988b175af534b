"""Programs are made ahead on a CPU, and when they are first called on an accelerator, whose compiler times kernels."""

import functools
from typing import Any

import jax
import numpy as np
import pytest

from research.cells.bases import stacked_shapes
from research.cells.pretraining import parameter_shapes
from research.cells.programs import Programs
from research.data.batches import batch
from research.data.vocabulary import BYTES
from research.models.configuration import DecoderConfig
from research.models.decoder import decoder
from research.optimizers import OptimizerSpec
from research.training.mesh import MeshSpec, make_mesh
from research.training.population import Members, Task


@pytest.mark.parametrize(("platform", "ahead"), [("cpu", True), ("gpu", False)])
def test_programs_are_made_ahead_where_that_disturbs_nothing(platform: str, ahead: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    model = decoder(DecoderConfig(d_model=8, d_mlp=8, n_layers=1, max_length=4))
    task = Task(model, None, ("final_norm",), OptimizerSpec(2), functools.partial(batch, vocabulary=BYTES))
    bases = stacked_shapes(parameter_shapes(model), 1)
    windows = {"norm": jax.ShapeDtypeStruct((1, 2, 2, 5), np.uint8)}
    compiled: list[Any] = []
    monkeypatch.setattr("research.cells.programs.ahead", lambda functions, *_: compiled.append(functions) or functions)
    with Programs({"norm": task}, make_mesh(MeshSpec()), bases, windows, jax.ShapeDtypeStruct((1, 2, 5), np.uint8)) as programs:
        functions = programs["norm"]
    assert (functions in compiled) == ahead
    states = jax.eval_shape(functions.init, Members(*(np.zeros(1, t) for t in (np.int32, np.int32, np.float32, np.uint32))), bases)
    assert states.step.shape == (1,)
