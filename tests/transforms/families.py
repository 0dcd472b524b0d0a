"""Every family of transforms, and what their tests share."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stn_jax as stn

FREE = ((True, False, True), (False, True, True))
TRANSFORMS = [
    stn.Affine(),
    stn.Affine(3),
    stn.Affine(free=FREE),
    stn.Attention(),
    stn.Attention(3),
    stn.Projective(),
    stn.Projective(3),
    stn.ThinPlateSpline((4, 4)),
    stn.ThinPlateSpline(((-1.0, -1.0), (1.0, -1.0), (0.0, 0.5), (0.2, 1.0))),
    stn.Translation(),
    stn.Translation(3),
    stn.Similarity(),
    stn.Similarity(3),
    stn.Rigid(),
    stn.Rigid(3),
    stn.AffineDiffeomorphic(),
    stn.AffineDiffeomorphic(3),
    stn.Flow((3, 4)),
    stn.Flow((2, 3, 4)),
    stn.Velocity((4, 4), steps=4),
    stn.Velocity((3, 3, 3), steps=2),
    stn.Velocity((4, 4), steps=2, integrator="runge_kutta"),
    stn.Chain(stn.Affine(), stn.ThinPlateSpline((3, 3))),
    stn.Chain(stn.Rigid(3), stn.Flow((2, 2, 2))),
]
# Two control points on pixel centres of a 3 x 4 output, where r^2 log r^2 has its singularity.
ON_PIXELS = stn.ThinPlateSpline(((-0.75, 0.0), (0.75, 0.0), (0.25, 0.5), (-0.25, -0.5)))
EXACT = [  # whose invert is the inverse to rounding
    t
    for t in TRANSFORMS
    if type(t).invert is not stn.Transform.invert
    and not isinstance(t, stn.Velocity | stn.Chain)
    and t != stn.Affine(free=FREE)
]
COMPOSING = (
    stn.Affine,
    stn.Attention,
    stn.Projective,
    stn.Rigid,
    stn.Similarity,
    stn.Translation,
)
# Where XLA takes seconds an example, volumes and long series wait for `make test-all`.
QUICK_FIRST = [
    pytest.param(t, marks=pytest.mark.slow)
    if t.ndim == 3 or isinstance(t, stn.AffineDiffeomorphic)
    else t
    for t in (*TRANSFORMS, ON_PIXELS)
]
SHAPE = {2: (4, 5), 3: (2, 3, 4)}


def named(transform: stn.Transform) -> str:
    return str(transform)


def near_identity(transform: stn.Transform, scale: float, seed: int = 0) -> jax.Array:
    noise = np.random.default_rng(seed).standard_normal(transform.num_params)
    return jnp.asarray(transform.identity() + scale * noise)


def moved_by(theta: jax.Array | np.ndarray, points: jax.Array | np.ndarray) -> np.ndarray:
    """Applies homographies ``(b, 3, 3)`` to points ``(b, k, 2)`` by NumPy, with no horizon."""
    flat = np.concatenate([points, np.ones_like(points[..., :1])], axis=-1)
    flat = np.einsum("bij,bkj->bki", theta, flat)
    assert (flat[..., 2] > 0).all()
    return np.asarray(flat[..., :2] / flat[..., 2:])
