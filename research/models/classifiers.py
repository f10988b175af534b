"""Classifiers of small grayscale images: the two networks of Li et al. 2018 (arXiv 1804.08838, section 3)."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from research.errors import UsageError
from research.models.model import Batch, Model, from_linen

KINDS = ("mlp", "lenet")
FILTERS, WINDOW, POOL, WIDTHS = (6, 16), (5, 5), (2, 2), (120, 84)  # of LeNet


@dataclasses.dataclass(frozen=True)
class ClassifierConfig:
    """The kind and the sizes of a classifier: pixels (height, width) of an image, widths of the mlp's hidden layers, number of classes."""

    kind: str
    pixels: tuple[int, int]
    hidden: tuple[int, ...] = (200, 200)
    classes: int = 10

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"model.kind = {self.kind!r}: choose one of {', '.join(KINDS)}")
        if len(self.pixels) != 2 or min(self.pixels) < 1:
            raise UsageError(f"model.pixels = {self.pixels}: give (height, width), both at least 1")
        if min(self.hidden, default=1) < 1:
            raise UsageError(f"model.hidden = {self.hidden}: every width must be at least 1")
        if self.classes < 2:
            raise UsageError(f"model.classes = {self.classes}: must be at least 2")
        if self.kind == "lenet" and min(self.pixels) < _least():
            raise UsageError(
                f"model.kind = 'lenet' needs images of at least {_least()}x{_least()}: two valid {WINDOW[0]}x{WINDOW[1]} convolutions, "
                f"each followed by pooling, do not fit into {self.pixels[0]}x{self.pixels[1]}; choose larger images or kind 'mlp'"
            )


def classifier(config: ClassifierConfig) -> Model:
    """Returns the classifier as a model; its batch holds `inputs` (b, height * width) in [0, 1], its logits are (b, classes).

    Kernels start from flax's default, lecun_normal, biases from zero (the released code of the paper: he_normal). Modules are named
    conv_0, conv_1 and dense_0, dense_1, ...; the last dense one gives the logits.
    """
    return from_linen(Classifier(config))


class Classifier(nn.Module):
    """Convolutions and pooling where the kind has them, then dense layers with relu; the linen module behind `classifier`."""

    config: ClassifierConfig

    @nn.compact
    def __call__(self, batch: Batch, deterministic: bool = True) -> Array:
        c = self.config
        x_bf = batch["inputs"]
        if x_bf.shape[-1] != c.pixels[0] * c.pixels[1]:
            raise UsageError(f"a batch of {x_bf.shape[-1]} pixels does not fit model.pixels = {c.pixels}; set it to the data's shape")
        if c.kind == "lenet":
            x_bf = _convolve(x_bf.reshape(-1, *c.pixels, 1)).reshape(x_bf.shape[0], -1)
        widths = WIDTHS if c.kind == "lenet" else c.hidden
        for layer, width in enumerate(widths):
            x_bf = nn.relu(nn.Dense(width, name=f"dense_{layer}")(x_bf))
        return nn.Dense(c.classes, name=f"dense_{len(widths)}")(x_bf)


def _convolve(x_bhwc: Array) -> Array:
    for layer, filters in enumerate(FILTERS):
        x_bhwc = nn.Conv(filters, WINDOW, padding="VALID", conv_general_dilated=_as_product, name=f"conv_{layer}")(x_bhwc)
        x_bhwc = _pool(nn.relu(x_bhwc))
    return x_bhwc


def _as_product(x_bhwc: Array, kernel_ijcf: Array, *_: Any, **__: Any) -> Array:
    """A valid convolution as one product of patches: in a loop XLA's CPU convolution is 5 times slower, under vmap a grouped one."""
    rows, columns, filters = kernel_ijcf.shape[0], kernel_ijcf.shape[1], kernel_ijcf.shape[3]
    high, wide = x_bhwc.shape[1] - rows + 1, x_bhwc.shape[2] - columns + 1
    shifted = [x_bhwc[:, i : i + high, j : j + wide] for i in range(rows) for j in range(columns)]
    return jnp.concatenate(shifted, axis=-1) @ kernel_ijcf.reshape(-1, filters)


def _pool(x_bhwc: Array) -> Array:
    """The largest of each POOL of pixels; rows and columns that fill none are left out."""
    batch, high, wide, features = x_bhwc.shape
    whole = x_bhwc[:, : high - high % POOL[0], : wide - wide % POOL[1]]
    return whole.reshape(batch, high // POOL[0], POOL[0], wide // POOL[1], POOL[1], features).max((2, 4))


def _least() -> int:
    """Returns the height and width of which LeNet's convolutions and pooling leave one pixel."""
    size = 1
    for _ in FILTERS:
        size = size * POOL[0] + WINDOW[0] - 1
    return size
