"""Sampling by one gather of whole windows; values and gradients are in test_contract."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from sampling.cases import SHAPES, draw, interpolation, primitives
from stn_jax.sampling import gather, windowed

NUMPY = {
    ("zeros", False): "constant",
    ("border", False): "edge",
    ("reflection", False): "symmetric",
    ("reflection", True): "reflect",
    ("wrap", False): "wrap",
    ("constant", False): "edge",
}


@pytest.mark.parametrize(("row", "name"), NUMPY.items())
@pytest.mark.parametrize("size", [1, 2, 5])
def test_an_image_is_continued_as_by_numpy_pad(row: tuple[str, bool], name: Any, size: int) -> None:
    image = np.random.default_rng(0).random((3, size, 2))
    expected = np.pad(image, [(0, 0), (7, 7), (0, 0)], mode=name)
    found = windowed._continue(
        jnp.asarray(image), 1, -7, size + 14, interpolation("bilinear", *row)
    )
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("width", [1, 2, 4, 5])
def test_windows_are_rows_as_wide_as_they_have_to_be(width: int) -> None:
    image = np.random.default_rng(0).random((5, 6, 3))
    rows = np.asarray(windowed._windows(jnp.asarray(image), width, 2))
    expected = np.lib.stride_tricks.sliding_window_view(image, (width, width), (0, 1))
    expected = np.moveaxis(expected, 2, -1).reshape(*expected.shape[:2], -1)
    np.testing.assert_array_equal(rows[..., : expected.shape[-1]], expected)
    assert rows.shape[-1] == max(expected.shape[-1], 64)


@pytest.mark.parametrize(("mode", "n"), [("bilinear", 2), ("bicubic", 2), ("bilinear", 3)])
@pytest.mark.parametrize("padding_mode", ["zeros", "reflection"])
def test_one_gather_reads_all_taps(mode: str, n: int, padding_mode: str) -> None:
    (image, *_), (points, *_), _ = draw(n)
    row = interpolation(mode, padding_mode)
    counts = primitives(lambda u, x: windowed.sample(u, x, row), image, points)
    assert counts["gather"] == 1
    assert counts.get("scatter-add", 0) == 0


def test_a_kernel_wider_than_the_image() -> None:
    image = jnp.arange(6.0).reshape(2, 3, 1)
    points = jnp.array([[0.25, 0.5], [-2.0, 1.0], [4.0, -1.5], [jnp.nan, 0.0]])
    for padding_mode in ("border", "wrap"):
        row = interpolation("lanczos3", padding_mode)
        found, expected = (a.sample(image, points, row) for a in (windowed, gather))
        np.testing.assert_allclose(found, expected, atol=1e-12)
    assert SHAPES[2][0] < 6  # so test_contract has such images too
