"""Members that go on: what moves is what was kept, member by member; all else is as a new member's."""

import numpy as np
import pytest

from research import tree
from research.training.continued import continued
from research.training.mesh import MeshSpec, make_mesh
from research.training.population import build, place
from tests.training.test_population import COUNT, MEMBERS, WINDOWS, one_base, task


@pytest.mark.parametrize("kept", [COUNT, 2])
def test_members_go_on_from_kept_weights_with_an_optimizer_that_remembers_nothing(kept: int) -> None:
    what, mesh = task(), make_mesh(MeshSpec())
    bases = place(mesh, one_base(what))
    functions = build(what, bases, mesh)
    trained, _ = functions.train(functions.init(MEMBERS, bases), MEMBERS, WINDOWS, bases)
    ends = {path: np.asarray(leaf) for path, leaf in tree.flatten(trained.trainable).items()}
    artifacts = [{path: leaf[member].astype(np.float32) for path, leaf in ends.items()} for member in range(kept)]
    new = functions.init(MEMBERS, bases)
    found = continued(new, artifacts)
    for path, leaf in tree.flatten(found.trainable).items():
        np.testing.assert_array_equal(leaf, ends[path][np.minimum(np.arange(COUNT), kept - 1)])
        assert leaf.dtype == tree.flatten(new.trainable)[path].dtype and leaf.sharding == tree.flatten(new.trainable)[path].sharding
    assert np.abs(ends["adapter/layers_0/attention/query/B"]).max() > 0  # they had moved
    assert found.opt_state is new.opt_state and found.constants is new.constants and not np.asarray(found.step).any()
    _, losses = functions.train(found, MEMBERS, WINDOWS, bases)
    assert np.isfinite(losses).all()


def test_members_that_go_on_from_nothing_begin_as_they_are() -> None:
    what, mesh = task(), make_mesh(MeshSpec())
    bases = place(mesh, one_base(what))
    new = build(what, bases, mesh).init(MEMBERS, bases)
    assert continued(new, []) is new
