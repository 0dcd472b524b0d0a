"""The public door to sampling: ``(image, grid) -> V``. Checks, converts, and calls a backend.

Convention:
    Images are ``(*batch, h, w, c)``, volumes ``(*batch, d, h, w, c)``; a grid is
    ``(*batch, *out_shape, n)`` with points ``(x, y[, z])``; -1 and 1 are the outer edges of the
    border pixels, or their centres with ``align_corners=True``. A grid maps target to source.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from stn_jax import _checks as checks
from stn_jax import coordinates as coords
from stn_jax.coordinates import ALIGN_CORNERS
from stn_jax.sampling import kernels, operator, pyramid
from stn_jax.sampling.backends import BACKENDS
from stn_jax.sampling.operator import Scheme
from stn_jax.sampling.padding import PADDING_MODES, split_nan

_EVERY = 64  # More halvings than any image has.


def grid_sample(
    image: ArrayLike,
    grid: ArrayLike,
    *,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    fill_value: ArrayLike = 0.0,
    cubic_coefficient: float = -0.75,
    antialias: bool | int = False,
    align_corners: bool = ALIGN_CORNERS,
    backend: str = "auto",
) -> jax.Array:
    """Samples an image, or a volume, at the points of a grid.

    ``V_i = sum_n sum_m U_nm k(x_i - m) k(y_i - n)`` (STN paper, eq. 3), with k the kernel of
    ``mode`` and (x_i, y_i) the grid's points in pixels. Values and both gradients equal
    ``torch.nn.functional.grid_sample`` where that has the mode. At integer coordinates the
    derivative of the bilinear kernel is the right-sided one, ``U[x + 1] - U[x]``, and so not zero
    at the identity; the paper's own sub-gradient (eq. 7) is ``U[x]`` there, no difference at all.

    Convention:
        See the module: points are (x, y[, z]), normalised, target to source.

    Args:
        image: ``(*batch, h, w, c)`` or ``(*batch, d, h, w, c)``, floating.
        grid: ``(*batch, *out_shape, n)``, normalised coordinates, n = 2 or 3. The batch axes of
            image and grid broadcast.
        mode: ``"nearest"`` (half to even), ``"bilinear"`` (trilinear on volumes) or ``"bicubic"``
            (Keys; tricubic on volumes).
        padding_mode: what lies outside the image: ``"zeros"``, ``"border"``, ``"reflection"``
            (about the pixel edges, or centres with ``align_corners``), ``"wrap"`` (period = size)
            or ``"fill"``.
        fill_value: for ``"fill"``, the value outside: a scalar or one for each channel.
        cubic_coefficient: Keys' a: -0.75 as PyTorch and ONNX, -0.5 for third order.
        antialias: for maps that shrink: read each point from a pyramid of halved images, where
            its neighbours lie more than a pixel apart (see `stn_jax.sampling.pyramid`). True halves
            down to one pixel; a number is the most halvings to use, each costs one sampling.
        align_corners: whether -1 and 1 are centres (True) or outer edges (False) of border pixels.
        backend: ``"auto"`` takes what the platform is quick at: ``"gather"``, or on a TPU
            ``"matmul"`` (weights as matrices; a pixel that is not finite spreads over its image) or
            ``"windowed"`` (one gather of windows). ``"triton"`` is a fused GPU kernel, not yet
            measured, and gathers elsewhere. ``"reference"`` is the double sum as written.

    Returns:
        ``(*batch, *out_shape, c)`` in the image's dtype. Coordinates are computed in float32
        (float64 for float64 inputs). A NaN point gives NaN there and nowhere else; infinite
        points are outside.

    Raises:
        ValueError: for ranks, batches or names that do not fit.
        TypeError: for an image that is not floating.

    References:
        Jaderberg et al., "Spatial Transformer Networks", 2015, section 3.3.

    Example:
        >>> import stn_jax as stn
        >>> image = jnp.arange(4.0).reshape(2, 2, 1)
        >>> grid = stn.affine_grid(stn.translation(jnp.array([1.0, 0.0])), (2, 2))
        >>> grid_sample(image, grid)[..., 0]
        Array([[1., 0.],
               [3., 0.]], dtype=float32)
    """
    return _sample(
        image,
        grid,
        normalized=True,
        mode=mode,
        padding_mode=padding_mode,
        fill_value=fill_value,
        cubic_coefficient=cubic_coefficient,
        antialias=antialias,
        align_corners=align_corners,
        backend=backend,
    )


def bilinear_sample(image: ArrayLike, grid: ArrayLike, **options: Any) -> jax.Array:
    """Samples bilinearly (trilinearly on volumes): `grid_sample` with the mode fixed.

    Args:
        image: as for `grid_sample`.
        grid: as for `grid_sample`.
        **options: the other options of `grid_sample`.

    Returns:
        As `grid_sample`.

    Example:
        >>> bilinear_sample(jnp.array([[[0.0], [4.0]]]), jnp.array([[[0.0, 0.0]]])).tolist()
        [[[2.0]]]
    """
    return grid_sample(image, grid, mode="bilinear", **options)


def sample_pixels(
    image: ArrayLike,
    coordinates: ArrayLike,
    *,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    fill_value: ArrayLike = 0.0,
    cubic_coefficient: float = -0.75,
    antialias: bool | int = False,
    align_corners: bool = ALIGN_CORNERS,
    backend: str = "auto",
) -> jax.Array:
    """Samples at pixel coordinates: `grid_sample` for those who count pixels.

    Convention:
        Points are (x, y[, z]); the centre of pixel i has coordinate i.

    Args:
        image: as for `grid_sample`.
        coordinates: ``(*batch, *out_shape, n)`` in pixels.
        mode: as for `grid_sample`.
        padding_mode: as for `grid_sample`.
        fill_value: as for `grid_sample`.
        cubic_coefficient: as for `grid_sample`.
        antialias: as for `grid_sample`.
        align_corners: only says where ``"reflection"`` has its mirrors: pixel centres or edges.
        backend: as for `grid_sample`.

    Returns:
        As `grid_sample`.

    Example:
        >>> sample_pixels(jnp.array([[[0.0], [4.0]]]), jnp.array([[[0.25, 0.0]]])).tolist()
        [[[1.0]]]
    """
    return _sample(
        image,
        coordinates,
        normalized=False,
        mode=mode,
        padding_mode=padding_mode,
        fill_value=fill_value,
        cubic_coefficient=cubic_coefficient,
        antialias=antialias,
        align_corners=align_corners,
        backend=backend,
    )


def _sample(
    image: ArrayLike,
    points: ArrayLike,
    *,
    normalized: bool,
    mode: str,
    padding_mode: str,
    fill_value: ArrayLike,
    cubic_coefficient: float,
    antialias: bool | int,
    align_corners: bool,
    backend: str,
) -> jax.Array:
    image, points = jnp.asarray(image), jnp.asarray(points)
    name = "grid" if normalized else "coordinates"
    checks.name("mode", mode, kernels.MODES)
    checks.name("padding_mode", padding_mode, PADDING_MODES)
    checks.name("backend", backend, BACKENDS)
    checks.arrays(image, points, name)
    checks.antialias(antialias, mode)
    fill = checks.fill(fill_value, padding_mode, image.shape[-1])

    pixels = image if fill is None else image - fill
    values = _sample_batch(
        pixels,
        points,
        normalized=normalized,
        mode=mode,
        padding_mode=padding_mode,
        cubic_coefficient=float(cubic_coefficient),
        halvings=_EVERY if antialias is True else int(antialias),
        align_corners=bool(align_corners),
        backend=backend,
    )
    return values if fill is None else values + fill


@functools.partial(
    jax.jit,
    static_argnames=(
        "normalized",
        "mode",
        "padding_mode",
        "cubic_coefficient",
        "halvings",
        "align_corners",
        "backend",
    ),
)
def _sample_batch(
    image: jax.Array,
    points: jax.Array,
    *,
    normalized: bool,
    mode: str,
    padding_mode: str,
    cubic_coefficient: float,
    halvings: int,
    align_corners: bool,
    backend: str,
) -> jax.Array:
    """Samples every image of a batch; jitted, so that an eager call compiles once."""
    kernel = kernels.named(mode, cubic_coefficient)
    boundary = PADDING_MODES[padding_mode]
    dtype = coords.coordinate_dtype(image, points)
    n = points.shape[-1]

    def read(image: jax.Array, axes: Sequence[jax.Array], align_corners: bool) -> jax.Array:
        shape = image.shape[:-1]
        for move in (boundary.limit,) if kernel.pads_taps else (boundary.limit, boundary.fold):
            axes = [move(x, size, align_corners) for x, size in zip(axes, shape, strict=True)]
        scheme = Scheme(BACKENDS[backend], kernel, boundary, align_corners)
        return operator.sample(scheme, image, axes)

    def sample_one(image: jax.Array, points: jax.Array) -> jax.Array:
        shape = image.shape[:-1]
        if normalized:
            axes = coords.pixels(points, shape, align_corners=align_corners)
        else:
            axes = coords.by_axis(points)
        if not halvings:
            return read(image, axes, align_corners)
        lost, finite = split_nan(axes)  # whose neighbours must not be lost
        values = pyramid.sample(image, finite, read, boundary, align_corners, halvings)
        return jnp.where(lost[..., None], jnp.nan, values)

    source, target = ",".join("abd"[:n]), ",".join("hwk"[:n])
    signature = f"({source},c),({target},n)->({target},c)"
    # Reverse mode keeps image and points, and not what lies between them and the operator.
    kept = jax.checkpoint(sample_one, prevent_cse=False)
    batched = jnp.vectorize(kept, signature=signature)
    return batched(image.astype(dtype), points.astype(dtype)).astype(image.dtype)
