"""Distortions by a grid: statistics, and geometry against separate formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from distorting import COUNT, KEYS, PARTS, batch, centroids, dot, many
from jax import random

from train.data.distortions.grids import Frame

# --- R


def test_rotation_is_rigid_with_uniform_angles_within_a_quarter_turn(digits: jax.Array) -> None:
    """Dots at (8, 0) stay 8 pixels from the centre, with angles uniform over half a turn."""
    out = centroids(many(KEYS, dot((28, 28), (8.0, 0.0)), "R", 0))
    np.testing.assert_allclose(np.hypot(*out.T), 8, atol=0.1)
    angles = np.degrees(np.arctan2(out[:, 1], out[:, 0]))
    assert angles.min() > -90.5
    assert angles.max() < 90.5
    counts, _ = np.histogram(angles, bins=6, range=(-90, 90))
    assert counts.min() > 40  # 67 expected, standard deviation 7.5
    assert counts.max() < 95


def test_rotation_preserves_mass(digits: jax.Array) -> None:
    before = digits[:32].astype(jnp.float32).sum(axis=(1, 2, 3)) / 255
    after = batch(random.key(4), digits, jnp.arange(32), "R").sum(axis=(1, 2, 3))
    np.testing.assert_allclose(after, before, rtol=0.02)


def test_rotation_of_a_rectangle_does_not_shear() -> None:
    out = centroids(many(KEYS, dot((40, 20), (5.0, 0.0)), "R", 0))
    np.testing.assert_allclose(np.hypot(*out.T), 5, atol=0.1)


# --- RTS


def test_rts_moves_a_point_as_its_parameters_say() -> None:
    """A dot at p appears at ``scale R(angle) p + shift``."""
    position = np.array([5.0, -3.0])
    image = dot((28, 28), position, 2.5)
    out = many(KEYS, image, "RTS", 0)
    drawn = np.asarray(jax.vmap(lambda k: random.uniform(k, (4,), jnp.float32, -1, 1))(KEYS))
    angle, scale = np.radians(45) * drawn[:, 0], 0.95 + 0.25 * drawn[:, 1]
    shift = (42 - scale[:, None] * 28) / 2 * drawn[:, 2:]
    rotated = np.stack(
        [
            np.cos(angle) * position[0] - np.sin(angle) * position[1],
            np.sin(angle) * position[0] + np.cos(angle) * position[1],
        ],
        axis=-1,
    )
    np.testing.assert_allclose(centroids(out), scale[:, None] * rotated + shift, atol=0.1)
    mass = np.asarray(out).sum(axis=(1, 2, 3)) / np.asarray(image).sum()
    np.testing.assert_allclose(mass, scale**2, rtol=0.02)


def test_rts_parameters_are_uniform_over_their_ranges() -> None:
    """Dots at the centre and at one side, with the same keys, give position, scale and angle."""
    middle = centroids(many(KEYS, dot((28, 28), (0.0, 0.0)), "RTS", 0))
    side = centroids(many(KEYS, dot((28, 28), (8.0, 0.0)), "RTS", 0)) - middle
    scale, angle = np.hypot(*side.T) / 8, np.degrees(np.arctan2(side[:, 1], side[:, 0]))
    for values, low, high in ((scale, 0.7, 1.2), (angle, -45, 45)):
        slack = 0.02 * (high - low)
        assert low - slack < values.min() < low + 2 * slack
        assert high - 2 * slack < values.max() < high + slack
        assert abs(values.mean() - (low + high) / 2) < 4 * (high - low) / np.sqrt(12 * COUNT)
    room = (42 - 28 * scale) / 2
    for axis in (0, 1):
        relative = middle[:, axis] / room
        assert np.abs(relative).max() < 1.02
        assert abs(relative.mean()) < 4 / np.sqrt(3 * COUNT)
        assert relative.std() == pytest.approx(1 / np.sqrt(3), rel=0.1)
    assert abs(np.corrcoef(scale, angle)[0, 1]) < 0.2
    assert abs(np.corrcoef(*middle.T)[0, 1]) < 0.2


# --- P and E


def white(shape: tuple[int, ...] = (28, 28)) -> jax.Array:
    return jnp.ones((*shape, 1), jnp.float32)


def test_projection_keeps_the_expected_area() -> None:
    """Independent corners do not change the mean area, which is the mean of scale^2, 0.7708."""
    out = np.asarray(many(KEYS, white(), "P", 84))
    assert np.isfinite(out).all()
    area = out.sum(axis=(1, 2, 3)) / 28**2
    assert area.min() > 0.02  # no empty images
    assert area.mean() == pytest.approx(0.7708, rel=0.06)
    assert area.std() > 0.15
    assert np.abs(centroids(out).mean(axis=0)).max() < 0.5


def test_projection_stretches_corners_along_their_diagonals() -> None:
    """A dot near a corner moves along the diagonal, almost as far as the corner: N(0, 5 sqrt 2)."""
    moved = centroids(many(KEYS, dot((28, 28), (-11.0, -11.0)), "P", 84))
    outward, across = (moved @ np.array([[-1, -1], [-1, 1]]).T / np.sqrt(2)).T
    assert 4.2 < outward.std() < 8
    assert across.std() < 0.3 * outward.std()
    assert outward.mean() == pytest.approx(11 * np.sqrt(2) * 0.875, abs=1.5)


def test_projections_are_convex() -> None:
    """The centre of the square stays inside, on the same side of all four edges."""
    out = np.asarray(many(KEYS, dot((28, 28), (0.0, 0.0), 2.5), "P", 84))
    assert (out.max(axis=(1, 2, 3)) > 0.3).all()


def test_elastic_moves_control_points_independently() -> None:
    """Dots at two inner control points move by 1.5 pixels, independently of each other."""
    knots = [(-14 / 3, -14 / 3), (14 / 3, -14 / 3)]
    first, second = (centroids(many(KEYS, dot((28, 28), k, 1.0), "E", 42)) for k in knots)
    for moved, knot in ((first, knots[0]), (second, knots[1])):
        np.testing.assert_allclose(moved.mean(axis=0), 0.875 * np.array(knot), atol=0.4)
        assert (moved.std(axis=0) > 1.1).all()
        assert (moved.std(axis=0) < 2.1).all()
    assert abs(np.corrcoef(first[:, 1], second[:, 1])[0, 1]) < 0.5


def test_elastic_keeps_the_expected_area() -> None:
    out = np.asarray(many(KEYS, white(), "E", 42)).sum(axis=(1, 2, 3)) / 28**2
    assert out.mean() == pytest.approx(0.7708, rel=0.05)
    assert out.min() > 0.4


# --- the perturbation of IC-STN


def test_perturbation_reads_corners_and_all_together_elsewhere() -> None:
    """A corner of the image's place on a larger canvas reads N(0, 3.5) + N(0, 3.5) away from it."""
    part = PARTS["perturbed"]
    frame = Frame((28, 28), (56, 56), jnp.float32)
    grids = np.asarray(jax.jit(jax.vmap(lambda key: part.grid(key, frame, 1.0)))(KEYS))
    assert np.isfinite(grids).all()
    inner = grids[:, 14:42, 14:42]  # where the image would be
    corners = inner[:, [0, 0, -1, -1], [0, -1, 0, -1]] * 14  # pixel centres, near the corners
    moved = corners - 13.5 * np.array([[-1, -1], [1, -1], [-1, 1], [1, 1]])[None]
    spread = moved.std(axis=0)
    assert spread == pytest.approx(np.sqrt(2) * 3.5, rel=0.15)
    assert moved.mean(axis=(0, 1)) == pytest.approx(0, abs=1.0)
    together = [np.corrcoef(moved[:, 0, axis], moved[:, 3, axis])[0, 1] for axis in (0, 1)]
    assert together == pytest.approx([0.5, 0.5], abs=0.15)


def test_a_larger_canvas_shows_more_of_the_same_perturbation(digits: jax.Array) -> None:
    """Its middle is what the small canvas shows, pixel by pixel."""
    image = digits[0].astype(jnp.float32) / 255
    small = many(KEYS[:8], image, "perturbed", 0)
    large = many(KEYS[:8], image, "perturbed", 56)
    np.testing.assert_allclose(large[:, 14:42, 14:42], small, atol=1e-4)
    assert (np.asarray(large).sum(axis=(1, 2, 3)) > np.asarray(small).sum(axis=(1, 2, 3)) - 1).all()
