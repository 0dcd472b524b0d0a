"""The four maps of sampling: what they keep, what they compute, that one transposes another."""

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
            for got, want in zip(
                jax.tree.leaves(both), jax.tree.leaves(gradients(*one)), strict=True
            ):
                np.testing.assert_allclose(got[k, m], want, rtol=1e-12)


def test_value_and_image_gradient_take_the_same_pixels():
    """``<V', S U> = <S^T V', U>``, also where rounding decides on which side of a pixel x lies.

    Were x computed twice and rounded in two ways, its index and its weight might belong to
    different pixels: some of these 720,000 points would be added a whole pixel off.
    """
    count, shape = 8, (300, 300)
    rng = np.random.default_rng(0)
    image, values = rng.standard_normal((2, count, *shape, 1)).astype(np.float32)
    angle, size = rng.uniform([[-0.5], [0.7]], [[0.5], [1.3]], (2, count)).astype(np.float32)
    theta = jax.vmap(
        lambda a, s: stn.compose(stn.rotation(a), stn.scaling(s[None] * jnp.ones(2, s.dtype)))
    )(angle, size)

    @jax.jit
    def both(image, theta):
        read, transpose = jax.vjp(
            lambda u: stn.grid_sample(u, stn.affine_grid(theta, shape)), image
        )
        return read, transpose(values)[0]

    read, gradient = both(image, theta)
    for k in range(count):
        want = np.vdot(values[k], np.float64(read[k]))
        assert abs(np.vdot(np.float64(gradient[k]), image[k]) - want) < 0.02


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
