"""One contract over every transform: identity, batches, derivatives, compose, invert."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import stn_jax as stn

FREE = ((True, False, True), (False, True, True))
TRANSFORMS = [
    stn.Affine(),
    stn.Affine(3),
    stn.Affine(free=FREE),
    stn.Attention(),
    stn.Attention(3),
    stn.Projective(),
    stn.Projective(3),
    stn.ThinPlateSpline((4, 4)),
    stn.ThinPlateSpline(((-1.0, -1.0), (1.0, -1.0), (0.0, 0.5), (0.2, 1.0))),
    stn.Translation(),
    stn.Translation(3),
    stn.Similarity(),
    stn.Similarity(3),
    stn.Rigid(),
    stn.Rigid(3),
    stn.AffineDiffeomorphic(),
    stn.AffineDiffeomorphic(3),
    stn.Flow((3, 4)),
    stn.Flow((2, 3, 4)),
    stn.Velocity((4, 4), steps=4),
    stn.Velocity((3, 3, 3), steps=2),
    stn.Velocity((4, 4), steps=2, integrator="runge_kutta"),
    stn.Chain(stn.Affine(), stn.ThinPlateSpline((3, 3))),
    stn.Chain(stn.Rigid(3), stn.Flow((2, 2, 2))),
]
# Two control points on pixel centres of a 3 x 4 output, where r^2 log r^2 has its singularity.
ON_PIXELS = stn.ThinPlateSpline(((-0.75, 0.0), (0.75, 0.0), (0.25, 0.5), (-0.25, -0.5)))
EXACT = [t for t in TRANSFORMS if hasattr(t, "invert") and not isinstance(t, stn.Velocity)]
EXACT.remove(stn.Affine(free=FREE))  # refuses: see test_a_masked_map_keeps_its_constants
# Where XLA takes seconds an example, volumes and long series wait for `make test-all`.
QUICK_FIRST = [
    pytest.param(t, marks=pytest.mark.slow)
    if t.ndim == 3 or isinstance(t, stn.AffineDiffeomorphic)
    else t
    for t in (*TRANSFORMS, ON_PIXELS)
]
SHAPE = {2: (4, 5), 3: (2, 3, 4)}


def named(transform):
    return str(transform)


def near_identity(transform, scale, seed=0):
    noise = np.random.default_rng(seed).standard_normal(transform.num_params)
    return jnp.asarray(transform.identity() + scale * noise)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("transform", TRANSFORMS, ids=named)
def test_identity_is_the_lattice(transform, align_corners):
    shape = SHAPE[transform.ndim]
    params = transform.identity()
    assert params.shape == (transform.num_params,)
    grid = transform.grid(params, shape, align_corners=align_corners)
    lattice = stn.identity_grid(shape, align_corners=align_corners)
    np.testing.assert_allclose(grid, lattice, atol=1e-6)


@pytest.mark.parametrize("transform", TRANSFORMS, ids=named)
def test_batches_are_singles(transform):
    shape = SHAPE[transform.ndim]
    params = jnp.stack([near_identity(transform, 0.1, seed) for seed in range(6)])
    grids = transform.grid(params.reshape(2, 3, -1), shape)
    assert grids.shape == (2, 3, *shape, transform.ndim)
    np.testing.assert_allclose(grids[1, 2], transform.grid(params[5], shape), atol=1e-12)


@pytest.mark.parametrize("transform", TRANSFORMS, ids=named)
def test_gradients_are_finite_and_there(transform):
    shape = SHAPE[transform.ndim]
    image = jnp.asarray(np.random.default_rng(1).random((*shape, 1)))

    def loss(params):
        return jnp.sum(stn.spatial_transform(image, params, shape, transform=transform) ** 2)

    gradient = jax.jit(jax.grad(loss))
    for scale in (0.0, 0.1, 3.0):
        assert jnp.isfinite(gradient(near_identity(transform, scale))).all()
    assert jnp.any(gradient(near_identity(transform, 0.0)) != 0)


@pytest.mark.parametrize("transform", TRANSFORMS, ids=named)
def test_hashable_and_static(transform):
    run = jax.jit(lambda p, t: t.grid(p, SHAPE[t.ndim]), static_argnums=1)
    assert run(transform.identity(), transform).shape[-1] == transform.ndim
    parts = getattr(transform, "transforms", None)
    again = type(transform)(*parts) if parts else type(transform)(**vars(transform))
    assert again is not transform
    assert again == transform
    assert hash(again) == hash(transform)
    assert len({*TRANSFORMS}) == len(TRANSFORMS)


@pytest.mark.parametrize("transform", EXACT, ids=named)
def test_compose_and_invert(transform):
    """Also for turns by more than half a circle, whose vectors are not those of the product."""
    points = stn.identity_grid(SHAPE[transform.ndim], dtype=jnp.float64)
    scales = (0.1, 2.0) if isinstance(transform, stn.Rigid) else (0.1,)
    for p, q in ((near_identity(transform, s, 1), near_identity(transform, s, 2)) for s in scales):
        if hasattr(transform, "compose"):
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


def test_every_family_of_matrices_composes_or_inverts():
    composing = {type(t).__name__ for t in EXACT if hasattr(t, "compose")}
    assert composing == {"Affine", "Attention", "Projective", "Rigid", "Similarity", "Translation"}
    assert {type(t).__name__ for t in EXACT} - composing == {"AffineDiffeomorphic"}


@pytest.mark.slow
@pytest.mark.parametrize("transform", QUICK_FIRST, ids=named)
def test_grids_have_the_derivatives_of_their_values(transform):
    """To second order, both modes; the velocity's bilinear field only to first: it has knots."""
    shape = SHAPE[transform.ndim] if transform is not ON_PIXELS else (3, 4)
    order = 1 if isinstance(transform, stn.Velocity) else 2

    @jax.jit
    def grid(params):
        return transform.grid(params, shape)

    for scale in (0.0, 0.1):
        if scale or not isinstance(transform, stn.Velocity):  # at rest every point is on a knot
            params = near_identity(transform, scale, 5)
            check_grads(grid, (params,), order, ("fwd", "rev"), atol=1e-6, rtol=1e-6, eps=1e-5)


