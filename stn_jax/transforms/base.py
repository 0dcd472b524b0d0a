"""What a transform is: parameters in, a grid out.

Convention:
    A transform maps target (output) points to source (input) points, normalised, (x, y[, z]).
"""

import abc
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from stn_jax._jit import jit
from stn_jax.coordinates import ALIGN_CORNERS, coordinate_dtype, identity_grid
from stn_jax.transforms.inputs import align_batches, as_coordinates, check_shape


class Transform(abc.ABC):
    """A family of maps with a flat vector of parameters; frozen, hashable, static under jit.

    A new family defines `num_params`, `identity` and either `apply`, from which `grid` follows, or
    `grid` itself; `ndim` where it is not 2. `Chain` needs `apply`. `compose` and `invert` are for
    families in which the result is a member again.
    """

    @property
    def ndim(self) -> int:
        """Number of spatial axes; 2 unless a family says 3."""
        return 2

    @property
    @abc.abstractmethod
    def num_params(self) -> int:
        """Number of parameters of one map."""

    @abc.abstractmethod
    def identity(self) -> np.ndarray:
        """Returns the parameters ``(num_params,)`` of the map that moves nothing."""

    def apply(self, params: ArrayLike, points: ArrayLike) -> Float[Array, "*points n"]:
        """Maps points by one parameter vector.

        Args:
            params: ``(num_params,)``.
            points: ``(*points, ndim)``, normalised.

        Returns:
            ``(*points, ndim)``.

        Raises:
            ValueError: for any other shape of params or points.
            NotImplementedError: if the family has a grid alone.
        """
        raise NotImplementedError(
            f"{self} does not define apply(params, points) -> points, which maps points anywhere: "
            "Chain and the default grid need it. Define it, or, for use outside of chains, grid."
        )

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
        shape = check_shape(shape, self.ndim)
        [params] = self.check_params(params=params)
        return evaluate(self.apply, params, 1, shape, align_corners)

    def compose(self, p: ArrayLike, q: ArrayLike) -> Float[Array, "*b p"]:
        """Returns the parameters of ``p`` after ``q``, where the family has them.

        Args:
            p: ``(*batch, num_params)``, the map that is applied last.
            q: ``(*batch, num_params)``, the map that is applied first.

        Returns:
            ``(*batch, num_params)``; batch axes broadcast.

        Raises:
            NotImplementedError: if two maps of the family do not make a third.
        """
        raise NotImplementedError(
            f"{self} has no compose: two of its maps do not make a third. Use Chain(transform, "
            "transform), whose parameters are those of both, concatenated."
        )

    def invert(self, p: ArrayLike) -> Float[Array, "*b p"]:
        """Returns the parameters of the inverse map, where the family has them.

        Args:
            p: ``(*batch, num_params)``.

        Returns:
            ``(*batch, num_params)``.

        Raises:
            NotImplementedError: if the inverse is not a map of the family.
        """
        raise NotImplementedError(
            f"{self} has no invert: the inverse of its maps is not one of them. Velocity and "
            "AffineDiffeomorphic invert by negating their parameters; Affine, Projective, Rigid, "
            "Similarity, Attention and Translation invert exactly."
        )

    def check_operands(self, params: ArrayLike, points: ArrayLike) -> list[Array]:
        """Refuses operands of `apply` but one parameter vector and points of ``ndim`` axes.

        Returns:
            Them, as coordinates (float32 or float64).
        """
        params, points = as_coordinates(params=params, points=points)
        if params.shape != (self.num_params,):
            raise ValueError(
                f"params has shape {params.shape}; {self} maps points by one vector "
                f"({self.num_params},). Map over a batch with jax.vmap."
            )
        if points.shape[-1:] != (self.ndim,):
            raise ValueError(
                f"points has shape {points.shape}; {self} maps points (*points, {self.ndim})."
            )
        return [params, points]

    def check_params(self, **params: ArrayLike) -> list[Array]:
        """Refuses arrays that are no parameters of this transform.

        Returns:
            Them, as coordinates (float32 or float64), with equal numbers of batch axes.
        """
        arrays = as_coordinates(**params)
        for name, array in zip(params, arrays, strict=True):
            if not array.ndim or array.shape[-1] != self.num_params:
                raise ValueError(
                    f"{name} has shape {array.shape}; {self} needs (*batch, {self.num_params})."
                )
        return align_batches(1, **dict(zip(params, arrays, strict=True)))


@jit(static_argnames=("function", "owner", "core_rank", "shape", "align_corners", "make_points"))
def _evaluate(
    function: Callable[..., Array],
    owner: Any,
    params: Array,
    core_rank: int,
    shape: tuple[int, ...],
    align_corners: bool,
    make_points: Callable[..., Any],
) -> Array:
    dtype = coordinate_dtype(params)
    points = make_points(shape, align_corners=align_corners, dtype=dtype)

    def single(params: Array) -> Array:
        own = () if owner is None else (owner,)
        return function(*own, params, points)

    batched = single
    for _ in range(params.ndim - core_rank):
        batched = jax.vmap(batched)
    return batched(params.astype(dtype))


def evaluate(
    apply: Callable[..., Array],
    params: Array,
    core_rank: int,
    shape: tuple[int, ...],
    align_corners: bool,
    make_points: Callable[..., Any] = identity_grid,
) -> Array:
    """Applies a map of one parameter array to every pixel, for all leading axes of ``params``.

    Args:
        apply: hashable ``(params, points) -> points`` for one parameter array.
        params: ``(*batch, *core)``.
        core_rank: number of axes of one parameter array.
        shape: spatial shape of the output.
        align_corners: see `stn_jax.coordinates`.
        make_points: what ``apply`` takes as points: `identity_grid` or `open_grid`.

    Returns:
        ``(*batch, *shape, n)``.
    """
    # Methods of equal objects are not equal, functions and equal objects are: one compilation.
    function, owner = getattr(apply, "__func__", apply), getattr(apply, "__self__", None)
    return _evaluate(function, owner, params, core_rank, shape, bool(align_corners), make_points)
