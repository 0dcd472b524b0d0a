"""Lasagne's transformer layers: its published values, and its mathematics in plain NumPy."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stn_jax import lasagne

RNG = np.random.default_rng(0)
IMAGES = RNG.random((3, 9, 12, 2))
HALVES = np.hstack([np.zeros((16, 8)), np.ones((16, 8))]).astype(np.float32)[..., None]
ZOOM = np.array([[4, 0, 0, 0, 1, 0]], np.float32)
ROWS: dict[str, list[float]] = {
    "nearest": [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1],
    "mirror": [0.5, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0.5],
    "wrap": [1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0],
}
INDEX = {
    "nearest": lambda i, size: np.minimum(np.maximum(i, 0), size - 1),
    "mirror": lambda i, size: size - 1 - np.abs(i % (2 * (size - 1)) - (size - 1)),
    "wrap": lambda i, size: i % size,
}


def identity_grid(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.meshgrid(np.linspace(-1, 1, rows), np.linspace(-1, 1, columns), indexing="ij")
    return x, y


def sample(image: np.ndarray, x: np.ndarray, y: np.ndarray, border_mode: str) -> np.ndarray:
    """Bilinear interpolation in NumPy; each neighbour's index is mapped by itself."""
    total = 0
    rows, columns = ((c + 1) / 2 * (size - 1) for c, size in zip((y, x), image.shape, strict=False))
    for i in (np.floor(rows), np.floor(rows) + 1):
        for j in (np.floor(columns), np.floor(columns) + 1):
            weight = (1 - np.abs(rows - i)) * (1 - np.abs(columns - j))
            i_read = INDEX[border_mode](i, image.shape[0]).astype(int)
            j_read = INDEX[border_mode](j, image.shape[1]).astype(int)
            total = total + weight[..., None] * image[i_read, j_read]
    return np.asarray(total)


def affine(
    image: np.ndarray, theta: np.ndarray, shape: tuple[int, ...], border_mode: str
) -> np.ndarray:
    x, y = identity_grid(*shape)
    x_s, y_s = (row[0] * x + row[1] * y + row[2] for row in theta.reshape(2, 3))
    return sample(image, x_s, y_s, border_mode)


