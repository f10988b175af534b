"""The shape and the switches of a decoder, as plain values."""

import dataclasses

from research.errors import UsageError

CHOICES = {
    "norm": ("rms", "layer"),
    "norm_place": ("pre", "post"),
    "qk_norm": ("none", "head", "projection"),
    "positions": ("rope", "learned"),
    "mlp": ("gated", "plain"),
    "activation": ("gelu", "gelu_exact", "silu"),
    "remat": ("none", "full", "dots"),
    "dtype": ("float32", "bfloat16", "float16"),
    "param_dtype": ("float32", "bfloat16", "float16"),
    "attention": ("xla", "cudnn"),
}
BIASES = ("qkv", "out", "mlp", "norm", "head")
FREE = ("max_length", "dropout", "scan", "remat", "dtype", "param_dtype", "attention")  # fields that change no parameter's meaning
_SIZES = ("vocab_size", "d_model", "n_layers", "n_heads", "n_kv_heads", "d_mlp", "max_length")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """The shape and the switches of a decoder; sizes in scalars, `max_length` in tokens.

    head_dim, rotary_dim, n_positions: of 0 become d_model / n_heads, head_dim and max_length.
    rotary_dim: leading entries of a head that are turned. rope_scaling: what each of the rotary_dim / 2 frequencies is divided by, () for
    nothing. n_positions: rows of a table of learned positions.
    norm_place: whether a norm stands before its branch or behind it. qk_norm: of queries and keys before they are turned, for each head or
    of the whole projection. parallel: both branches of a layer read the same stream. bias: the places, among `BIASES`, that have one.
    """

    vocab_size: int = 256
    d_model: int = 64
    n_layers: int = 2
    n_heads: int = 2
    n_kv_heads: int = 2
    head_dim: int = 0
    d_mlp: int = 256
    max_length: int = 64
    norm: str = "rms"
    norm_eps: float = 1e-6
    norm_place: str = "pre"
    qk_norm: str = "none"
    positions: str = "rope"
    n_positions: int = 0
    rope_theta: float = 10_000.0
    rope_scaling: tuple[float, ...] = ()
    rotary_dim: int = 0
    mlp: str = "plain"
    activation: str = "gelu"
    parallel: bool = False
    bias: tuple[str, ...] = ()
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
        for place in self.bias:
            if place not in BIASES:
                raise UsageError(f"model.bias has {place!r}: choose among {', '.join(BIASES)}, or () for none")
        for field in _SIZES:
            if getattr(self, field) < 1:
                raise UsageError(f"model.{field} = {getattr(self, field)}: must be at least 1")
        if self.n_heads % self.n_kv_heads or (self.head_dim == 0 and self.d_model % self.n_heads):
            raise UsageError(
                f"model.n_heads = {self.n_heads} must divide d_model = {self.d_model} and be a multiple of n_kv_heads = {self.n_kv_heads}"
            )
        self._settle("head_dim", self.d_model // self.n_heads)
        self._settle("rotary_dim", self.head_dim)
        self._settle("n_positions", self.max_length)
        self._check_positions()
        self._check_attention()
        if not 0.0 <= self.dropout < 1.0:
            raise UsageError(f"model.dropout = {self.dropout}: must be in [0, 1)")

    def _settle(self, field: str, usual: int) -> None:
        if getattr(self, field) == 0:
            object.__setattr__(self, field, usual)

    def _check_positions(self) -> None:
        if self.positions == "learned" and self.n_positions < self.max_length:
            raise UsageError(f"model.max_length = {self.max_length} is more than the {self.n_positions} learned positions; lower it")
        if self.positions == "rope" and (self.rotary_dim % 2 or not 0 < self.rotary_dim <= self.head_dim):
            raise UsageError(
                f"model.positions = 'rope' turns pairs: model.rotary_dim = {self.rotary_dim}, which is the head size {self.head_dim} "
                "(d_model / n_heads) unless set, must be even and at most the head size"
            )
        if self.rope_scaling and len(self.rope_scaling) != self.rotary_dim // 2:
            words = f"{len(self.rope_scaling)} numbers for {self.rotary_dim // 2} frequencies"
            raise UsageError(f"model.rope_scaling has {words}: one is needed for each, or () for none")

    def _check_attention(self) -> None:
        if self.attention == "cudnn" and (self.dtype == "float32" or self.head_dim > 256 or self.head_dim % 8):
            words = f"dtype = {self.dtype} and a head size of {self.head_dim}"
            raise UsageError(
                f"model.attention = 'cudnn' takes bfloat16 or float16 and head sizes that are multiples of 8 up to 256, not {words}"
            )
