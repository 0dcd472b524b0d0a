"""`jax.jit` for decorators, which keeps the type of a function: JAX's own makes its result Any."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import jax

F = TypeVar("F", bound=Callable[..., Any])


def jit(**options: Any) -> Callable[[F], F]:
    """Makes a decorator that compiles a function, by `jax.jit` with these options.

    Example:
        >>> @jit(static_argnames="power")
        ... def raised(x: jax.Array, power: int) -> jax.Array:
        ...     return x**power
        >>> raised(jax.numpy.arange(3), power=2).tolist()
        [0, 1, 4]
    """
    return cast(Callable[[F], F], functools.partial(jax.jit, **options))
