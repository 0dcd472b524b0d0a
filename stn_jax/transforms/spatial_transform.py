"""The whole sentence in one call: params -> grid -> sample."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from stn_jax.coordinates import ALIGN_CORNERS
from stn_jax.sampling import grid_sample, separable_sample
from stn_jax.transforms.affine import Affine, AffineFamily
from stn_jax.transforms.base import Transform


def spatial_transform(
    image: ArrayLike,
    params: ArrayLike,
    shape: Sequence[int],
    *,
    transform: Transform = Affine(),
    antialias: bool | int = False,
    align_corners: bool = ALIGN_CORNERS,
    **options: Any,
) -> jax.Array:
    """Transforms an image: ``grid_sample(image, transform.grid(params, shape))``.

    Convention:
        Normalised coordinates, points (x, y[, z]), target to source; -1 and 1 are the outer edges
        of the border pixels, or their centres with ``align_corners=True``.

    Args:
        image: ``(*batch, h, w, c)`` or ``(*batch, d, h, w, c)``.
        params: ``(*batch, transform.num_params)``.
        shape: spatial shape of the output.
        transform: the family that the parameters belong to.
        antialias: as for `grid_sample`; but where the transform's axes do not mix (attention,
            translation, an affine map with a fixed diagonal form) and no backend is named, the
            exact `separable_sample`, whose cost needs no limit.
        align_corners: see the convention; for the grid and the sampler alike.
        **options: other options of `grid_sample` (mode, padding_mode, ...).

    Returns:
        ``(*batch, *shape, c)`` in the image's dtype.

    Example:
        >>> image = jnp.arange(4.0).reshape(2, 2, 1)
        >>> flip = jnp.array([-1.0, 0, 0, 0, 1, 0])
        >>> spatial_transform(image, flip, (2, 2))[..., 0]
        Array([[1., 0.],
               [3., 2.]], dtype=float32)
    """
    free = options.get("backend", "auto") == "auto"
    if antialias and free and isinstance(transform, AffineFamily) and transform.separable:
        options.pop("backend", None)
        theta = transform.matrix(params)
        scale = jnp.diagonal(theta[..., :-1], axis1=-2, axis2=-1)
        return separable_sample(
            image, scale, theta[..., -1], shape, align_corners=align_corners, **options
        )
    grid = transform.grid(params, shape, align_corners=align_corners)
    return grid_sample(image, grid, antialias=antialias, align_corners=align_corners, **options)
