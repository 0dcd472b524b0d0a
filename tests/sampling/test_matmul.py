"""Sampling by products; values and gradients of every kernel and padding are in test_contract."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sampling.cases import SHAPES, draw, interpolation, platform_maps, primitives
from stn_jax.sampling import gather, matmul, operator


def test_products_only() -> None:
    """Neither samples nor gradients gather or scatter: matrix units do it all."""
    image, points, values = draw(2)
    maps = platform_maps("matmul", "tpu", interpolation("bilinear", "zeros"), SHAPES[2])
    for name, operands in {
        "read": (image, points),
        "splat": (values, points),
        "vjp_points": (image, values, points),
    }.items():
        counts = primitives(maps[name], *operands)
        assert counts["dot_general"] > 0
        assert not {name for name in counts if "gather" in name or "scatter" in name}


@pytest.mark.parametrize("count", [12, 13])  # whole chunks; a prime number
def test_many_points_go_by_chunks(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """With the values and gradients of all at once, and no larger intermediate than allowed."""
    rng = np.random.default_rng(0)
    image = jnp.asarray(rng.standard_normal((4, 5, 2)))
    points = jnp.asarray(rng.uniform(-1, 5, (count, 2)))
    values = jnp.asarray(rng.standard_normal((count, 2)))
    row = interpolation("bilinear", "border")
    samples, pull = jax.vjp(lambda u, x: gather.sample(u, x, row), image, points)
    expected = samples, *pull(values)

    monkeypatch.setattr(matmul, "_MAX_INTERMEDIATE", 4 * 5 * 2)  # four points at a time

    def run(image: jax.Array, points: jax.Array, values: jax.Array) -> tuple[Any, ...]:
        found, pull = jax.vjp(lambda u, x: matmul.sample(u, x, row), image, points)
        return found, *pull(values)

    assert primitives(run, image, points, values)["scan"] >= 2  # forward and back
    for ours, want in zip(jax.jit(run)(image, points, values), expected, strict=True):
        np.testing.assert_allclose(ours, want, atol=1e-12)


def test_few_points_go_at_once() -> None:
    image, points = jnp.ones((4, 5, 2)), jnp.ones((3, 7, 2))
    row = interpolation("bilinear", "border")
    assert "scan" not in primitives(lambda u, x: matmul.sample(u, x, row), image, points)


@pytest.mark.parametrize(
    ("padding", "last"), [("reflection", [0, 0, 0, 0, 1]), ("wrap", [0.25, 0, 0, 0, 0.75])]
)
def test_a_matrix_has_the_weight_of_every_pixel(padding: str, last: list[float]) -> None:
    row = interpolation("bilinear", padding)
    ((*x,), _) = row.coordinates([jnp.array([0.25, 3.0, 4.25])], (5,))
    weights = matmul._weights(x[0], 5, row)
    expected = np.array([[0.75, 0.25, 0, 0, 0], [0, 0, 0, 1, 0], last])
    np.testing.assert_allclose(weights, np.transpose(expected), atol=1e-15)


def test_cotangents_of_any_size_meet_pixels_of_any_size() -> None:
    """Products tell what is finite by size; a cotangent must not take part in that."""
    row = interpolation("bilinear", "zeros")
    maps = platform_maps("matmul", "tpu", row, (4, 5), batch=0)
    rng = np.random.default_rng(0)
    image, values = rng.standard_normal((4, 5, 2)), rng.standard_normal((6, 2))
    points = jnp.asarray(rng.uniform(0, 3, (6, 2)))
    values *= 10.0 ** np.array([[-30], [-10], [0], [10], [30], [0]])
    u, values = jnp.asarray(image, jnp.float32), values.astype(np.float32)
    values[5, 0] = np.inf
    points = points.astype(jnp.float32)
    found = maps["vjp_points"](u, jnp.asarray(values), points)
    _, pull = jax.vjp(lambda x: gather.sample(u, x, row), points)
    (expected,) = pull(jnp.asarray(values))
    np.testing.assert_allclose(found[:5], expected[:5], rtol=1e-4)
    assert not np.isfinite(found[5]).any()


def test_changes_of_points_of_any_size_meet_pixels_of_any_size() -> None:
    row = interpolation("bilinear", "zeros")
    maps = platform_maps("matmul", "tpu", row, (4, 5), batch=0)
    rng = np.random.default_rng(0)
    image = jnp.asarray(1e10 * rng.standard_normal((4, 5, 2)), jnp.float32)
    points = jnp.asarray(rng.uniform(0, 3, (6, 2)), jnp.float32)
    change = rng.standard_normal((6, 2)) * 10.0 ** np.array([[-30], [-10], [0], [12], [20], [0]])
    change[5, 0] = np.inf
    dx = jnp.asarray(change, jnp.float32)
    found = maps["jvp_points"](image, dx, points)
    _, expected = jax.jvp(lambda x: gather.sample(image, x, row), (points,), (dx,))
    np.testing.assert_allclose(found[:5], expected[:5], rtol=1e-4)
    assert not np.isfinite(found[5]).any()


def test_second_derivatives_stop_at_a_bad_pixel() -> None:
    """As the first ones do: they differentiate the map, and not the platform's form of it."""
    rng = np.random.default_rng(0)
    image = jnp.asarray(rng.standard_normal((4, 5, 1))).at[1, 1].set(jnp.nan)
    points = jnp.asarray(rng.uniform(0, 3, (9, 2)))

    def change(points: jax.Array, algorithm: str) -> Any:
        def loss(points: jax.Array) -> jax.Array:
            row = interpolation("bilinear", "border")
            return jnp.sum(operator.sample(image, points, row, algorithm) ** 2)

        return jax.jvp(jax.grad(loss), (points,), (jnp.ones_like(points),))[1]

    expected = change(points, "gather")
    assert 0 < np.isnan(expected).sum() < expected.size
    np.testing.assert_allclose(change(points, "matmul"), expected, rtol=1e-9)
