"""What can be wrong with a call to a sampler, each said once and so that it can be mended."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike


def name(argument: str, name: Any, allowed: Any) -> None:
    """Refuses a name that is not in a table."""
    if name not in tuple(allowed):
        choices = ", ".join(repr(choice) for choice in allowed)
        raise ValueError(f"{argument}={name!r} is not known; choose one of {choices}.")


def floating(argument: str, array: jax.Array) -> None:
    """Refuses any dtype that is not floating."""
    if jnp.issubdtype(array.dtype, jnp.floating):
        return
    raise TypeError(
        f"{argument} has dtype {array.dtype}, a floating dtype is needed. "
        f"Convert it first: {argument}.astype(jnp.float32)"
        + (
            ", or sample real and imaginary parts apart."
            if jnp.issubdtype(array.dtype, jnp.complexfloating)
            else "."
        )
    )


def arrays(image: jax.Array, points: jax.Array, name: str) -> None:
    """Refuses an image and points that do not fit each other."""
    floating("image", image)
    floating(name, points)
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
    _broadcast(f"image {image.shape} and {name} {points.shape}", batches, f"{layout} and {target}")


def separable_sample(
    image: jax.Array, scale: jax.Array, translation: jax.Array, shape: Sequence[int]
) -> None:
    """Refuses arguments of `separable_sample` that do not fit each other."""
    n = len(tuple(shape))
    if n not in (2, 3) or any(size < 0 for size in shape):
        raise ValueError(f"shape={tuple(shape)} does not fit; give (h, w) or (d, h, w).")
    for argument, array in (("image", image), ("scale", scale), ("translation", translation)):
        floating(argument, array)
    layout = "(*batch, h, w, c)" if n == 2 else "(*batch, d, h, w, c)"
    if image.ndim < n + 1 or 0 in image.shape[-n - 1 : -1]:
        raise ValueError(
            f"image has shape {image.shape}; shape={tuple(shape)} needs an image {layout} without "
            "empty spatial axes."
        )
    for argument, array in (("scale", scale), ("translation", translation)):
        if array.shape[-1:] != (n,):
            raise ValueError(
                f"{argument} has shape {array.shape}; shape={tuple(shape)} needs (*batch, {n}), "
                f"{'(x, y)' if n == 2 else '(x, y, z)'}."
            )
    batches = image.shape[: -n - 1], scale.shape[:-1], translation.shape[:-1]
    _broadcast(
        f"image {image.shape}, scale {scale.shape} and translation {translation.shape}",
        batches,
        f"{layout}, (*batch, {n}) and (*batch, {n})",
    )


def _broadcast(arguments: str, batches: Sequence[tuple[Any, ...]], layouts: str) -> None:
    try:
        jnp.broadcast_shapes(*batches)
    except ValueError:
        raise ValueError(
            f"{arguments} have batch axes {' and '.join(map(str, batches))}, which do not "
            f"broadcast; layouts are {layouts}."
        ) from None


def antialias(antialias: bool | int, mode: str) -> None:
    """Refuses to widen a kernel that has no width, and a negative number of halvings."""
    if antialias < 0:
        raise ValueError(
            f"antialias={antialias} must not be negative; it is True, False or the most halvings."
        )
    if antialias and mode == "nearest":
        raise ValueError("antialias averages pixels and mode='nearest' picks one; take 'bilinear'.")


def fill(fill_value: ArrayLike, padding_mode: str, channels: int) -> jax.Array | None:
    """Returns the fill value of ``padding_mode="fill"``, None for the other modes."""
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
