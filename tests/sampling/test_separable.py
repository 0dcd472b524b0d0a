"""Separable sampling: `grid_sample` where nothing is widened, `jax.image` where it is."""

import itertools
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stn_jax as stn
from sampling.cases import primitives
from stn_jax.sampling.kernels import MODES
from stn_jax.sampling.padding import PADDING_MODES

SHAPES = {2: ((5, 4), (3, 6)), 3: ((3, 2, 4), (3, 3, 3))}  # odd: some maps see but the centre
MAPS = np.array(  # scale, translation: mirrored, zoomed out, far outside, all in general position
    [[0.713, 0.117], [-0.831, 0.239], [2.713, -0.371], [-1.917, 0.157], [0.613, 7.31]]
)
# Bilinear sampling shows the paddings, one padding the kernels; ``make test-all`` has every pair.
QUICK = [(padding, "bilinear") for padding in ("zeros", "reflection", "constant")]
QUICK += [("border", "nearest"), ("border", "bicubic")]


def by_grid(
    image: jax.Array, scale: jax.Array, translation: Any, shape: tuple[int, ...], **options: Any
) -> jax.Array:
    theta = jnp.concatenate([jnp.diag(scale), translation[:, None]], axis=-1)
    grid = stn.affine_grid(theta, shape, align_corners=options.get("align_corners", False))
    return stn.grid_sample(image, grid, **options)


@pytest.mark.parametrize(
    ("padding_mode", "mode", "n"),
    [
        row if row[2] == 2 and row[:2] in QUICK else pytest.param(*row, marks=pytest.mark.slow)
        for row in itertools.product(PADDING_MODES, MODES, (2, 3))
    ],
)
def test_without_antialias_equals_grid_sample_with_its_gradients(
    padding_mode: str, mode: str, n: int
) -> None:
    sizes, shape = SHAPES[n]
    rng = np.random.default_rng(n)
    image, weight = rng.standard_normal((*sizes, 2)), rng.standard_normal((*shape, 2))
    scale = np.stack([np.roll(MAPS[:, 0], k) for k in range(n)], axis=-1)
    shift = np.stack([np.roll(MAPS[:, 1], k) for k in range(n)], axis=-1)
    fill = {"fill_value": 0.7} if PADDING_MODES[padding_mode].fill else {}

    conventions = (False, True) if padding_mode == "reflection" else (False,)

    def both(sample: Any, align_corners: bool) -> Any:
        def loss(image: jax.Array, scale: jax.Array, shift: jax.Array) -> tuple[Any, ...]:
            options = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
            value = sample(image, scale, shift, shape, **options, **fill)
            return jnp.sum(weight * value), value

        return jax.vmap(jax.value_and_grad(loss, (0, 1, 2), has_aux=True), (None, 0, 0))

    def plain(*arguments: Any, **options: Any) -> jax.Array:
        return stn.separable_sample(*arguments, antialias=False, **options)

    @jax.jit
    def run(*arrays: jax.Array) -> list[Any]:
        return [[both(f, corners)(*arrays) for f in (plain, by_grid)] for corners in conventions]

    for ours, expected in run(image, scale, shift):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-11), ours, expected)
        assert np.ptp(ours[0][1]) > 0.1


