"""The reference against NumPy: the image continued by `numpy.pad`, and the double sum in loops."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sampling.cases import SHAPES, draw, interpolation
from stn_jax.sampling import reference

NUMPY: dict[tuple[str, bool], Any] = {
    ("zeros", False): "constant",
    ("border", False): "edge",
    ("reflection", False): "symmetric",
    ("reflection", True): "reflect",
    ("wrap", False): "wrap",
}
MARGIN = 12  # as far as the points below and their taps go


def keys(u: np.ndarray, a: float = -0.75) -> np.ndarray:
    r = np.abs(u)
    inner = ((a + 2) * r - (a + 3)) * r * r + 1
    return np.where(r <= 1, inner, np.where(r < 2, a * (((r - 5) * r + 8) * r - 4), 0))


def lanczos(u: jax.Array) -> np.ndarray:
    return np.where(np.abs(u) < 3, np.sinc(u) * np.sinc(u / 3), 0)


PROFILES = {
    "bilinear": lambda u: np.maximum(0, 1 - np.abs(u)),
    "bicubic": keys,
    "lanczos3": lanczos,
}


@pytest.mark.parametrize(
    ("row", "mode", "n"),
    [
        *itertools.product(NUMPY, ["bilinear"], [2]),
        *itertools.product([("border", False), ("wrap", False)], ["bicubic", "lanczos3"], [2]),
        (("reflection", True), "bilinear", 3),
    ],
)
def test_samples_are_the_double_sum_over_the_continued_image(
    row: tuple[Any, ...], mode: str, n: int
) -> None:
    padding_mode, align_corners = row
    (image, *_), (points, *_), _ = draw(n)
    image, points = np.asarray(image), np.asarray(points).reshape(-1, n)
    points = points[np.all(np.abs(points) < MARGIN - 4, axis=-1)]
    assert len(points) > 10
    ends = [(MARGIN, MARGIN)] * n + [(0, 0)]
    continued = np.pad(image, ends, mode=NUMPY[row])
    expected = []
    for point in points[:, ::-1]:
        total = continued
        for x, size in zip(point, SHAPES[n], strict=True):
            if padding_mode == "border" and mode == "bilinear":
                x = np.clip(x, 0, size - 1)
            weights = PROFILES[mode](x - np.arange(-MARGIN, size + MARGIN))
            total = np.tensordot(weights / weights.sum(), total, axes=(0, 0))
        expected.append(total)
    found = reference.sample(
        jnp.asarray(image), jnp.asarray(points), interpolation(mode, padding_mode, align_corners)
    )
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_nearest_rounds_halves_to_the_even_pixel_before_it_pads() -> None:
    image, points = jnp.arange(5.0)[None, :, None], jnp.array([[-0.5, 0], [0.5, 0], [4.5, 0]])
    found = reference.sample(image, points, interpolation("nearest", "wrap"))
    np.testing.assert_array_equal(found[:, 0], [0, 0, 4])


def test_a_nan_point_gives_nan_alone() -> None:
    points = jnp.array([[1.0, 1.0], [np.nan, 1.0], [1.0, np.nan]])
    found = reference.sample(jnp.ones((3, 3, 1)), points, interpolation("bilinear", "zeros"))
    np.testing.assert_array_equal(found[:, 0], [1, np.nan, np.nan])
