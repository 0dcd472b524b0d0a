"""Affine maps: which way they go, masks, and thetas of either form."""

import jax.numpy as jnp
import numpy as np
import pytest
from families import FREE

import stn_jax as stn


def test_theta_maps_target_to_source() -> None:
    image = jnp.zeros((5, 5, 1)).at[2, 3].set(1.0)
    moved = stn.grid_sample(image, stn.affine_grid(stn.translation(jnp.array([0.4, 0.0])), (5, 5)))
    assert moved[2, 2, 0] == pytest.approx(1.0)  # read one pixel further right: content moves left


def test_a_masked_map_keeps_its_constants() -> None:
    transform = stn.Affine(free=FREE, fixed=((1.0, 0.5, 0.0), (0.25, 1.0, 0.0)))
    theta = transform.matrix(jnp.array([2.0, 3.0, 4.0, 5.0]))
    np.testing.assert_array_equal(theta, [[2.0, 0.5, 3.0], [0.25, 4.0, 5.0]])
    with pytest.raises(ValueError, match="needs all entries free"):
        transform.invert(jnp.ones(4))


def test_constants_are_exact_in_float64() -> None:
    affine = stn.Affine(free=FREE, fixed=((1.0, 0.1, 0.0), (0.3, 1.0, 0.0)))
    assert affine.matrix(np.ones(4))[0, 1] == np.float64(0.1)
    assert affine.matrix(np.ones(4, np.float32))[1, 0] == np.float32(0.3)
    constant = stn.Affine(free=((False,) * 3,) * 2, fixed=((1.0, 2.0, 3.0), (4.0, 5.0, 6.0)))
    assert constant.num_params == 0
    np.testing.assert_array_equal(constant.matrix(np.zeros((2, 0)))[1], [[1, 2, 3], [4, 5, 6]])
    lost = affine.matrix(np.array([np.nan, 1, 1, 1]))
    np.testing.assert_array_equal(np.isnan(lost), [[True, False, False], [False, False, False]])


@pytest.mark.parametrize(("n", "shape"), [(2, (3, 4)), (3, (2, 3, 4))])
def test_theta_is_a_matrix_or_its_rows(n: int, shape: tuple[int, ...]) -> None:
    theta = np.random.default_rng(0).standard_normal((5, n, n + 1))
    x = np.stack(np.meshgrid(*(np.arange(s) for s in shape), indexing="ij")[::-1], -1)
    points = (2 * x + 1) / np.array(shape[::-1]) - 1
    expected = np.einsum("bij,...j->b...i", theta[..., :n], points)
    expected += theta[..., n].reshape(5, *[1] * n, n)
    for form in (theta, theta.reshape(5, -1)):
        np.testing.assert_allclose(stn.affine_grid(form, shape), expected, atol=1e-14)
        np.testing.assert_allclose(stn.Affine(n).grid(form, shape), expected, atol=1e-14)
    points = stn.Affine(n).apply(theta[0].ravel(), points)
    np.testing.assert_allclose(points, expected[0], atol=1e-14)


@pytest.mark.parametrize("n", [1, 3])
def test_points_of_another_number_of_axes_are_refused(n: int) -> None:
    for family in (stn.Affine(), stn.Rigid(), stn.Attention()):
        with pytest.raises(ValueError, match=r"argument|points"):
            family.apply(family.identity(), np.ones((5, n)))


def test_which_maps_are_separable() -> None:
    off = ((True, True, True), (False, True, True))
    assert stn.Affine(free=FREE).separable
    assert stn.Attention(3).separable
    assert not stn.Affine().separable
    assert not stn.Affine(free=off).separable
    assert not stn.Affine(free=FREE, fixed=((1.0, 0.0, 0.0), (0.5, 1.0, 0.0))).separable
    assert not stn.Rigid().separable


def test_annotations_hold_for_what_identity_returns() -> None:
    for transform in (stn.Affine(), stn.Projective(), stn.Similarity(3)):
        identity = transform.identity()
        assert isinstance(identity, np.ndarray)
        np.testing.assert_allclose(transform.compose(identity, identity), identity, atol=1e-7)
        np.testing.assert_allclose(transform.invert(identity), identity, atol=1e-7)
