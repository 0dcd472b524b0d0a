"""How unlike two volumes are: what registration minimises."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float

from train.checks import check


@dataclass(frozen=True)
class SquaredError:
    """The mean squared difference: for volumes of one brightness."""

    def __call__(
        self, moved: Float[Array, "b *shape c"], fixed: Float[Array, "b *shape c"]
    ) -> Float[Array, "b"]:
        """Returns it for each pair of volumes."""
        return jnp.mean((moved - fixed) ** 2, axis=range(1, moved.ndim))


@dataclass(frozen=True)
class CrossCorrelation:
    """One minus the squared correlation in each window: whatever brightness and contrast are."""

    window: int = 7
    """Side of a window, in voxels."""
    epsilon: float = 1e-3
    """Variance in a window below which it has no structure; white is 1."""

    def __post_init__(self) -> None:
        """Checks types and ranges."""
        check(self, "task.similarity", positive=("window", "epsilon"))

    def __call__(
        self, moved: Float[Array, "b *shape c"], fixed: Float[Array, "b *shape c"]
    ) -> Float[Array, "b"]:
        """Returns the mean over all windows of each pair of volumes.

        References:
            Avants et al., "Symmetric diffeomorphic image registration with cross-correlation",
            2008.
        """

        def mean(x: Array) -> Array:
            return window_mean(x, self.window)

        moved_mean, fixed_mean = mean(moved), mean(fixed)
        covariance = mean(moved * fixed) - moved_mean * fixed_mean
        moved_variance = jnp.maximum(mean(moved**2) - moved_mean**2, 0)
        fixed_variance = jnp.maximum(mean(fixed**2) - fixed_mean**2, 0)
        product = (moved_variance + self.epsilon) * (fixed_variance + self.epsilon)
        return 1 - jnp.mean(covariance**2 / product, axis=range(1, moved.ndim))


def window_mean(x: Float[Array, "b *shape c"], size: int) -> Float[Array, "b *shape c"]:
    """Averages over the window around each voxel, as far as it lies in the volume.

    One product with a banded matrix along each axis, which is as fast backwards.

    Example:
        >>> window_mean(jnp.array([0.0, 3, 6]).reshape(1, 3, 1), 3).ravel().tolist()
        [1.5, 3.0, 4.5]
    """
    for axis in range(1, x.ndim - 1):
        places = np.arange(x.shape[axis])
        offset = places[:, None] - places
        band = ((offset > -(size + 1) // 2) & (offset <= (size - 1) // 2)).astype(np.float32)
        band /= band.sum(axis=1, keepdims=True)
        product = jnp.tensordot(x, band, (axis, 1), precision=lax.Precision.HIGHEST)
        x = jnp.moveaxis(product, -1, axis)
    return x
