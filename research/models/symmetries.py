"""What may be permuted in a network without changing its function, as data: axes of leaves that move together."""

from collections.abc import Iterator
from typing import NamedTuple

from research.models.classifiers import FILTERS, POOL, WIDTHS, WINDOW, ClassifierConfig
from research.models.configuration import DecoderConfig


class Axis(NamedTuple):
    """An axis of a leaf, by '/'-joined path, along which a symmetry's elements lie.

    axis: counted from the end. It is tiles x elements x block entries long: an element has `block` neighbors in each of `tiles` places.
    shared: one entry stands for a whole group of elements (a key head for its queries'), so that the axis has size / group of them.
    layer: of a leaf that stacks layers along its first axis, the one meant; None for all of the leaf.
    """

    path: str
    axis: int
    block: int = 1
    tiles: int = 1
    shared: bool = False
    layer: int | None = None


class Symmetry(NamedTuple):
    """Elements of which any order gives the same function, if all `axes` are put into it.

    size: number of elements, which lie in groups of `group` neighbors: whole groups may change places, and elements within their group.
    """

    name: str
    size: int
    axes: tuple[Axis, ...]
    group: int = 1


def decoder_symmetries(config: DecoderConfig) -> tuple[Symmetry, ...]:
    """Returns the permutations that leave a decoder's function as it is: of the stream, and each layer's heads and neurons.

    Paths begin with the collection, 'params/'; adapters are to be merged before. Names are 'stream', 'layers_0/heads', 'layers_0/neurons'.
    Query heads move within the group of a key and value head, and groups as a whole. The order inside of a head is left alone: rotary
    positions and norms of heads fix it for queries and keys; values could be turned by any invertible matrix, not by permutations alone.
    """
    places = [("layers", layer) if config.scan else (f"layers_{layer}", None) for layer in range(config.n_layers)]
    found = [Symmetry("stream", config.d_model, tuple(_stream(config, list(dict.fromkeys(name for name, _ in places)))))]
    for layer, (name, stacked) in enumerate(places):
        heads = tuple(axis._replace(layer=stacked) for axis in _heads(config, f"params/{name}/attention"))
        found.append(Symmetry(f"layers_{layer}/heads", config.n_heads, heads, config.n_heads // config.n_kv_heads))
        neurons = tuple(axis._replace(layer=stacked) for axis in _neurons(config, f"params/{name}/mlp"))
        found.append(Symmetry(f"layers_{layer}/neurons", config.d_mlp, neurons))
    return tuple(found)


def _stream(config: DecoderConfig, blocks: list[str]) -> Iterator[Axis]:
    """Every axis of d_model entries: a norm's mean and mean square are those of any order."""
    tables = ("embedding", "position") if config.positions == "learned" else ("embedding",)
    yield from (Axis(f"params/{table}/embedding", -1) for table in tables)
    yield from _norm(config, "params/final_norm")
    if not config.tied:
        yield Axis("params/head/kernel", -2)
    for block in blocks:
        yield from _norm(config, f"params/{block}/attention_norm")
        yield from _norm(config, f"params/{block}/mlp_norm")
        yield from (Axis(f"params/{block}/attention/{name}/kernel", -3) for name in ("query", "key", "value"))
        yield from (Axis(f"params/{block}/mlp/{name}/kernel", -2) for name in _inputs(config))
        for place, name in (("out", "attention/out"), ("mlp", "mlp/down")):
            yield Axis(f"params/{block}/{name}/kernel", -1)
            if place in config.bias:
                yield Axis(f"params/{block}/{name}/bias", -1)


def _heads(config: DecoderConfig, attention: str) -> Iterator[Axis]:
    for name in ("query", "key", "value"):
        shared = name != "query"
        yield Axis(f"{attention}/{name}/kernel", -2, shared=shared)
        if "qkv" in config.bias:
            yield Axis(f"{attention}/{name}/bias", -2, shared=shared)
        if config.qk_norm == "projection" and name != "value":
            yield from _norm(config, f"{attention}/{name}_norm", config.head_dim, shared)
    yield Axis(f"{attention}/out/kernel", -3)


def _neurons(config: DecoderConfig, mlp: str) -> Iterator[Axis]:
    for name in _inputs(config):
        yield Axis(f"{mlp}/{name}/kernel", -1)
        if "mlp" in config.bias:
            yield Axis(f"{mlp}/{name}/bias", -1)
    yield Axis(f"{mlp}/down/kernel", -2)


def _inputs(config: DecoderConfig) -> tuple[str, ...]:
    return ("up", "gate") if config.mlp == "gated" else ("up",)


def _norm(config: DecoderConfig, path: str, block: int = 1, shared: bool = False) -> Iterator[Axis]:
    yield Axis(f"{path}/scale", -1, block, shared=shared)
    if config.norm == "layer" and "norm" in config.bias:
        yield Axis(f"{path}/bias", -1, block, shared=shared)


def classifier_symmetries(config: ClassifierConfig) -> tuple[Symmetry, ...]:
    """Returns the permutations that leave a classifier's function as it is: of each hidden layer's units, and each convolution's filters.

    They are named after the module whose outputs they put in order: 'conv_0', 'dense_0', ...; paths begin with 'params/'.
    """
    filters, widths = (FILTERS, WIDTHS) if config.kind == "lenet" else ((), config.hidden)
    names = [*(f"conv_{i}" for i in range(len(filters))), *(f"dense_{i}" for i in range(len(widths) + 1))]
    found = []
    for name, reader, size in zip(names[:-1], names[1:], (*filters, *widths), strict=True):
        tiles = _pixels(config) if name.startswith("conv") and reader.startswith("dense") else 1
        own = (Axis(f"params/{name}/kernel", -1), Axis(f"params/{name}/bias", -1))
        found.append(Symmetry(name, size, (*own, Axis(f"params/{reader}/kernel", -2, tiles=tiles))))
    return tuple(found)


def _pixels(config: ClassifierConfig) -> int:
    """How many places the last convolution's pooled images have, which the first dense layer reads in rows of filters."""
    high, wide = config.pixels
    for _ in FILTERS:
        high, wide = (high - WINDOW[0] + 1) // POOL[0], (wide - WINDOW[1] + 1) // POOL[1]
    return high * wide
