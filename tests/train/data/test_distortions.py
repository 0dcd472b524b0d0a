"""Distortions: statistics, geometry against separate formulas, and reproducibility."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

from train.data.distortions import CANVAS, PATCHES, canvas_shape, distort, distorted_batch

KINDS = tuple(CANVAS)
batch = jax.jit(distorted_batch, static_argnames=("kind", "canvas"))
single = jax.jit(distort, static_argnames=("kind", "canvas"))
many = jax.jit(jax.vmap(distort, (0, None, None, None)), static_argnums=(2, 3))


COUNT = 400
KEYS = random.split(random.key(0), COUNT)


@pytest.fixture(scope="module")
def digits():
    """Forty images of random blobs with dark borders, as digits have."""
    noise = np.random.default_rng(0).normal(size=(40, 28, 28))
    y, x = np.indices((28, 28)) - 13.5
    low = np.exp(-(np.indices((28, 28)) ** 2).sum(axis=0) / 18)
    blobs = np.abs(np.fft.ifft2(np.fft.fft2(noise) * np.fft.fft2(low))) * (np.hypot(x, y) < 9)
    images = 255 * blobs / blobs.max(axis=(1, 2), keepdims=True)
    return jnp.asarray(images.astype(np.uint8)[..., None])


def dot(shape, position, width=1.5):
    """Returns an image ``(*shape, 1)`` with a Gaussian dot at (x, y), in pixels from the centre."""
    h, w = shape
    y, x = np.indices(shape) - np.array([h - 1, w - 1]).reshape(2, 1, 1) / 2
    image = np.exp(-((x - position[0]) ** 2 + (y - position[1]) ** 2) / (2 * width**2))
    return jnp.asarray(image[..., None], jnp.float32)


def centroids(images):
    """Returns the centres of mass (x, y) of images, in pixels from the centre."""
    images = np.asarray(images, np.float64)[..., 0]
    h, w = images.shape[-2:]
    mass = images.sum(axis=(-2, -1))
    x = (images.sum(axis=-2) * (np.arange(w) - (w - 1) / 2)).sum(axis=-1) / mass
    y = (images.sum(axis=-1) * (np.arange(h) - (h - 1) / 2)).sum(axis=-1) / mass
    return np.stack([x, y], axis=-1)


# --- all distortions


@pytest.mark.parametrize("kind", KINDS)
def test_distortion_does_not_depend_on_the_batch(kind, digits):
    """An image has the same bits in batches of 32, of 3 and in another order."""
    key = random.key(1)
    whole = np.asarray(batch(key, digits, jnp.arange(32), kind))
    few = np.array([5, 31, 0])
    np.testing.assert_array_equal(batch(key, digits, jnp.asarray(few), kind), whole[few])
    order = np.random.default_rng(0).permutation(32)
    np.testing.assert_array_equal(batch(key, digits, jnp.asarray(order), kind), whole[order])
    assert whole.shape == (32, *canvas_shape(kind, 0, (28, 28)), 1)
    assert whole.dtype == np.float32
    assert whole.min() >= 0
    assert whole.max() <= 1
    assert (whole.max(axis=(1, 2, 3)) > 0.5).all()


@pytest.mark.parametrize("kind", KINDS)
def test_distortion_depends_on_key_and_index(kind, digits):
    indices = jnp.array([0, 1, 2])
    first = np.asarray(batch(random.key(1), digits, indices, kind))
    np.testing.assert_array_equal(batch(random.key(1), digits, indices, kind), first)
    other = np.asarray(batch(random.key(2), digits, indices, kind))
    same = (first == other).all(axis=(1, 2, 3))
    assert same.tolist() == [kind == "none"] * 3
    if kind != "none":  # the same image with two indices
        twice = batch(random.key(1), jnp.stack([digits[0]] * 40), jnp.array([3, 4, 5]), kind)
        assert not (twice[0] == twice[1]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_channels_of_images_of_any_shape_move_together(kind):
    grey = dot((40, 20), (2.0, -3.0), 3)
    colour = jnp.concatenate([grey, 0 * grey, 0.5 * grey], axis=-1)
    clutter = jnp.stack([colour] * PATCHES)
    out = np.asarray(single(random.key(3), colour, kind=kind, clutter=clutter))
    h, w = canvas_shape(kind, 0, (40, 20))
    assert out.shape == (h, w, 3)
    assert out[..., 0].max() > 0.5
    np.testing.assert_array_equal(out[..., 1], 0)
    np.testing.assert_allclose(out[..., 2], out[..., 0] / 2, atol=1e-7)


def test_canvas_shape_scales_and_checks_its_arguments():
    assert {kind: canvas_shape(kind, 0, (28, 28, 1)) for kind in KINDS} == {
        kind: (size, size) for kind, size in CANVAS.items()
    }
    assert canvas_shape("RTS", 0, (64, 32, 3)) == (96, 48)
    assert canvas_shape("P", 42, (28, 28)) == (42, 42)
    with pytest.raises(ValueError, match=r"data.distortion='S' is unknown; choose one of none"):
        canvas_shape("S", 0, (28, 28))
    with pytest.raises(ValueError, match=r"data.canvas=42 is smaller than the images, 30 x 64"):
        canvas_shape("RTS", 42, (64, 30))


def test_tc_without_clutter_is_refused():
    with pytest.raises(ValueError, match="TC needs other images"):
        distort(random.key(0), jnp.zeros((28, 28, 1)), "TC")


# --- none


@pytest.mark.parametrize("canvas", [0, 42])
def test_none_centres_the_image(canvas, digits):
    out = np.asarray(batch(random.key(0), digits, jnp.arange(3), "none", canvas))
    edge = (out.shape[1] - 28) // 2
    inner = out[:, edge : edge + 28, edge : edge + 28]
    np.testing.assert_allclose(inner, np.asarray(digits[:3]).astype(np.float32) / 255, atol=1e-7)
    assert out.sum() == pytest.approx(inner.sum(), rel=1e-6)


# --- R


def test_rotation_is_rigid_with_uniform_angles_within_a_quarter_turn(digits):
    """Dots at (8, 0) stay 8 pixels from the centre, with angles uniform over half a turn."""
    out = centroids(many(KEYS, dot((28, 28), (8.0, 0.0)), "R", 0))
    np.testing.assert_allclose(np.hypot(*out.T), 8, atol=0.1)
    angles = np.degrees(np.arctan2(out[:, 1], out[:, 0]))
    assert angles.min() > -90.5
    assert angles.max() < 90.5
    counts, _ = np.histogram(angles, bins=6, range=(-90, 90))
    assert counts.min() > 40  # 67 expected, standard deviation 7.5
    assert counts.max() < 95


def test_rotation_preserves_mass(digits):
    before = digits[:32].astype(jnp.float32).sum(axis=(1, 2, 3)) / 255
    after = batch(random.key(4), digits, jnp.arange(32), "R").sum(axis=(1, 2, 3))
    np.testing.assert_allclose(after, before, rtol=0.02)


def test_rotation_of_a_rectangle_does_not_shear():
    out = centroids(many(KEYS, dot((40, 20), (5.0, 0.0)), "R", 0))
    np.testing.assert_allclose(np.hypot(*out.T), 5, atol=0.1)


# --- RTS


def test_rts_moves_a_point_as_its_parameters_say():
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


def test_rts_parameters_are_uniform_over_their_ranges():
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


def white(shape=(28, 28)):
    return jnp.ones((*shape, 1), jnp.float32)


def test_projection_keeps_the_expected_area():
    """Independent corners do not change the mean area, which is the mean of scale^2, 0.7708."""
    out = np.asarray(many(KEYS, white(), "P", 84))
    assert np.isfinite(out).all()
    area = out.sum(axis=(1, 2, 3)) / 28**2
    assert area.min() > 0.02  # no empty images
    assert area.mean() == pytest.approx(0.7708, rel=0.06)
    assert area.std() > 0.15
    assert np.abs(centroids(out).mean(axis=0)).max() < 0.5


def test_projection_moves_corners_by_about_five_pixels():
    """A dot near a corner moves almost as far as the corner, along both axes."""
    out = centroids(many(KEYS, dot((28, 28), (-11.0, -11.0)), "P", 84))
    spread = out.std(axis=0)
    assert (spread > 3).all()
    assert (spread < 6.5).all()
    assert abs(np.corrcoef(*out.T)[0, 1]) < 0.3
    assert np.linalg.norm(out.mean(axis=0) + 11 * 0.875) < 1.5


def test_projections_are_convex():
    """The centre of the square stays inside, on the same side of all four edges."""
    out = np.asarray(many(KEYS, dot((28, 28), (0.0, 0.0), 2.5), "P", 84))
    assert (out.max(axis=(1, 2, 3)) > 0.3).all()


def test_elastic_moves_control_points_independently():
    """Dots at two inner control points move by 1.5 pixels, independently of each other."""
    knots = [(-14 / 3, -14 / 3), (14 / 3, -14 / 3)]
    first, second = (centroids(many(KEYS, dot((28, 28), k, 1.0), "E", 42)) for k in knots)
    for moved, knot in ((first, knots[0]), (second, knots[1])):
        np.testing.assert_allclose(moved.mean(axis=0), 0.875 * np.array(knot), atol=0.4)
        assert (moved.std(axis=0) > 1.1).all()
        assert (moved.std(axis=0) < 2.1).all()
    assert abs(np.corrcoef(first[:, 1], second[:, 1])[0, 1]) < 0.5


def test_elastic_keeps_the_expected_area():
    out = np.asarray(many(KEYS, white(), "E", 42)).sum(axis=(1, 2, 3)) / 28**2
    assert out.mean() == pytest.approx(0.7708, rel=0.05)
    assert out.min() > 0.4


# --- TC


def find_exact(out, image):
    """Returns the positions (top, left) at which each canvas contains the image exactly."""
    h, w = image.shape[:2]
    windows = np.lib.stride_tricks.sliding_window_view(np.asarray(out)[..., 0], (h, w), (1, 2))
    equal = (windows == np.asarray(image)[..., 0]).all(axis=(-2, -1))
    return [np.argwhere(found).tolist() for found in equal]


def test_tc_places_the_digit_unchanged_at_uniform_positions(digits):
    image = digits[0].astype(jnp.float32) / 255
    cluttered = jax.jit(
        jax.vmap(lambda k: distort(k, image, "TC", 0, jnp.zeros((PATCHES, 28, 28, 1), jnp.float32)))
    )
    found = find_exact(cluttered(KEYS), image)
    assert all(len(positions) == 1 for positions in found)
    corners = np.array(found)[:, 0]
    assert corners.min(axis=0).tolist() == [0, 0]
    assert corners.max(axis=0).tolist() == [32, 32]
    np.testing.assert_allclose(corners.mean(axis=0), 16, atol=4 * 9.5 / 20)


def test_tc_pastes_six_patches_of_six_by_six_pixels():
    """White clutter on a black image covers at most 6 x 36 pixels, less where patches overlap."""
    dark, bright = jnp.zeros((28, 28, 1), jnp.float32), jnp.ones((PATCHES, 28, 28, 1), jnp.float32)
    out = np.asarray(jax.jit(jax.vmap(lambda k: distort(k, dark, "TC", 0, bright)))(KEYS))
    assert set(np.unique(out)) == {0.0, 1.0}
    counts = out.sum(axis=(1, 2, 3))
    assert counts.max() == PATCHES * 36
    assert counts.min() > 3 * 36
    assert np.median(counts) > 200
    assert out.mean(axis=0)[0].max() > 0  # patches reach the border
    assert out.mean(axis=0)[-1].max() > 0


def test_tc_takes_clutter_from_other_images():
    """With one bright image of two, the other canvas contains only pieces of it."""
    square = jnp.zeros((2, 28, 28, 1), jnp.uint8).at[0, 10:18, 10:18].set(255)
    own, other = np.asarray(batch(random.key(0), square, jnp.array([0, 1]), "TC"))
    assert own.sum() == 64
    assert 0 < other.sum() < PATCHES * 36


def test_indices_may_be_int32_or_int64(digits):
    narrow, wide = (jnp.arange(3).astype(dtype) for dtype in (jnp.int32, jnp.int64))
    np.testing.assert_array_equal(
        batch(random.key(0), digits, narrow, "TC"), batch(random.key(0), digits, wide, "TC")
    )
