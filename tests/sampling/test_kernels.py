"""Kernels: weights, profiles and derivatives, by published values, `jax.image` and convergence."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stn_jax as stn
from stn_jax.sampling import kernels
from stn_jax.sampling.kernels import MODES, weigh

KERNELS = {mode: MODES[mode](-0.75) for mode in MODES}
T = np.array([0.0, 0.125, 0.5, 0.75])


def weights(kernel: Any, x: Any) -> np.ndarray:
    return np.stack([w for _, w in kernel(jnp.asarray(x))], axis=-1)


@pytest.mark.parametrize("mode", MODES)
def test_weights_sum_to_one_and_follow_the_profile(mode: str) -> None:
    kernel, x = KERNELS[mode], np.linspace(-3, 4, 113)
    taps = kernel(jnp.asarray(x))
    assert len(taps) == kernel.num_taps
    np.testing.assert_allclose(sum(w for _, w in taps), 1, atol=1e-12)
    x = x if kernel.radius else np.round(x)
    profile = np.stack([kernel.weight_at(jnp.asarray(x), i.astype(x.dtype)) for i, _ in taps])
    expected = np.stack([w for _, w in taps])
    np.testing.assert_allclose(profile / profile.sum(0), expected, atol=1e-12)
    beyond = [taps[0][0] - 1, taps[-1][0] + 1]
    assert not any(np.any(kernel.weight_at(jnp.asarray(x), i.astype(x.dtype))) for i in beyond)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "lanczos3"])
def test_pixels_read_are_those_around_the_coordinate(mode: str) -> None:
    radius = KERNELS[mode].radius
    x = jnp.array([-1.5, 0.0, 0.25, 7.0])
    index = np.stack([i for i, _ in KERNELS[mode](x)], axis=-1)
    np.testing.assert_array_equal(index, np.floor(x)[:, None] + np.arange(1 - radius, radius + 1))
    assert index.dtype == np.int32


def test_nearest_takes_halves_to_the_even_pixel() -> None:
    ((index, weight),) = KERNELS["nearest"](jnp.array([-0.5, 0.5, 1.5, 2.4, 2.5, 3.5]))
    np.testing.assert_array_equal(index, [0, 0, 2, 2, 2, 4])
    np.testing.assert_array_equal(weight, 1)


@pytest.mark.parametrize(
    ("a", "expected"),
    [  # at t = 1/2 and 1/4, from Keys' two polynomials by hand
        (
            -0.5,
            [[-0.0625, 0.5625, 0.5625, -0.0625],
             [-0.0703125, 0.8671875, 0.2265625, -0.0234375]],
        ),
        (-0.75, [[-0.09375, 0.59375, 0.59375, -0.09375]]),
    ],
)  # fmt: skip
def test_cubic_weights_are_those_of_keys(a: float, expected: list[list[float]]) -> None:
    found = weights(MODES["bicubic"](a), np.array([0.5, 0.25]))
    np.testing.assert_allclose(found[: len(expected)], expected, atol=1e-15)


@pytest.mark.parametrize(
    ("mode", "method"), [("bilinear", "linear"), ("bicubic", "cubic"), ("lanczos3", "lanczos3")]
)
@pytest.mark.parametrize("shift", [0.0, 0.3, 0.5, 0.9])
def test_weights_equal_those_of_jax_image(mode: str, method: str, shift: float) -> None:
    """Row by row of a unit matrix, in the middle, where `jax.image` leaves no weight out."""
    theirs = jax.image.scale_and_translate(
        jnp.eye(16), (16, 16), (0,), jnp.ones(1), jnp.array([-shift]), method, antialias=False
    )
    row = np.zeros(16)
    for index, weight in MODES[mode](-0.5)(jnp.array([7 + shift])):
        row[index[0]] += weight[0]
    np.testing.assert_allclose(row, theirs[7], atol=2e-7)  # theirs is rounded to float32


@pytest.mark.parametrize("mode", MODES)
def test_at_an_integer_its_pixel_alone_has_a_weight(mode: str) -> None:
    """Exactly: a neighbour that is not finite must not be read."""
    kernel = KERNELS[mode]
    for dtype in (np.float32, np.float64):
        taps = [(int(i[0]), float(w[0])) for i, w in kernel(jnp.array([3.0], dtype))]
        assert {i: w for i, w in taps if w != 0} == {3: 1.0}


def test_the_derivative_at_an_integer_is_the_right_sided_one() -> None:
    _, slope = jax.jvp(lambda x: jnp.stack([w for _, w in KERNELS["bilinear"](x)]), (3.0,), (1.0,))
    np.testing.assert_array_equal(slope, [-1, 1])

    def profile(x: jax.Array) -> jax.Array:
        return KERNELS["bilinear"].weight_at(x, jnp.array([2.0, 3.0, 4.0]))

    np.testing.assert_array_equal(
        jax.jvp(profile, (jnp.array([3.0]),), (jnp.ones(1),))[1], [0, -1, 1]
    )


@pytest.mark.parametrize("mode", ["bicubic", "lanczos3"])
def test_smooth_kernels_have_the_derivative_of_their_values(mode: str) -> None:
    def stacked(x: jax.Array) -> jax.Array:
        return jnp.stack([w for _, w in KERNELS[mode](x)])

    x, h = jnp.array([0.2, 0.5, 0.9]), 1e-6
    numeric = (stacked(x + h) - stacked(x - h)) / (2 * h)
    np.testing.assert_allclose(jax.jvp(stacked, (x,), (jnp.ones(3),))[1], numeric, atol=1e-8)
    # At a knot both sides have one derivative, that which is taken.
    x = jnp.array([2.0])

    def by_profile(x: jax.Array) -> jax.Array:
        return KERNELS[mode].profile(x - jnp.arange(-1.0, 6.0))

    numeric = (by_profile(x + h) - by_profile(x - h)) / (2 * h)
    np.testing.assert_allclose(jax.jvp(by_profile, (x,), (jnp.ones(1),))[1], numeric, atol=1e-5)


def test_a_kernel_is_made_once() -> None:
    """Kernels are static to `jax.jit` by identity: a new one each call would compile each call."""
    assert kernels.bicubic(-0.6) is kernels.bicubic(-0.6)
    assert all(MODES[mode](-0.75) is KERNELS[mode] for mode in MODES)


def test_the_kernel_widens() -> None:
    hat = KERNELS["bilinear"].weight_at(jnp.array(1.0), jnp.arange(-3.0, 6.0), 3)
    np.testing.assert_allclose(hat, [0, 0, 1 / 3, 2 / 3, 1, 2 / 3, 1 / 3, 0, 0], atol=1e-15)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weigh_passes_over_values_without_a_weight(bad: float) -> None:
    weight, value = jnp.array([0.0, 0.5, 0.0]), jnp.array([bad, bad, 3.0])
    np.testing.assert_array_equal(weigh(weight, value), [0, bad, 0])
    out, change = jax.jvp(weigh, (weight, value), (jnp.ones(3), jnp.ones(3)))
    np.testing.assert_array_equal(out, [0, bad, 0])
    np.testing.assert_array_equal(change, [0, bad, 3])  # a weight of 0 may have a derivative
    _, pull = jax.vjp(weigh, weight, value)
    d_weight, d_value = pull(jnp.array([np.nan, 1.0, 2.0]))
    np.testing.assert_array_equal(d_value, [0, 0.5, 0])
    np.testing.assert_array_equal(d_weight[1:], [bad, 6])


# Order of convergence: how fast samples of a smooth function approach it as its pixels refine.

ORDERS = {
    "linear": ({"mode": "bilinear"}, 2),
    "Keys": ({"mode": "bicubic", "cubic_coefficient": -0.5}, 3),
    "PyTorch": ({"mode": "bicubic", "cubic_coefficient": -0.75}, 1),
}


def smooth(*axes: np.ndarray) -> np.ndarray:
    """A product of ``exp(sin)``, each factor with another frequency and phase."""
    factors = [np.exp(np.sin((3 - 0.4 * k) * x + 0.7 * k)) for k, x in enumerate(axes)]
    return functools.reduce(np.multiply, factors)


def root_mean_square_error(intervals: int, n: int, options: Any) -> float:
    """At fixed random points, from samples at spacing 1 / intervals."""
    points = np.random.default_rng(0).uniform(0.2, 0.8, (4000, n))
    ticks = np.linspace(0, 1, intervals + 1)
    image = smooth(*np.meshgrid(*[ticks] * n, indexing="ij"))[..., None]
    coordinates = (points * intervals)[:, ::-1].reshape((1,) * (n - 1) + (4000, n))
    value = np.asarray(stn.sample_pixels(image, coordinates, **options)).reshape(-1)
    return float(np.sqrt(np.mean((value - smooth(*points.T)) ** 2)))


@pytest.mark.parametrize("name", ORDERS)
@pytest.mark.parametrize(
    ("n", "sizes"), [(2, (32, 128)), pytest.param(3, (16, 32, 64), marks=pytest.mark.slow)]
)
def test_order_of_convergence(n: int, sizes: tuple[int, ...], name: str) -> None:
    options, order = ORDERS[name]
    errors = [root_mean_square_error(size, n, options) for size in sizes]
    slope = -np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert abs(slope - order) < 0.1, f"slope {slope:.3f}, errors {errors}"


def test_only_the_third_order_kernel_reproduces_a_linear_function() -> None:
    """PyTorch's coefficient reads a ramp at 3.25 as 3.297: its weights' first moment."""
    for a, expected in ((-0.5, 3.25), (-0.75, 3.296875)):
        read = sum(int(i[0]) * float(w[0]) for i, w in MODES["bicubic"](a)(jnp.array([3.25])))
        np.testing.assert_allclose(read, expected, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lanczos_derivatives_are_right_as_near_to_a_pixel_centre_as_numbers_come(
    dtype: type[np.generic],
) -> None:
    """Against differences of the formula in extended precision, and the limit at 0."""
    near = [0.0, 1e-300, 1e-40, 1e-30, 1e-20, 1e-10, 1e-5, 1e-3, 0.05, 0.0796, 0.08, 0.3]

    def weights(t: Any) -> np.ndarray:
        t = np.longdouble(t)
        raw = np.array([np.sinc(t - k) * np.sinc((t - k) / 3) for k in range(-2, 4)])
        return np.asarray(raw / raw.sum())

    slopes = jax.jacfwd(lambda t: jnp.stack(MODES["lanczos3"](0.0).weights(t)))
    for t in near:
        step = np.longdouble(1e-5)
        expected = (weights(t + step) - weights(t - step)) / (2 * step)
        atol = 1e-6 if dtype == np.float32 else 1e-8
        np.testing.assert_allclose(slopes(jnp.asarray(t, dtype)), np.float64(expected), atol=atol)
