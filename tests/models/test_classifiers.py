import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research import tree
from research.errors import UsageError
from research.models import classifiers
from research.models.classifiers import ClassifierConfig, classifier
from research.models.model import Variables, count
from tests.models.drawing import drawn

IMAGES = np.random.default_rng(0).random((3, 784), np.float32)


def _dense(params: Variables, x_bf: np.ndarray, layers: int) -> np.ndarray:
    for layer in range(layers):
        kernel, bias = (np.asarray(params[f"dense_{layer}"][name], np.float64) for name in ("kernel", "bias"))
        x_bf = x_bf @ kernel + bias
        x_bf = x_bf if layer == layers - 1 else np.maximum(x_bf, 0)
    return x_bf


def _convolution(params: Variables, x_bhwc: np.ndarray) -> np.ndarray:
    windows_bhwcij = np.lib.stride_tricks.sliding_window_view(x_bhwc, (5, 5), axis=(1, 2))
    x_bhwf = np.maximum(np.einsum("bhwcij,ijcf->bhwf", windows_bhwcij, params["kernel"]) + np.asarray(params["bias"]), 0)
    b, h, w, f = x_bhwf.shape
    return x_bhwf.reshape(b, h // 2, 2, w // 2, 2, f).max((2, 4))


@pytest.mark.parametrize(("kind", "scalars", "modules"), [("mlp", 199_210, 3), ("lenet", 44_426, 5)])
def test_parameters_are_those_of_the_paper(kind: str, scalars: int, modules: int) -> None:
    variables = jax.jit(classifier(ClassifierConfig(kind, (28, 28))).init)(jax.random.key(0), {"inputs": IMAGES})
    assert count(variables) == scalars
    assert sorted(variables["params"]) == ["conv_0", "conv_1", "dense_0", "dense_1", "dense_2"][-modules:]
    for path, leaf in tree.flatten(variables).items():
        if path.endswith("bias"):
            assert not leaf.any()
        else:
            assert leaf.std() == pytest.approx((leaf.size / leaf.shape[-1]) ** -0.5, rel=0.15)


def test_the_mlp_is_dense_layers_with_relu_between() -> None:
    config = ClassifierConfig("mlp", (28, 28), hidden=(30, 20, 10), classes=4)
    model = classifier(config)
    variables = drawn(model, {"inputs": IMAGES})
    expected = _dense(variables["params"], IMAGES, 4)
    np.testing.assert_allclose(model.apply(variables, {"inputs": IMAGES}).logits, expected, atol=1e-5 * np.abs(expected).max())


def test_lenet_convolves_and_pools_twice_before_its_dense_layers() -> None:
    config = ClassifierConfig("lenet", (28, 28))
    model = classifier(config)
    variables = drawn(model, {"inputs": IMAGES})
    x_bhwc = IMAGES.reshape(-1, 28, 28, 1)
    for layer in range(2):
        x_bhwc = _convolution(variables["params"][f"conv_{layer}"], x_bhwc)
    expected = _dense(variables["params"], x_bhwc.reshape(3, -1), 3)
    np.testing.assert_allclose(model.apply(variables, {"inputs": IMAGES}).logits, expected, atol=1e-5 * np.abs(expected).max())


def test_the_smallest_images_of_lenet_fit() -> None:
    model = classifier(ClassifierConfig("lenet", (16, 17)))
    batch = {"inputs": jnp.ones((2, 16 * 17))}
    assert jax.eval_shape(lambda: model.apply(model.init(jax.random.key(0), batch), batch)).logits.shape == (2, 10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "resnet"}, "choose one of mlp, lenet"),
        ({"kind": "lenet", "pixels": (8, 8)}, "at least 16x16.*5x5 convolutions.*do not fit into 8x8"),
        ({"kind": "lenet", "pixels": (28, 15)}, "do not fit into 28x15"),
        ({"pixels": (0, 8)}, "both at least 1"),
        ({"hidden": (200, 0)}, "every width"),
        ({"classes": 1}, "at least 2"),
    ],
)
def test_sizes_that_make_no_network_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ClassifierConfig(**{"kind": "mlp", "pixels": (8, 8)} | arguments)


def test_images_of_another_size_are_refused() -> None:
    with pytest.raises(UsageError, match="a batch of 784 pixels does not fit"):
        classifier(ClassifierConfig("mlp", (8, 8))).init(jax.random.key(0), {"inputs": IMAGES})


def test_a_convolution_as_a_product_and_pooling_are_flaxs() -> None:
    x = jax.random.normal(jax.random.key(0), (2, 11, 12, 3))
    plain = nn.Conv(4, (5, 5), padding="VALID")
    variables = plain.init(jax.random.key(1), x)
    ours = nn.Conv(4, (5, 5), padding="VALID", conv_general_dilated=classifiers._as_product)
    np.testing.assert_allclose(ours.apply(variables, x), plain.apply(variables, x), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(classifiers._pool(x), nn.max_pool(x, (2, 2), strides=(2, 2)))
