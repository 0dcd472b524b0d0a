"""The paper's networks: their sizes, their shapes, their names."""

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

import stn_jax as stn
from stn_jax.models.distorted_mnist import NAMES, build


@pytest.mark.parametrize("name", NAMES)
def test_sizes_are_the_papers(name):
    """About 400k parameters each (paper, appendix A.4), with its layers and 42 x 42 inputs."""
    widths = {"fcn": {"hidden": (208, 128)}, "st_fcn": {"hidden": (200, 128)}}.get(name, {})
    model = build(name, input_shape=(42, 42, 1), num_classes=10, rngs=nnx.Rngs(0), **widths)
    count = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))
    if name.endswith("fcn"):
        assert 350_000 < count < 450_000
    images = jnp.ones((2, 42, 42, 1), jnp.float32)
    prediction = model.forward(images)
    assert prediction.logits.shape == (2, 10)
    assert len(prediction.warps) == name.startswith("st_")


@pytest.mark.parametrize("transform", [stn.Projective(), stn.ThinPlateSpline((4, 4))], ids=str)
def test_any_transform(transform):
    model = build(
        "st_cnn",
        input_shape=(42, 42, 3),
        num_classes=4,
        transform=transform,
        output_shape=(40, 40),
        shrink=2,
        kernel_sizes=(5, 5),
        localization="fc",
        rngs=nnx.Rngs(0),
    )
    prediction = model.forward(jnp.ones((2, 42, 42, 3), jnp.float32))
    assert prediction.logits.shape == (2, 4)
    assert prediction.warps[0].theta.shape == (2, transform.num_params)
    assert prediction.warps[0].features.shape == (2, 40, 40, 3)


def test_unknown_names():
    for options, words in (
        ({"name": "vgg"}, "st_cnn"),
        ({"name": "st_fcn", "localization": "x"}, "conv"),
    ):
        with pytest.raises(ValueError, match=words):
            build(input_shape=(28, 28, 1), num_classes=2, rngs=nnx.Rngs(0), **options)
