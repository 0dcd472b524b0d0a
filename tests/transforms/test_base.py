"""Grids from maps: derivatives, and families that a user writes."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from jax.typing import ArrayLike

import stn_jax as stn


@pytest.mark.parametrize(
    ("grid", "theta"),
    [
        (lambda t: stn.affine_grid(t, (3, 4)), np.eye(2, 3)),
        (lambda t: stn.affine_grid(t, (2, 3, 2)), np.eye(3, 4)),
        (lambda t: stn.projective_grid(t, (3, 4)), np.eye(3)),
        (lambda t: stn.projective_grid(t, (2, 3, 2)), np.eye(4)),
        (lambda t: stn.thin_plate_spline_grid(t, (3, 4)), np.zeros((16, 2))),
        (lambda t: stn.attention_grid(t, (3, 4)), np.array([1.0, 0, 0])),
        (lambda t: stn.flow_grid(t, units="pixels"), np.zeros((3, 4, 2))),
        (lambda t: stn.velocity_grid(t, steps=2), None),
    ],
    ids="affine affine3 projective projective3 spline attention flow velocity".split(),
)
def test_grid_functions_have_the_derivatives_of_their_values(
    grid: Callable[..., Any], theta: np.ndarray | None
) -> None:
    """Velocity in general position alone, and to first order: it is bilinear, with knots."""
    rng = np.random.default_rng(5)
    order, starts = (2, [theta]) if theta is not None else (1, [])
    noise = 0.1 * rng.standard_normal((3, 4, 2) if theta is None else theta.shape)
    starts.append(noise if theta is None else theta + noise)
    for start in starts:
        check_grads(jax.jit(grid), (start,), order, ("fwd", "rev"), atol=1e-6, rtol=1e-6, eps=1e-5)


class Zoom(stn.Transform):
    """A family as README asks for: num_params, identity and grid alone."""

    num_params = 1

    def identity(self) -> np.ndarray:
        return np.ones(1, np.float32)

    def grid(
        self, params: ArrayLike, shape: Sequence[int], *, align_corners: bool = False
    ) -> jax.Array:
        points = stn.identity_grid(shape, align_corners=align_corners)
        return jnp.asarray(params)[..., None, None, :] * points


class Mirror(stn.Transform):
    """A family of one member, by apply alone."""

    num_params = 0

    def identity(self) -> np.ndarray:
        return np.zeros(0, np.float32)

    def apply(self, params: ArrayLike, points: ArrayLike) -> jax.Array:
        return -jnp.asarray(points)


def test_a_family_by_its_grid_alone() -> None:
    grid = Zoom().grid(jnp.array([2.0], jnp.float32), (3, 4))
    np.testing.assert_allclose(grid, 2 * stn.identity_grid((3, 4)))
    assert Zoom().ndim == 2
    with pytest.raises(NotImplementedError, match=r"does not define apply.*Chain"):
        stn.Chain(Zoom(), stn.Affine()).grid(np.ones(7), (3, 4))
    for method in (Zoom().invert, lambda p: Zoom().compose(p, p)):
        with pytest.raises(NotImplementedError, match="Zoom"):
            method(np.ones(1))


def test_a_family_by_apply_alone() -> None:
    np.testing.assert_allclose(
        Mirror().grid(np.zeros((2, 0)), (3, 4))[1], -stn.identity_grid((3, 4)), atol=1e-7
    )
    chain = stn.Chain(Mirror(), stn.Affine())
    np.testing.assert_allclose(
        chain.grid(chain.identity(), (3, 4)), -stn.identity_grid((3, 4)), atol=1e-7
    )
