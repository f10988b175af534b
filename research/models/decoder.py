"""The decoder: pre-norm, causal, with the switches of today's families as plain values."""

import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from research.errors import UsageError
from research.models.attention import causal_attention
from research.models.model import Batch, Model, from_linen

CHOICES = {
    "norm": ("rms", "layer"),
    "positions": ("rope", "learned"),
    "mlp": ("gated", "plain"),
    "activation": ("gelu", "silu"),
    "remat": ("none", "full", "dots"),
    "dtype": ("float32", "bfloat16", "float16"),
    "param_dtype": ("float32", "bfloat16", "float16"),
    "attention": ("xla", "cudnn"),
}
ROPE_BASE = 10_000.0


@dataclasses.dataclass(frozen=True)
class DecoderConfig:
    """The shape and the switches of a decoder; sizes in scalars, `max_length` in tokens."""

    vocab_size: int = 256
    d_model: int = 64
    n_layers: int = 2
    n_heads: int = 2
    n_kv_heads: int = 2
    d_mlp: int = 256
    max_length: int = 64
    norm: str = "rms"
    positions: str = "rope"
    mlp: str = "plain"
    activation: str = "gelu"
    bias: bool = False
    tied: bool = False
    dropout: float = 0.0
    scan: bool = False
    remat: str = "none"
    dtype: str = "float32"
    param_dtype: str = "float32"
    attention: str = "xla"

    def __post_init__(self) -> None:
        for field, choices in CHOICES.items():
            if getattr(self, field) not in choices:
                raise UsageError(f"model.{field} = {getattr(self, field)!r}: choose one of {', '.join(choices)}")
        for field in ("vocab_size", "d_model", "n_layers", "n_heads", "n_kv_heads", "d_mlp", "max_length"):
            if getattr(self, field) < 1:
                raise UsageError(f"model.{field} = {getattr(self, field)}: must be at least 1")
        if self.d_model % self.n_heads or self.n_heads % self.n_kv_heads:
            raise UsageError(
                f"model.n_heads = {self.n_heads} must divide d_model = {self.d_model} and be a multiple of n_kv_heads = {self.n_kv_heads}"
            )
        if self.positions == "rope" and self.head_dim % 2:
            raise UsageError(f"model.positions = 'rope' needs an even head size; d_model / n_heads = {self.head_dim}")
        if self.attention == "cudnn" and (self.dtype == "float32" or self.head_dim > 256 or self.head_dim % 8):
            words = f"dtype = {self.dtype} and a head size of {self.head_dim}"
            raise UsageError(
                f"model.attention = 'cudnn' takes bfloat16 or float16 and head sizes that are multiples of 8 up to 256, not {words}"
            )
        if not 0.0 <= self.dropout < 1.0:
            raise UsageError(f"model.dropout = {self.dropout}: must be in [0, 1)")

    @property
    def head_dim(self) -> int:
        """Returns the size of one attention head."""
        return self.d_model // self.n_heads


def decoder(config: DecoderConfig) -> Model:
    """Returns the decoder as a model; its batch holds `inputs` (batch, time) and, when not 0 .. time-1, `positions` (batch, time)."""
    tied = ("^params/embedding/embedding$",) if config.tied else ()
    return from_linen(Decoder(config), tied)


def _dense(config: DecoderConfig, features: int | tuple[int, ...], name: str, axis: int | tuple[int, ...] = -1) -> nn.DenseGeneral:
    return nn.DenseGeneral(
        features,
        axis=axis,
        use_bias=config.bias,
        dtype=config.dtype,
        param_dtype=config.param_dtype,
        kernel_init=nn.initializers.lecun_normal(),
        name=name,
    )


def _tokens(x_btd: Array) -> Array:
    """Returns the stream with batch and time as one axis n: on a CPU, XLA differentiates a product of two matrices 2.7 times faster."""
    return x_btd.reshape(-1, x_btd.shape[-1])


def _norm(config: DecoderConfig, name: str) -> nn.Module:
    kind = nn.RMSNorm if config.norm == "rms" else functools.partial(nn.LayerNorm, use_bias=config.bias)
    return kind(epsilon=1e-6, dtype=config.dtype, param_dtype=config.param_dtype, name=name)


def rotate(x_bthk: Array, positions_bt: Array) -> Array:
    """Returns queries or keys turned by their positions (RoFormer, Su et al. 2021, section 3.2.2; halves, not neighbors, are paired)."""
    half = x_bthk.shape[-1] // 2
    frequencies_k = ROPE_BASE ** (-jnp.arange(half, dtype=jnp.float32) / half)
    angles_bt1k = positions_bt[:, :, None, None].astype(jnp.float32) * frequencies_k[None, None, None, :]
    sin, cos = jnp.sin(angles_bt1k).astype(x_bthk.dtype), jnp.cos(angles_bt1k).astype(x_bthk.dtype)
    left, right = x_bthk[..., :half], x_bthk[..., half:]
    return jnp.concatenate([left * cos - right * sin, right * cos + left * sin], axis=-1)


