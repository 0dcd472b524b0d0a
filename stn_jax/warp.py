"""(U, theta) -> V: grid and sampler in one call, and what the Spatial Transformer layers share."""

import numbers
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from fractions import Fraction
from typing import Any, NamedTuple, Unpack

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from stn_jax import _checks as checks
from stn_jax.coordinates import ALIGN_CORNERS
from stn_jax.sampling import kernels, padding
from stn_jax.sampling.grid_sample import TransformOptions, grid_sample
from stn_jax.sampling.separable import separable_sample
from stn_jax.transforms.affine import Affine, AffineFamily
from stn_jax.transforms.base import Transform


class Warp(NamedTuple):
    """What a spatial transformer did to a batch.

    Attributes:
        features: the transformed images ``(b, *out_shape, c)``.
        theta: the parameters ``(b, num_params)`` that the localization network chose.
        grid: where each output pixel was read, ``(b, *out_shape, n)``, normalised.
    """

    features: jax.Array
    theta: jax.Array
    grid: jax.Array


def spatial_transform(
    image: ArrayLike,
    params: ArrayLike,
    shape: Sequence[int],
    *,
    transform: Transform = Affine(),
    antialias: bool = False,
    align_corners: bool = ALIGN_CORNERS,
    **options: Unpack[TransformOptions],
) -> jax.Array:
    """Transforms an image: ``grid_sample(image, transform.grid(params, shape))``.

    Convention:
        Normalised coordinates, points (x, y[, z]), target to source; -1 and 1 are the outer edges
        of the border pixels, or their centres with ``align_corners=True``.

    Args:
        image: ``(*batch, h, w, c)`` or ``(*batch, d, h, w, c)``.
        params: ``(*batch, transform.num_params)``; for `Affine` with all entries free also its
            matrices, ``(*batch, 2, 3)`` or ``(*batch, 3, 4)``.
        shape: spatial shape of the output.
        transform: the family that the parameters belong to.
        antialias: as for `grid_sample`; but where the transform's axes do not mix (attention,
            translation, an affine map with a fixed diagonal form) and no backend is named, the
            exact `separable_sample`, which needs no ``max_levels``.
        align_corners: see the convention; for the grid and the sampler alike.
        **options: other options of `grid_sample` (mode, padding_mode, max_levels, ...).

    Returns:
        ``(*batch, *shape, c)`` in the image's dtype.

    Raises:
        ValueError: for parameters or a shape that do not fit the transform, and as `grid_sample`.
        TypeError: as `grid_sample`.

    References:
        Jaderberg et al., "Spatial Transformer Networks", 2015, eq. 1 to 3.

    Example:
        >>> image = jnp.arange(4.0).reshape(2, 2, 1)
        >>> flip = jnp.array([[-1.0, 0, 0], [0, 1, 0]])
        >>> spatial_transform(image, flip, (2, 2))[..., 0]
        Array([[1., 0.],
               [3., 2.]], dtype=float32)
    """
    params = _flatten_matrix(transform, jnp.asarray(params))
    auto = options.get("backend", "auto") == "auto"
    checks.antialias(antialias, options.get("mode", "bilinear"), options.get("max_levels"))
    if antialias and auto and isinstance(transform, AffineFamily) and transform.separable:
        inexact = ("backend", "max_levels")
        exact: dict[str, Any] = {k: v for k, v in options.items() if k not in inexact}
        theta = transform.matrix(params)
        scale = jnp.stack([theta[..., axis, axis] for axis in range(transform.ndim)], axis=-1)
        return separable_sample(
            image, scale, theta[..., -1], shape, align_corners=align_corners, **exact
        )
    grid = transform.grid(params, shape, align_corners=align_corners)
    return grid_sample(image, grid, antialias=antialias, align_corners=align_corners, **options)


def _flatten_matrix(transform: Transform, params: Array) -> Array:
    """Flattens the matrices of an `Affine` with all entries free; leaves other parameters alone."""
    matrix = (transform.ndim, transform.ndim + 1)
    if isinstance(transform, Affine) and transform.free is None and params.shape[-2:] == matrix:
        return params.reshape(*params.shape[:-2], transform.num_params)
    return params


