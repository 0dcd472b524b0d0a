"""The Spatial Transformer layer: localization, grid and sampler as one module."""

from flax import nnx

from stn_jax.warp import SpatialTransformerBase


class SpatialTransformer(SpatialTransformerBase, nnx.Module):
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
        fill_value: as for `grid_sample`; a constant, and no parameter of the layer.
        antialias: as for `spatial_transform`: for transformers that zoom out.
        max_levels: as for `grid_sample`.
        align_corners: see the convention; for the grid and the sampler alike.

    Raises:
        ValueError: for options that do not fit the transform or each other; when called, if the
            input or theta do not fit the transform, or the output would be empty.

    References:
        Jaderberg et al., "Spatial Transformer Networks", 2015, section 3.

    Example:
        >>> import jax.numpy as jnp
        >>> import stn_jax as stn, stn_jax.nn as snn
        >>> rngs = nnx.Rngs(0)
        >>> net = snn.FullyConnectedLocalization((28, 28, 1), stn.Affine(), rngs=rngs)
        >>> layer = SpatialTransformer(net, stn.Affine(), shape=(14, 14))
        >>> layer(jnp.ones((5, 28, 28, 1))).shape
        (5, 14, 14, 1)
        >>> layer.warp(jnp.ones((5, 28, 28, 1))).theta[0].tolist()
        [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    """
