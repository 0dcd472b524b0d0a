"""Anti-aliased sampling: less aliases where a map shrinks, nothing changes where none does."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import stn_jax as stn
from stn_jax.sampling import pyramid

QUICK = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def texture(size=192, seed=0):
    """Noise with a spectrum like a photograph's, 1 / f, and edges on it."""
    rng = np.random.default_rng(seed)
    f = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)) + 1 / size
    noise = np.fft.ifft2(np.fft.fft2(rng.standard_normal((size, size))) / f).real
    y, x = np.indices((size, size))
    picture = noise / noise.std() + ((x // 3 + y // 5) % 2)
    return ((picture - picture.min()) / np.ptp(picture))[..., None].astype(np.float32)


def photograph():
    return (pytest.importorskip("skimage.data").camera()[:384, :384, None] / 255).astype(np.float32)


def similarity(scale, angle):
    turn = stn.rotation(jnp.asarray(angle, jnp.float32))
    return stn.compose(turn, stn.scaling(jnp.full(2, scale, jnp.float32)))


def psnr(value, truth):
    return -10 * np.log10(np.mean((np.asarray(value) - np.asarray(truth)) ** 2))


@pytest.mark.parametrize("picture", [texture, photograph])
@pytest.mark.parametrize(("factor", "angle"), [(3, 0.0), (4, 0.0), (6, 0.0), (4, 0.4), (6, 0.4)])
def test_less_of_a_shrunken_picture_aliases(picture, factor, angle):
    """Against the area average: the mean of 8 x 8 bilinear samples in each output pixel."""
    image = picture()
    out = image.shape[0] // factor // 2
    theta = similarity(0.5, angle)  # half the image on ``out`` pixels: shrunk by ``factor``
    fine = stn.grid_sample(image, stn.affine_grid(theta, (8 * out, 8 * out)))
    truth = fine.reshape(out, 8, out, 8, 1).mean((1, 3))
    grid = stn.affine_grid(theta, (out, out))
    plain, better = (stn.grid_sample(image, grid, antialias=a) for a in (False, True))
    assert psnr(better, truth) > psnr(plain, truth) + 3


@pytest.mark.parametrize("mode", ["bilinear", pytest.param("bicubic", marks=pytest.mark.slow)])
@pytest.mark.parametrize("padding_mode", ["zeros", "border", "reflection", "wrap", "fill"])
def test_nothing_changes_where_nothing_shrinks(padding_mode, mode):
    rng = np.random.default_rng(0)
    image, weight = rng.random((8, 7, 1)), rng.random((8, 7, 1))
    options = {"mode": mode, "padding_mode": padding_mode}

    @QUICK
    def run(image, params):
        def loss(image, params, antialias):
            grid = stn.Similarity().grid(params, (8, 7))
            value = stn.grid_sample(image, grid, antialias=antialias, **options)
            return jnp.sum(weight * value), value

        graded = jax.value_and_grad(loss, (0, 1), has_aux=True)
        return graded(image, params, False), graded(image, params, 1)

    for params in ([0.8, 0.1, 0.3, -0.4], [0.5, 1.0, 0.0, 0.0]):
        plain, same = run(image, jnp.array(params))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-13), same, plain)
    plain, other = run(image, jnp.array([2.0, 0.1, 0.3, 0.0]))
    assert np.abs(other[0][1] - plain[0][1]).max() > 0.01


@pytest.mark.slow
def test_derivatives_are_those_of_its_values():
    rng = np.random.default_rng(0)
    image = rng.random((8, 9, 1))
    grid = np.asarray(stn.affine_grid(similarity(1.07, 0.3), (2, 3)), np.float64)
    grid += 0.05 * rng.random(grid.shape)

    def sample(image, grid):
        return stn.grid_sample(image, grid, antialias=True, max_levels=2)

    check_grads(sample, (image, grid), 1, ("fwd", "rev"), atol=1e-6, rtol=1e-6, eps=1e-6)
    shares = pyramid._shares(
        pyramid._square_stretch([jnp.asarray(grid[..., 1] * 4), jnp.asarray(grid[..., 0] * 4.5)]), 3
    )
    assert all(np.any(share > 0.01) for share in shares[1:])  # the levels did take part


