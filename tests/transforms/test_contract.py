"""One contract over every transform: identity, batches, derivatives, compose, invert."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from families import (
    COMPOSING,
    EXACT,
    FREE,
    ON_PIXELS,
    QUICK_FIRST,
    SHAPE,
    TRANSFORMS,
    named,
    near_identity,
)
from jax import export
from jax.test_util import check_grads

import stn_jax as stn


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("transform", TRANSFORMS, ids=named)
def test_identity_is_the_identity_grid(transform: stn.Transform, align_corners: bool) -> None:
    shape = SHAPE[transform.ndim]
    params = transform.identity()
    assert params.shape == (transform.num_params,)
    grid = transform.grid(params, shape, align_corners=align_corners)
    lattice = stn.identity_grid(shape, align_corners=align_corners)
    np.testing.assert_allclose(grid, lattice, atol=1e-6)


@pytest.mark.parametrize("transform", TRANSFORMS, ids=named)
def test_batches_are_singles(transform: stn.Transform) -> None:
    shape = SHAPE[transform.ndim]
    params = jnp.stack([near_identity(transform, 0.1, seed) for seed in range(6)])
    grids = transform.grid(params.reshape(2, 3, -1), shape)
    assert grids.shape == (2, 3, *shape, transform.ndim)
    np.testing.assert_allclose(grids[1, 2], transform.grid(params[5], shape), atol=1e-12)


@pytest.mark.parametrize("transform", TRANSFORMS, ids=named)
def test_gradients_are_finite_and_there(transform: stn.Transform) -> None:
    shape = SHAPE[transform.ndim]
    image = jnp.asarray(np.random.default_rng(1).random((*shape, 1)))

    def loss(params: jax.Array) -> jax.Array:
        return jnp.sum(stn.spatial_transform(image, params, shape, transform=transform) ** 2)

    gradient = jax.jit(jax.grad(loss))
    for scale in (0.0, 0.1, 3.0):
        assert jnp.isfinite(gradient(near_identity(transform, scale))).all()
    assert jnp.any(gradient(near_identity(transform, 0.0)) != 0)


@pytest.mark.parametrize("transform", TRANSFORMS, ids=named)
def test_hashable_and_static(transform: stn.Transform) -> None:
    run = jax.jit(lambda p, t: t.grid(p, SHAPE[t.ndim]), static_argnums=1)
    assert run(transform.identity(), transform).shape[-1] == transform.ndim
    parts = getattr(transform, "transforms", None)
    again = type(transform)(*parts) if parts else type(transform)(**vars(transform))
    assert again is not transform
    assert again == transform
    assert hash(again) == hash(transform)
    assert len({*TRANSFORMS}) == len(TRANSFORMS)


@pytest.mark.parametrize("transform", EXACT, ids=named)
def test_compose_and_invert(transform: stn.Transform) -> None:
    """Also for turns by more than half a circle, whose vectors are not those of the product."""
    points = stn.identity_grid(SHAPE[transform.ndim], dtype=jnp.float64)
    scales = (0.1, 2.0) if isinstance(transform, stn.Rigid) else (0.1,)
    for p, q in ((near_identity(transform, s, 1), near_identity(transform, s, 2)) for s in scales):
        if isinstance(transform, COMPOSING):
            np.testing.assert_allclose(
                transform.apply(transform.compose(p, q), points),
                transform.apply(p, transform.apply(q, points)),
                atol=1e-12,
            )
        np.testing.assert_allclose(
            transform.apply(transform.invert(p), transform.apply(p, points)), points, atol=1e-12
        )
        np.testing.assert_allclose(
            transform.apply(transform.invert(near_identity(transform, 0.0)), points),
            points,
            atol=1e-7,
        )


@pytest.mark.parametrize("transform", TRANSFORMS, ids=named)
def test_a_family_that_is_not_closed_says_so_and_what_to_do(transform: stn.Transform) -> None:
    params = transform.identity()
    if not isinstance(transform, COMPOSING):
        with pytest.raises(NotImplementedError, match=rf"{type(transform).__name__}.* has no comp"):
            transform.compose(params, params)
    if type(transform) in (stn.Flow, stn.ThinPlateSpline, stn.Chain):
        with pytest.raises(NotImplementedError, match=r"has no invert: .*(Velocity|Chain)"):
            transform.invert(params)
    else:
        assert transform == stn.Affine(free=FREE) or transform.invert(params).shape == params.shape


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.int32], ids=lambda d: d.__name__)
@pytest.mark.parametrize("transform", QUICK_FIRST, ids=named)
def test_half_precision_and_integers_are_computed_in_float32(
    transform: stn.Transform, dtype: type[Any]
) -> None:
    p = jnp.asarray(transform.identity() + (0.125 if dtype != jnp.int32 else 1.0), dtype)
    exact = p.astype(jnp.float32)
    calls: list[Callable[..., Any]] = [lambda p: transform.grid(p, SHAPE[transform.ndim])]
    if hasattr(transform, "matrix"):
        calls.append(transform.matrix)
    if transform in EXACT and dtype != jnp.int32:
        calls.append(transform.invert)
    if isinstance(transform, COMPOSING) and transform != stn.Affine(free=FREE):
        calls.append(lambda p: transform.compose(p, p))
    for call in calls:
        found = call(p)
        assert found.dtype == jnp.float32
        np.testing.assert_array_equal(found, call(exact))


@pytest.mark.parametrize("transform", TRANSFORMS, ids=named)
def test_an_eager_call_moves_nothing_to_the_device_by_itself(transform: stn.Transform) -> None:
    params = jnp.asarray(transform.identity())
    points = jnp.full((3, transform.ndim), 0.25, jnp.float32)
    with jax.transfer_guard("disallow"), jax.debug_nans(True):
        transform.grid(params, SHAPE[transform.ndim])
        transform.apply(params, points)
        if transform in EXACT:
            transform.invert(params)
        if isinstance(transform, COMPOSING) and transform != stn.Affine(free=FREE):
            transform.compose(params, params)
        if hasattr(transform, "matrix"):
            transform.matrix(params)


@pytest.mark.usefixtures("no_annotations")  # a size that is a symbol is no int
@pytest.mark.parametrize("transform", QUICK_FIRST, ids=named)
def test_one_program_makes_grids_of_every_size(transform: stn.Transform) -> None:
    names = "h, w" if transform.ndim == 2 else "d, h, w"
    sizes = jax.ShapeDtypeStruct(export.symbolic_shape(names), jnp.float32)
    params = jnp.asarray(near_identity(transform, 0.1), jnp.float32)
    program = export.export(jax.jit(lambda image: transform.grid(params, image.shape)))(sizes)
    for shape in (SHAPE[transform.ndim], (3, 1, 2)[: transform.ndim]):
        found = program.call(np.zeros(shape, np.float32))
        np.testing.assert_allclose(found, transform.grid(params, shape), atol=3e-6)


@pytest.mark.parametrize("transform", [t for t in TRANSFORMS if t in EXACT], ids=named)
def test_batches_broadcast_whatever_their_rank(transform: stn.Transform) -> None:
    p = jnp.stack([near_identity(transform, 0.1, seed) for seed in range(3)])
    q = near_identity(transform, 0.1, 7)
    if not isinstance(transform, COMPOSING):
        with pytest.raises(ValueError, match=rf"p has shape .*\*batch, {transform.num_params}\)"):
            transform.invert(p[:, 1:])
        return
    every = transform.compose(p[:, None], jnp.stack([q, q])[None])
    assert every.shape == (3, 2, transform.num_params)
    np.testing.assert_allclose(transform.compose(p, q), every[:, 0], atol=1e-14)
    np.testing.assert_allclose(transform.compose(p[2], q), every[2, 1], atol=1e-14)
    with pytest.raises(ValueError, match=r"p \(3, \d+\) and q \(2, \d+\) have batch axes"):
        transform.compose(p, p[:2])


@pytest.mark.slow
@pytest.mark.parametrize("transform", QUICK_FIRST, ids=named)
def test_grids_have_the_derivatives_of_their_values(transform: stn.Transform) -> None:
    """To second order, both modes; the velocity's bilinear field only to first: it has knots."""
    shape = SHAPE[transform.ndim] if transform is not ON_PIXELS else (3, 4)
    order = 1 if isinstance(transform, stn.Velocity) else 2

    @jax.jit
    def grid(params: jax.Array) -> jax.Array:
        return transform.grid(params, shape)

    for scale in (0.0, 0.1):
        if scale or not isinstance(transform, stn.Velocity):  # at rest every point is on a knot
            params = near_identity(transform, scale, 5)
            check_grads(grid, (params,), order, ("fwd", "rev"), atol=1e-6, rtol=1e-6, eps=1e-5)


@pytest.mark.parametrize("transform", TRANSFORMS, ids=named)
def test_wrong_parameters_are_refused(transform: stn.Transform) -> None:
    shape = SHAPE[transform.ndim]
    with pytest.raises(ValueError, match=rf"\(\*batch, {transform.num_params}\)"):
        transform.grid(jnp.zeros(transform.num_params + 1), shape)
    with pytest.raises(ValueError, match="without batch and channels"):
        transform.grid(transform.identity(), (1, *shape))


@pytest.mark.usefixtures("no_annotations")
@pytest.mark.parametrize("transform", TRANSFORMS, ids=named)
def test_points_of_another_number_of_axes_are_refused_by_name(transform: stn.Transform) -> None:
    for n in (transform.ndim - 1, transform.ndim + 1):
        with pytest.raises(ValueError, match=rf"points has shape \(2, 3, {n}\)"):
            transform.apply(transform.identity(), np.ones((2, 3, n)))
    with pytest.raises(ValueError, match="params has shape"):
        transform.apply(transform.identity()[None], np.ones((2, transform.ndim)))
