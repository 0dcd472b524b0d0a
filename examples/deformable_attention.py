r"""Multi-scale deformable attention in five lines.

Deformable DETR (Zhu et al., 2021) replaces attention over all pixels: each query chooses a few
points on each level of a feature pyramid, and its output is the weighted mean of the features
there:

```math
\text{out}_q = \sum_l \sum_p A_{qlp}\; V_l(x_{qlp})
```

The read at a point is [`grid_sample`](../docs/api/sampling.rst), so the whole operator is
`deformable_attention` below. PyTorch needs a CUDA kernel of a thousand lines for it, or its [slow
fallback in Python](../tests/peers/test_examples_torch.py), which the tests compare with: output,
and the gradients for values, points and weights are equal.

As a demonstration, the points of one head are learned. The target is the photograph, shifted by
(12, -8) pixels and blurred; all queries share their offsets. In the picture a circle is a point,
its area is its weight: they start on a ring around the query, and gather at the shift. The gradient
with respect to where a query looks is what deforms.

Convention: `locations` are in [0, 1] as in the paper, so `2 * locations - 1` is a grid.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from _panels import ACCENT, IMAGES, picture
from skimage import data

import stn_jax as stn

SHIFT = np.array([12.0, -8.0])


def deformable_attention(values, locations, weights):
    """Reads each level at its points and sums with weights.

    Args:
        values: the levels, each ``(b, h, w, heads, c)``.
        locations: ``(b, queries, heads, levels, points, 2)``, (x, y) in [0, 1].
        weights: ``(b, queries, heads, levels, points)``, their sum over levels and points is 1.

    Returns:
        ``(b, queries, heads * c)``.
    """
    grids = 2 * jnp.einsum("bqhlpn->lbhqpn", locations) - 1
    images = [jnp.moveaxis(value, 3, 1) for value in values]  # (b, heads, h, w, c)
    taps = jnp.stack(
        [stn.grid_sample(image, grid) for image, grid in zip(images, grids, strict=True)]
    )
    out = jnp.einsum("lbhqpc,bqhlp->bqhc", taps, weights)
    return out.reshape(*out.shape[:2], -1)


def pyramid(image, levels):
    """Returns an image ``(h, w, c)`` and its halvings, as values with one head."""
    found = [image]
    for _ in range(levels - 1):
        h, w, c = found[-1].shape
        found.append(found[-1].reshape(h // 2, 2, w // 2, 2, c).mean((1, 3)))
    return [level[None, :, :, None] for level in found]


def ring(levels, points, radius):
    """Returns offsets in pixels ``(levels, points, 2)`` on rings around the query."""
    angles = 2 * np.pi * np.arange(points) / points
    circle = np.stack([np.cos(angles), np.sin(angles)], -1)
    return radius * np.arange(1, levels + 1)[:, None, None] * circle


def learn(image, *, levels=3, points=8, queries=512, steps=300, rate=0.4, seed=0):
    """Learns offsets and weights with which attention shifts and blurs an image.

    Returns:
        The offsets in pixels before and after, the weights after, and the loss of each step.
    """
    side = image.shape[0]
    values = pyramid(jnp.asarray(image), levels)
    blurred = jnp.repeat(jnp.repeat(values[1][0, :, :, 0], 2, axis=0), 2, axis=1)

    def output(parameters, places):  # places (queries, 2) in pixels
        offsets, logits = parameters
        locations = (places[None, :, None, None, None] + offsets[None, None, None]) / side
        weights = jax.nn.softmax(logits.reshape(-1)).reshape(logits.shape)
        shape = locations.shape[:-1]
        return deformable_attention(values, locations, jnp.broadcast_to(weights, shape))[0]

    def loss(parameters, places):
        wanted = stn.sample_pixels(blurred, (places + SHIFT - 0.5)[None])[0]
        return jnp.mean((output(parameters, places) - wanted) ** 2)

    optimizer = optax.adam(rate)

    @jax.jit
    def step(parameters, state, key):
        places = jax.random.uniform(key, (queries, 2), minval=0.2 * side, maxval=0.8 * side)
        value, slopes = jax.value_and_grad(loss)(parameters, places)
        updates, state = optimizer.update(slopes, state)
        return optax.apply_updates(parameters, updates), state, value

    before = jnp.asarray(ring(levels, points, side / 32), jnp.float32)
    parameters = (before, jnp.zeros((levels, points)))
    state, losses = optimizer.init(parameters), []
    for key in jax.random.split(jax.random.key(seed), steps):
        parameters, state, value = step(parameters, state, key)
        losses.append(float(value))
    offsets, logits = parameters
    weights = jax.nn.softmax(logits.reshape(-1)).reshape(logits.shape)
    return np.asarray(before), np.asarray(offsets), np.asarray(weights), losses


def main(side=256, path: Path = IMAGES / "example-deformable_attention.jpg", **options):
    """Learns the points, says where they are, and draws them."""
    image = np.float32(data.astronaut()[:512, :512] / 255)
    image = np.asarray(jax.image.resize(image, (side, side, 3), "linear"))
    before, after, weights, losses = learn(image, **options)
    mean = (weights[..., None] * after).sum((0, 1))
    print(f"loss {losses[0]:.5f} -> {losses[-1]:.5f}")
    print(f"mean offset ({mean[0]:.2f}, {mean[1]:.2f}) pixels, the shift is (12, -8)")

    def points(offsets, weights):
        def draw(axes):
            axes.imshow(image, extent=(0, side, side, 0))
            x, y = side / 2, side / 2
            for level, colour in enumerate(("white", ACCENT, "#4fc3f7")[: len(offsets)]):
                where = offsets[level] + [x, y]
                axes.scatter(*where.T, s=600 * weights[level] + 4, color=colour, alpha=0.8)
            axes.plot(x, y, "+", color="red", markersize=12)
            axes.plot(x + SHIFT[0], y + SHIFT[1], "x", color="red", markersize=9)
            axes.set(xlim=(x - 64, x + 64), ylim=(y + 64, y - 64))
            axes.axis("off")

        return draw

    equal = np.full(weights.shape, 1 / weights.size)
    panels = [
        ("+ a query, x the shift: before", points(before, equal)),
        ("after: levels 0, 1, 2 white, orange, blue", points(after, weights)),
        ("loss", lambda axes: axes.semilogy(losses, color="black", linewidth=1)),
    ]
    picture(panels, path, columns=3, side=3.2)
    return {"mean": mean, "losses": losses}


if __name__ == "__main__":
    main()
