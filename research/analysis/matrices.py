"""The matrices and parameters of a decoder, by path, from its config alone."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol


class DecoderShape(Protocol):
    """The fields of a decoder's config that its matrix products depend on."""

    @property
    def vocab_size(self) -> int: ...
    @property
    def d_model(self) -> int: ...
    @property
    def n_layers(self) -> int: ...
    @property
    def n_heads(self) -> int: ...
    @property
    def n_kv_heads(self) -> int: ...
    @property
    def head_dim(self) -> int: ...
    @property
    def d_mlp(self) -> int: ...
    @property
    def positions(self) -> str: ...
    @property
    def n_positions(self) -> int: ...
    @property
    def mlp(self) -> str: ...
    @property
    def norm(self) -> str: ...
    @property
    def norm_place(self) -> str: ...
    @property
    def qk_norm(self) -> str: ...
    @property
    def parallel(self) -> bool: ...
    @property
    def bias(self) -> Sequence[str]: ...
    @property
    def tied(self) -> bool: ...
    @property
    def scan(self) -> bool: ...
    @property
    def attention(self) -> str: ...


class Linear(NamedTuple):
    """A module with a matrix, (inputs, outputs); `lookup` marks embeddings, whose own product is a gather."""

    module: str
    matrix: str
    inputs: int
    outputs: int
    lookup: bool = False


def parameters(config: DecoderShape) -> Iterator[str]:
    """Returns the path of every parameter; those of scanned layers come once a layer."""
    modules = layers(config)
    norms = ["attention_norm", "mlp_norm", *(("attention/query_norm", "attention/key_norm") if config.qk_norm != "none" else ())]
    for name in ("final_norm", *(f"{layer}/{norm}" for layer in modules for norm in norms)):
        yield f"params/{name}/scale"
        if "norm" in config.bias and config.norm == "layer":
            yield f"params/{name}/bias"
    for site in (*embeddings(config), *(site for layer in modules for site in block(config, layer)), head(config)):
        yield site.matrix
        if _place(site.module) in config.bias and site.matrix.endswith("/kernel"):
            yield f"params/{site.module}/bias"


def _place(module: str) -> str:
    """Returns which of a config's `bias` places a linear map is."""
    parts = module.split("/")
    return {"query": "qkv", "key": "qkv", "value": "qkv", "out": "out", "head": "head"}.get(parts[-1], parts[-2] if len(parts) > 1 else "")


def layers(config: DecoderShape) -> list[str]:
    """Returns the modules of the layers, in order."""
    return ["layers"] * config.n_layers if config.scan else [f"layers_{index}" for index in range(config.n_layers)]


def block(config: DecoderShape, layer: str) -> list[Linear]:
    """Returns the matrices of a layer."""
    return [*projections(config, layer), out(config, layer), *into_mlp(config, layer), down(config, layer)]


def embeddings(config: DecoderShape) -> list[Linear]:
    """Returns the tables that tokens and positions are looked up in."""
    rows = {"embedding": config.vocab_size, **({"position": config.n_positions} if config.positions == "learned" else {})}
    return [Linear(name, f"params/{name}/embedding", count, config.d_model, lookup=True) for name, count in rows.items()]


def projections(config: DecoderShape, layer: str) -> list[Linear]:
    """Returns what makes queries, keys and values."""
    heads = {"query": config.n_heads, "key": config.n_kv_heads, "value": config.n_kv_heads}
    names = {f"{layer}/attention/{name}": count * config.head_dim for name, count in heads.items()}
    return [Linear(name, f"params/{name}/kernel", config.d_model, size) for name, size in names.items()]


def out(config: DecoderShape, layer: str) -> Linear:
    """Returns what mixed values pass through."""
    name = f"{layer}/attention/out"
    return Linear(name, f"params/{name}/kernel", config.n_heads * config.head_dim, config.d_model)


def into_mlp(config: DecoderShape, layer: str) -> list[Linear]:
    """Returns what leads into the hidden units."""
    names = ("gate", "up") if config.mlp == "gated" else ("up",)
    return [Linear(f"{layer}/mlp/{n}", f"params/{layer}/mlp/{n}/kernel", config.d_model, config.d_mlp) for n in names]


def down(config: DecoderShape, layer: str) -> Linear:
    """Returns what leads out of them."""
    return Linear(f"{layer}/mlp/down", f"params/{layer}/mlp/down/kernel", config.d_mlp, config.d_model)


def head(config: DecoderShape) -> Linear:
    """Returns the head, with the embedding's matrix where it is tied."""
    matrix = "params/embedding/embedding" if config.tied else "params/head/kernel"
    return Linear("head", matrix, config.d_model, config.vocab_size)