def spline(
    image: np.ndarray, offsets: np.ndarray, shape: tuple[int, ...], border_mode: str
) -> np.ndarray:
    """Each of x_s and y_s is an interpolating thin plate spline with its affine part."""

    def basis(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        r2 = (x[:, None] - x_k) ** 2 + (y[:, None] - y_k) ** 2
        bumps = r2 * np.log(np.where(r2 > 0, r2, 1))
        return np.asarray(np.c_[bumps, np.ones(len(x)), x, y])

    side = int(np.sqrt(len(offsets) // 2))
    x_k, y_k = (c.ravel() for c in identity_grid(side, side))
    affine_part = basis(x_k, y_k)[:, -3:]
    system = np.r_[basis(x_k, y_k), np.c_[affine_part.T, np.zeros((3, 3))]]
    targets = np.c_[
        np.r_[x_k + offsets[: side**2], 0, 0, 0], np.r_[y_k + offsets[side**2 :], 0, 0, 0]
    ]
    x, y = identity_grid(*shape)
    x_s, y_s = (basis(x.ravel(), y.ravel()) @ np.linalg.solve(system, targets)).T.reshape(2, *shape)
    return sample(image, x_s, y_s, border_mode)


@pytest.mark.parametrize("border_mode", lasagne.BORDER_MODES)
def test_published_border_modes(border_mode: str) -> None:
    expected = np.broadcast_to(np.array(ROWS[border_mode], np.float32)[:, None], (1, 16, 16, 1))
    result = lasagne.transformer(HALVES[None], ZOOM, border_mode=border_mode)
    np.testing.assert_allclose(result, expected, atol=1e-5)


def test_published_spline_shift() -> None:
    image = np.zeros((28, 28), np.float32)
    image[[0, -1]] = image[:, [0, -1]] = 1
    expected = np.ones((28, 28))
    expected[:13, :13] = 0
    expected[13, :13] = expected[:13, 13] = 0.50000271
    expected[13, 13] = 0.75000271
    images = np.tile(image[..., None], (5, 1, 1, 3))
    result = lasagne.tps_transformer(images, np.ones((5, 32), np.float32))
    np.testing.assert_allclose(result, np.tile(expected[..., None], (5, 1, 1, 3)), atol=1e-5)


def test_published_identities() -> None:
    images = np.arange(2 * 28 * 28 * 3, dtype=np.float32).reshape(2, 28, 28, 3)
    theta = np.tile(np.array([1, 0, 0, 0, 1, 0], np.float32), (2, 1))
    np.testing.assert_allclose(lasagne.transformer(images, theta), images, atol=5e-4)
    offsets = np.zeros((2, 32), np.float32)
    np.testing.assert_allclose(lasagne.tps_transformer(images, offsets), images, atol=5e-4)


@pytest.mark.parametrize("border_mode", lasagne.BORDER_MODES)
def test_affine_is_the_mathematics(border_mode: str) -> None:
    """Values at random thetas, and the gradient of theta by central differences."""
    theta = np.eye(2, 3).ravel() + RNG.standard_normal((3, 6))
    shape, factor = (12, 5), (0.7, 2.3)

    def expected(theta: np.ndarray) -> np.ndarray:
        pairs = zip(IMAGES, theta, strict=True)
        return np.stack([affine(image, one, shape, border_mode) for image, one in pairs])

    @jax.jit
    def run(theta: jax.Array) -> tuple[Any, ...]:
        result = lasagne.transformer(
            IMAGES, theta, downsample_factor=factor, border_mode=border_mode
        )
        return jnp.sum(result**2), result

    (_, result), gradient = jax.value_and_grad(run, has_aux=True)(jnp.asarray(theta))
    np.testing.assert_allclose(result, expected(theta), atol=1e-10)
    matrices = jnp.asarray(theta.reshape(3, 2, 3))
    np.testing.assert_array_equal(run(theta)[1], run(matrices)[1])
    step = 1e-7
    differences = [
        ((expected(theta + e) ** 2).sum((1, 2, 3)) - (expected(theta - e) ** 2).sum((1, 2, 3)))
        / (2 * step)
        for e in step * np.eye(6)
    ]
    np.testing.assert_allclose(gradient, np.transpose(differences), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("control_points", [9, 16])
def test_spline_is_the_mathematics(control_points: int) -> None:
    offsets = 0.2 * RNG.standard_normal((3, 2 * control_points))
    result = lasagne.tps_transformer(
        IMAGES, offsets, control_points=control_points, downsample_factor=1.5, border_mode="mirror"
    )
    pairs = zip(IMAGES, offsets, strict=True)
    expected = np.stack([spline(image, one, (6, 8), "mirror") for image, one in pairs])
    np.testing.assert_allclose(result, expected, atol=1e-10)


def test_batches() -> None:
    """One theta for all images, no batch at all, two axes of batch."""
    theta = jnp.asarray([0.9, 0.1, 0, -0.1, 1.1, 0.2])
    every = lasagne.transformer(IMAGES, theta)
    np.testing.assert_allclose(lasagne.transformer(IMAGES[0], theta), every[0], atol=1e-12)
    nested = lasagne.transformer(IMAGES[:, None], theta[None])
    np.testing.assert_allclose(nested[:, 0], every, atol=1e-12)


def test_sizes_are_floors() -> None:
    images = np.zeros((1, 28, 28, 3), np.float32)
    theta = np.array([[1, 0, 0, 0, 1, 0]], np.float32)
    for factor, shape in [((0.7, 2.3), (int(28 / 0.7), int(28 / 2.3))), (3, (9, 9))]:
        result = jax.eval_shape(
            lambda x, factor=factor: lasagne.transformer(x, theta, downsample_factor=factor), images
        )
        assert result.shape == (1, *shape, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lasagne.transformer(HALVES, ZOOM, border_mode="clip"), "'nearest', 'mirror', 'wr"),
        (lambda: lasagne.transformer(HALVES, ZOOM[:, :5]), r"theta has shape \(1, 5\)"),
        (lambda: lasagne.transformer(HALVES[..., 0], ZOOM), r"\(16, 16\); it must be \(\*batch, h"),
        (
            lambda: lasagne.transformer(HALVES, ZOOM, downsample_factor=0),
            "a positive number or two",
        ),
        (lambda: lasagne.transformer(HALVES, ZOOM, downsample_factor=(1, 2, 3)), "number or two"),
        (
            lambda: lasagne.tps_transformer(HALVES, ZOOM, control_points=17),
            "=17 does not fill a sq",
        ),
        (lambda: lasagne.tps_transformer(HALVES, ZOOM), r"needs \(\*batch, 32\): all x"),
    ],
)
def test_errors(call: Callable[..., Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
