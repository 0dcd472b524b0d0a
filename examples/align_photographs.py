"""Alignment of two photographs by a homography, over a pyramid.

Two photographs of a plane, or from one point, differ by a homography: eight numbers. They are found
by least squares on the grey levels: with the second image warped by theta, the residual is linear
in a small change of theta, its Jacobian is `jax.jacfwd` of the warp (eight directional derivatives,
each as cheap as a warp), and the normal equations are 8 x 8. This is the Gauss-Newton method of
Lucas and Kanade (1981), damped as Levenberg and Marquardt do.

The slope of an image says something only within the width of its edges, so the search begins on a
small, blurred image and goes on at twice the size, four times. Theta needs no change between
levels: coordinates are normalised, and [`stn.Projective`](../docs/api/transforms.rst) means the
same at every size.

The second photograph here is made from scikit-image's, by a known homography, with another
brightness and contrast and with noise, so the result can be measured: the distance of the four
corners from where they belong. Brightness and contrast are removed on each level by a straight line
fitted to the grey levels, over the pixels that both images show.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from _panels import ACCENT, IMAGES, picture
from skimage import data

import stn_jax as stn

TRANSFORM = stn.Projective()
TRUE = np.array([0.86, -0.22, 0.10, 0.17, 0.92, -0.06, 0.12, -0.09], np.float32)


def halved(image):
    """Returns an image ``(h, w, c)`` at half its size, smoothed."""
    h, w = (size // 2 for size in image.shape[:2])
    return stn.separable_sample(image, np.ones(2), np.zeros(2), (h, w), padding_mode="border")


def warp(image, theta, shape):
    """Warps an image, with a second channel of ones that tells what lies outside."""
    image = jnp.concatenate([image, jnp.ones_like(image[..., :1])], axis=-1)
    return stn.spatial_transform(image, theta, shape, transform=TRANSFORM)


def residuals(theta, fixed, moving):
    """Returns the differences of grey levels over what both show, contrast removed ``(h w,)``."""
    moved = warp(moving, theta, fixed.shape[:2])
    value, inside = moved[..., 0].ravel(), moved[..., 1].ravel()
    wanted, total = fixed[..., 0].ravel(), inside.sum() + 1e-6
    value_mean, wanted_mean = (inside @ value) / total, (inside @ wanted) / total
    a, b = value - value_mean, wanted - wanted_mean
    gain = (inside @ (a * b)) / (inside @ (a * a) + 1e-6)
    return jnp.sqrt(inside + 1e-6) * (gain * a - b) / jnp.sqrt(total)


@jax.jit
def improve(theta, damping, fixed, moving):
    """One damped step; kept if the error falls, else the damping rises."""
    errors = residuals(theta, fixed, moving)
    slopes = jax.jacfwd(residuals)(theta, fixed, moving)  # (h w, 8)
    normal = slopes.T @ slopes
    step = jnp.linalg.solve(normal + damping * jnp.diag(jnp.diag(normal) + 1e-9), slopes.T @ errors)
    after = residuals(theta - step, fixed, moving)
    better = after @ after < errors @ errors
    theta = jnp.where(better, theta - step, theta)
    return (
        theta,
        jnp.where(better, damping / 4, damping * 8),
        jnp.minimum(after @ after, errors @ errors),
    )


def align(fixed, moving, *, levels=4, steps=15):
    """Returns theta after each level, from the coarsest, and the error of each step."""
    pyramid = [(fixed, moving)]
    for _ in range(levels - 1):
        pyramid.append(tuple(halved(image) for image in pyramid[-1]))
    theta, thetas, errors = jnp.asarray(TRANSFORM.identity()), [], []
    for level in reversed(pyramid):
        damping = jnp.asarray(1e-2)
        for _ in range(steps):
            theta, damping, error = improve(theta, damping, *level)
            errors.append(float(error))
        thetas.append(np.asarray(theta))
    return thetas, errors


def corner_error(theta, true, shape):
    """Returns the mean distance in pixels of the four corners from where they belong."""
    corners = jnp.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
    distance = TRANSFORM.apply(theta, corners) - TRANSFORM.apply(true, corners)
    return float(jnp.linalg.norm(distance * jnp.array(shape[::-1]) / 2, axis=-1).mean())


def main(side=320, path: Path = IMAGES / "example-align_photographs.jpg", **options):
    """Makes the second photograph, aligns it and measures."""
    photograph = np.float32(data.chelsea()[:300, 40:340].mean(-1, keepdims=True) / 255)
    moving = jnp.asarray(jax.image.resize(photograph, (side, side, 1), "cubic"))
    # What theta makes of `moving` is the first photograph: darker, flatter and with noise.
    fixed = warp(moving, TRUE, (side, side))[..., :1]
    noise = np.float32(np.random.default_rng(0).normal(size=fixed.shape))
    fixed = 0.15 + 0.6 * fixed + 0.03 * noise
    thetas, errors = align(fixed, moving, **options)
    start = corner_error(TRANSFORM.identity(), TRUE, (side, side))
    found = [corner_error(theta, TRUE, (side, side)) for theta in thetas]
    print(f"corners off by {start:.1f} pixels at first; after each level by")
    print("  " + ", ".join(f"{error:.3f}" for error in found))

    def overlay(theta):
        moved = np.asarray(warp(moving, theta, (side, side)))[..., 0]
        return np.stack([np.asarray(fixed)[..., 0], moved, moved], -1)

    def window(theta):
        edge = np.linspace(-1, 1, 20)
        one = np.ones(20)
        square = np.concatenate([[edge, -one], [one, edge], [-edge, one], [-one, -edge]], axis=1).T
        where = np.asarray(TRANSFORM.apply(theta, jnp.asarray(square, jnp.float32)))

        def draw(axes):
            axes.imshow(moving[..., 0], cmap="gray", extent=(-1, 1, 1, -1))
            axes.plot(*where.T, color=ACCENT, linewidth=2)
            axes.set(xlim=(-1.3, 1.3), ylim=(1.3, -1.3))
            axes.axis("off")

        return draw

    def chart(axes):
        axes.semilogy([start, *found], "o-", color="black")
        axes.set_xticks(range(len(found) + 1), ["start", *map(str, reversed(range(len(found))))])

    panels = [
        ("first photograph", fixed[..., 0]),
        ("second, with the window found", window(thetas[-1])),
        ("both, before", overlay(TRANSFORM.identity())),
        ("both, after the coarsest level", overlay(thetas[0])),
        ("both, aligned", overlay(thetas[-1])),
        ("corners off by (pixels), after each level", chart),
    ]
    picture(panels, path, columns=3, side=3.0)
    return {"start": start, "found": found, "errors": errors}


if __name__ == "__main__":
    main()
