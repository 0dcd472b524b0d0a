"""The paper's networks for distorted MNIST: their sizes, shapes and names."""

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

import stn_jax as stn
from stn_jax.models.distorted_mnist import NAMES, DistortedMnistConfig


@pytest.mark.parametrize("name", NAMES)
def test_sizes_are_the_papers(name):
    """About 400k parameters each (paper, appendix A.4), with its layers and 42 x 42 inputs."""
    widths = {"fcn": {"hidden": (208, 128)}, "st_fcn": {"hidden": (200, 128)}}.get(name, {})
    model = DistortedMnistConfig(name, **widths).build((42, 42, 1), 10, rngs=nnx.Rngs(0))
    count = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))
    if name.endswith("fcn"):
        assert 350_000 < count < 450_000
    images = jax.ShapeDtypeStruct((2, 42, 42, 1), jnp.float32)
    prediction = jax.eval_shape(model.forward, images)
    assert prediction.logits.shape == (2, 10)
    assert len(prediction.warps) == name.startswith("st_")


@pytest.mark.parametrize("transform", [stn.Projective(), stn.ThinPlateSpline((4, 4))], ids=str)
def test_any_transform(transform):
    config = DistortedMnistConfig(
        "st_cnn",
        transform=transform,
        output_shape=(40, 40),
        shrink=2,
        kernel_sizes=(5, 5),
        localization="fc",
    )
    model = config.build((42, 42, 3), 4, rngs=nnx.Rngs(0))
    prediction = jax.eval_shape(model.forward, jax.ShapeDtypeStruct((2, 42, 42, 3), jnp.float32))
    assert prediction.logits.shape == (2, 4)
    assert prediction.warps[0].theta.shape == (2, transform.num_params)
    assert prediction.warps[0].features.shape == (2, 40, 40, 3)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"name": "vgg"}, "name='vgg'.*st_cnn"), ({"localization": "x"}, "localization='x'.*conv")],
)
def test_unknown_names_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        DistortedMnistConfig(**options)


@pytest.mark.parametrize("name", NAMES)
def test_an_input_of_another_shape_is_refused(name):
    model = DistortedMnistConfig(name).build((42, 42, 1), 10, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"\(2, 40, 40, 1\).*built for \(b, 42, 42, 1\)"):
        model(jnp.ones((2, 40, 40, 1), jnp.float32))
