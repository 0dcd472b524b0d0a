"""One contract over every transform: identity, batches, finite gradients, compose, invert."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

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
    lattice = stn.lattice(shape, align_corners=align_corners)
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

    for scale in (0.0, 0.1, 3.0):
        assert jnp.isfinite(jax.grad(loss)(near_identity(transform, scale))).all()
    assert jnp.any(jax.grad(loss)(jnp.asarray(transform.identity(), jnp.float64)) != 0)


@pytest.mark.parametrize("transform", TRANSFORMS, ids=named)
def test_hashable_and_static(transform):
    run = jax.jit(lambda p, t: t.grid(p, SHAPE[t.ndim]), static_argnums=1)
    assert run(transform.identity(), transform).shape[-1] == transform.ndim
    assert hash(transform) == hash(type(transform)(**vars(transform)))


@pytest.mark.parametrize(
    "transform", [stn.Affine(), stn.Affine(3), stn.Projective(), stn.Projective(3)], ids=named
)
def test_compose_and_invert(transform):
    p, q = near_identity(transform, 0.1, 1), near_identity(transform, 0.1, 2)
    points = stn.lattice(SHAPE[transform.ndim], dtype=jnp.float64)
    np.testing.assert_allclose(
        transform.apply(transform.compose(p, q), points),
        transform.apply(p, transform.apply(q, points)),
        atol=1e-12,
    )
    np.testing.assert_allclose(
        transform.apply(transform.invert(p), transform.apply(p, points)), points, atol=1e-12
    )


@pytest.mark.parametrize("transform", TRANSFORMS, ids=named)
def test_wrong_parameters_are_refused(transform):
    shape = SHAPE[transform.ndim]
    with pytest.raises(ValueError, match=rf"\(\*batch, {transform.num_params}\)"):
        transform.grid(jnp.zeros(transform.num_params + 1), shape)
    with pytest.raises(ValueError, match="without batch and channels"):
        transform.grid(transform.identity(), (1, *shape))


def test_a_masked_map_keeps_its_constants():
    transform = stn.Affine(free=FREE, fixed=((1, 0.5, 0), (0.25, 1, 0)))
    theta = transform.matrix(jnp.array([2.0, 3.0, 4.0, 5.0]))
    np.testing.assert_array_equal(theta, [[2.0, 0.5, 3.0], [0.25, 4.0, 5.0]])
    with pytest.raises(ValueError, match="needs all entries free"):
        transform.invert(jnp.ones(4))
