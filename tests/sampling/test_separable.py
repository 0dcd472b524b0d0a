"""Separable sampling: `grid_sample` where nothing is widened, `jax.image` where it is."""

import functools
import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stn_jax as stn
from stn_jax.sampling.kernels import MODES
from stn_jax.sampling.padding import PADDING_MODES

SHAPES = {2: ((5, 4), (3, 6)), 3: ((3, 2, 4), (3, 3, 3))}  # odd: some maps see but the centre
MAPS = np.array(  # scale, translation: mirrored, zoomed out, far outside, all in general position
    [[0.713, 0.117], [-0.831, 0.239], [2.713, -0.371], [-1.917, 0.157], [0.613, 7.31]]
)


def by_grid(image, scale, translation, shape, **options):
    theta = jnp.concatenate([jnp.diag(scale), translation[:, None]], axis=-1)
    grid = stn.affine_grid(theta, shape, align_corners=options.get("align_corners", False))
    return stn.grid_sample(image, grid, **options)


@pytest.mark.parametrize(
    ("padding_mode", "mode", "n"),
    [
        # Where cubic kernels compile for seconds, one padding stands for all of them.
        pytest.param(*row, marks=pytest.mark.slow)
        if row[2] == 3 or (row[1] == "bicubic" and row[0] != "reflection")
        else row
        for row in itertools.product(PADDING_MODES, MODES, (2, 3))
    ],
)
def test_without_antialias_equals_grid_sample_with_its_gradients(padding_mode, mode, n):
    sizes, shape = SHAPES[n]
    rng = np.random.default_rng(n)
    image, weight = rng.standard_normal((*sizes, 2)), rng.standard_normal((*shape, 2))
    scale = np.stack([np.roll(MAPS[:, 0], k) for k in range(n)], axis=-1)
    shift = np.stack([np.roll(MAPS[:, 1], k) for k in range(n)], axis=-1)
    fill = {"fill_value": 0.7} if padding_mode == "fill" else {}

    def both(sample, align_corners):
        def loss(image, scale, shift):
            options = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
            value = sample(image, scale, shift, shape, **options, **fill)
            return jnp.sum(weight * value), value

        return jax.vmap(jax.value_and_grad(loss, (0, 1, 2), has_aux=True), (None, 0, 0))

    def plain(*arguments, **options):
        return stn.separable_sample(*arguments, antialias=False, **options)

    @functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    def run(*arrays):
        return [[both(f, corners)(*arrays) for f in (plain, by_grid)] for corners in (False, True)]

    for ours, expected in run(image, scale, shift):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-11), ours, expected)
        assert np.ptp(ours[0][1]) > 0.1


