"""Populations: cells that share shapes, trained as members of one compiled program.

The member axis is a mesh axis. Each device maps over its own members (`jax.shard_map`, so that nothing is gathered), a few at a time by
vmap, and each member scans over steps. Bases are stacked, shared and frozen; a member picks its own by index and carries only what moves.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import Mesh

from research import tree
from research.adapters.adapt import Adapter, adapt, attach
from research.losses import Loss, Metrics, cross_entropy
from research.models.model import Batch, Model, Variables
from research.optimizers import OptimizerSpec, adamw
from research.training import processes
from research.training.mesh import P, check_divisible, jit_step, shardings, specs
from research.training.step import TrainState, make_train_step

ToBatch = Callable[[Array], Batch]
DROPOUT = 2  # what folds a member's seed for dropout: `attach` folds it with 1, and each step folds with its number


class Members(NamedTuple):
    """What members differ in, one row each.

    Index of the base, rank of the adapter (or dimension of the subspace), peak learning rate, seed of everything drawn; where the loss
    compares, index of the base that is its reference; where it is anchored there, how strongly, and the index of the tree in the stack of
    bases that says how much each weight matters. Where alpha, the factor before A B times the rank, is a member's own, that.
    """

    base: Any
    rank: Any
    learning_rate: Any
    seed: Any
    reference: Any = None
    strength: Any = None
    importance: Any = None
    alpha: Any = None


FURTHER = {"reference": jnp.int32, "strength": jnp.float32, "importance": jnp.int32, "alpha": jnp.float32}


class MemberState(NamedTuple):
    """What a member carries from step to step; every leaf has a leading member axis outside of the program."""

    step: Array
    trainable: Variables
    constants: Variables
    opt_state: Any


@dataclasses.dataclass(frozen=True)
class Task:
    """What all members of a population share.

    model: the plain model. adapter: its adapter, padded to the largest rank or dimension, or None.
    moves: patterns of what may move, in which layers where they are stacked: see `tree.of_layers`.
    to_batch: rows of the data -> batch. vmap: how many members a device trains side by side. further: the fields of `Members` beside
    those that all have that it takes: a reference, a strength, an importance, an alpha.
    row: numbers in the example row that the model is traced with, where parameters depend on it.
    """

    model: Model
    adapter: Adapter | None
    moves: tuple[str, ...]
    optimizer: OptimizerSpec
    to_batch: ToBatch
    loss: Loss = cross_entropy
    vmap: int = 1
    dropout: bool = False
    further: tuple[str, ...] = ()
    row: int = 9

    @property
    def adapted(self) -> Model:
        """Returns the model that is trained."""
        return self.model if self.adapter is None else adapt(self.model, self.adapter)


class Population(NamedTuple):
    """The compiled functions of one population shape; members, states and results have a leading member axis.

    init:     (members, bases) -> states.
    train:    (states, members, windows (member, step, batch, time + 1), bases) -> (states, loss in nats (member, step)).
    evaluate: (states, members, bases, batches (k, batch, time + 1)) -> the loss's metrics, each (member, k, batch, time).
    """

    init: Callable[..., MemberState]
    train: Callable[..., tuple[MemberState, Array]]
    evaluate: Callable[..., Metrics]


def pick(bases: Any, index: Array) -> Any:
    """Returns the base of a member; a single base is not indexed, so that under vmap it stays one shared matrix for all members."""
    return jax.tree.map(lambda x: x[0] if x.shape[0] == 1 else jax.lax.dynamic_index_in_dim(x, index, keepdims=False), bases)


def split(task: Task, params: Any, member: Members) -> tuple[Variables, Variables]:
    """Returns (what moves, the member's constants) at a member's beginning, from its base."""
    key = jax.random.key(member.seed)
    added = {}
    if task.adapter is not None:
        example = task.to_batch(jnp.zeros((1, task.row), jnp.int32))
        own = task.adapter if member.alpha is None else dataclasses.replace(task.adapter, alpha=member.alpha)  # a traced one, too
        added = attach(key, task.model, params, example, own, rank=member.rank)
    moves, stays = tree.partition({"params": params, **added}, task.moves)
    return moves, {name: stays[name] for name in stays if name != "params"}


def join(params: Any, state: MemberState) -> tuple[Variables, Variables]:
    """Returns (what moves, what stays) of a member, the latter taken from its base."""
    moving = tree.flatten(state.trainable)
    stays = {path: leaf for path, leaf in tree.flatten({"params": params}).items() if path not in moving}
    return state.trainable, tree.unflatten({**stays, **tree.flatten(state.constants)})


def init_member(task: Task, member: Members, bases: Any) -> MemberState:
    """Returns a member's state before its first step."""
    moves, constants = split(task, pick(bases, member.base), member)
    return MemberState(jnp.zeros((), jnp.int32), moves, constants, adamw(task.optimizer, 0.0, task.moves).init(moves))


def train_member(task: Task, state: MemberState, member: Members, windows: Array, bases: Any) -> tuple[MemberState, Array]:
    """Returns a member's state after a chunk of steps, and the loss of each step; windows are (step, batch, time + 1)."""
    trainable, frozen = join(pick(bases, member.base), state)
    step = make_train_step(task.adapted, task.loss, adamw(task.optimizer, member.learning_rate, task.moves))
    key = jax.random.fold_in(jax.random.key(member.seed), DROPOUT) if task.dropout else None
    reference = _reference(member, bases)

    def one(carry: TrainState, batch: Array) -> tuple[TrainState, Array]:
        moved, metrics = step(carry, task.to_batch(_spread(batch)), key, reference)
        return moved, metrics["loss"]

    final, losses = jax.lax.scan(one, TrainState(state.step, trainable, frozen, state.opt_state), windows)
    return MemberState(final.step, final.trainable, state.constants, final.opt_state), losses


def _reference(member: Members, bases: Any) -> Variables | None:
    if member.reference is None:
        return None
    found = {"params": pick(bases, member.reference)}
    if member.strength is not None:
        found["strength"] = member.strength
    if member.importance is not None:
        found["importance"] = pick(bases, member.importance)
    return found


def evaluate_member(task: Task, state: MemberState, member: Members, bases: Any, batches: Array) -> Metrics:
    """Returns the loss's metrics of a member on batches (k, batch, time + 1), token by token: the host sums them."""
    trainable, frozen = join(pick(bases, member.base), state)
    # The batches become the member's own: under vmap, cuDNN's attention wants q, k and v to carry the member axis, all or none.
    batches = batches + (0 * member.base).astype(batches.dtype)
    variables, reference = tree.combine(trainable, frozen), _reference(member, bases)
    return jax.lax.map(lambda rows: task.loss(task.adapted, variables, task.to_batch(rows), reference)[1], batches)


def _spread(batch: Array) -> Array:
    """Splits the examples of a batch over the axes data and fsdp, where the mesh has them."""
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty or mesh.shape["data"] * mesh.shape["fsdp"] == 1:
        return batch
    return jax.lax.with_sharding_constraint(batch, P(("data", "fsdp")))


def _mapped(task: Task, function: Callable[..., Any], per_member: int) -> Callable[..., Any]:
    """`function` over the leading axis of its first `per_member` arguments, `task.vmap` members at a time; the rest is shared."""

    def over(*args: Any) -> Any:
        own, shared = args[:per_member], args[per_member:]
        if task.vmap == 1:
            return jax.lax.map(lambda xs: function(task, *xs, *shared), own)
        return jax.lax.map(lambda xs: function(task, *xs, *shared), own, batch_size=task.vmap)

    return over


def build(task: Task, bases: Any, mesh: Mesh) -> Population:
    """Returns the compiled functions of one population shape; `bases` (arrays or shapes) have a leading axis of bases.

    Raises UsageError for targets, ranks and meshes that do not fit the model.
    """
    one = jax.eval_shape(lambda b: init_member(task, Members(0, 1, 0.0, 0), b), bases)
    states = jax.tree.map(lambda x: jax.ShapeDtypeStruct((1, *x.shape), x.dtype), one)
    state_specs, base_specs = specs(states, ("member",)), specs({"params": bases}, (None,))["params"]
    check_divisible(mesh, bases, base_specs)
    member = P("member")

    def over_mesh(function: Callable[..., Any], per_member: int, shared: int) -> Callable[..., Any]:
        return jax.shard_map(
            _mapped(task, function, per_member),
            mesh=mesh,
            in_specs=(member,) * per_member + (P(),) * shared,
            out_specs=member,
            axis_names={"member"},
            check_vma=False,
        )

    return Population(
        jit_step(over_mesh(init_member, 1, 1), (member, base_specs), state_specs, mesh, donate=()),
        jit_step(over_mesh(train_member, 3, 1), (state_specs, member, member, base_specs), (state_specs, member), mesh),
        jit_step(over_mesh(evaluate_member, 2, 2), (state_specs, member, base_specs, P()), member, mesh, donate=()),
    )


def ahead(functions: Population, bases: Any, windows: Any, batches: Any, further: Sequence[str] = ()) -> Population:
    """Returns `functions`, compiled now for arguments of these shapes; others are compiled when they come. `further` as in the task.

    bases, windows (member, step, batch, time + 1) and batches (k, batch, time + 1) are arrays or shapes.
    """
    count = windows.shape[0]
    types = (jnp.int32, jnp.int32, jnp.float32, jnp.uint32)
    own = {name: jax.ShapeDtypeStruct((count,), FURTHER[name]) for name in further}
    members = Members(*(jax.ShapeDtypeStruct((count,), dtype) for dtype in types), **own)
    states = jax.eval_shape(functions.init, members, bases)
    return Population(
        _ahead(functions.init, members, bases),
        _ahead(functions.train, states, members, windows, bases),
        _ahead(functions.evaluate, states, members, bases, batches),
    )


def _ahead(function: Any, *expected: Any) -> Callable[..., Any]:
    program = function.lower(*expected).compile()
    shapes = [leaf.shape for leaf in jax.tree.leaves(expected)]

    def call(*args: Any) -> Any:
        fits = [leaf.shape for leaf in jax.tree.leaves(args)] == shapes
        return program(*args) if fits else function(*args)

    return call


def place(mesh: Mesh, bases: Any) -> Any:
    """Returns stacked bases laid out over the mesh as `build` expects them."""
    return processes.place(bases, shardings(mesh, specs({"params": bases}, (None,))["params"]))
