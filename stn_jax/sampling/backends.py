"""The ways to sample, by name, and the choice among them."""

from collections.abc import Sequence
from typing import Any

import jax
from jaxtyping import Array, Float

from stn_jax.sampling import gather, matmul, reference, windowed
from stn_jax.sampling.kernels import Kernel
from stn_jax.sampling.operator import Backend
from stn_jax.sampling.padding import Boundary

_DENSE = 1 << 17  # Values of an image up to which a TPU is quicker with products than with reads.


def sample(
    image: Float[Array, "*shape c"],
    coordinates: Sequence[Float[Array, "*points"]],
    kernel: Kernel,
    boundary: Boundary,
    align_corners: bool,
) -> Float[Array, "*points c"]:
    """Samples by the backend that the platform is quick at; arguments as `gather.sample`.

    A TPU multiplies faster than it reads: weights as matrices, up to images of 2^17 values, and
    one wide gather beyond. CPU and GPU gather. See docs/performance.md for the figures.
    """
    dense = matmul if image.size <= _DENSE else windowed

    def tpu(image: Array, *x: Array) -> Array:
        return dense.sample(image, x, kernel, boundary, align_corners)

    def default(image: Array, *x: Array) -> Array:
        return gather.sample(image, x, kernel, boundary, align_corners)

    return jax.lax.platform_dependent(image, *coordinates, tpu=tpu, default=default)


def _triton() -> Any:
    from stn_jax.sampling.platforms import (
        gpu as triton,  # and Pallas, which takes a while: only where it is used
    )

    return triton


BACKENDS: dict[str, Backend] = {
    "auto": Backend(sample, gather.splat, gather.slope),
    "gather": Backend(gather.sample, gather.splat, gather.slope),
    "matmul": Backend(matmul.sample),
    "windowed": Backend(windowed.sample),
    "triton": Backend(gather.sample, gather.splat, gather.slope, gpu=_triton),
    "reference": Backend(reference.sample),
}
"""Every backend, by its public name."""
