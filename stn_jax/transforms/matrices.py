"""Affine matrices from what people think in: rotation, scale, shear, translation, crop.

A matrix ``theta`` is ``(*batch, n, n + 1)``, rows and columns in the order x, y[, z], and maps
target to source: it says where each output point is *read*. Scaling by 2 therefore shrinks what
is seen.

Convention:
    Coordinates are normalised and points are (x, y[, z]), with y downwards, so that a positive
    angle turns from x towards y, clockwise on the screen. On an image that is not square a
    normalised rotation shears; `normalize_matrix` of a pixel matrix does not.

Results are float32 whatever the dtype of the arguments, float64 if one of them is.
"""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from stn_jax._mesh import constant_like
from stn_jax.transforms.inputs import as_coordinates, compiled

_PLANES = {"z": (0, 1), "x": (1, 2), "y": (2, 0)}  # the plane that turns about each axis


@compiled
def rotation(angle: ArrayLike, *, axis: str | None = None) -> Float[Array, "*b n n_plus_1"]:
    """Returns the matrix of a rotation about the centre.

    ``[[cos a, -sin a, 0], [sin a, cos a, 0]]`` in the plane that turns.

    Args:
        angle: radians, ``(*batch)``.
        axis: None for images; ``"x"``, ``"y"`` or ``"z"`` for a rotation of volumes about it.

    Returns:
        ``(*batch, 2, 3)`` or ``(*batch, 3, 4)``.

    Example:
        >>> rotation(jnp.pi / 2).round(3) + 0.0
        Array([[ 0., -1.,  0.],
               [ 1.,  0.,  0.]], dtype=float32)
    """
    if axis is not None and axis not in _PLANES:
        raise ValueError(f"axis={axis!r} is not known; choose 'x', 'y', 'z', or None for images.")
    [angle] = as_coordinates(angle=angle)
    n = 2 if axis is None else 3
    i, j = _PLANES["z" if axis is None else axis]
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    turned = {(i, i): cos, (j, j): cos, (i, j): -sin, (j, i): sin}
    return _from_entries(turned, n)


@compiled
def scaling(scale: ArrayLike) -> Float[Array, "*b n n_plus_1"]:
    """Returns the matrix that scales each axis; above 1 more of the source is seen.

    Args:
        scale: ``(*batch, n)``, factors along x, y[, z].

    Returns:
        ``(*batch, n, n + 1)``.

    Example:
        >>> scaling(jnp.array([2.0, 1.0])).tolist()
        [[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    scale = _vector(scale=scale)
    factors = jnp.unstack(scale, axis=-1)
    return _from_entries({(k, k): factor for k, factor in enumerate(factors)}, len(factors))


@compiled
def translation(offset: ArrayLike) -> Float[Array, "*b n n_plus_1"]:
    """Returns the matrix that reads ``offset`` further on; the picture moves against it.

    Args:
        offset: ``(*batch, n)``, normalised units along x, y[, z].

    Returns:
        ``(*batch, n, n + 1)``.

    Example:
        >>> translation(jnp.array([0.5, 0.0])).tolist()
        [[1.0, 0.0, 0.5], [0.0, 1.0, 0.0]]
    """
    shifts = jnp.unstack(_vector(offset=offset), axis=-1)
    n = len(shifts)
    return _from_entries({(k, n): shift for k, shift in enumerate(shifts)}, n)


@compiled
def shear(amount: ArrayLike) -> Float[Array, "*b n n_plus_1"]:
    """Returns the matrix of a shear: unit diagonal and the given entries off it, row by row.

    Args:
        amount: ``(*batch, n (n - 1))``: 2-D ``(xy, yx)``, 3-D ``(xy, xz, yx, yz, zx, zy)``, where
            ``xy`` is how much x grows with y.

    Returns:
        ``(*batch, n, n + 1)``.

    Example:
        >>> shear(jnp.array([0.5, 0.0])).tolist()
        [[1.0, 0.5, 0.0], [0.0, 1.0, 0.0]]
    """
    [amount] = as_coordinates(amount=amount)
    n = {2: 2, 6: 3}.get(amount.shape[-1] if amount.ndim else 0)
    if n is None:
        raise ValueError(
            f"amount has shape {amount.shape}; its last axis must be 2 (xy, yx) for images or 6 "
            "(xy, xz, yx, yz, zx, zy) for volumes."
        )
    places = [(i, j) for i in range(n) for j in range(n) if i != j]
    return _from_entries(dict(zip(places, jnp.unstack(amount, axis=-1), strict=True)), n)


@compiled
def crop(box: ArrayLike) -> Float[Array, "*b n n_plus_1"]:
    """Returns the matrix that reads a box: output edges -1 and 1 land on the box's edges.

    Args:
        box: ``(*batch, 2 n)``, the box's lowest corner then its highest, ``(x0, y0, x1, y1)`` or
            ``(x0, y0, z0, x1, y1, z1)``, normalised.

    Returns:
        ``(*batch, n, n + 1)``.

    Example:
        >>> crop(jnp.array([0.0, 0.0, 1.0, 1.0])).tolist()
        [[0.5, 0.0, 0.5], [0.0, 0.5, 0.5]]
    """
    [box] = as_coordinates(box=box)
    if not box.ndim or box.shape[-1] not in (4, 6):
        raise ValueError(
            f"box has shape {box.shape}; its last axis must be (x0, y0, x1, y1) or "
            "(x0, y0, z0, x1, y1, z1)."
        )
    low, high = jnp.split(box, 2, axis=-1)
    n = low.shape[-1]
    sizes = jnp.unstack((high - low) / 2, axis=-1)
    centres = jnp.unstack((low + high) / 2, axis=-1)
    entries = {(k, k): size for k, size in enumerate(sizes)}
    return _from_entries(entries | {(k, n): centre for k, centre in enumerate(centres)}, n)


def _vector(**named: ArrayLike) -> Array:
    [vector] = as_coordinates(**named)
    if not vector.ndim or vector.shape[-1] not in (2, 3):
        [name] = named
        raise ValueError(
            f"{name} has shape {vector.shape}; its last axis must be (x, y) or (x, y, z)."
        )
    return vector


def _from_entries(entries: dict[tuple[int, int], Array], n: int) -> Array:
    """Returns the identity ``(*batch, n, n + 1)`` with some entries replaced.

    Stacked and not scattered: a scatter into a constant loses how the batch is sharded.
    """
    like = next(iter(entries.values()))
    rows = [
        [entries.get((i, j), constant_like(like, float(i == j))) for j in range(n + 1)]
        for i in range(n)
    ]
    return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)
