"""The Spatial Transformer layer: localization, grid and sampler as one module."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
from flax import nnx
from jaxtyping import Array, Float

from stn_jax.coordinates import ALIGN_CORNERS
from stn_jax.sampling import grid_sample
from stn_jax.transforms import Affine, Transform


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
        align_corners: see the convention; for the grid and the sampler alike.

    Raises:
        ValueError: if both shape and downsample_factor are given.

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
        align_corners: bool = ALIGN_CORNERS,
    ):
        if shape is not None and downsample_factor is not None:
            raise ValueError(
                f"shape={tuple(shape)} and downsample_factor={downsample_factor} both set the "
                "output's size; give one of them."
            )
        self.localization = localization
        self.transform = transform
        self.shape = None if shape is None else tuple(shape)
        self.downsample_factor = downsample_factor
        self.mode = mode
        self.padding_mode = padding_mode
        self.align_corners = align_corners

    def warp(self, x: Float[Array, "b *shape c"]) -> Warp:
        """Transforms a batch and keeps what was done: features, theta and grid."""
        theta = self.localization(x)
        factor = self.downsample_factor or 1
        shape = self.shape or tuple(int(size // factor) for size in x.shape[1:-1])
        grid = self.transform.grid(theta, shape, align_corners=self.align_corners)
        features = grid_sample(
            x,
            grid,
            mode=self.mode,
            padding_mode=self.padding_mode,
            align_corners=self.align_corners,
        )
        return Warp(features, theta, grid)

    def __call__(self, x: Float[Array, "b *shape c"]) -> Float[Array, "b *out_shape c"]:
        """Returns the transformed features."""
        return self.warp(x).features
