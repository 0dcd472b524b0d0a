"""What a transform is: parameters in, a grid out.

Convention:
    A transform maps target (output) points to source (input) points, normalised, (x, y[, z]).
"""

import abc
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from stn_jax.coordinates import ALIGN_CORNERS, coordinate_dtype, identity_grid, open_grid


class Transform(abc.ABC):
    """A family of maps with a flat vector of parameters; frozen, hashable, static under jit.

    A member defines `num_params`, `identity` and `apply`; the rest follows.
    """

    @property
    @abc.abstractmethod
    def ndim(self) -> int:
        """Number of spatial axes, 2 or 3."""

    @property
    @abc.abstractmethod
    def num_params(self) -> int:
        """Number of parameters of one map."""

    @abc.abstractmethod
    def identity(self) -> np.ndarray:
        """Returns the parameters ``(num_params,)`` of the map that moves nothing."""

    @abc.abstractmethod
    def apply(
        self, params: Float[Array, "p"], points: Float[Array, "*points n"]
    ) -> Float[Array, "*points n"]:
        """Maps points by one parameter vector."""

    def grid(
        self, params: ArrayLike, shape: Sequence[int], *, align_corners: bool = ALIGN_CORNERS
    ) -> Float[Array, "*b_shape n"]:
        """Returns the grid: the image of every output pixel.

        Args:
            params: ``(*batch, num_params)``.
            shape: spatial shape of the output, ``ndim`` axes.
            align_corners: see `stn_jax.coordinates`.

        Returns:
            ``(*batch, *shape, ndim)``.

        Raises:
            ValueError: for parameters or a shape that do not belong to this transform.
        """
        return evaluate(self.apply, self.check(params, shape), 1, shape, align_corners)

    def check(self, params: ArrayLike, shape: Sequence[int]) -> Array:
        """Refuses parameters or a shape that do not belong to this transform."""
        params = jnp.asarray(params)
        if not params.ndim or params.shape[-1] != self.num_params:
            raise ValueError(
                f"params has shape {params.shape}; {self} needs (*batch, {self.num_params})."
            )
        check_shape(shape, self.ndim)
        return params


def check_ndim(ndim: int) -> None:
    """Refuses any number of axes but 2 and 3."""
    if ndim not in (2, 3):
        raise ValueError(f"ndim={ndim} does not fit; it must be 2 or 3.")


def check_shape(shape: Sequence[int], ndim: int) -> None:
    """Says what is wrong with an output shape that has not ``ndim`` axes."""
    if len(tuple(shape)) != ndim or any(size < 0 for size in shape):
        layout = "(h, w)" if ndim == 2 else "(d, h, w)"
        raise ValueError(
            f"shape={tuple(shape)} does not fit; this transform is {ndim}-D and needs the spatial "
            f"shape {layout} of the output, without batch and channels."
        )


@functools.partial(
    jax.jit,
    static_argnames=("function", "owner", "core_rank", "shape", "align_corners", "by_lines"),
)
def _evaluate(
    function: Callable[..., Array],
    owner: Any,
    params: Array,
    core_rank: int,
    shape: tuple[int, ...],
    align_corners: bool,
    by_lines: bool,
) -> Array:
    dtype = coordinate_dtype(params)
    make = open_grid if by_lines else identity_grid
    points = make(shape, align_corners=align_corners, dtype=dtype)

    def one(params: Array) -> Array:
        own = () if owner is None else (owner,)
        return function(*own, params, points)

    batched = one
    for _ in range(params.ndim - core_rank):
        batched = jax.vmap(batched)
    return batched(params.astype(dtype))


def evaluate(
    apply: Callable[..., Array],
    params: Array,
    core_rank: int,
    shape: Sequence[int],
    align_corners: bool,
    by_lines: bool = False,
) -> Array:
    """Applies a map of one parameter array to the lattice, for all leading axes of ``params``.

    Args:
        apply: hashable ``(params, points) -> points`` for one parameter array.
        params: ``(*batch, *core)``.
        core_rank: number of axes of one parameter array.
        shape: spatial shape of the output.
        align_corners: see `stn_jax.coordinates`.
        by_lines: whether ``apply`` takes the lattice's lines and not its points.

    Returns:
        ``(*batch, *shape, n)``.
    """
    # Methods of equal objects are not equal, functions and equal objects are: one compilation.
    function, owner = getattr(apply, "__func__", apply), getattr(apply, "__self__", None)
    shape = tuple(map(int, shape))
    return _evaluate(function, owner, params, core_rank, shape, bool(align_corners), by_lines)
