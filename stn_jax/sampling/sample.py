"""The public door to sampling: ``(image, grid) -> V``. Checks, converts, and calls a backend.

Convention:
    Images are ``(*batch, h, w, c)``, volumes ``(*batch, d, h, w, c)``; a grid is
    ``(*batch, *out_shape, n)`` with points ``(x, y[, z])``; -1 and 1 are the outer edges of the
    border pixels, or their centres with ``align_corners=True``. A grid maps target to source.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from stn_jax import coordinates as coords
from stn_jax.coordinates import ALIGN_CORNERS
from stn_jax.sampling import gather, kernels, reference
from stn_jax.sampling.boundary import PADDING_MODES

BACKENDS: dict[str, Callable[..., jax.Array]] = {
    "gather": gather.sample,
    "reference": reference.sample,
}
"""Every backend, by its public name; ``"auto"`` is a choice among them."""


def grid_sample(
    image: ArrayLike,
    grid: ArrayLike,
    *,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    fill_value: ArrayLike = 0.0,
    cubic_coefficient: float = -0.75,
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
        align_corners: whether -1 and 1 are centres (True) or outer edges (False) of border pixels.
        backend: ``"auto"``, ``"gather"`` or ``"reference"`` (the double sum as written).

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
    align_corners: bool,
    backend: str,
) -> jax.Array:
    image, points = jnp.asarray(image), jnp.asarray(points)
    name = "grid" if normalized else "coordinates"
    _check_name("mode", mode, kernels.MODES)
    _check_name("padding_mode", padding_mode, PADDING_MODES)
    _check_name("backend", backend, ("auto", *BACKENDS))
    _check_arrays(image, points, name)
    fill = _check_fill(fill_value, padding_mode, image.shape[-1])

    pixels = image if fill is None else image - fill
    values = _sample_batch(
        pixels,
        points,
        normalized=normalized,
        mode=mode,
        padding_mode=padding_mode,
        cubic_coefficient=float(cubic_coefficient),
        align_corners=bool(align_corners),
        backend="gather" if backend == "auto" else backend,
    )
    return values if fill is None else values + fill


@functools.partial(
    jax.jit,
    static_argnames=(
        "normalized",
        "mode",
        "padding_mode",
        "cubic_coefficient",
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
    align_corners: bool,
    backend: str,
) -> jax.Array:
    """Samples every image of a batch; jitted, so that an eager call compiles once."""
    kernel = kernels.named(mode, cubic_coefficient)
    boundary = PADDING_MODES[padding_mode]
    dtype = coords.coordinate_dtype(image, points)
    n = points.shape[-1]

    def sample_one(image: jax.Array, points: jax.Array) -> jax.Array:
        shape = image.shape[:-1]
        if normalized:
            axes = coords.pixels(points, shape, align_corners=align_corners)
        else:
            axes = [points[..., n - 1 - axis] for axis in range(n)]
        lost = functools.reduce(jnp.logical_or, map(jnp.isnan, axes))
        axes = [jnp.where(lost, 0, x) for x in axes]
        for move in (boundary.limit,) if kernel.pads_taps else (boundary.limit, boundary.fold):
            axes = [move(x, size, align_corners) for x, size in zip(axes, shape, strict=True)]
        values = BACKENDS[backend](image, axes, kernel, boundary, align_corners)
        return jnp.where(lost[..., None], jnp.nan, values)

    source, target = ",".join("abd"[:n]), ",".join("hwk"[:n])
    signature = f"({source},c),({target},n)->({target},c)"
    batched = jnp.vectorize(sample_one, signature=signature)
    return batched(image.astype(dtype), points.astype(dtype)).astype(image.dtype)


def _check_name(argument: str, name: Any, allowed: Any) -> None:
    if name not in tuple(allowed):
        choices = ", ".join(repr(choice) for choice in allowed)
        raise ValueError(f"{argument}={name!r} is not known; choose one of {choices}.")


def _check_arrays(image: jax.Array, points: jax.Array, name: str) -> None:
    for argument, array in (("image", image), (name, points)):
        if not jnp.issubdtype(array.dtype, jnp.floating):
            raise TypeError(
                f"{argument} has dtype {array.dtype}, a floating dtype is needed. "
                f"Convert it first: {argument}.astype(jnp.float32)"
                + (
                    ", or sample real and imaginary parts apart."
                    if jnp.issubdtype(array.dtype, jnp.complexfloating)
                    else "."
                )
            )
    n = points.shape[-1] if points.ndim else 0
    if n not in (2, 3):
        raise ValueError(
            f"{name} has shape {points.shape}; its last axis must hold 2 coordinates (x, y) for "
            "images or 3 (x, y, z) for volumes."
        )
    layout = "(*batch, h, w, c)" if n == 2 else "(*batch, d, h, w, c)"
    target = "(*batch, h, w, 2)" if n == 2 else "(*batch, d, h, w, 3)"
    if image.ndim < n + 1:
        raise ValueError(
            f"image has shape {image.shape}; a {name} of {n} coordinates needs an image "
            f"{layout}. Add the channel axis with image[..., None] if it is missing."
        )
    if points.ndim < n + 1:
        raise ValueError(f"{name} has shape {points.shape}; it must be {target}.")
    if 0 in image.shape[-n - 1 : -1]:
        raise ValueError(f"image has shape {image.shape}; its spatial axes must not be empty.")
    batches = image.shape[: -n - 1], points.shape[: -n - 1]
    try:
        jnp.broadcast_shapes(*batches)
    except ValueError:
        raise ValueError(
            f"image {image.shape} and {name} {points.shape} have batch axes {batches[0]} and "
            f"{batches[1]}, which do not broadcast; layouts are {layout} and {target}."
        ) from None


def _check_fill(fill_value: ArrayLike, padding_mode: str, channels: int) -> jax.Array | None:
    fill = jnp.asarray(fill_value)
    if padding_mode != "fill":
        if isinstance(fill_value, float | int) and fill_value == 0:
            return None
        raise ValueError(
            f"fill_value={fill_value!r} is only used with padding_mode='fill', "
            f"padding_mode is {padding_mode!r}."
        )
    if fill.shape not in ((), (channels,)):
        raise ValueError(
            f"fill_value has shape {fill.shape}; give a scalar or one value for each of the "
            f"image's {channels} channels."
        )
    return fill
