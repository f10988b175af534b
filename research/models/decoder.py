"""The decoder: causal, with the switches of today's families as plain values."""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from research.errors import UsageError
from research.models.attention import causal_attention
from research.models.configuration import DecoderConfig
from research.models.model import Batch, Model, from_linen

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": nn.gelu,
    "gelu_exact": functools.partial(nn.gelu, approximate=False),
    "silu": nn.silu,
}


def decoder(config: DecoderConfig) -> Model:
    """Returns the decoder as a model; its batch holds `inputs` (batch, time) and, when not 0 .. time-1, `positions` (batch, time)."""
    tied = ("^params/embedding/embedding$",) if config.tied else ()
    return from_linen(Decoder(config), tied)


def _dense(config: DecoderConfig, features: int | tuple[int, ...], name: str, place: str) -> nn.DenseGeneral:
    """A linear map; `place` says whether it has a bias, and that the output of attention takes heads and their entries together."""
    return nn.DenseGeneral(
        features,
        axis=(-2, -1) if place == "out" else -1,
        use_bias=place in config.bias,
        dtype=config.dtype,
        param_dtype=config.param_dtype,
        kernel_init=nn.initializers.lecun_normal(),
        name=name,
    )


def _tokens(x_btd: Array) -> Array:
    """Returns the stream with batch and time as one axis n: on a CPU, XLA differentiates a product of two matrices 2.7 times faster."""
    return x_btd.reshape(-1, x_btd.shape[-1])


def _norm(config: DecoderConfig, name: str | None) -> nn.Module:
    if config.norm == "rms":
        return nn.RMSNorm(epsilon=config.norm_eps, dtype=config.dtype, param_dtype=config.param_dtype, name=name)
    return nn.LayerNorm(
        epsilon=config.norm_eps,
        dtype=config.dtype,
        param_dtype=config.param_dtype,
        use_bias="norm" in config.bias,
        use_fast_variance=False,  # E[x^2] - E[x]^2 cancels where a stream's mean is large
        name=name,
    )


def rotate(x_bthk: Array, positions_bt: Array, config: DecoderConfig) -> Array:
    """Returns queries or keys turned by their positions (RoFormer, Su et al. 2021, section 3.2.2; halves, not neighbors, are paired).

    The first `rotary_dim` entries of a head are turned, each frequency divided by its `rope_scaling`.
    """
    half = config.rotary_dim // 2
    frequencies_k = config.rope_theta ** (-jnp.arange(half, dtype=jnp.float32) / half)
    if config.rope_scaling:
        frequencies_k = frequencies_k / jnp.array(config.rope_scaling, jnp.float32)
    angles_bt1k = positions_bt[:, :, None, None].astype(jnp.float32) * frequencies_k[None, None, None, :]
    sin, cos = jnp.sin(angles_bt1k).astype(x_bthk.dtype), jnp.cos(angles_bt1k).astype(x_bthk.dtype)
    left, right, rest = x_bthk[..., :half], x_bthk[..., half : 2 * half], x_bthk[..., 2 * half :]
    turned = [left * cos - right * sin, right * cos + left * sin]
    return jnp.concatenate([*turned, rest] if rest.shape[-1] else turned, axis=-1)


class Attention(nn.Module):
    """Causal self-attention with grouped key and value heads (Ainslie et al. 2023)."""

    config: DecoderConfig

    @nn.compact
    def __call__(self, x_btd: Array, positions_bt: Array) -> Array:
        c = self.config
        q_bthk = self._heads(x_btd, c.n_heads, "query")
        k_bshk = self._heads(x_btd, c.n_kv_heads, "key")
        v_bshk = self._heads(x_btd, c.n_kv_heads, "value")
        if c.positions == "rope":
            q_bthk, k_bshk = rotate(q_bthk, positions_bt, c), rotate(k_bshk, positions_bt, c)
        if c.attention == "xla":
            mixed_bthk = causal_attention(q_bthk, k_bshk, v_bshk)
        else:
            mixed_bthk = jax.nn.dot_product_attention(q_bthk, k_bshk, v_bshk, is_causal=True, implementation="cudnn")
        return _dense(c, c.d_model, "out", "out")(mixed_bthk.reshape(-1, c.n_heads, c.head_dim)).reshape(x_btd.shape)

    def _heads(self, x_btd: Array, heads: int, name: str) -> Array:
        """Queries, keys or values by head, queries and keys normalized where the config says so."""
        c, kind = self.config, self.config.qk_norm if name != "value" else "none"
        x_nhk = _dense(c, (heads, c.head_dim), name, "qkv")(_tokens(x_btd))
        if kind == "head":
            x_nhk = _norm(c, f"{name}_norm")(x_nhk)
        elif kind == "projection":
            x_nhk = _norm(c, f"{name}_norm")(x_nhk.reshape(-1, heads * c.head_dim))
        return x_nhk.reshape(*x_btd.shape[:2], heads, c.head_dim)