@pytest.mark.parametrize(("method", "mode"), [("linear", "bilinear"), ("cubic", "bicubic")])
@pytest.mark.parametrize("size", [(8, 12), (5, 7), (48, 60)])
def test_with_antialias_equals_jax_image_resize_inside(method, mode, size):
    """At the edges `jax.image` leaves weights outside the image out and rescales the rest."""
    image = np.random.default_rng(0).random((24, 36, 2))
    ours = stn.separable_sample(
        image, np.ones(2), np.zeros(2), size, mode=mode, cubic_coefficient=-0.5
    )
    expected = jax.image.resize(image, (*size, 2), method, antialias=True)
    y, x = (
        2 if small < big else -(-3 * small // big)
        for small, big in zip(size, (24, 36), strict=True)
    )
    inside = np.s_[y:-y, x:-x]
    assert ours[inside].size
    np.testing.assert_allclose(ours[inside], expected[inside], atol=1e-6)  # theirs is rounded
    assert np.abs(ours - expected).max() > 1e-3


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("padding_mode", ["border", "reflection", "wrap"])
def test_a_constant_stays_constant_under_any_scale(padding_mode, mode):
    rng = np.random.default_rng(0)
    scale = rng.standard_normal((200, 2)) * np.exp(rng.uniform(-3, 3, (200, 2)))
    value = stn.separable_sample(
        np.ones((5, 6, 1)), scale, rng.standard_normal((200, 2)), (3, 2),
        mode=mode, padding_mode=padding_mode,
    )  # fmt: skip
    np.testing.assert_allclose(value, 1.0, atol=1e-12)


@pytest.mark.parametrize("n", [2, 3])
def test_one_pixel_is_a_mean_over_all(n):
    """The widest kernel, a hat as wide as the image, centred: its weights are known."""
    size = 4
    image = np.random.default_rng(0).random((*[size] * n, 1))
    hat = 1 - np.abs(np.arange(-4, 8) - 1.5) / size
    hat = np.where(hat > 0, hat, 0) / np.where(hat > 0, hat, 0).sum()
    folded = hat[4:8].copy()
    folded[0] += hat[:4].sum()
    folded[-1] += hat[8:].sum()
    expected = image[..., 0]
    for _ in range(n):
        expected = np.tensordot(folded, expected, axes=(0, 0))
    value = stn.separable_sample(image, np.ones(n), np.zeros(n), (1,) * n, padding_mode="border")
    np.testing.assert_allclose(np.ravel(value), expected, atol=1e-12)


def test_gradients_are_finite_and_right_and_nothing_is_gathered():
    image = jnp.asarray(np.random.default_rng(0).random((7, 6, 1)))

    def loss(image, scale, shift):
        return jnp.sum(stn.separable_sample(image, scale, shift, (3, 2)) ** 2)

    assert "gather" not in str(jax.make_jaxpr(loss)(image, jnp.ones(2), jnp.zeros(2)))
    backward = jax.make_jaxpr(jax.grad(loss, (0, 1, 2)))(image, jnp.ones(2), jnp.zeros(2))
    assert "gather" not in str(backward)
    assert "scatter" not in str(backward)
    gradient = jax.jit(jax.grad(loss, (0, 1, 2)))
    for scale in ([1.0, 1.0], [0.0, -3.0], [1e20, 1e-20], [jnp.inf, 1.0], [1e6, -1e6]):
        for shift in ([0.0, 0.0], [1e20, 0.3]):
            pair = gradient(image, jnp.array(scale), jnp.array(shift))
            assert all(np.isfinite(g).all() for g in pair), (scale, shift)
    scale, shift, step = jnp.array([1.31, 1.73]), jnp.array([0.07, -0.11]), 1e-6
    numeric = [
        (loss(image, scale + step * e, shift) - loss(image, scale - step * e, shift)) / (2 * step)
        for e in jnp.eye(2)
    ]
    np.testing.assert_allclose(gradient(image, scale, shift)[1], numeric, rtol=1e-6)


def test_batches_broadcast():
    rng = np.random.default_rng(0)
    image, scale, shift = rng.random((2, 1, 5, 4, 1)), rng.random((3, 2)) + 1, rng.random(2)
    value = stn.separable_sample(image, scale, shift, (3, 3))
    assert value.shape == (2, 3, 3, 3, 1)
    single = stn.separable_sample(image[1, 0], scale[2], shift, (3, 3))
    np.testing.assert_allclose(value[1, 2], single, atol=1e-12)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
def test_the_image_keeps_its_dtype(dtype):
    image = jnp.ones((4, 4, 1), dtype)
    value = stn.separable_sample(image, jnp.ones(2, jnp.float32), jnp.zeros(2, jnp.float32), (2, 2))
    assert value.dtype == dtype


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"image": jnp.ones((4, 5))}, ValueError, "image has shape (4, 5)"),
        ({"image": jnp.ones((4, 0, 1))}, ValueError, "empty spatial axes"),
        ({"image": jnp.ones((4, 5, 1), int)}, TypeError, "image.astype(jnp.float32)"),
        ({"scale": jnp.ones(2, int)}, TypeError, "scale has dtype int64"),
        ({"scale": jnp.ones(3)}, ValueError, "scale has shape (3,); shape=(3, 3) needs"),
        ({"scale": jnp.ones(())}, ValueError, "scale has shape ()"),
        ({"translation": jnp.ones(1)}, ValueError, "translation has shape (1,)"),
        ({"shape": (3,)}, ValueError, "give (h, w) or (d, h, w)"),
        ({"shape": (3, -1)}, ValueError, "shape=(3, -1)"),
        ({"scale": jnp.ones((2, 2)), "translation": jnp.ones((3, 2))}, ValueError, "broadcast"),
        ({"mode": "linear"}, ValueError, "mode='linear' is not known"),
        ({"padding_mode": "zero"}, ValueError, "padding_mode='zero' is not known"),
        ({"mode": "nearest"}, ValueError, "take 'bilinear'"),
        ({"fill_value": 1.0}, ValueError, "padding_mode='fill'"),
        ({"fill_value": jnp.ones(2), "padding_mode": "fill"}, ValueError, "1 channels"),
    ],
)  # fmt: skip
def test_errors_say_what_to_do(change, error, words):
    arguments = {
        "image": jnp.ones((4, 5, 1)), "scale": jnp.ones(2), "translation": jnp.zeros(2),
        "shape": (3, 3),
    } | change  # fmt: skip
    with pytest.raises(error, match=re.escape(words)):
        stn.separable_sample(**arguments)
