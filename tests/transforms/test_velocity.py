"""Velocity fields: order of convergence, inverses, and numbers of steps."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stn_jax as stn


def whirl(points: jax.Array | np.ndarray) -> np.ndarray:
    """A smooth velocity that vanishes, with three derivatives, at the border of [-1, 1]^2."""
    x, y = np.moveaxis(np.asarray(points), -1, 0)
    window = (np.maximum(1 - x**2, 0) * np.maximum(1 - y**2, 0)) ** 4
    return np.asarray(
        0.6 * window[..., None] * np.stack([np.sin(2 * y + 0.5), np.cos(2 * x)], axis=-1)
    )


def rms(a: jax.Array | np.ndarray, b: jax.Array | np.ndarray) -> float:
    return float(np.sqrt(np.mean((np.asarray(a) - np.asarray(b)) ** 2)))


@pytest.mark.parametrize(
    ("size", "mode", "steps"), [(16, "bilinear", 16), (16, "bicubic", 7), (64, "bicubic", 7)]
)
def test_velocity_by_runge_kutta_is_undone_at_any_resolution(
    size: int, mode: str, steps: int
) -> None:
    """A bilinear field has corners, which cost steps: with seven the largest error is 3.9e-5."""
    transform = stn.Velocity((size, size), mode=mode, steps=steps, integrator="runge_kutta")
    velocity = jnp.asarray(whirl(stn.identity_grid((size, size), dtype=np.float64)))
    points = stn.identity_grid((64, 64), dtype=jnp.float64)
    moved = transform.apply(velocity.ravel(), points)
    assert np.abs(moved - points).max() > 0.4
    back = transform.apply(transform.invert(velocity.ravel()), moved)
    np.testing.assert_allclose(back, points, atol=1e-5)
    again = stn.velocity_grid(velocity, mode=mode, steps=steps, integrator="runge_kutta")
    expected = transform.grid(velocity.ravel(), (size, size))
    np.testing.assert_allclose(again, expected, atol=1e-12)


def test_velocity_needs_its_steps() -> None:
    """The midpoint rule's error falls by four with each step more, down to interpolation's."""
    velocity = whirl(np.asarray(stn.identity_grid((64, 64), dtype=np.float64)))
    fine = stn.velocity_grid(velocity, steps=10, mode="bicubic")
    errors = [rms(stn.velocity_grid(velocity, steps=k, mode="bicubic"), fine) for k in (0, 1, 2, 3)]
    ratios = np.array(errors[:-1]) / errors[1:]
    assert (ratios > 3).all(), errors


def test_many_squarings_work() -> None:
    field = np.full((4, 4, 2), 0.25, np.float32)  # a constant field moves its inside by itself
    for steps in (30, 64, 100):
        moved = stn.velocity_grid(field, steps=steps) - stn.identity_grid((4, 4))
        np.testing.assert_allclose(moved, 0.25, atol=1e-5)


@pytest.mark.parametrize("steps", [101, -1, 2.5, None])
@pytest.mark.usefixtures("no_annotations")
def test_steps_that_cannot_be_meant_are_refused(steps: Any) -> None:
    with pytest.raises(ValueError, match=f"steps={steps} does not fit.* from 0 to 100"):
        stn.velocity_grid(np.zeros((4, 4, 2)), steps=steps)
    if steps != 101:
        with pytest.raises(ValueError, match=f"steps={steps} does not fit.* from 1 on"):
            stn.Velocity((4, 4), steps=steps, integrator="runge_kutta")


@pytest.mark.parametrize("integrator", ["squaring", "runge_kutta"])
def test_batches_of_fields_are_single_fields(integrator: str) -> None:
    fields = np.random.default_rng(0).normal(size=(2, 3, 4, 5, 2)) * 0.1
    grids = stn.velocity_grid(fields, integrator=integrator, steps=3)
    assert grids.shape == fields.shape
    single = stn.velocity_grid(fields[1, 2], integrator=integrator, steps=3)
    np.testing.assert_allclose(grids[1, 2], single, atol=1e-15)


@pytest.mark.parametrize("integrator", ["squaring", "runge_kutta"])
def test_a_point_of_any_shape_is_followed(integrator: str) -> None:
    family = stn.Velocity((4, 5), integrator=integrator, steps=3)
    params = 0.1 * np.random.default_rng(0).normal(size=family.num_params)
    points = np.random.default_rng(1).uniform(-1, 1, (2, 3, 4, 2))
    every = family.apply(params, points)
    assert every.shape == points.shape
    np.testing.assert_allclose(family.apply(params, points[1, 2, 3]), every[1, 2, 3], atol=1e-15)
    np.testing.assert_allclose(family.apply(params, points[0, 1]), every[0, 1], atol=1e-15)
