"""The public door to sampling: ``(image, grid) -> V``. Checks arguments, samples a batch.

Convention:
    Images are ``(*batch, h, w, c)``, volumes ``(*batch, d, h, w, c)``; a grid is
    ``(*batch, *out_shape, n)`` with points ``(x, y[, z])``; -1 and 1 are the outer edges of the
    border pixels, or their centres with ``align_corners=True``. A grid maps target to source.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypedDict, Unpack

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from stn_jax import _checks as checks
from stn_jax import _mesh
from stn_jax import coordinates as coords
from stn_jax._jit import jit
from stn_jax.coordinates import ALIGN_CORNERS
from stn_jax.sampling import kernels, operator, platforms, pyramid
from stn_jax.sampling.interpolation import Interpolation
from stn_jax.sampling.padding import PADDING_MODES


class SamplingOptions(TypedDict, total=False):
    """Options of `grid_sample` that functions built on it pass on."""

    padding_mode: str
    fill_value: ArrayLike | Sequence[float]
    cubic_coefficient: float
    max_levels: int | np.integer | None
    backend: str


class BilinearOptions(SamplingOptions, total=False):
    """Options of `bilinear_sample`."""

    antialias: bool | np.bool_
    align_corners: bool


class TransformOptions(SamplingOptions, total=False):
    """Options of `stn_jax.spatial_transform`."""

    mode: str


def grid_sample(
    image: ArrayLike,
    grid: ArrayLike,
    *,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    fill_value: ArrayLike | Sequence[float] = 0.0,
    cubic_coefficient: float = -0.75,
    antialias: bool | np.bool_ = False,
    max_levels: int | np.integer | None = None,
    align_corners: bool = ALIGN_CORNERS,
    backend: str = "auto",
) -> jax.Array:
    """Samples an image, or a volume, at the points of a grid.

    ``V_i = sum_n sum_m U_nm k(x_i - m) k(y_i - n)`` (STN paper, eq. 3), with k the kernel of
    ``mode`` and (x_i, y_i) the grid's points in pixels. Values and both gradients equal
    ``torch.nn.functional.grid_sample`` where that has the mode. At integer coordinates the
    derivative of the bilinear kernel is the right-sided one, ``U[x + 1] - U[x]``, and so not zero
    at the identity; the paper's own sub-gradient (eq. 7) is ``U[x]`` alone there, and not a
    difference of pixels.

    Convention:
        See the module: points are (x, y[, z]), normalised, target to source.

    Args:
        image: ``(*batch, h, w, c)`` or ``(*batch, d, h, w, c)``, floating.
        grid: ``(*batch, *out_shape, n)``, normalised coordinates, n = 2 or 3. The batch axes of
            image and grid broadcast.
        mode: ``"nearest"`` (half to even), ``"bilinear"`` (trilinear on volumes), ``"bicubic"``
            (Keys; tricubic on volumes) or ``"lanczos3"`` (weights of `jax.image`).
        padding_mode: what lies outside the image: ``"zeros"``, ``"border"``, ``"reflection"``
            (about the pixel edges, or centres with ``align_corners``), ``"wrap"`` (period = size),
            ``"fill"`` (blends over one pixel at the edge, SciPy's ``"grid-constant"``) or
            ``"constant"`` (crisp: beyond the border pixels' centres the fill value alone, SciPy's
            ``"constant"``).
        fill_value: for ``"fill"`` and ``"constant"``, the value outside: a scalar or one for each
            channel. It may be NaN: points that touch no outside do not change with it.
        cubic_coefficient: Keys' a: -0.75 as PyTorch and ONNX, -0.5 for third order.
        antialias: for maps that shrink: read each point from a pyramid of halved images, where
            its neighbours lie more than a pixel apart (see `stn_jax.sampling.pyramid`).
        max_levels: with antialias, the most halvings to use, each costs one sampling; None halves
            down to one pixel.
        align_corners: whether -1 and 1 are centres (True) or outer edges (False) of border pixels.
        backend: ``"auto"`` takes the fastest on the platform, the result is the same: ``"gather"``
            (a read for each tap), ``"matmul"`` (weights as matrices) or ``"windowed"`` (one gather
            of whole windows). ``"native"`` is compiled kernels for CPUs, of the package
            ``stn-jax-cpu``, and gathers where it is not installed. ``"triton"`` is a fused
            kernel for Triton, not yet measured, and gathers elsewhere. ``"reference"`` is the
            double sum as written.

    Returns:
        ``(*batch, *out_shape, c)`` in the image's dtype. Coordinates are computed in float32
        (float64 for float64 inputs). A NaN point gives NaN there and nowhere else; infinite
        points are outside. A pixel that is not finite shows where it has a weight, nowhere else.

    Raises:
        ValueError: for ranks, batches or names that do not fit, and for more than 2^31 - 1 values
            in one image.
        TypeError: for an image or grid that is not floating, and for options of the wrong type.

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
        max_levels=max_levels,
        align_corners=align_corners,
        backend=backend,
    )


