"""Anti-aliased sampling: less aliases where a map shrinks, nothing changes where none does."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import stn_jax as stn
from stn_jax.sampling import pyramid


def texture(size: int = 192, seed: int = 0) -> Any:
    """Noise with a spectrum like a photograph's, 1 / f, and edges on it."""
    rng = np.random.default_rng(seed)
    f = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)) + 1 / size
    noise = np.fft.ifft2(np.fft.fft2(rng.standard_normal((size, size))) / f).real
    y, x = np.indices((size, size))
    picture = noise / noise.std() + ((x // 3 + y // 5) % 2)
    return ((picture - picture.min()) / np.ptp(picture))[..., None].astype(np.float32)


def photograph() -> Any:
    return (pytest.importorskip("skimage.data").camera()[:384, :384, None] / 255).astype(np.float32)


def similarity(scale: float, angle: float) -> jax.Array:
    turn = stn.rotation(jnp.asarray(angle, jnp.float32))
    return stn.compose(turn, stn.scaling(jnp.full(2, scale, jnp.float32)))


def psnr(value: Any, truth: Any) -> Any:
    return -10 * np.log10(np.mean((np.asarray(value) - np.asarray(truth)) ** 2))


def slow(*row: Any) -> Any:
    return pytest.param(*row, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("picture", "factor", "angle"),
    [(texture, 4, 0.4)]
    + [slow(p, f, a) for p in (texture, photograph) for f in (3, 4, 6) for a in (0.0, 0.4)],
)
def test_less_of_a_shrunken_picture_aliases(
    picture: Callable[..., Any], factor: int, angle: float
) -> None:
    """Against the area average: the mean of 8 x 8 bilinear samples in each output pixel."""
    image = picture()
    out = image.shape[0] // factor // 2
    theta = similarity(0.5, angle)  # half the image on ``out`` pixels: shrunk by ``factor``
    fine = stn.grid_sample(image, stn.affine_grid(theta, (8 * out, 8 * out)))
    truth = fine.reshape(out, 8, out, 8, 1).mean((1, 3))
    grid = stn.affine_grid(theta, (out, out))
    plain, better = (stn.grid_sample(image, grid, antialias=a) for a in (False, True))
    assert psnr(better, truth) > psnr(plain, truth) + 3


@pytest.mark.parametrize("mode", ["bilinear", pytest.param("lanczos3", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "padding_mode", ["reflection", slow("zeros"), slow("border"), slow("constant")]
)
def test_nothing_changes_where_nothing_shrinks(padding_mode: str, mode: str) -> None:
    rng = np.random.default_rng(0)
    image, weight = rng.random((8, 7, 1)), rng.random((8, 7, 1))
    options: dict[str, Any] = {"mode": mode, "padding_mode": padding_mode}

    @jax.jit
    def run(image: jax.Array, params: jax.Array) -> tuple[Any, ...]:
        def loss(image: jax.Array, params: jax.Array, antialias: bool) -> tuple[Any, ...]:
            grid = stn.Similarity().grid(params, (8, 7))
            max_levels = 1 if antialias else None
            value = stn.grid_sample(
                image, grid, antialias=antialias, max_levels=max_levels, **options
            )
            return jnp.sum(weight * value), value

        graded = jax.value_and_grad(loss, (0, 1), has_aux=True)
        return graded(image, params, False), graded(image, params, True)

    for params in ([0.8, 0.1, 0.3, -0.4], [0.5, 1.0, 0.0, 0.0]):
        plain, same = run(image, jnp.array(params))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-13), same, plain)
    plain, other = run(image, jnp.array([2.0, 0.1, 0.3, 0.0]))
    assert np.abs(other[0][1] - plain[0][1]).max() > 0.01


@pytest.mark.slow
def test_derivatives_are_those_of_its_values() -> None:
    rng = np.random.default_rng(0)
    image = rng.random((8, 9, 1))
    grid = np.asarray(stn.affine_grid(similarity(1.07, 0.3), (2, 3)), np.float64)
    grid += 0.05 * rng.random(grid.shape)

    def sample(image: jax.Array, grid: jax.Array) -> jax.Array:
        return stn.grid_sample(image, grid, antialias=True, max_levels=2)

    check_grads(sample, (image, grid), 1, ("fwd", "rev"), atol=1e-6, rtol=1e-6, eps=1e-6)
    shares = pyramid._shares(
        pyramid._square_stretch([jnp.asarray(grid[..., 1] * 4), jnp.asarray(grid[..., 0] * 4.5)]), 3
    )
    assert all(np.any(share > 0.01) for share in shares[1:])  # the levels did take part


def test_a_nan_or_far_point_disturbs_no_other() -> None:
    image = np.random.default_rng(0).random((8, 8, 1))
    grid = np.array(stn.identity_grid((5, 5), dtype=jnp.float64)) + 0.013

    @jax.jit
    def run(grid: jax.Array) -> tuple[Any, Any]:
        def loss(image: jax.Array, grid: jax.Array) -> tuple[Any, ...]:
            value = stn.grid_sample(
                image, grid, antialias=True, max_levels=1, padding_mode="reflection"
            )
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


def test_max_levels_is_the_most_halvings() -> None:
    image = texture(64).astype(np.float64)
    grid = stn.affine_grid(similarity(1.0, 0.0), (8, 8))  # a step of 8: asks for nearly 3
    none, one, two = (stn.grid_sample(image, grid, antialias=True, max_levels=k) for k in (0, 1, 2))
    np.testing.assert_array_equal(none, stn.grid_sample(image, grid))
    half, quarter = (image.reshape(64 // k, k, 64 // k, k, 1).mean((1, 3)) for k in (2, 4))
    np.testing.assert_allclose(one, stn.grid_sample(half, grid), atol=1e-6)
    np.testing.assert_allclose(two, stn.grid_sample(quarter, grid), atol=1e-6)


@pytest.mark.slow
def test_without_max_levels_a_point_mixes_the_two_levels_that_it_asks_for() -> None:
    image = texture(64).astype(np.float64)
    grid = stn.affine_grid(similarity(1.0, 0.0), (8, 8))
    value, three = (stn.grid_sample(image, grid, antialias=True, max_levels=k) for k in (None, 3))
    np.testing.assert_allclose(value, three, atol=1e-12)
    two = (image.reshape(64 // k, k, 64 // k, k, 1).mean((1, 3)) for k in (4, 8))
    share = (1 + 63 / 3 - 16) / (64 - 16)  # between 4^2 and 4^3, linear in 4^l
    mix = [stn.grid_sample(level, grid) for level in two]
    np.testing.assert_allclose(value, (1 - share) * mix[0] + share * mix[1], atol=1e-6)


@pytest.mark.parametrize("align_corners", [False, True])
def test_mirrors_of_a_level_are_those_of_the_image(align_corners: bool) -> None:
    """An image and its mirror image beside it, sampled where neither shrinks nor grows a level.

    Level 1 of an even image is the mean of pairs; mirrored about edges its mirrors are edges too.
    With mirrors on centres points move into the image first, then levels mirror nothing.
    """
    row = np.random.default_rng(0).random(8)
    pairs = row.reshape(4, 2).mean(1)
    x = np.array([-5.0, -3.0, -1.0, 1.0, 3.0, 5.0, 7.0, 9.0, 11.0]) + 0.25  # a step of two
    size = 8
    if align_corners:
        inside = np.abs(np.where(x > size - 1, 2 * (size - 1) - x, x))
    else:
        inside = np.where(x < -0.5, -1 - x, np.where(x > size - 0.5, 2 * size - 1 - x, x))
    # 4^l = 1 + (2^2 - 1) / 3 = 2, a third of the way from 1 to 4
    low = np.interp(np.clip(inside, 0, size - 1), np.arange(size), row)
    high = np.interp(np.clip((inside + 0.5) / 2 - 0.5, 0, 3), np.arange(4), pairs)
    expected = 2 / 3 * low + 1 / 3 * high
    points = np.stack([x, np.zeros_like(x)], axis=-1)[None]
    value = stn.sample_pixels(
        row[None, :, None], points, padding_mode="reflection", align_corners=align_corners,
        antialias=True, max_levels=1,
    )  # fmt: skip
    np.testing.assert_allclose(value[0, :, 0], expected, atol=1e-12)


def test_volumes_and_batches() -> None:
    rng = np.random.default_rng(0)
    volume = rng.random((2, 8, 6, 4, 1))
    grids = np.stack([np.asarray(stn.identity_grid((4, 3, 2), dtype=jnp.float64))] * 2)
    value = stn.grid_sample(volume, grids, antialias=True, max_levels=1)
    halved = volume.reshape(2, 4, 2, 3, 2, 2, 2, 1).mean((2, 4, 6))
    # A step of 2 wants 1 + 3 / 3 = 2, between 4^0 and 4^1: a third from the second level.
    expected = 2 / 3 * stn.grid_sample(volume, grids) + 1 / 3 * halved
    np.testing.assert_allclose(value, expected, atol=1e-12)


def test_one_process_may_work_in_both_precisions() -> None:
    """What is kept from one call to the next must not carry the first call's precision."""
    image = np.random.default_rng(0).random((6, 5, 1)).astype(np.float32)
    grid = np.asarray(stn.identity_grid((3, 3)))
    values = []
    for x64 in (True, False):
        with jax.enable_x64(x64):
            values.append(stn.grid_sample(image, grid, antialias=True, max_levels=1))
    np.testing.assert_allclose(values[0], values[1], atol=1e-6)


def test_shares_sum_to_one_and_are_where_the_footprint_asks() -> None:
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


def test_the_stretch_is_to_the_nearer_neighbour_along_the_widest_axis() -> None:
    y, x = np.meshgrid(np.arange(4) * 1.5, [0.0, 3.0, 6.0, 106.0], indexing="ij")
    found = pyramid._square_stretch([jnp.asarray(y), jnp.asarray(x)])
    np.testing.assert_allclose(found, np.tile([9.0, 9.0, 9.0, 1e4], (4, 1)))
    still = pyramid._square_stretch([jnp.asarray(y) / 9, jnp.asarray(x) / 900])
    np.testing.assert_array_equal(still, 1)


@pytest.mark.parametrize("shape", [(4, 6), (5, 7), (1, 2), (3, 1), (5, 4, 3)])
def test_halving_is_an_exact_average_over_areas(shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).random((*shape, 2))
    half = np.asarray(pyramid.halve(jnp.asarray(image)))
    assert half.shape[:-1] == tuple(-(-size // 2) for size in shape)
    expected = image
    for axis, size in enumerate(shape):  # every pixel in ``half`` equal parts, then means of runs
        parts = -(-size // 2)
        split = np.moveaxis(np.repeat(expected, parts, axis), axis, 0)
        runs = split.reshape(parts, size, *split.shape[1:]).mean(1)
        expected = np.moveaxis(runs, 0, axis)
    np.testing.assert_allclose(half, expected, atol=1e-14)


def test_a_bad_pixel_is_in_no_more_of_a_half_than_covers_it() -> None:
    image = jnp.ones((6, 1, 1)).at[2].set(jnp.nan)
    np.testing.assert_array_equal(pyramid.halve(image)[:, 0, 0], [1, np.nan, 1])


@pytest.mark.slow
def test_the_gradient_of_an_antialiased_volume_compiles_soon() -> None:
    sizes = [jax.ShapeDtypeStruct(s, jnp.float32) for s in ((2, 16, 16, 16, 2), (2, 8, 8, 8, 3))]
    sample = functools.partial(stn.grid_sample, antialias=True)
    text = jax.jit(jax.grad(lambda u, g: jnp.sum(sample(u, g) ** 2), (0, 1))).lower(*sizes)
    assert text.as_text().count("\n") < 20_000  # a level is one sampling more, and no product