@dataclass(eq=False, repr=False)
class SpatialTransformerBase:
    """The Spatial Transformer layer without a framework; `stn_jax.nn` and `stn_jax.linen` add one.

    ``V = sample(U, grid(localization(U)))``. What the options mean is said at
    `stn_jax.nn.SpatialTransformer`; options that no call could honour are refused here.
    """

    localization: Callable[[Array], Array]
    transform: Transform = Affine()
    _: KW_ONLY
    shape: Sequence[int] | None = None
    downsample_factor: float | None = None
    mode: str = "bilinear"
    padding_mode: str = "zeros"
    fill_value: ArrayLike = 0.0
    antialias: bool = False
    max_levels: int | None = None
    align_corners: bool = ALIGN_CORNERS

    def __post_init__(self) -> None:
        """Refuses what a call would refuse, and makes arrays and lists hashable."""
        if not isinstance(self.transform, Transform):
            raise TypeError(f"transform={self.transform!r} must be a transform, say stn.Affine().")
        if self.shape is not None:
            self.shape = checks.static_shape(self.shape)
        self._check_size()
        checks.name("mode", self.mode, kernels.MODES)
        checks.name("padding_mode", self.padding_mode, padding.PADDING_MODES)
        checks.antialias(self.antialias, self.mode, self.max_levels)
        self.fill_value = _as_constant(self.fill_value)
        checks.fill(
            self.fill_value,
            self.padding_mode,
            channels=np.size(self.fill_value),
            has_fill=padding.PADDING_MODES[self.padding_mode].fill is not None,
        )

    def _check_size(self) -> None:
        shape, factor, ndim = self.shape, self.downsample_factor, self.transform.ndim
        if shape is not None and factor is not None:
            raise ValueError(
                f"shape={shape} and downsample_factor={factor} both set the output's size; "
                "give one of them."
            )
        if shape is not None and (
            len(shape) != ndim or any(isinstance(size, int) and size < 1 for size in shape)
        ):
            layout = "(h, w)" if ndim == 2 else "(d, h, w)"
            raise ValueError(
                f"shape={shape} does not fit; {self.transform} is {ndim}-D and needs the spatial "
                f"shape {layout} of the output, positive integers without batch and channels."
            )
        if factor is not None and not (
            isinstance(factor, numbers.Real) and 0 < factor < float("inf")
        ):
            raise ValueError(f"downsample_factor={factor!r} must be positive and finite.")

    def warp(self, x: Float[Array, "b *shape c"]) -> Warp:
        """Transforms a batch and keeps what was done: features, theta and grid."""
        ndim = self.transform.ndim
        if x.ndim < ndim + 1:
            layout = "(b, h, w, c)" if ndim == 2 else "(b, d, h, w, c)"
            raise ValueError(f"x has shape {x.shape}; {self.transform} needs {layout}.")
        shape = self._output_shape(x)
        with jax.named_scope("localization"):
            theta = self.localization(x)
        theta = _flatten_matrix(self.transform, theta)
        with jax.named_scope("grid"):
            grid = self.transform.grid(theta, shape, align_corners=self.align_corners)
        fill = self.fill_value
        options: dict[str, Any] = {
            "mode": self.mode,
            "padding_mode": self.padding_mode,
            "fill_value": np.asarray(fill, x.dtype) if isinstance(fill, tuple) else fill,
            "align_corners": self.align_corners,
        }
        with jax.named_scope("sampler"):
            if not self.antialias:
                return Warp(grid_sample(x, grid, **options), theta, grid)
            features = spatial_transform(
                x,
                theta,
                shape,
                transform=self.transform,
                antialias=True,
                max_levels=self.max_levels,
                **options,
            )
            return Warp(features, theta, grid)

    def __call__(self, x: Float[Array, "b *shape c"]) -> Float[Array, "b *out_shape c"]:
        """Returns the transformed features."""
        return self.warp(x).features

    def _output_shape(self, x: Array) -> tuple[int, ...]:
        if self.shape is not None:
            return tuple(self.shape)
        sides = x.shape[-1 - self.transform.ndim : -1]
        if self.downsample_factor is None:
            return sides
        # int(side // factor), in integers: those of symbolic shapes are not divided by floats.
        factor = Fraction(float(self.downsample_factor))
        shape = tuple(side * factor.denominator // factor.numerator for side in sides)
        if 0 in shape:
            raise ValueError(
                f"x has shape {x.shape}; downsample_factor={self.downsample_factor} leaves an "
                f"output of {shape} pixels."
            )
        return shape


def _as_constant(fill_value: Any) -> Any:
    """Makes arrays tuples of floats: NNX would take an array for a part of the layer's state."""
    if isinstance(fill_value, jax.core.Tracer):
        raise ValueError(
            f"fill_value={fill_value} is traced; an option of a layer is a constant. Give a number "
            "or a NumPy array, or call grid_sample."
        )
    values = np.asarray(fill_value).tolist()
    return tuple(values) if isinstance(values, list) else values