def lost_draws(transform, count, scales=(0.1, 1.0, 10.0)):
    """How many of ``count`` random draws of each scale have a gradient that is not finite."""
    shape = (3, 4) if transform.ndim == 2 else (2, 2, 3)
    rng = np.random.default_rng(0)
    image = jnp.asarray(rng.random((*shape, 1)), jnp.float32)
    noise = rng.standard_normal((len(scales), count, transform.num_params))
    params = transform.identity() + np.reshape(scales, (-1, 1, 1)) * noise

    def loss(params, image):
        return jnp.sum(stn.spatial_transform(image, params, shape, transform=transform) ** 2)

    def finite(params):
        pair = jax.grad(loss, (0, 1))(params, image)
        return jnp.all(jnp.stack([jnp.isfinite(g).all() for g in pair])), jnp.any(pair[1] != 0)

    @jax.jit
    def run(params):
        return jax.lax.map(finite, params, batch_size=500)

    good, seen = run(jnp.asarray(params.reshape(-1, params.shape[-1]), jnp.float32))
    assert np.mean(seen) > 0.1  # some of what was drawn does look at the image
    return np.sum(~np.asarray(good).reshape(len(scales), count), axis=1).tolist()


@pytest.mark.parametrize("transform", QUICK_FIRST, ids=named)
def test_no_gradient_of_hundreds_of_draws_is_lost(transform):
    assert lost_draws(transform, 500) == [0, 0, 0]


@pytest.mark.slow
@pytest.mark.parametrize("transform", [*TRANSFORMS, ON_PIXELS], ids=named)
def test_no_gradient_of_ten_thousand_draws_is_lost(transform):
    assert lost_draws(transform, 10_000) == [0, 0, 0]


@pytest.mark.parametrize("transform", TRANSFORMS, ids=named)
def test_wrong_parameters_are_refused(transform):
    shape = SHAPE[transform.ndim]
    with pytest.raises(ValueError, match=rf"\(\*batch, {transform.num_params}\)"):
        transform.grid(jnp.zeros(transform.num_params + 1), shape)
    with pytest.raises(ValueError, match="without batch and channels"):
        transform.grid(transform.identity(), (1, *shape))


def test_a_masked_map_keeps_its_constants():
    transform = stn.Affine(free=FREE, fixed=((1.0, 0.5, 0.0), (0.25, 1.0, 0.0)))
    theta = transform.matrix(jnp.array([2.0, 3.0, 4.0, 5.0]))
    np.testing.assert_array_equal(theta, [[2.0, 0.5, 3.0], [0.25, 4.0, 5.0]])
    with pytest.raises(ValueError, match="needs all entries free"):
        transform.invert(jnp.ones(4))


def test_a_point_that_moves_off_a_control_point_has_a_gradient():
    """The map inside a chain moves the spline's points: r^2 log r^2 is differentiated at r = 0."""
    chain = stn.Chain(ON_PIXELS, stn.Affine())
    params = near_identity(chain, 0.1).at[-6:].set(near_identity(stn.Affine(), 0.0))
    jacobian = jax.jit(jax.jacrev(lambda p: chain.grid(p, (3, 4))))(params)
    assert jnp.isfinite(jacobian).all()
    centre = chain.grid(params, (3, 4))[1, 0] - jnp.array([-0.75, 0.0])
    np.testing.assert_allclose(centre, params[:2], atol=1e-12)  # it is that point
