"""What a linear probe reads from frozen activations: every point of layer x split x task is one function of indices.

A probe is multinomial logistic regression on the mix of layers that Tenney et al. (2019, arXiv 1905.05950, eq. 1) take, sum_l s_l h_l with
s = softmax(a); their factor gamma would undo the ridge, and is the weights' own scale here. A probe of one layer is the mix of that one, a
cumulative probe the mix of layers 0..l. Points share one compiled program, under `jax.lax.map` or `research.training.spread`: examples
are weighted, as many of them selected as any split trains on, and labels are padded to the most classes.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy.linalg
from jax import Array

from research.errors import UsageError

RIDGES = (1e4, 1e3, 1e2, 1e1, 1e0)  # nats per squared weight of standardized features, the strongest first
COARSE, FINE = 3e-3, 1e-4  # the largest derivative of the mean loss, while a ridge is chosen and of what is returned
STEPS = 200
CONSTANT = 1e-5  # a feature that varies by less of its size does not vary


class Population(NamedTuple):
    """What all points share: features (layers, n, d), labels (tasks, n), classes (tasks,), train and validation (splits, n) of 0 or 1.

    A label of -1 is none: the example is left out of that task. Splits may be seeds, and blocks of an online code. axes (layers, d, d):
    orthogonal ones, in which each layer's standardized features are about uncorrelated (`axes`), for cumulative probes those of the mix up
    to it; none: a point's own, for which each takes its training part apart. They change how soon a probe is found, and not which.
    """

    features: Any
    labels: Any
    classes: Any
    train: Any
    validation: Any
    axes: Any = None


class Point(NamedTuple):
    """Which probe: the depth (its layer, or the last of the layers mixed), the split and the task, all indices."""

    depth: Any
    split: Any
    task: Any


class Probed(NamedTuple):
    """What a probe says of every example, trained on or not, and of itself.

    correct: (n,) whether the label is the likeliest; bits: (n,) -log2 of its probability; both 0 where there is no label.
    ridge: the one chosen. gradient: the largest derivative of the mean loss where the fit ended.
    mix: (layers,) weights s of the layers. norms: (layers,) root mean square of what each brings into the mix, of which s is a share.
    """

    correct: Array
    bits: Array
    ridge: Array
    gradient: Array
    mix: Array
    norms: Array


def check(population: Population, names: Sequence[str]) -> int:
    """Returns the most classes of any task, once every task of `names` can be probed; UsageError otherwise."""
    labels, classes = np.asarray(population.labels), np.asarray(population.classes)
    for name, own, count in zip(names, labels, classes, strict=True):
        least = int(((np.asarray(population.train) > 0) & (own >= 0)).sum(1).min())
        if count < 2:
            raise UsageError(f"task {name!r} has one class, which nothing can be told from; choose a task with two or more")
        if own.max() >= count:
            raise UsageError(f"task {name!r} of {count} classes has a label {own.max()}; labels are 0 to {count - 1}, and -1 for none")
        if least < 1 or (own >= 0).sum() < count:
            raise UsageError(f"task {name!r} of {count} classes has {(own >= 0).sum()} examples, {least} to train on; give it more text")
        if not ((np.asarray(population.validation) > 0) & (own >= 0)).any(1).all():
            raise UsageError(f"task {name!r} has no labels in a validation part, which chooses the ridge; make that part larger")
    return int(classes.max())


def crossed(depths: Sequence[int], splits: Sequence[int], tasks: Sequence[int]) -> Point:
    """Returns every combination as one axis of points, tasks fastest: what comes back is (depths, splits, tasks, ...) when reshaped."""
    return Point(*(index.ravel().astype(np.int32) for index in np.meshgrid(depths, splits, tasks, indexing="ij")))


class _Fixed(NamedTuple):
    """What a program is compiled for: the most classes, the most training examples, and whether layers are leveled."""

    most: int
    trained: int | None
    leveled: bool = True


def trained_most(train: np.ndarray) -> int:
    """Returns how many training examples any split has at most, in eighths of all: so few programs serve many populations."""
    count = train.shape[-1]
    eighths = -(-8 * int((np.asarray(train) > 0).sum(-1).max()) // count)
    return -(-eighths * count // 8)


def at_layer(point: Point, population: Population, most: int, trained: int | None = None) -> Probed:
    """Returns the probe of one layer; traced.

    Static are `most`, the most classes of any task, and `trained`, the most training examples of any split (`trained_most`; None: all).
    """
    layer = jnp.asarray(population.features)[point.depth][None]
    return _probe(layer, jnp.ones(1, bool), point, population, _Fixed(most, trained))


def up_to_layer(point: Point, population: Population, most: int, trained: int | None = None, leveled: bool = True) -> Probed:
    """Returns the cumulative probe: of the mix of layers 0 to the point's depth, of all layers where that is the last; traced.

    leveled: every feature of every layer is standardized, so that weights of layers compare. If not, a feature is divided by its root mean
    square over the layers mixed, and weights follow norms, as arXiv 2109.05958 warns of: of layers that know the same, one that is a few
    times as large takes nearly all of the mix. `most` and `trained` as in `at_layer`.
    """
    layers = jnp.asarray(population.features)
    return _probe(layers, jnp.arange(layers.shape[0]) <= point.depth, point, population, _Fixed(most, trained, leveled))


def axes(features: np.ndarray, cumulative: bool = False) -> np.ndarray:
    """Returns principal axes (layers, d, d) of all examples' standardized features (layers, n, d), or of the even mix up to each layer.

    On the host: XLA's CPU backend takes several times as long for them.
    """
    found, total = [], np.zeros(features.shape[1:], np.float32)
    for layer in features:
        deviation, mean = layer.std(0), layer.mean(0)
        varies = deviation > CONSTANT * np.abs(mean)
        own = (layer - mean) * np.where(varies, 1 / np.where(varies, deviation, 1.0), 0.0).astype(np.float32)
        total = total + own if cumulative else own
        found.append(scipy.linalg.eigh(total.T @ total, driver="evd", check_finite=False)[1])
    return np.stack(found)


def _probe(layers: Array, entering: Array, point: Point, population: Population, fixed: _Fixed) -> Probed:
    labels = jnp.asarray(population.labels)[point.task]
    parts = [jnp.asarray(part)[point.split] * (labels >= 0) for part in (population.train, population.validation)]
    train, validation = (part / part.sum() for part in parts)
    size, target = parts[0].sum(), jnp.maximum(labels, 0)
    barred = jnp.arange(fixed.most)[None] >= jnp.asarray(population.classes)[point.task]
    features, norms = _standardized(layers, entering, train, fixed.leveled)
    own = _principal(features, entering, train) if population.axes is None else jnp.asarray(population.axes)[point.depth]
    features = features @ own
    rows, weights = _rows(train, fixed.trained)
    trained, wanted = features[:, rows], jax.nn.one_hot(target[rows], fixed.most)
    variances = weights @ jnp.square(_mixed(entering / entering.sum(), trained))

    def logits(params: Any, features: Array) -> Array:
        matrix, bias, scores = params
        mix = jax.nn.softmax(jnp.where(entering, scores, -jnp.inf))
        return jnp.where(barred, -1e30, _mixed(mix, features) @ matrix + bias)

    def losses(params: Any) -> Array:
        shown = logits(params, features)
        return jax.nn.logsumexp(shown, axis=1) - jnp.take_along_axis(shown, target[:, None], axis=1)[:, 0]

    def fitted(params: Any, ridge: Array, tolerance: Array) -> tuple[Any, Array]:
        def loss(params: Any) -> Array:
            shown = logits(params, trained)
            # Biases and scores of the mix have a ridge of 1: a class that training lacks costs about log n, and not infinitely much.
            squares = [jnp.square(leaf).sum() for leaf in params]
            penalty = (ridge * squares[0] + squares[1] + squares[2]) / (2 * size)
            return weights @ (jax.nn.logsumexp(shown, axis=1) - (shown * wanted).sum(1)) + penalty

        # In principal components the curvature of both terms is about diagonal, and so is what evens it out.
        scale = (jax.lax.rsqrt(variances / 4 + ridge / size)[:, None], 1.0, 1.0)
        return _minimized(loss, params, scale, tolerance)

    def choose(carry: Any, wanted: tuple[Array, Array]) -> tuple[Any, Array]:
        params, best, lowest = carry
        ridge, tolerance = jnp.where(wanted[0] > 0, wanted[0], best), wanted[1]
        params, gradient = fitted(params, ridge, tolerance)
        score = validation @ losses(params)
        return (params, jnp.where(score < lowest, ridge, best), jnp.minimum(score, lowest)), gradient

    # Each ridge goes on from the one before; at the end, told by a ridge of 0, the best is fitted to the end: one loop to compile.
    start = jnp.zeros((features.shape[-1], fixed.most)), jnp.zeros((1, fixed.most)), jnp.zeros(len(layers))
    path = jnp.array([*RIDGES, 0.0]), jnp.array([*(COARSE for _ in RIDGES), FINE])
    (params, ridge, _), gradients = jax.lax.scan(choose, (start, jnp.zeros(()), jnp.inf), path)
    correct = (logits(params, features).argmax(1) == labels).astype(jnp.float32)
    mix = jax.nn.softmax(jnp.where(entering, params[2], -jnp.inf))
    return Probed(correct, losses(params) * (labels >= 0) / jnp.log(2.0), ridge, gradients[-1], mix, norms)


def _rows(train: Array, trained: int | None) -> tuple[Array, Array]:
    """The places of the training examples, filled up to so many with the first example, and their weights, 0 where filled."""
    if trained is None or trained >= len(train):
        return jnp.arange(len(train)), train
    rows = jnp.nonzero(train, size=trained)[0]
    return rows, jnp.where(jnp.arange(trained) < (train > 0).sum(), train[rows], 0.0)


def _standardized(layers: Array, entering: Array, train: Array, leveled: bool) -> tuple[Array, Array]:
    """Layers (l, n, d), centered and scaled by the training part, and the root mean square of each (l,)."""
    layers = layers.astype(jnp.float32)
    means = jnp.einsum("n,lnd->ld", train, layers)[:, None]
    variances = jnp.einsum("n,lnd->ld", train, jnp.square(layers - means))[:, None]
    varies = variances > CONSTANT**2 * jnp.square(means)
    shares = (entering / entering.sum())[:, None, None]
    shared = variances if leveled else jnp.broadcast_to((shares * variances).sum(0, keepdims=True), variances.shape)
    factors = jnp.where(varies & (shared > 0), jax.lax.rsqrt(jnp.where(shared > 0, shared, 1.0)), 0.0)
    norms = jnp.sqrt((variances * jnp.square(factors)).mean((1, 2)))
    return (layers - means) * factors, jnp.where(entering, norms, 0.0)


def _principal(features: Array, entering: Array, train: Array) -> Array:
    """Principal axes (d, d) of the even mix in the training part; orthogonal, so a ridge stays."""
    even = _mixed(entering / entering.sum(), features)
    return jnp.linalg.eigh((even * train[:, None]).T @ even)[1]


def _mixed(mix: Array, features: Array) -> Array:
    """The mix (n, d) of features (l, n, d): as one product of flat layers, which XLA's CPU backend computes ten times as fast as a sum."""
    return features[0] if len(features) == 1 else (mix[None] @ features.reshape(len(features), -1)).reshape(features.shape[1:])


