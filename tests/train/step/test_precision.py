"""bfloat16: which products are rounded, what stays exact, how near values and gradients are."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random
from jax.extend.core import jaxprs_in_params

from stn_jax.models import CNN, STN, ConvolutionalLocalizer
from train.step.optimizer import is_localization
from train.step.state import Network, build_network

pytestmark = pytest.mark.usefixtures("plain_numerics")

X = np.linspace(-1, 1, 12, dtype=np.float32)
IMAGES = np.stack([np.exp(-4 * ((X - m) ** 2 + (X[:, None] + m) ** 2)) for m in (-0.3, 0, 0.5)])
IMAGES = IMAGES[..., None]
MODEL = STN(CNN((4, 5), (3, 3), (6,)), ConvolutionalLocalizer((3,), (3,), (7,)))


def build(precision: Any) -> Network:
    return build_network(MODEL, (12, 12, 1), 10, 0, precision)


@pytest.fixture
def params(plain_numerics: None) -> dict[str, jax.Array]:
    """Parameters of a transformer that has learned something."""
    found, name = build("float32").init(), "transformer.localization.layers.1.head.kernel"
    return found | {name: 0.1 * random.normal(random.key(1), found[name].shape)}


def products(jaxpr: Any) -> Iterator[Any]:
    """Yields the matrix products and convolutions of a program, those of inner ones too."""
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("dot_general", "conv_general_dilated"):
            yield equation
        for inner in jaxprs_in_params(equation.params):
            yield from products(inner)


def test_all_products_but_those_of_localization_are_bfloat16(params: Any) -> None:
    rounded = jax.make_jaxpr(build("bfloat16"))(params, IMAGES)
    dtypes = [str(equation.outvars[0].aval.dtype) for equation in products(rounded.jaxpr)]
    exact = jax.make_jaxpr(build("float32"))(params, IMAGES)
    assert len(dtypes) == sum(1 for _ in products(exact.jaxpr))
    assert dtypes.count("bfloat16") >= 4
    assert dtypes.count("float32") >= 3


def test_theta_and_grid_are_exact_and_the_prediction_is_float32(params: Any) -> None:
    exact, rounded = (build(precision)(params, IMAGES) for precision in ("float32", "bfloat16"))
    assert {x.dtype for x in jax.tree.leaves(rounded)} == {jnp.dtype("float32")}
    warp = rounded.warps[0]
    moved = np.abs(warp.theta - exact.warps[0].theta).max()
    assert 0 < moved < 2e-2  # its input was rounded
    assert np.any(np.asarray(warp.theta) != np.asarray(warp.theta.astype(jnp.bfloat16)))
    assert np.any(np.asarray(warp.grid) != np.asarray(warp.grid.astype(jnp.bfloat16)))
    np.testing.assert_allclose(rounded.logits, exact.logits, atol=0.05)
    assert np.any(np.asarray(rounded.logits) != np.asarray(exact.logits))


def test_gradients_are_float32_and_near(params: Any) -> None:
    def loss(network: Network) -> Any:
        return jax.grad(lambda params: jnp.sum(network(params, IMAGES).logits ** 2))(params)

    exact, rounded = loss(build("float32")), loss(build("bfloat16"))
    assert {gradient.dtype for gradient in rounded.values()} == {jnp.dtype("float32")}
    for local, cosine in ((True, 0.95), (False, 0.999)):
        names = [name for name in exact if is_localization(name) == local]
        a, b = (np.concatenate([np.ravel(x[name]) for name in names]) for x in (exact, rounded))
        assert a @ b >= cosine * np.linalg.norm(a) * np.linalg.norm(b)