class MLP(nn.Module):
    """The position-wise network, plain or gated (Shazeer 2020)."""

    config: DecoderConfig

    @nn.compact
    def __call__(self, x_btd: Array) -> Array:
        c = self.config
        activation = ACTIVATIONS[c.activation]
        x_nd = _tokens(x_btd)
        hidden_nf = _dense(c, c.d_mlp, "up", "mlp")(x_nd)
        gate_nf = _dense(c, c.d_mlp, "gate", "mlp")(x_nd) if c.mlp == "gated" else None
        if gate_nf is None:
            hidden_nf = activation(hidden_nf)
        else:  # of what lies between the products, nothing is kept: a scan would stack it, which takes longer than to make it again
            hidden_nf = jax.checkpoint(lambda gate, up: activation(gate) * up, prevent_cse=False)(gate_nf, hidden_nf)
        return _dense(c, c.d_model, "down", "mlp")(hidden_nf).reshape(x_btd.shape)


class Block(nn.Module):
    """One layer, its branches one after the other or side by side; the carry is the residual stream."""

    config: DecoderConfig
    deterministic: bool

    @nn.compact
    def __call__(self, x_btd: Array, positions_bt: Array) -> tuple[Array, None]:
        c = self.config
        drop = nn.Dropout(c.dropout, deterministic=self.deterministic)
        attention_norm, mlp_norm = _norm(c, "attention_norm"), _norm(c, "mlp_norm")
        attention, mlp = Attention(c, name="attention"), MLP(c, name="mlp")
        if c.norm_place == "post":
            attended_btd = x_btd + drop(attention_norm(attention(x_btd, positions_bt)))
            return attended_btd + drop(mlp_norm(mlp(x_btd if c.parallel else attended_btd))), None
        attended_btd = x_btd + drop(attention(attention_norm(x_btd), positions_bt))
        return attended_btd + drop(mlp(mlp_norm(x_btd if c.parallel else attended_btd))), None


def _block(config: DecoderConfig) -> Any:
    """The block under the remat policy: 'full' keeps nothing, 'dots' keeps the matrix products."""
    if config.remat == "none":
        return Block
    policy = None if config.remat == "full" else jax.checkpoint_policies.dots_with_no_batch_dims_saveable
    return nn.remat(Block, policy=policy, prevent_cse=not config.scan)


class Decoder(nn.Module):
    """Embedding, blocks, final norm, head; the linen module behind `decoder`."""

    config: DecoderConfig

    def setup(self) -> None:
        """Returns after what `hidden` and `head` share, or use alone, is named."""
        c = self.config
        init = nn.initializers.normal(0.02 if c.tied else 1.0)
        embed = functools.partial(nn.Embed, features=c.d_model, embedding_init=init, dtype=c.dtype, param_dtype=c.param_dtype)
        self.embedding = embed(c.vocab_size)
        if c.positions == "learned":
            self.position = embed(c.n_positions)
        self.final_norm = _norm(c, None)
        if not c.tied:
            self.output = _dense(c, c.vocab_size, "head", "head")

    def __call__(self, batch: Batch, deterministic: bool = True) -> Array:
        return self.head(self.hidden(batch, deterministic))

    @nn.compact
    def hidden(self, batch: Batch, deterministic: bool = True) -> Array:
        """Returns the residual stream behind the final norm, (batch, time, d_model)."""
        c = self.config
        tokens_bt = batch["inputs"]
        if tokens_bt.shape[1] > c.max_length:
            raise UsageError(f"a batch of {tokens_bt.shape[1]} tokens is longer than model.max_length = {c.max_length}")
        positions_bt = batch.get("positions", jnp.broadcast_to(jnp.arange(tokens_bt.shape[1])[None, :], tokens_bt.shape))
        x_btd = self.embedding(tokens_bt)
        if c.positions == "learned":
            x_btd = x_btd + self.position(positions_bt)
        return self.final_norm(self._layers(x_btd, positions_bt, deterministic))

    def head(self, x_btd: Array) -> Array:
        """Returns the logits of a stream, (batch, time, vocabulary)."""
        x_nd = _tokens(x_btd)
        logits_nv = self.embedding.attend(x_nd) if self.config.tied else self.output(x_nd)
        return logits_nv.reshape(*x_btd.shape[:2], self.config.vocab_size)

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
