"""Displacement fields: every point has a displacement of its own."""

import math
import operator
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from stn_jax import _checks as checks
from stn_jax.coordinates import ALIGN_CORNERS, identity_grid, pixel_pitch
from stn_jax.sampling.grid_sample import grid_sample
from stn_jax.sampling.kernels import MODES
from stn_jax.transforms.base import Transform
from stn_jax.transforms.inputs import add_batch, as_coordinates, compiled

UNITS = ("normalized", "pixels")
"""What a displacement can be counted in."""


def flow_grid(
    flow: ArrayLike, *, units: str = "normalized", align_corners: bool = ALIGN_CORNERS
) -> Float[Array, "*b_shape n"]:
    """Returns the grid of a flow: output pixel p is read at ``p + flow(p)``.

    Convention:
        Normalised coordinates, points (x, y[, z]), target to source; -1 and 1 are the outer edges
        of the border pixels, or their centres with ``align_corners=True``. An optical flow from
        frame 1 to frame 2 warps frame 2 back onto frame 1.

    Args:
        flow: ``(*batch, h, w, 2)`` or ``(*batch, d, h, w, 3)``, displacement (x, y[, z]).
        units: ``"normalized"``, or ``"pixels"`` of an image of the flow's own shape.
        align_corners: see the convention.

    Returns:
        As ``flow``, float32 (float64 for a float64 flow).

    Raises:
        ValueError: for a flow or units that do not fit.

    Example:
        >>> flow = jnp.zeros((1, 2, 2)).at[..., 0].set(1.0)
        >>> flow_grid(flow, units="pixels").tolist()
        [[[0.5, 0.0], [1.5, 0.0]]]
    """
    flow = normalized_flow("flow", flow, units, align_corners)
    return _add_points(flow, align_corners=bool(align_corners))


@compiled
def _add_points(flow: Array, *, align_corners: bool) -> Array:
    shape = flow.shape[-1 - flow.shape[-1] : -1]
    points = identity_grid(shape, align_corners=align_corners, dtype=flow.dtype)
    return flow + add_batch(points, flow.ndim)


def normalized_flow(argument: str, flow: ArrayLike, units: str, align_corners: bool) -> Array:
    """Checks a flow and turns it into normalised units; ``argument`` is its name in errors."""
    [flow] = as_coordinates(**{argument: flow})
    n = flow.shape[-1] if flow.ndim else 0
    if n not in (2, 3) or flow.ndim < n + 1:
        raise ValueError(
            f"{argument} has shape {flow.shape}; it must be (*batch, h, w, 2) or "
            "(*batch, d, h, w, 3), a displacement (x, y[, z]) for each pixel."
        )
    checks.name("units", units, UNITS)
    return flow if units == "normalized" else _from_pixels(flow, align_corners=bool(align_corners))


@compiled
def _from_pixels(flow: Array, *, align_corners: bool) -> Array:
    sizes = flow.shape[-1 - flow.shape[-1] : -1][::-1]
    scaled = [
        displacement * jnp.asarray(pixel_pitch(size, align_corners=align_corners), flow.dtype)
        for displacement, size in zip(jnp.unstack(flow, axis=-1), sizes, strict=True)
    ]
    return jnp.stack(scaled, axis=-1)


@dataclass(frozen=True)
class Flow(Transform):
    """Free-form deformation: displacements at the pixels of a lattice, interpolated in between.

    ``x_s = x_t + sum_i k(x_t - c_i) d_i``; beyond the lattice the border's displacement holds.
    The parameters are the displacements ``(*shape, n)``, normalised, flat. A lattice coarser than
    the image gives a smooth deformation of few parameters; one as fine as the output gives
    `flow_grid`.

    Attributes:
        shape: spatial shape of the lattice of displacements, ``(h, w)`` or ``(d, h, w)``.
        mode: how displacements are interpolated, as for `grid_sample`; ``"bicubic"`` is Keys'
            with a = -0.5.
        align_corners: whether the lattice's outer points lie on the image's edges, -1 and 1
            (True), or half a lattice step inside (False).

    Example:
        >>> Flow((4, 4)).num_params
        32
    """

    shape: tuple[int, ...]
    mode: str = "bilinear"
    align_corners: bool = ALIGN_CORNERS

    def __post_init__(self) -> None:
        """Checks the lattice and the mode."""
        checks.name("mode", self.mode, MODES)
        try:
            shape = tuple(map(operator.index, self.shape))
        except TypeError:
            shape = ()
        if len(shape) not in (2, 3) or min(shape) < 1:
            raise ValueError(f"shape={self.shape} does not fit; give (h, w) or (d, h, w).")
        object.__setattr__(self, "shape", shape)

    @property
    def ndim(self) -> int:
        """The lattice's axes."""
        return len(self.shape)

    @property
    def num_params(self) -> int:
        """A displacement for each point of the lattice."""
        return math.prod(self.shape) * self.ndim

    def identity(self) -> np.ndarray:
        """Returns no displacement at all."""
        return np.zeros(self.num_params, np.float32)

    def displacement(self, params: Float[Array, "p"]) -> Float[Array, "*shape n"]:
        """Returns the displacement at each point of the lattice."""
        return params.reshape(*self.shape, self.ndim)

    @compiled
    def apply(self, params: ArrayLike, points: ArrayLike) -> Float[Array, "*points n"]:
        """Maps points by one parameter vector."""
        params, points = self.check_operands(params, points)
        grid = points_as_grid(points)
        moved = sample_field(self.displacement(params), grid, self.mode, self.align_corners)
        return points + moved.reshape(points.shape)


def points_as_grid(points: Float[Array, "*points n"]) -> Float[Array, "*shape n"]:
    """Gives points the axes of a grid, as samplers want them; a grid stays as it is."""
    n = points.shape[-1]
    if points.ndim <= n + 1:
        return add_batch(points, n + 1)
    return points.reshape(*[1] * (n - 1), -1, n)


def sample_field(
    field: Float[Array, "*b_shape n"],
    points: Float[Array, "*c_points n"],
    mode: str,
    align_corners: bool,
) -> Float[Array, "*d_points n"]:
    """Returns the values of a vector field at a grid of points; beyond its edge the border's."""
    return grid_sample(
        field,
        points,
        mode=mode,
        padding_mode="border",
        cubic_coefficient=-0.5,
        align_corners=align_corners,
    )