class Attention(nn.Module):
    """Causal self-attention with grouped key and value heads (Ainslie et al. 2023)."""

    config: DecoderConfig

    @nn.compact
    def __call__(self, x_btd: Array, positions_bt: Array) -> Array:
        c = self.config
        b, t, _ = x_btd.shape
        x_nd = _tokens(x_btd)
        q_bthk = _dense(c, (c.n_heads, c.head_dim), "query")(x_nd).reshape(b, t, c.n_heads, c.head_dim)
        k_bshk = _dense(c, (c.n_kv_heads, c.head_dim), "key")(x_nd).reshape(b, t, c.n_kv_heads, c.head_dim)
        v_bshk = _dense(c, (c.n_kv_heads, c.head_dim), "value")(x_nd).reshape(b, t, c.n_kv_heads, c.head_dim)
        if c.positions == "rope":
            q_bthk, k_bshk = rotate(q_bthk, positions_bt), rotate(k_bshk, positions_bt)
        if c.attention == "xla":
            mixed_bthk = causal_attention(q_bthk, k_bshk, v_bshk)
        else:
            mixed_bthk = jax.nn.dot_product_attention(q_bthk, k_bshk, v_bshk, is_causal=True, implementation="cudnn")
        return _dense(c, c.d_model, "out", axis=(-2, -1))(mixed_bthk.reshape(b * t, c.n_heads, c.head_dim)).reshape(x_btd.shape)


class MLP(nn.Module):
    """The position-wise network, plain or gated (Shazeer 2020)."""

    config: DecoderConfig

    @nn.compact
    def __call__(self, x_btd: Array) -> Array:
        c = self.config
        activation = nn.gelu if c.activation == "gelu" else nn.silu
        x_nd = _tokens(x_btd)
        hidden_nf = _dense(c, c.d_mlp, "up")(x_nd)
        gate_nf = _dense(c, c.d_mlp, "gate")(x_nd) if c.mlp == "gated" else None
        hidden_nf = activation(hidden_nf) if gate_nf is None else activation(gate_nf) * hidden_nf
        return _dense(c, c.d_model, "down")(hidden_nf).reshape(x_btd.shape)


class Block(nn.Module):
    """One pre-norm layer; the carry is the residual stream."""

    config: DecoderConfig
    deterministic: bool

    @nn.compact
    def __call__(self, x_btd: Array, positions_bt: Array) -> tuple[Array, None]:
        c = self.config
        drop = nn.Dropout(c.dropout, deterministic=self.deterministic)
        x_btd = x_btd + drop(Attention(c, name="attention")(_norm(c, "attention_norm")(x_btd), positions_bt))
        x_btd = x_btd + drop(MLP(c, name="mlp")(_norm(c, "mlp_norm")(x_btd)))
        return x_btd, None


def _block(config: DecoderConfig) -> Any:
    """The block under the remat policy: 'full' keeps nothing, 'dots' keeps the matrix products."""
    if config.remat == "none":
        return Block
    policy = None if config.remat == "full" else jax.checkpoint_policies.dots_with_no_batch_dims_saveable
    return nn.remat(Block, policy=policy, prevent_cse=not config.scan)


class Decoder(nn.Module):
    """Embedding, blocks, final norm, head; the linen module behind `decoder`."""

    config: DecoderConfig

    @nn.compact
    def __call__(self, batch: Batch, deterministic: bool = True) -> Array:
        c = self.config
        tokens_bt = batch["inputs"]
        if tokens_bt.shape[1] > c.max_length:
            raise UsageError(f"a batch of {tokens_bt.shape[1]} tokens is longer than model.max_length = {c.max_length}")
        positions_bt = batch.get("positions", jnp.broadcast_to(jnp.arange(tokens_bt.shape[1])[None, :], tokens_bt.shape))
        init = nn.initializers.normal(0.02 if c.tied else 1.0)
        embed = functools.partial(nn.Embed, features=c.d_model, embedding_init=init, dtype=c.dtype, param_dtype=c.param_dtype)
        embedding = embed(c.vocab_size, name="embedding")
        x_btd = embedding(tokens_bt)
        if c.positions == "learned":
            x_btd = x_btd + embed(c.max_length, name="position")(positions_bt)
        x_btd = self._layers(x_btd, positions_bt, deterministic)
        x_btd = _norm(c, "final_norm")(x_btd)
        x_nd = _tokens(x_btd)
        logits_nv = embedding.attend(x_nd) if c.tied else _dense(c, c.vocab_size, "head")(x_nd)
        return logits_nv.reshape(*tokens_bt.shape, c.vocab_size)

    def _layers(self, x_btd: Array, positions_bt: Array, deterministic: bool) -> Array:
        c = self.config
        if not c.scan:
            for layer in range(c.n_layers):
                x_btd, _ = _block(c)(c, deterministic, name=f"layers_{layer}")(x_btd, positions_bt)
            return x_btd
        scanned = nn.scan(
            _block(c),
            variable_axes={"params": 0, "adapter": 0, "constants": 0, "intermediates": 0},
            split_rngs={"params": True, "dropout": True},
            in_axes=nn.broadcast,
            length=c.n_layers,
        )
        return scanned(c, deterministic, name="layers")(x_btd, positions_bt)[0]
