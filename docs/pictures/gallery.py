"""One photograph under every family of transforms: docs/images/gallery.png.

    python docs/pictures/gallery.py

Needs `pip install -e ".[docs]"`. A new transform is a new row of `ROWS`.
"""

import jax.numpy as jnp
import numpy as np
from skimage import data
from style import ACCENT, figure, panel, photograph, save, write

import stn_jax as stn

ASTRONAUT = np.float32(data.astronaut() / 255)
COLUMNS, SIDE, GAP, TITLE = 6, 190, 12, 34


def ripples(transform):
    """Displacements of a flow: waves along both axes."""
    points = stn.identity_grid(transform.shape, align_corners=transform.align_corners)
    x, y = points[..., 0], points[..., 1]
    return 0.06 * jnp.stack([jnp.sin(7 * y), jnp.sin(7 * x)], axis=-1).reshape(-1)


def whirl(transform):
    """Velocities of a flow: round the centre, and still at the edge."""
    points = stn.identity_grid(transform.shape, align_corners=transform.align_corners)
    x, y = points[..., 0], points[..., 1]
    speed = 2.2 * jnp.exp(-5 * (x**2 + y**2))
    return (speed[..., None] * jnp.stack([-y, x], axis=-1)).reshape(-1)


def bends(transform, size=0.13):
    """Offsets of control points: random, the same at every run."""
    return size * np.float32(np.random.default_rng(3).normal(size=transform.num_params))


SPLINE = stn.ThinPlateSpline((4, 4))
FLOW, VELOCITY = stn.Flow((32, 32)), stn.Velocity((32, 32))
CHAIN = stn.Chain(stn.Projective(), SPLINE)
TILT = np.array([1.15, 0, 0, 0, 1.15, 0, 0.3, 0.25], np.float32)

ROWS = (
    ("identity", stn.Affine(), stn.Affine().identity()),
    ("Translation", stn.Translation(), [0.35, -0.2]),
    ("Attention", stn.Attention(), [0.45, -0.07, -0.45]),
    ("Rigid", stn.Rigid(), [0.4, 0.1, 0.0]),
    ("Similarity", stn.Similarity(), [1.35, -0.4, 0.0, 0.0]),
    ("Affine", stn.Affine(), [1.2, 0.5, 0.0, -0.15, 1.2, 0.0]),
    ("AffineDiffeomorphic", stn.AffineDiffeomorphic(), [0.4, -0.6, 0.0, 0.2, 0.0, 0.0]),
    ("Projective", stn.Projective(), TILT),
    ("ThinPlateSpline", SPLINE, bends(SPLINE)),
    ("Flow", FLOW, ripples(FLOW)),
    ("Velocity", VELOCITY, whirl(VELOCITY)),
    ("Chain", CHAIN, np.concatenate([TILT, bends(SPLINE, 0.1)])),
)


def tile(ax, transform, params):
    """Draws the transformed photograph and the transformed grid of the input."""
    grid = transform.grid(jnp.asarray(params, jnp.float32), (2 * SIDE, 2 * SIDE))
    picture = stn.grid_sample(ASTRONAUT, grid, padding_mode="fill", fill_value=0.93)
    photograph(ax, picture)
    grid = np.asarray(grid)
    inside = (np.abs(grid) <= 1.004).all(-1, keepdims=True)
    x, y = np.moveaxis(np.where(inside, grid, np.nan), -1, 0)
    place = np.asarray(stn.identity_grid((2 * SIDE, 2 * SIDE)))
    levels = np.linspace(-1, 1, 9)[1:-1]
    for values in (x, y):
        lines = {"levels": levels, "colors": ACCENT, "linewidths": 0.9, "linestyles": "solid"}
        ax.contour(place[..., 0], place[..., 1], values, **lines)
    ax.set(xlim=(-1, 1), ylim=(1, -1))


def gallery():
    """Draws a tile for each row."""
    lines = -(-len(ROWS) // COLUMNS)
    width, height = COLUMNS * (SIDE + GAP) - GAP, lines * (SIDE + TITLE)
    fig = figure(width, height)
    for i, (name, transform, params) in enumerate(ROWS):
        x, y = (i % COLUMNS) * (SIDE + GAP), (i // COLUMNS) * (SIDE + TITLE)
        write(fig, x, y + TITLE - 9, name, size=13)
        tile(panel(fig, x, y + TITLE, SIDE, SIDE), transform, params)
    save(fig, "gallery.png")


if __name__ == "__main__":
    gallery()
