"""What the functions of this folder do with their arguments: dtypes, shapes, batch axes."""

import functools
import inspect
import operator
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from stn_jax.coordinates import coordinate_dtype

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Makes a function of arrays one compiled program.

    An eager call is then dispatched once, and moves no constant to the device by itself
    (``jax.transfer_guard``). Keyword-only parameters and ``self`` are static, all others arrays.
    """
    parameters = inspect.signature(function).parameters.values()
    static = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY or p.name == "self"]
    program = jax.jit(function, static_argnames=static)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        # A list is one array here; to `jit` it would be a tree of scalars.
        args = tuple(jnp.asarray(arg) if isinstance(arg, list | tuple) else arg for arg in args)
        return program(*args, **kwargs)

    return cast(F, call)


def as_coordinates(**arrays: ArrayLike) -> list[Array]:
    """Converts arrays to one precision of coordinates: float64 if one has it, else float32.

    Integers and half precision become float32: matrices and angles in bfloat16 are off by pixels.

    Raises:
        TypeError: for complex numbers, naming the argument.
    """
    converted = {name: jnp.asarray(array) for name, array in arrays.items()}
    for name, array in converted.items():
        if jnp.issubdtype(array.dtype, jnp.complexfloating):
            raise TypeError(
                f"{name} has dtype {array.dtype}; coordinates are real. Take {name}.real."
            )
    dtype = coordinate_dtype(*converted.values())
    return [array.astype(dtype) for array in converted.values()]


def align_batches(core_rank: int, **arrays: Array) -> list[Array]:
    """Gives arrays the same number of batch axes, so that they broadcast without promoting ranks.

    Raises:
        ValueError: if their batch axes do not broadcast.
    """
    batches = [array.shape[: array.ndim - core_rank] for array in arrays.values()]
    try:
        jnp.broadcast_shapes(*batches)
    except ValueError:
        shapes = " and ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ValueError(
            f"{shapes} have batch axes {' and '.join(map(str, batches))}, which do not broadcast."
        ) from None
    rank = max(array.ndim for array in arrays.values())
    return [add_batch(array, rank) for array in arrays.values()]


def add_batch(array: Array, rank: int) -> Array:
    """Puts axes of length 1 in front until the array has ``rank`` axes."""
    return jnp.expand_dims(array, tuple(range(rank - array.ndim)))


def check_ndim(ndim: int) -> None:
    """Refuses any number of axes but 2 and 3."""
    if ndim not in (2, 3):
        raise ValueError(f"ndim={ndim} does not fit; it must be 2 or 3.")


def check_shape(shape: Sequence[Any], ndim: int, name: str = "shape") -> tuple[Any, ...]:
    """Returns a spatial shape as a tuple; refuses one that has not ``ndim`` whole sizes.

    A size is an integer, or a symbol of a program exported for any size.
    """
    layout = "(h, w)" if ndim == 2 else "(d, h, w)"
    try:
        sizes = tuple(
            size if jax.export.is_symbolic_dim(size) else operator.index(size) for size in shape
        )
        fits = len(sizes) == ndim and all(size >= 0 for size in sizes if isinstance(size, int))
    except TypeError:
        fits = False
    if not fits:
        raise ValueError(
            f"{name}={shape!r} does not fit; this transform is {ndim}-D and needs a spatial shape "
            f"{layout} of whole numbers, without batch and channels."
        )
    return sizes


def concrete(*arrays: Array) -> bool:
    """Returns whether values are known now, on this process: no tracers, no remote shards."""
    return all(
        not isinstance(array, jax.core.Tracer) and getattr(array, "is_fully_addressable", True)
        for array in arrays
    )


def known_sizes(shape: Sequence[Any]) -> list[int]:
    """Returns the sizes of a shape that are numbers, not symbols of an exported program."""
    return [size for size in shape if isinstance(size, int)]
