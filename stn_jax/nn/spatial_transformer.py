"""The Spatial Transformer layer: localization, grid and sampler as one module."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
from flax import nnx
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from stn_jax.coordinates import ALIGN_CORNERS
from stn_jax.sampling import grid_sample
from stn_jax.transforms import Affine, Transform, spatial_transform


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


def check_size(shape: Sequence[int] | None, downsample_factor: float | None) -> None:
    """Refuses two statements of the output's size, and factors that are not positive.

    Args:
        shape: spatial shape of the output, or None.
        downsample_factor: input pixels for each output pixel, along each axis, or None.

    Raises:
        ValueError: if both are given, or the factor is not positive.
    """
    if shape is not None and downsample_factor is not None:
        raise ValueError(
            f"shape={tuple(shape)} and downsample_factor={downsample_factor} both set the "
            "output's size; give one of them."
        )
    if downsample_factor is not None and not downsample_factor > 0:
        raise ValueError(f"downsample_factor={downsample_factor} must be positive.")


def warp(
    x: Float[Array, "*b_shape c"],
    theta: Float[Array, "*b p"],
    transform: Transform,
    *,
    shape: Sequence[int] | None,
    downsample_factor: float | None,
    antialias: bool | int,
    align_corners: bool,
    **options: Any,
) -> Warp:
    """Transforms images as theta says: what the layers of NNX and of Linen have in common.

    Args:
        x: images ``(*b, h, w, c)`` or volumes ``(*b, d, h, w, c)``.
        theta: ``(*b, transform.num_params)``.
        transform: what theta parameterises.
        shape: spatial shape of the output, or None.
        downsample_factor: the output has ``int(size // factor)`` pixels along each axis, or None.
        antialias: as for `spatial_transform`.
        align_corners: for the grid and the sampler alike.
        **options: other options of `grid_sample`.

    Returns:
        Features, theta and grid.

    Raises:
        ValueError: for arrays or options that do not fit.
    """
    if x.ndim < transform.ndim + 1:
        layout = "(b, h, w, c)" if transform.ndim == 2 else "(b, d, h, w, c)"
        raise ValueError(f"x has shape {x.shape}; {transform} needs {layout}.")
    if shape is None:
        sides = x.shape[-1 - transform.ndim : -1]
        factor = 1 if downsample_factor is None else downsample_factor
        shape = tuple(int(side // factor) for side in sides)
    with jax.named_scope("grid"):
        grid = transform.grid(theta, shape, align_corners=align_corners)
    with jax.named_scope("sampler"):
        if antialias:
            features = spatial_transform(
                x,
                theta,
                shape,
                transform=transform,
                antialias=antialias,
                align_corners=align_corners,
                **options,
            )
        else:
            features = grid_sample(x, grid, align_corners=align_corners, **options)
    return Warp(features, theta, grid)


class SpatialTransformer(nnx.Module):
    """Transforms images as its localization network says: ``V = sample(U, grid(localization(U)))``.

    Convention:
        Normalised coordinates, points (x, y[, z]), target to source; -1 and 1 are the outer edges
        of the border pixels, or their centres with ``align_corners=True``.

    Args:
        localization: module or function ``U -> theta (b, num_params)``.
        transform: what theta parameterises.
        shape: spatial shape of the output; or
        downsample_factor: the output has ``int(size // factor)`` pixels along each axis. With
            neither the output has the input's shape.
        mode: as for `grid_sample`.
        padding_mode: as for `grid_sample`. Zeros around mean-normalised inputs make transformers
            zoom out; choose ``"border"`` then.
        fill_value: as for `grid_sample`, with ``padding_mode="fill"``.
        antialias: as for `spatial_transform`: for transformers that zoom out.
        align_corners: see the convention; for the grid and the sampler alike.

    Raises:
        ValueError: if both shape and downsample_factor are given, or the factor is not positive;
            when called, if the input or theta do not fit the transform.

    References:
        Jaderberg et al., "Spatial Transformer Networks", 2015, section 3.

    Example:
        >>> import jax.numpy as jnp
        >>> rngs = nnx.Rngs(0)
        >>> import stn_jax.nn as snn
        >>> net = snn.FullyConnectedLocalization((28, 28, 1), Affine(), rngs=rngs)
        >>> layer = SpatialTransformer(net, Affine(), shape=(14, 14))
        >>> layer(jnp.ones((5, 28, 28, 1))).shape
        (5, 14, 14, 1)
        >>> layer.warp(jnp.ones((5, 28, 28, 1))).theta[0].tolist()
        [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    """

    def __init__(
        self,
        localization: Callable[[Array], Array],
        transform: Transform = Affine(),
        *,
        shape: Sequence[int] | None = None,
        downsample_factor: float | None = None,
        mode: str = "bilinear",
        padding_mode: str = "zeros",
        fill_value: ArrayLike = 0.0,
        antialias: bool | int = False,
        align_corners: bool = ALIGN_CORNERS,
    ):
        check_size(shape, downsample_factor)
        self.localization = localization
        self.transform = transform
        self.shape = None if shape is None else tuple(shape)
        self.downsample_factor = downsample_factor
        self.mode = mode
        self.padding_mode = padding_mode
        self.fill_value = fill_value
        self.antialias = antialias
        self.align_corners = align_corners

    def warp(self, x: Float[Array, "b *shape c"]) -> Warp:
        """Transforms a batch and keeps what was done: features, theta and grid."""
        with jax.named_scope("localization"):
            theta = self.localization(x)
        return warp(
            x,
            theta,
            self.transform,
            shape=self.shape,
            downsample_factor=self.downsample_factor,
            mode=self.mode,
            padding_mode=self.padding_mode,
            fill_value=self.fill_value,
            antialias=self.antialias,
            align_corners=self.align_corners,
        )

    def __call__(self, x: Float[Array, "b *shape c"]) -> Float[Array, "b *out_shape c"]:
        """Returns the transformed features."""
        return self.warp(x).features
