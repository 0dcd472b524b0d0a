"""Padding: positions against `numpy.pad`, coordinates and derivatives by pencil."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stn_jax.sampling.padding import PADDING_MODES, clip

NUMPY = {  # (padding mode, align_corners) -> numpy.pad's name
    ("border", False): "edge",
    ("reflection", False): "symmetric",
    ("reflection", True): "reflect",
    ("wrap", False): "wrap",
    ("constant", False): "edge",
    ("zeros", False): "edge",  # moved to the border, where it has no weight
    ("fill", False): "edge",
}


@pytest.mark.parametrize(("row", "name"), NUMPY.items())
@pytest.mark.parametrize("size", [1, 2, 5])
def test_positions_are_those_of_numpy_pad(row: tuple[str, bool], name: Any, size: int) -> None:
    padding_mode, align_corners = row
    positions = np.arange(-11, size + 11)
    found = PADDING_MODES[padding_mode].pad_index(jnp.asarray(positions), size, align_corners)
    np.testing.assert_array_equal(found, np.pad(np.arange(size), 11, mode=name))


@pytest.mark.parametrize(
    ("padding_mode", "align_corners", "x", "moved", "slope"),
    [  # four pixels, 0 ... 3
        ("border", False, [-1, 0, 0.25, 3, 3.5], [0, 0, 0.25, 3, 3], [0, 0, 1, 0, 0]),
        ("reflection", True, [-1.25, 0.5, 3.25, 6.5, 7], [1.25, 0.5, 2.75, 0.5, 1],
         [-1, 1, -1, 1, 1]),
        ("reflection", False, [-0.75, 0.5, 4.25, 7.75, 8], [0, 0.5, 2.75, 0, 0], [0, 1, -1, 0, 0]),
    ],
)  # fmt: skip
def test_coordinates_and_derivatives(
    padding_mode: str, align_corners: bool, x: list[float], moved: list[float], slope: list[int]
) -> None:
    def pad(x: jax.Array) -> jax.Array:
        pad_coordinate = PADDING_MODES[padding_mode].pad_coordinate
        assert pad_coordinate is not None
        return pad_coordinate(x, 4, align_corners)

    value, change = jax.jvp(pad, (jnp.array(x, float),), (jnp.ones(len(x)),))
    np.testing.assert_allclose(value, moved, atol=1e-12)
    np.testing.assert_array_equal(change, slope)


@pytest.mark.parametrize("padding_mode", PADDING_MODES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_coordinate_becomes_one_that_integers_hold(
    padding_mode: str, dtype: type[np.generic]
) -> None:
    padding, far = PADDING_MODES[padding_mode], [np.inf, -np.inf, 3e38, -3e9, 2e9]
    x = np.asarray(padding.clamp(jnp.asarray(far, dtype), 5))
    assert np.all(np.abs(x.astype(np.float64)) + 4 < 2**31)
    np.testing.assert_array_equal(np.sign(x), np.sign(far))
    if padding.period is None:  # still beyond every kernel's reach of three pixels
        assert np.all((x <= -4) | (x >= 5 - 1 + 4))


@pytest.mark.parametrize("padding_mode", PADDING_MODES)
def test_clamping_leaves_near_coordinates_alone(padding_mode: str) -> None:
    x = jnp.linspace(-3.9, 7.9, 30)
    clamp = PADDING_MODES[padding_mode].clamp
    value, change = jax.jvp(lambda x: clamp(x, 5), (x,), (jnp.ones(30),))
    np.testing.assert_array_equal(value, x)
    np.testing.assert_array_equal(change, 1)


def test_clip_has_no_derivative_at_its_ends_and_keeps_nan() -> None:
    x = jnp.array([-1.0, 0.0, 0.5, 1.0, 2.0])
    value, change = jax.jvp(lambda x: clip(x, 0, 1), (x,), (jnp.ones(5),))
    np.testing.assert_array_equal(value, [0, 0, 0.5, 1, 1])
    np.testing.assert_array_equal(change, [0, 0, 1, 0, 0])
    assert np.isnan(clip(jnp.array(jnp.nan), 0, 1))


@pytest.mark.parametrize(
    ("padding_mode", "align_corners", "size", "period"),
    [("reflection", False, 4, 8), ("reflection", True, 4, 6), ("reflection", True, 1, 1),
     ("wrap", False, 4, 4)],
)  # fmt: skip
def test_periods(padding_mode: str, align_corners: bool, size: int, period: int) -> None:
    period_of = PADDING_MODES[padding_mode].period
    assert period_of is not None
    assert period_of(size, align_corners) == period
    assert period_of(jnp.int32(size), align_corners) == period


def test_what_each_mode_is() -> None:
    rows = PADDING_MODES.items()
    assert {name for name, row in rows if row.zero_outside} == {"zeros", "fill"}
    assert {name: row.fill for name, row in rows if row.fill} == {
        "fill": "blend",
        "constant": "crisp",
    }
    assert {name for name, row in rows if row.pad_coordinate} == {"border", "reflection"}
    assert {name for name, row in rows if row.wraps} == {"wrap"}
    assert {name for name, row in rows if row.period} == {"reflection", "wrap"}