@pytest.mark.parametrize("padding_mode", ["zeros", "border", "reflection", "wrap"])
def test_a_lost_point_is_lost_alone(padding_mode):
    image = np.random.default_rng(0).random((8, 8, 1))
    grid = np.array(stn.identity_grid((5, 5), dtype=jnp.float64)) + 0.013

    @QUICK
    def run(grid):
        def loss(image, grid):
            value = stn.grid_sample(image, grid, antialias=True, padding_mode=padding_mode)
            return jnp.nansum(value**2), value

        return jax.value_and_grad(loss, (0, 1), has_aux=True)(image, grid)

    (_, whole), _ = run(grid)
    for bad in (np.nan, 1e6, 1e20, np.inf, -np.inf):
        holed = grid.copy()
        holed[2, 2, 0] = bad
        (_, value), gradients = run(holed)
        assert np.isnan(value).sum() == np.isnan(bad), bad
        assert np.isnan(value[2, 2, 0]) == np.isnan(bad)
        # Its neighbours have another neighbour on the other side: they do not notice.
        np.testing.assert_allclose(np.delete(value, 12), np.delete(whole, 12), atol=1e-12)
        assert all(np.isfinite(g).all() for g in gradients), bad


@pytest.mark.slow
def test_a_number_is_the_most_halvings():
    image = texture(64).astype(np.float64)
    grid = stn.affine_grid(similarity(1.0, 0.0), (8, 8))  # a step of 8: asks for nearly 3
    levels = [{}, *({"antialias": True, "max_levels": k} for k in (0, 1, 2, 3, None))]
    values = [stn.grid_sample(image, grid, **options) for options in levels]
    np.testing.assert_array_equal(values[0], values[1])
    by_hand = image.reshape(32, 2, 32, 2, 1).mean((1, 3))
    np.testing.assert_allclose(values[2], stn.grid_sample(by_hand, grid), atol=1e-6)
    by_hand = image.reshape(16, 4, 16, 4, 1).mean((1, 3))
    np.testing.assert_allclose(values[3], stn.grid_sample(by_hand, grid), atol=1e-6)
    np.testing.assert_allclose(values[4], values[5], atol=1e-12)
    two = image.reshape(16, 4, 16, 4, 1).mean((1, 3)), image.reshape(8, 8, 8, 8, 1).mean((1, 3))
    share = (1 + 63 / 3 - 16) / (64 - 16)  # between 4^2 and 4^3, linear in 4^l
    mix = [stn.grid_sample(level, grid) for level in two]
    np.testing.assert_allclose(values[4], (1 - share) * mix[0] + share * mix[1], atol=1e-6)


def test_volumes_and_batches():
    rng = np.random.default_rng(0)
    volume = rng.random((2, 8, 6, 4, 1))
    grid = np.asarray(stn.identity_grid((4, 3, 2), dtype=jnp.float64))
    value = stn.grid_sample(volume, grid, antialias=True, max_levels=1)
    assert value.shape == (2, 4, 3, 2, 1)
    halved = volume.reshape(2, 4, 2, 3, 2, 2, 2, 1).mean((2, 4, 6))
    # A step of 2 wants 1 + 3 / 3 = 2, between 4^0 and 4^1: a third from the second level.
    expected = 2 / 3 * stn.grid_sample(volume, grid) + 1 / 3 * halved
    np.testing.assert_allclose(value, expected, atol=1e-12)
    mapped = jax.jit(jax.vmap(lambda u: stn.grid_sample(u, grid, antialias=True, max_levels=1)))(
        volume
    )
    np.testing.assert_allclose(mapped, value, atol=1e-12)


def test_one_process_may_work_in_both_precisions():
    """What is kept from one call to the next must not carry the first call's precision."""
    image = np.random.default_rng(0).random((6, 5, 1)).astype(np.float32)
    grid = np.asarray(stn.identity_grid((3, 3)))
    values = []
    for x64 in (True, False):
        with jax.enable_x64(x64):
            values.append(stn.grid_sample(image, grid, antialias=True, max_levels=1))
    np.testing.assert_allclose(*values, atol=1e-6)


