"""What can be wrong with the arguments of a call, each said once and with the way to mend it."""

import math
import operator
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

_MAX_VALUES = 2**31 - 1  # Places in an image are counted in int32.


def name(argument: str, name: Any, allowed: Any) -> None:
    """Refuses a name that is not in a table."""
    if name not in tuple(allowed):
        choices = ", ".join(repr(choice) for choice in allowed)
        raise ValueError(f"{argument}={name!r} is not known; choose one of {choices}.")


def floating(argument: str, array: ArrayLike) -> jax.Array:
    """Makes a JAX array; refuses any dtype that is not floating."""
    dtype = getattr(array, "dtype", None)
    if isinstance(dtype, np.dtype) and not dtype.isnative:
        raise TypeError(
            f"{argument} has dtype {dtype.str}, whose bytes are in the other order. "
            f"Convert it first: {argument}.astype({argument}.dtype.newbyteorder('='))."
        )
    array = jnp.asarray(array)
    if jnp.issubdtype(array.dtype, jnp.floating):
        return array
    raise TypeError(
        f"{argument} has dtype {array.dtype}, a floating dtype is needed. "
        f"Convert it first: {argument}.astype(jnp.float32)"
        + (
            ", or sample real and imaginary parts apart."
            if jnp.issubdtype(array.dtype, jnp.complexfloating)
            else "."
        )
    )


def image_and_points(image: ArrayLike, points: ArrayLike, name: str) -> tuple[jax.Array, jax.Array]:
    """Makes JAX arrays of an image and points; refuses those that do not fit each other."""
    image, points = floating("image", image), floating(name, points)
    n = points.shape[-1] if points.ndim else 0
    if n not in (2, 3):
        raise ValueError(
            f"{name} has shape {points.shape}; its last axis must hold 2 coordinates (x, y) for "
            "images or 3 (x, y, z) for volumes."
        )
    layout = "(*batch, h, w, c)" if n == 2 else "(*batch, d, h, w, c)"
    target = "(*batch, h, w, 2)" if n == 2 else "(*batch, d, h, w, 3)"
    _image(image, n, f"a {name} of {n} coordinates")
    if points.ndim < n + 1:
        ones = ", ".join(["None"] * (n + 1 - points.ndim))
        raise ValueError(
            f"{name} has shape {points.shape}; it must be {target}. "
            f"For a list of points give {name}[{ones}] and index the result with "
            f"[{', '.join('0' * (n + 1 - points.ndim))}]."
        )
    batches = image.shape[: -n - 1], points.shape[: -n - 1]
    _broadcast(f"image {image.shape} and {name} {points.shape}", batches, f"{layout} and {target}")
    return image, points


def separable_sample(
    image: ArrayLike, scale: ArrayLike, translation: ArrayLike, shape: Sequence[int]
) -> tuple[jax.Array, jax.Array, jax.Array, tuple[int, ...]]:
    """Makes JAX arrays of `separable_sample`'s arguments; refuses those that do not fit."""
    shape = static_shape(shape)
    n = len(shape)
    if n not in (2, 3):
        raise ValueError(f"shape={shape} does not fit; give (h, w) or (d, h, w).")
    image = floating("image", image)
    scale, translation = floating("scale", scale), floating("translation", translation)
    layout = _image(image, n, f"shape={shape}")
    for argument, array in (("scale", scale), ("translation", translation)):
        if array.shape[-1:] != (n,):
            raise ValueError(
                f"{argument} has shape {array.shape}; shape={shape} needs (*batch, {n}), "
                f"{'(x, y)' if n == 2 else '(x, y, z)'}."
            )
    batches = image.shape[: -n - 1], scale.shape[:-1], translation.shape[:-1]
    _broadcast(
        f"image {image.shape}, scale {scale.shape} and translation {translation.shape}",
        batches,
        f"{layout}, (*batch, {n}) and (*batch, {n})",
    )
    return image, scale, translation, shape


