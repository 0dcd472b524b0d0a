"""The four maps of sampling: what is kept, what is computed, and that each is another's transpose."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from jax.ad_checkpoint import print_saved_residuals

import stn_jax as stn

MODES = [("bilinear", "zeros"), ("bilinear", "wrap"), ("bicubic", "reflection")]


def example(*lead, n=2, dtype=np.float32):
    rng = np.random.default_rng(n)
    image = rng.standard_normal((*lead, *(5, 6, 4)[:n], 2)).astype(dtype)
    grid = rng.uniform(-1.4, 1.4, (*lead, *(3, 5, 2)[:n], n)).astype(dtype)
    return jnp.asarray(image), jnp.asarray(grid)


@pytest.mark.parametrize(("mode", "padding_mode"), MODES)
def test_reverse_mode_keeps_image_and_points_alone(capsys, mode, padding_mode):
    sample = functools.partial(stn.grid_sample, mode=mode, padding_mode=padding_mode)
    print_saved_residuals(sample, *example(3))
    kept = capsys.readouterr().out.strip().splitlines()
    assert len(kept) == 2, kept
    assert all("from the argument" in line for line in kept)


def test_what_nobody_asks_for_is_not_computed():
    def loss(image, grid):
        return jnp.sum(stn.grid_sample(image, grid) ** 2)

    for argument, own, other in ((0, "stn_splat", "stn_slope"), (1, "stn_slope", "stn_splat")):
        program = str(jax.make_jaxpr(jax.grad(loss, argument))(*example(3)))
        assert own in program
        assert other not in program


@pytest.mark.parametrize("axes", [(0, 0), (None, 0), (0, None)])
@pytest.mark.parametrize("inner", [(0, 0), (None, 0), (0, None)])
def test_a_batch_is_its_examples_whoever_makes_it(axes, inner):
    def gradients(image, grid):
        return jax.value_and_grad(lambda i, g: jnp.sum(jnp.sin(stn.grid_sample(i, g))), (0, 1))(
            image, grid
        )

    def pick(array, axis, k):
        return array if axis is None else array[k]

    image, grid = example(2, 3, dtype=np.float64)
    image, grid = (
        x[tuple(0 if axis is None else slice(None) for axis in pair)]
        for x, pair in zip((image, grid), zip(axes, inner, strict=True), strict=True)
    )
    both = jax.vmap(jax.vmap(gradients, in_axes=inner), in_axes=axes)(image, grid)
    for k in range(2):
        for m in range(3):
            one = [
                pick(pick(x, out, k), into, m)
                for x, out, into in zip((image, grid), axes, inner, strict=True)
            ]
            want, got = gradients(*one), jax.tree.map(lambda x: x[k, m], both)
            jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-12), got, want)


@pytest.mark.parametrize("shape", [(90, 70), (24, 30, 28)])
def test_value_and_image_gradient_take_the_same_pixels(shape):
    """``<V', S U> = <S^T V', U>``, also where rounding decides on which side of a pixel x lies.

    If x were computed twice and rounded twice, its index and its weight might belong to different
    pixels; about one point in 100,000 of a rotated lattice then reads a whole pixel off.
    """
    n = len(shape)
    rng = np.random.default_rng(0)
    image = jnp.asarray(rng.standard_normal((4, *shape, 1)), jnp.float32)
    values = jnp.asarray(rng.standard_normal((4, *shape, 1)), jnp.float32)
    # Half the lattice on pixel centres, up to rounding: the hardest points there are.
    scale = jnp.asarray(rng.choice([1.0, 0.5, 1 / 3], (4, n)), jnp.float32)
    theta = jax.vmap(stn.scaling)(scale)

    def sample(image):
        return stn.grid_sample(image, stn.affine_grid(theta, shape))

    @jax.jit
    def both(image):
        read, transpose = jax.vjp(sample, image)
        return read, transpose(values)[0]

    read, gradient = map(np.float64, both(image))
    for k in range(4):
        want, got = np.vdot(values[k], read[k]), np.vdot(gradient[k], image[k])
        assert abs(want - got) < 2e-4 * np.sqrt(np.sum(read[k] ** 2)), (k, want, got)


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_programs_for_other_platforms_with_any_number_of_images(platform):
    """No such device is here: the program for it is made, with all gradients, and not run."""
    (batch,) = export.symbolic_shape("b")
    image = jax.ShapeDtypeStruct((batch, 16, 16, 3), jnp.float32)
    theta = jax.ShapeDtypeStruct((batch, 2, 3), jnp.float32)

    def loss(image, theta):
        return jnp.sum(stn.grid_sample(image, stn.affine_grid(theta, (8, 8))) ** 2)

    program = export.export(jax.jit(jax.value_and_grad(loss, (0, 1))), platforms=[platform])(
        image, theta
    )
    text = program.mlir_module()
    assert ("dot_general" in text) == (platform == "tpu")  # a TPU multiplies, a GPU gathers
    assert ("scatter" in text) == (platform == "cuda")
