"""A signed distance field on tri-planes, with an eikonal loss.

Tri-planes (Chan et al., EG3D, 2022) store a field in space as three feature images: a point (x, y,
z) reads the planes at (x, y), (x, z) and (y, z), and a small network maps the sum of the three
features to a value. Here that value is the distance to a surface, learned from points on it and
their normals.

A distance has a gradient of length 1 everywhere (the eikonal equation), so the loss of Gropp et al.
(2020) keeps the length of the gradient *with respect to the point* at 1. Its derivative with
respect to the planes is a second derivative of the sampler, and needs nothing special.
`mode="bicubic"` matters: a bilinear field has constant slopes in each cell, which jump at its
edges. Between its zeros a slope of 1 has many solutions, so a last term, as in SIREN (Sitzmann et
al., 2020), keeps the field from zero where no surface was given.

The surface is a torus, whose distance is known, so the error can be measured where no point was
given.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from _panels import ACCENT, IMAGES, picture

import stn_jax as stn

RADIUS, TUBE = 0.55, 0.22
AXES = np.array([[0, 1], [0, 2], [1, 2]])


def torus(points):
    """Returns the signed distance to a torus around the z axis."""
    ring = jnp.hypot(points[..., 0], points[..., 1]) - RADIUS
    return jnp.hypot(ring, points[..., 2]) - TUBE


def surface(key, count):
    """Returns random points of the torus, and their normals."""
    turn, roll = 2 * np.pi * jax.random.uniform(key, (2, count))
    outwards = jnp.stack([jnp.cos(turn), jnp.sin(turn), jnp.zeros_like(turn)], -1)
    up = jnp.array([0.0, 0.0, 1.0])
    normal = jnp.cos(roll)[:, None] * outwards + jnp.sin(roll)[:, None] * up
    return RADIUS * outwards + TUBE * normal, normal


def start(key, side, features, hidden):
    """Returns planes of noise and a network of two layers."""
    keys = jax.random.split(key, 3)
    scale = np.sqrt(2 / features)
    return {
        "planes": 0.01 * jax.random.normal(keys[0], (3, side, side, features)),
        "first": (scale * jax.random.normal(keys[1], (features, hidden)), jnp.zeros(hidden)),
        "second": (jax.random.normal(keys[2], (hidden,)) / np.sqrt(hidden), jnp.zeros(())),
    }


def field(parameters, points):
    """Returns the value at points ``(n, 3)``: three reads, and a network."""
    grid = jnp.moveaxis(points[:, AXES], 1, 0)[:, None]  # (3, 1, n, 2)
    reads = stn.grid_sample(parameters["planes"], grid, mode="bicubic", padding_mode="border")
    features = reads.sum(axis=(0, 1))
    (w, b), (v, c) = parameters["first"], parameters["second"]
    return jax.nn.softplus(10 * (features @ w + b)) / 10 @ v + c


def slopes(parameters, points):
    """Returns the gradient of the field with respect to the points ``(n, 3)``."""
    return jax.grad(lambda p: field(parameters, p).sum())(points)


def loss(parameters, on, normals, around):
    """Zero on the surface and nowhere else, its normal there, and slope 1 everywhere."""
    there, everywhere = slopes(parameters, on), slopes(parameters, around)
    eikonal = jnp.mean((jnp.linalg.norm(everywhere + 1e-9, axis=-1) - 1) ** 2)
    return (
        jnp.mean(jnp.abs(field(parameters, on)))
        + 0.1 * jnp.mean(jnp.sum((there - normals) ** 2, axis=-1))
        + 0.1 * eikonal
        + 0.2 * jnp.mean(jnp.exp(-30 * jnp.abs(field(parameters, around))))
    )


def learn(*, side=24, features=8, hidden=32, points=1024, steps=400, seed=0):
    """Returns the parameters after so many steps of Adam, and the losses."""
    optimizer = optax.adam(optax.cosine_decay_schedule(1e-2, steps))
    parameters = start(jax.random.key(seed), side, features, hidden)

    @jax.jit
    def step(parameters, state, key):
        keys = jax.random.split(key, 3)
        on, normals = surface(keys[0], points)
        near = on[: points // 2] + 0.1 * jax.random.normal(keys[1], (points // 2, 3))
        far = jax.random.uniform(keys[2], (points // 2, 3), minval=-0.95, maxval=0.95)
        value, slope = jax.value_and_grad(loss)(
            parameters, on, normals, jnp.concatenate([near, far])
        )
        updates, state = optimizer.update(slope, state)
        return optax.apply_updates(parameters, updates), state, value

    state, losses = optimizer.init(parameters), []
    for key in jax.random.split(jax.random.key(seed + 1), steps):
        parameters, state, value = step(parameters, state, key)
        losses.append(float(value))
    return parameters, losses


def main(path: Path = IMAGES / "example-triplanes.jpg", *, pixels=128, **options):
    """Learns the torus, measures it and draws two slices."""
    parameters, losses = learn(**options)
    axis = jnp.linspace(-0.95, 0.95, pixels)
    first, second = jnp.meshgrid(axis, axis)
    slices = [
        jnp.stack([first, second, jnp.zeros_like(first)], -1),
        jnp.stack([first, jnp.zeros_like(first), second], -1),
    ]
    evaluate = jax.jit(lambda p: (field(parameters, p), slopes(parameters, p)))
    points = jax.random.uniform(jax.random.key(9), (4096, 3), minval=-0.9, maxval=0.9)
    values, slope = evaluate(points)
    near = np.abs(torus(points)) < 0.15
    error = np.abs(np.asarray(values - torus(points)))[near].mean()
    length = np.asarray(jnp.linalg.norm(slope, axis=-1))[near]
    print(f"loss {losses[0]:.3f} -> {losses[-1]:.4f}")
    print(f"mean error of the distance within 0.15 of the surface: {error:.4f}")
    print(f"length of the gradient there: {length.mean():.3f} +- {length.std():.3f}")

    def draw(places):
        values, _ = evaluate(places.reshape(-1, 3))
        known = np.asarray(torus(places))

        def draw(axes):
            shown = np.asarray(values).reshape(known.shape)
            axes.contourf(axis, axis, shown, levels=np.linspace(-0.5, 0.9, 15), cmap="RdBu")
            axes.contour(axis, axis, shown, levels=[0], colors="black", linewidths=1.6)
            axes.contour(
                axis, axis, known, levels=[0], colors=ACCENT, linewidths=1.0, linestyles="--"
            )
            axes.set_aspect("equal")
            axes.axis("off")

        return draw

    def histogram(axes):
        axes.hist(length, bins=40, color="black")
        axes.set(xlim=(0.5, 1.5), yticks=[])

    panels = [
        ("z = 0: learned black, true orange", draw(slices[0])),
        ("y = 0", draw(slices[1])),
        ("length of the gradient near the surface", histogram),
        ("loss", lambda axes: axes.semilogy(losses, color="black", linewidth=0.8)),
    ]
    picture(panels, path, columns=4, side=2.9)
    return {"error": error, "length": length.mean(), "losses": losses}


if __name__ == "__main__":
    main()