def _minimized(loss: Callable[[Any], Array], start: Any, scale: Any, tolerance: Array) -> tuple[Any, Array]:
    """Where L-BFGS in the coordinates `start` / `scale` ends, and the largest derivative there, in the coordinates of `start`."""

    def scaled(own: Any) -> Array:
        return loss(jax.tree.map(jnp.multiply, own, scale))

    def largest(gradient: Any) -> Array:
        return jnp.stack([jnp.abs(leaf / factor).max() for leaf, factor in zip(gradient, scale, strict=True)]).max()

    solver = optax.lbfgs(linesearch=optax.scale_by_zoom_linesearch(max_linesearch_steps=20, initial_guess_strategy="one"))

    def goes_on(carry: Any) -> Array:
        return (carry[0] < STEPS) & (largest(carry[4]) > tolerance)

    def step(carry: Any) -> Any:
        count, own, state, value, gradient = carry
        update, state = solver.update(gradient, state, own, value=value, grad=gradient, value_fn=scaled)
        # The line search leaves both where it ends; asked for again, under vmap, they would be computed twice.
        value, gradient = optax.tree.get(state, "value"), optax.tree.get(state, "grad")
        return count + 1, optax.apply_updates(own, update), state, value, gradient

    own = jax.tree.map(jnp.divide, start, scale)
    first = (jnp.zeros((), jnp.int32), own, solver.init(own), *jax.value_and_grad(scaled)(own))
    _, own, _, _, gradient = jax.lax.while_loop(goes_on, step, first)
    return jax.tree.map(jnp.multiply, own, scale), largest(gradient)