def static_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Returns a shape as a tuple of integers, or of symbols in an exported program."""
    try:
        sizes: tuple[Any, ...] = tuple(
            size if jax.export.is_symbolic_dim(size) else operator.index(size) for size in shape
        )
    except TypeError:
        raise ValueError(
            f"shape={shape} does not fit; it must be integers, (h, w) or (d, h, w)."
        ) from None
    if any(isinstance(size, int) and size < 0 for size in sizes):
        raise ValueError(f"shape={sizes} does not fit; no size may be negative.")
    return sizes


def _image(image: jax.Array, n: int, needed_by: str) -> str:
    """Refuses an image without n spatial axes, an empty or too large one; returns its layout."""
    layout = "(*batch, h, w, c)" if n == 2 else "(*batch, d, h, w, c)"
    if image.ndim < n + 1:
        raise ValueError(
            f"image has shape {image.shape}; {needed_by} needs an image {layout}. Add the channel "
            "axis with image[..., None] if it is missing."
        )
    sizes = image.shape[-n - 1 :]
    if any(isinstance(size, int) and size == 0 for size in sizes[:-1]):
        raise ValueError(f"image has shape {image.shape}; its spatial axes must not be empty.")
    static = [size for size in sizes if isinstance(size, int)]
    if math.prod(static) > _MAX_VALUES:
        raise ValueError(
            f"image has shape {image.shape}; one image may hold at most 2^31 - 1 values. "
            "Sample it in parts: crop what the points reach."
        )
    return layout


def _broadcast(arguments: str, batches: Sequence[tuple[Any, ...]], layouts: str) -> None:
    try:
        jnp.broadcast_shapes(*batches)
    except ValueError:
        raise ValueError(
            f"{arguments} have batch axes {' and '.join(map(str, batches))}, which do not "
            f"broadcast; layouts are {layouts}."
        ) from None


def equal_ranks(*operands: tuple[jax.Array, int]) -> list[jax.Array]:
    """Gives arrays, each with its number of core axes, equally many batch axes, of size 1."""
    most = max(array.ndim - core for array, core in operands)
    return [
        array.reshape(*[1] * (most - array.ndim + core), *array.shape) for array, core in operands
    ]


def antialias(antialias: Any, mode: str, max_levels: Any = None) -> None:
    """Refuses to widen a kernel that has no width, and levels that cannot be counted."""
    if not isinstance(antialias, bool | np.bool_):
        raise TypeError(
            f"antialias={antialias!r} must be True or False; see max_levels for limits."
        )
    if antialias and mode == "nearest":
        raise ValueError(
            "antialias is not defined for mode='nearest'; use 'bilinear', 'bicubic' or 'lanczos3'."
        )
    if max_levels is None:
        return
    if isinstance(max_levels, bool) or not isinstance(max_levels, int | np.integer):
        raise TypeError(f"max_levels={max_levels!r} must be an integer, or None for no limit.")
    if max_levels < 0:
        raise ValueError(f"max_levels={max_levels} must not be negative.")
    if not antialias:
        raise ValueError(f"max_levels={max_levels} is only used with antialias=True.")


def fill(fill_value: Any, padding_mode: str, channels: int, *, has_fill: bool) -> jax.Array | None:
    """Returns the fill value, None for padding modes without one."""
    is_traced = isinstance(fill_value, jax.core.Tracer)
    if not has_fill:
        if not is_traced and not np.any(np.asarray(fill_value) != 0):
            return None
        raise ValueError(
            f"fill_value={fill_value!r} is only used with padding_mode='fill' or 'constant', "
            f"padding_mode is {padding_mode!r}."
        )
    # Put on the device by name: a strict user forbids transfers that nobody asked for.
    fill = fill_value if isinstance(fill_value, jax.Array) else jax.device_put(_host(fill_value))
    if fill.shape not in ((), (channels,)):
        raise ValueError(
            f"fill_value has shape {fill.shape}; give a scalar or one value for each of the "
            f"image's {channels} channels."
        )
    return fill


def _host(fill_value: Any) -> np.ndarray:
    """A fill value on the host, floating."""
    fill = np.asarray(fill_value)
    if not jnp.issubdtype(fill.dtype, jnp.number) or jnp.issubdtype(
        fill.dtype, jnp.complexfloating
    ):
        raise TypeError(
            f"fill_value={fill_value!r} must be a real number, or one for each channel."
        )
    return fill if jnp.issubdtype(fill.dtype, jnp.floating) else fill.astype(np.float32)