@pytest.mark.parametrize(
    ("method", "mode"), [("linear", "bilinear"), ("cubic", "bicubic"), ("lanczos3", "lanczos3")]
)
@pytest.mark.parametrize("size", [(8, 12), (48, 60)])
def test_with_antialias_equals_jax_image_resize_inside(
    method: str, mode: str, size: tuple[int, ...]
) -> None:
    """At the edges `jax.image` leaves weights outside the image out and rescales the rest."""
    shape = (24, 36)
    radius = {"bilinear": 1, "bicubic": 2, "lanczos3": 3}[mode]
    image = np.random.default_rng(0).random((*shape, 2))
    ours = stn.separable_sample(
        image, np.ones(2), np.zeros(2), size, mode=mode, cubic_coefficient=-0.5
    )
    expected = jax.image.resize(image, (*size, 2), method, antialias=True)
    y, x = (-(-radius * max(small, big) // big) for small, big in zip(size, shape, strict=True))
    inside = np.s_[y:-y, x:-x]
    assert ours[inside].size
    np.testing.assert_allclose(ours[inside], expected[inside], atol=1e-6)  # theirs is rounded
    assert np.abs(ours - expected).max() > 1e-3


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("padding_mode", ["border", "reflection", "wrap"])
def test_a_constant_stays_constant_under_any_scale(padding_mode: str, mode: str) -> None:
    rng = np.random.default_rng(0)
    scale = rng.standard_normal((200, 2)) * np.exp(rng.uniform(-3, 3, (200, 2)))
    value = stn.separable_sample(
        np.ones((5, 6, 1)), scale, rng.standard_normal((200, 2)), (3, 2),
        mode=mode, padding_mode=padding_mode,
    )  # fmt: skip
    np.testing.assert_allclose(value, 1.0, atol=1e-12)


@pytest.mark.parametrize("n", [2, 3])
def test_one_pixel_is_a_mean_over_all(n: int) -> None:
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


def test_gradients_are_finite_and_right_and_nothing_is_gathered() -> None:
    image = jnp.asarray(np.random.default_rng(0).random((7, 6, 1)))

    def loss(image: jax.Array, scale: jax.Array, shift: jax.Array) -> jax.Array:
        return jnp.sum(stn.separable_sample(image, scale, shift, (3, 2)) ** 2)

    assert "gather" not in str(jax.make_jaxpr(loss)(image, jnp.ones(2), jnp.zeros(2)))
    backward = jax.make_jaxpr(jax.grad(loss, (0, 1, 2)))(image, jnp.ones(2), jnp.zeros(2))
    assert "gather" not in str(backward)
    assert "scatter" not in str(backward)
    gradient = jax.jit(jax.grad(loss, (0, 1, 2)))
    for factors in ([1.0, 1.0], [0.0, -3.0], [1e20, 1e-20], [np.inf, 1.0], [1e6, -1e6]):
        for offsets in ([0.0, 0.0], [1e20, 0.3]):
            pair = gradient(image, jnp.array(factors), jnp.array(offsets))
            assert all(np.isfinite(g).all() for g in pair), (factors, offsets)
    scale, shift, step = jnp.array([1.31, 1.73]), jnp.array([0.07, -0.11]), 1e-6
    numeric = [
        (loss(image, scale + step * e, shift) - loss(image, scale - step * e, shift)) / (2 * step)
        for e in jnp.eye(2)
    ]
    np.testing.assert_allclose(gradient(image, scale, shift)[1], numeric, rtol=1e-6)


def test_batches_broadcast() -> None:
    rng = np.random.default_rng(0)
    image, scale, shift = rng.random((2, 1, 5, 4, 1)), rng.random((3, 2)) + 1, rng.random(2)
    value = stn.separable_sample(image, scale, shift, (3, 3))
    assert value.shape == (2, 3, 3, 3, 1)
    single = stn.separable_sample(image[1, 0], scale[2], shift, (3, 3))
    np.testing.assert_allclose(value[1, 2], single, atol=1e-12)


@pytest.mark.parametrize("fill", [1.0, np.float32(1), np.ones(1, np.float32)], ids=type)
def test_the_image_keeps_its_dtype(fill: Any) -> None:
    image, options = jnp.ones((4, 4, 1), jnp.bfloat16), {"padding_mode": "fill", "fill_value": fill}
    value = stn.separable_sample(image, np.ones(2), np.zeros(2), (2, 2), **options)
    assert value.dtype == jnp.bfloat16


@pytest.mark.parametrize("padding_mode", ["fill", "constant"])
@pytest.mark.parametrize("fill", [np.nan, 1e9])
def test_the_identity_keeps_every_pixel_whatever_the_fill(padding_mode: str, fill: float) -> None:
    image = np.arange(91, dtype=np.float32).reshape(7, 13, 1)
    one, zero = np.ones(2, np.float32), np.zeros(2, np.float32)
    value = stn.separable_sample(
        image, one, zero, (7, 13), padding_mode=padding_mode, fill_value=fill
    )
    np.testing.assert_allclose(value, image, rtol=1e-6)


@pytest.mark.parametrize("padding_mode", ["border", "reflection", "wrap"])
def test_padding_adds_no_products(padding_mode: str) -> None:
    """As many matrix products, of the same sizes, as zeros: one for each axis."""
    image, one, zero = jnp.ones((64, 48, 3)), jnp.ones(2), jnp.zeros(2)
    counts = primitives(
        lambda u: stn.separable_sample(u, one, zero, (16, 12), padding_mode=padding_mode), image
    )
    assert counts["dot_general"] == 2


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"image": jnp.ones((4, 5))}, ValueError, "image has shape (4, 5)"),
        ({"image": jnp.ones((4, 0, 1))}, ValueError, "must not be empty"),
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
        ({"mode": "nearest"}, ValueError, "use 'bilinear'"),
        ({"fill_value": 1.0}, ValueError, "padding_mode='fill'"),
        ({"fill_value": jnp.ones(2), "padding_mode": "fill"}, ValueError, "1 channels"),
    ],
)  # fmt: skip
def test_errors_say_what_to_do(change: dict[str, Any], error: type[Exception], words: str) -> None:
    arguments: dict[str, Any] = {
        "image": jnp.ones((4, 5, 1)), "scale": jnp.ones(2), "translation": jnp.zeros(2),
        "shape": (3, 3),
    } | change  # fmt: skip
    with pytest.raises(error, match=re.escape(words)):
        stn.separable_sample(**arguments)
