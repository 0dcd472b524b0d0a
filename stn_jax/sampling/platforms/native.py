"""The maps as the compiled kernels of the package stn-jax-cpu; each takes a whole batch."""

import importlib.util
from typing import Any

import jax
from jaxtyping import Array, Float

from stn_jax.sampling.interpolation import Interpolation

IS_INSTALLED = importlib.util.find_spec("stn_jax_cpu") is not None
"""Whether the package is installed."""


def read(
    image: Float[Array, "b *shape c"],
    points: Float[Array, "b p n"],
    *,
    interpolation: Interpolation,
    shape: tuple[Any, ...],
) -> Float[Array, "b p c"]:
    """Samples a batch of images."""
    result = (*points.shape[:-1], image.shape[-1])
    return _call("read", result, image, points, interpolation=interpolation)


def jvp_points(
    image: Float[Array, "b *shape c"],
    tangent: Float[Array, "b p n"],
    points: Float[Array, "b p n"],
    *,
    interpolation: Interpolation,
    shape: tuple[Any, ...],
) -> Float[Array, "b p c"]:
    """Returns the change of the samples as the points move."""
    result = (*points.shape[:-1], image.shape[-1])
    return _call("jvp_points", result, image, tangent, points, interpolation=interpolation)


def splat(
    values: Float[Array, "b p c"],
    points: Float[Array, "b p n"],
    *,
    interpolation: Interpolation,
    shape: tuple[Any, ...],
) -> Float[Array, "b *shape c"]:
    """Adds each value to the pixels that its point reads: the images' gradient."""
    result = (*values.shape[:-2], *shape, values.shape[-1])
    return _call("splat", result, values, points, interpolation=interpolation)


def vjp_points(
    image: Float[Array, "b *shape c"],
    values: Float[Array, "b p c"],
    points: Float[Array, "b p n"],
    *,
    interpolation: Interpolation,
    shape: tuple[Any, ...],
) -> Float[Array, "b p n"]:
    """Returns the points' gradient."""
    return _call("vjp_points", points.shape, image, values, points, interpolation=interpolation)


def _call(name: str, shape: Any, *operands: Array, interpolation: Interpolation) -> Array:
    import stn_jax_cpu

    stn_jax_cpu.register()
    result = jax.ShapeDtypeStruct(shape, operands[0].dtype)
    call = jax.ffi.ffi_call(f"stn_{name}", result, vmap_method="broadcast_all")
    kernel, padding = interpolation.kernel, interpolation.padding
    flags = interpolation.align_corners, interpolation.normalized
    row = "/".join([kernel.name, padding.name, *(str(int(flag)) for flag in flags)])
    return call(*operands, row=row, coefficient=kernel.coefficient)
