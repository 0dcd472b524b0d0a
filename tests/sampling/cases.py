"""What the tests of sampling share: examples, and the four maps as a platform runs them."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxprs_in_params

from stn_jax.sampling import kernels, operator, platforms
from stn_jax.sampling.interpolation import Interpolation
from stn_jax.sampling.padding import PADDING_MODES

SHAPES = {2: (4, 5), 3: (3, 2, 4)}
POINTS = {2: (4, 7), 3: (2, 3, 5)}
FAR = [-0.5, 1e7, -1e30, np.inf, -np.inf]


def interpolation(
    mode: str, padding_mode: str, align_corners: bool = False, normalized: bool = False
) -> Interpolation:
    """An `Interpolation` by public names; in pixels, so that integers are exact."""
    kernel = kernels.MODES[mode](-0.75)
    return Interpolation(kernel, PADDING_MODES[padding_mode], align_corners, normalized)


def draw(
    n: int, *, batch: int = 2, channels: int = 2, dtype: Any = np.float64, seed: int = 0
) -> tuple[jax.Array, ...]:
    """A batch of images, points in pixels, and cotangents.

    Points lie inside, up to two sizes outside, on integers, on mirrors, very far out; one is NaN.
    """
    rng = np.random.default_rng(seed)
    sizes, points = np.array(SHAPES[n][::-1]), (batch, *POINTS[n])
    x = rng.uniform(-1, sizes, (*points, n))
    x = np.where(rng.random(x.shape) < 0.3, rng.uniform(-2 * sizes, 3 * sizes, x.shape), x)
    x = np.where(rng.random(x.shape) < 0.3, rng.integers(-2, sizes + 2, x.shape), x)
    x = np.where(rng.random(x.shape) < 0.1, rng.choice(FAR, x.shape), x)
    x[(0, *[1] * n, 0)] = np.nan
    image = rng.standard_normal((batch, *SHAPES[n], channels))
    values = rng.standard_normal((*points, channels))
    return tuple(jnp.asarray(a, dtype) for a in (image, x, values))


def axes(points: jax.Array) -> list[jax.Array]:
    """A point's coordinates, an array for each axis in image order."""
    return list(jnp.unstack(points, axis=-1)[::-1])


def platform_maps(
    algorithm: str,
    platform: str | None,
    interpolation: Interpolation,
    shape: tuple[int, ...],
    batch: int = 1,
) -> dict[str, Callable[..., Any]]:
    """The four maps by name, as a platform runs them.

    Their operations run on the platform at hand, so a CPU can test what a TPU would run.
    """
    static: dict[str, Any] = {
        "algorithm": algorithm,
        "interpolation": interpolation,
        "shape": shape,
    }
    static["is_local"] = True
    return {
        name: functools.partial(
            platforms.run, name, getattr(operator, name).function, platform, batch=batch, **static
        )
        for name in ("read", "jvp_points", "splat", "vjp_points")
    }


def primitives(function: Callable[..., Any], *arrays: Any) -> dict[str, int]:
    """Counts the primitives of a function's program, in nested programs too."""
    counts: dict[str, int] = {}

    def count(jaxpr: Any) -> None:
        for equation in jaxpr.eqns:
            counts[equation.primitive.name] = counts.get(equation.primitive.name, 0) + 1
            for inner in jaxprs_in_params(equation.params):
                count(inner)

    count(jax.make_jaxpr(function)(*arrays).jaxpr)
    return counts


def value_and_gradients(function: Callable[..., Any]) -> Callable[..., Any]:
    """``(*arrays, cotangent) -> (value, *gradients)`` in one program."""

    @functools.partial(jax.jit, static_argnames="options")
    def run(*operands: Any, options: Any = ()) -> tuple[Any, ...]:
        *arrays, cotangent = operands
        value, pull = jax.vjp(lambda *a: function(*a, **dict(options)), *arrays)
        return value, *pull(cotangent)

    return run