def test_shares_sum_to_one_and_are_where_the_footprint_asks():
    stretch = np.concatenate([[1.0], np.geomspace(1, 1e6, 500), [1e12]])
    shares = np.stack(pyramid._shares(jnp.asarray(stretch), 6))
    np.testing.assert_allclose(shares.sum(0), 1, atol=1e-12)
    assert (shares >= 0).all()
    assert ((shares > 0).sum(0) <= 2).all()
    np.testing.assert_array_equal(shares[:, 0], np.eye(6)[0])
    np.testing.assert_array_equal(shares[:, -1], np.eye(6)[5])
    inside = stretch < 3 * (4**5 - 1) + 1
    wanted = np.sum(4.0 ** np.arange(6)[:, None] * shares, axis=0)
    np.testing.assert_allclose(wanted[inside], 1 + (stretch[inside] - 1) / 3, rtol=1e-9)


@pytest.mark.parametrize("shape", [(4, 6), (5, 7), (1, 2), (3, 1), (9, 8), (5, 4, 3)])
def test_halving_is_an_exact_average_over_areas(shape):
    image = np.random.default_rng(0).random((*shape, 2))
    half = np.asarray(pyramid.halve(jnp.asarray(image)))
    assert half.shape[:-1] == tuple(-(-size // 2) for size in shape)
    np.testing.assert_allclose(half.mean(), image.mean(), atol=1e-14)
    expected = image
    for axis, size in enumerate(shape):  # every pixel in ``half`` equal parts, then means of runs
        parts = -(-size // 2)
        split = np.moveaxis(np.repeat(expected, parts, axis), axis, 0)
        runs = split.reshape(parts, size, *split.shape[1:]).mean(1)
        expected = np.moveaxis(runs, 0, axis)
    np.testing.assert_allclose(half, expected, atol=1e-14)


@pytest.mark.parametrize(
    ("transform", "params", "scale", "shift"),
    [
        (stn.Attention(), [1.5, 0.1, -0.2], [1.5, 1.5], [0.1, -0.2]),
        (stn.Translation(), [0.1, -0.2], [1.0, 1.0], [0.1, -0.2]),
        (
            stn.Affine(free=((True, False, True), (False, True, True))),
            [1.5, 0.1, -2.5, -0.2],
            [1.5, -2.5],
            [0.1, -0.2],
        ),
    ],
)
def test_transforms_that_do_not_mix_axes_need_no_pyramid(transform, params, scale, shift):
    image = np.random.default_rng(0).random((9, 8, 1))
    options = {"shape": (3, 4), "padding_mode": "border", "align_corners": True}
    value = stn.spatial_transform(
        image, jnp.array(params), transform=transform, antialias=True, **options
    )
    expected = stn.separable_sample(image, jnp.array(scale), jnp.array(shift), **options)
    np.testing.assert_array_equal(value, expected)
    plain = stn.spatial_transform(image, jnp.array(params), transform=transform, **options)
    assert np.abs(value - plain).max() > 0.01


def test_transforms_that_mix_axes_take_the_pyramid():
    image = np.random.default_rng(0).random((9, 8, 1))
    params = jnp.array([1.5, 0.0, 0.1, 0.0, 1.5, 0.2])
    value = stn.spatial_transform(image, params, (3, 4), antialias=True)
    grid = stn.Affine().grid(params, (3, 4))
    np.testing.assert_array_equal(value, stn.grid_sample(image, grid, antialias=True))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"antialias": True, "max_levels": -1}, "max_levels=-1 must not be negative"),
        ({"antialias": True, "mode": "nearest"}, "use 'bilinear'"),
    ],
)
@pytest.mark.parametrize("sample", [stn.grid_sample, stn.sample_pixels])
def test_errors_say_what_to_do(sample, options, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        sample(jnp.ones((4, 4, 1)), jnp.ones((2, 2, 2)), **options)