def bilinear_sample(
    image: ArrayLike, grid: ArrayLike, **options: Unpack[BilinearOptions]
) -> jax.Array:
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
    fill_value: ArrayLike | Sequence[float] = 0.0,
    cubic_coefficient: float = -0.75,
    antialias: bool | np.bool_ = False,
    max_levels: int | np.integer | None = None,
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
        max_levels: as for `grid_sample`.
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
        max_levels=max_levels,
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
    fill_value: ArrayLike | Sequence[float],
    cubic_coefficient: float,
    antialias: bool | np.bool_,
    max_levels: int | np.integer | None,
    align_corners: bool,
    backend: str,
) -> jax.Array:
    checks.name("mode", mode, kernels.MODES)
    checks.name("padding_mode", padding_mode, PADDING_MODES)
    checks.name("backend", backend, platforms.BACKENDS)
    image, points = checks.image_and_points(image, points, "grid" if normalized else "coordinates")
    checks.antialias(antialias, mode, max_levels)
    fill = checks.fill(
        fill_value,
        padding_mode,
        image.shape[-1],
        has_fill=PADDING_MODES[padding_mode].fill is not None,
    )
    kernel = kernels.MODES[mode](float(cubic_coefficient))
    padding = PADDING_MODES[padding_mode]
    interpolation = Interpolation(kernel, padding, bool(align_corners), normalized)
    # From here on one number says how many halvings: 0 is no antialiasing, None is no limit.
    levels = 0 if not antialias else None if max_levels is None else int(max_levels)
    return _sample_batch(image, points, fill, interpolation, backend, levels)


def _split(image: jax.Array, points: jax.Array, *_: Any) -> _mesh.Split:
    """How samples are split over an explicit mesh: as images, or as points."""
    n, of_image, of_points = points.shape[-1], _mesh.split_of(image), _mesh.split_of(points)
    batch = _mesh.merge_splits(of_image[: -n - 1], of_points[: -n - 1])
    return (*batch, *of_points[-n - 1 : -1], of_image[-1])


@jit(static_argnums=(3, 4, 5))  # so that an eager call compiles once
@_mesh.auto_axes(_split)
def _sample_batch(
    image: jax.Array,
    points: jax.Array,
    fill: jax.Array | None,
    interpolation: Interpolation,
    algorithm: str,
    max_levels: int | None,
) -> jax.Array:
    """Samples every image of a batch."""
    dtype, n = coords.coordinate_dtype(image, points), points.shape[-1]
    if fill is not None:
        fill = jnp.broadcast_to(fill.astype(dtype), image.shape[-1:])
    image, points = checks.equal_ranks((image, n + 1), (points, n + 1))
    source, target = ",".join("abd"[:n]), ",".join("hwk"[:n])
    batched: Callable[..., Array] = jnp.vectorize(
        functools.partial(_sample_image, fill, interpolation, algorithm, max_levels),
        signature=f"({source},c),({target},n)->({target},c)",
    )
    return batched(image.astype(dtype), points.astype(dtype)).astype(image.dtype)


def _sample_image(
    fill: Float[Array, " c"] | None,
    interpolation: Interpolation,
    algorithm: str,
    max_levels: int | None,
    image: Float[Array, "*shape c"],
    points: Float[Array, "*points n"],
) -> Float[Array, "*points c"]:
    """Samples one image, or with ``max_levels`` other than 0 a pyramid of its halvings."""
    if max_levels != 0:
        plain = functools.partial(_sample_image, fill, algorithm=algorithm, max_levels=0)
        return pyramid.sample(image, points, plain, interpolation, max_levels)
    values = operator.sample(image, points, interpolation, algorithm)
    if fill is None:
        return values
    # Its derivative recomputes weights from the points, as the sampler's does.
    shape = image.shape[:-1]
    add_fill: Callable[..., Array] = jax.checkpoint(
        functools.partial(interpolation.add_fill, shape=shape)
    )
    return add_fill(values, fill, jnp.unstack(points, axis=-1)[::-1])
