"""A spatial transformer from nothing, in 60 lines.

The grid, the sampler, the localization network and the classifier in plain JAX: no layer, no
library of ours. Between the two rules below is everything that Jaderberg et al. (2015) need. It
learns from 10,000 digits that are rotated by up to 90 degrees, with labels alone; the same
classifier without the transformer is trained for comparison.

What 60 lines leave out is what [`grid_sample`](../docs/api/sampling.rst) has: other kernels and
paddings, volumes, anti-aliasing, speed and memory of the gradient, points that are NaN. On this
grid the values are the same, and the script checks that.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from _panels import ACCENT, IMAGES, picture

import stn_jax as stn

DIGITS = Path(__file__).parents[1] / "train/data/bundled/digits.npz"


# ------------------------------------------------------------------------------------------------
def make_grid(theta, size):
    """Maps the centre of each output pixel, in [-1, 1], by a 2 x 3 matrix: ``(size, size, 2)``."""
    places = (2 * jnp.arange(size) + 1) / size - 1
    x, y = jnp.meshgrid(places, places)
    return jnp.stack([x, y, jnp.ones_like(x)], axis=-1) @ theta.T


def sample(image, grid):
    """Interpolates an image ``(h, w)`` bilinearly at a grid; what lies outside is 0."""
    h, w = image.shape
    x, y = (
        ((grid + 1) * jnp.array([w, h]) - 1)[..., 0] / 2,
        ((grid + 1) * jnp.array([w, h]) - 1)[..., 1] / 2,
    )
    left, top = jnp.floor(x), jnp.floor(y)
    value = 0.0
    for column in (left, left + 1):
        for row in (top, top + 1):
            weight = (1 - jnp.abs(x - column)) * (1 - jnp.abs(y - row))
            inside = (column >= 0) & (column < w) & (row >= 0) & (row < h)
            i, j = jnp.clip(row, 0, h - 1).astype(int), jnp.clip(column, 0, w - 1).astype(int)
            value += jnp.where(inside, weight, 0) * image[i, j]
    return value


def dense(key, n_in, n_out, scale=1.0):
    """Returns weights and biases of a layer."""
    return scale * jax.random.normal(key, (n_in, n_out)) * np.sqrt(2 / n_in), jnp.zeros(n_out)


def start(key, pixels):
    """The localization network ends in zero weights and the identity: it starts as nothing."""
    keys = jax.random.split(key, 4)
    head = (jnp.zeros((32, 6)), jnp.array([1.0, 0, 0, 0, 1, 0]))
    return {
        "localization": [dense(keys[0], pixels, 64), dense(keys[1], 64, 32), head],
        "classifier": [dense(keys[2], pixels, 128), dense(keys[3], 128, 10)],
    }


def network(layers, x):
    """Fully connected layers with rectifiers between them."""
    for w, b in layers[:-1]:
        x = jax.nn.relu(x @ w + b)
    return x @ layers[-1][0] + layers[-1][1]


def forward(parameters, image, transforms):
    """U -> theta -> grid -> V -> logits, of one image."""
    theta = network(parameters["localization"], image.ravel()).reshape(2, 3)
    seen = sample(image, make_grid(theta, image.shape[0])) if transforms else image
    return network(parameters["classifier"], seen.ravel()), theta


# ------------------------------------------------------------------------------------------------
def turned(key, images, most=90.0):
    """Rotates each image by a random angle of up to ``most`` degrees."""
    angles = np.deg2rad(most) * jax.random.uniform(key, (len(images),), minval=-1)
    return jax.vmap(lambda image, a: sample(image, make_grid(stn.rotation(a), image.shape[0])))(
        images, angles
    )


def train(data, *, transforms, steps=1500, batch=128, rate=2e-3, seed=0):
    """Trains by Adam; returns the parameters and the error on test images in percent."""
    images, labels, test_images, test_labels = data

    def loss(parameters, x, y):
        logits, _ = jax.vmap(lambda image: forward(parameters, image, transforms))(x)
        return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(len(y)), y])

    def step(carry, key):
        parameters, first, second, count = carry
        chosen = jax.random.randint(key, (batch,), 0, len(images))
        slopes = jax.grad(loss)(parameters, turned(key, images[chosen]), labels[chosen])
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, slopes)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, slopes)
        now = (
            rate
            * (1 - count / steps)
            * jnp.sqrt(1 - 0.999 ** (count + 1))
            / (1 - 0.9 ** (count + 1))
        )
        parameters = jax.tree.map(
            lambda p, m, v: p - now * m / (jnp.sqrt(v) + 1e-8), parameters, first, second
        )
        return (parameters, first, second, count + 1), None

    parameters = start(jax.random.key(seed), images[0].size)
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    keys = jax.random.split(jax.random.key(seed + 1), steps)
    (parameters, *_), _ = jax.jit(lambda c: jax.lax.scan(step, c, keys))(
        (parameters, zeros, zeros, 0.0)
    )
    x = turned(jax.random.key(seed + 2), test_images)
    logits, _ = jax.vmap(lambda image: forward(parameters, image, transforms))(x)
    return parameters, 100 * float(jnp.mean(logits.argmax(-1) != test_labels))


def main(path: Path = IMAGES / "example-spatial_transformer.jpg", *, count=10000, **options):
    """Trains with and without the transformer, compares, draws."""
    with np.load(DIGITS) as file:
        images = [
            jnp.asarray(file[f"x_{split}"][:count] / np.float32(255)) for split in ("train", "test")
        ]
        labels = [jnp.asarray(file[f"y_{split}"][:count], jnp.int32) for split in ("train", "test")]
    data = (images[0], labels[0], images[1], labels[1])
    _, without = train(data, transforms=False, **options)
    parameters, error = train(data, transforms=True, **options)
    print(f"test error without the transformer {without:.1f} %, with it {error:.1f} %")

    x = turned(jax.random.key(5), images[1][:12])
    thetas = [forward(parameters, image, True)[1] for image in x]
    grids = [make_grid(theta, 28) for theta in thetas]
    ours = [
        stn.grid_sample(image[..., None], grid)[..., 0]
        for image, grid in zip(x, grids, strict=True)
    ]
    own = [sample(image, grid) for image, grid in zip(x, grids, strict=True)]
    difference = max(float(jnp.abs(a - b).max()) for a, b in zip(ours, own, strict=True))
    print(f"largest difference of the sampler from stn.grid_sample: {difference:.1e}")

    def window(image, theta):
        square = np.array([[-1, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1], [-1, -1, 1]])

        def draw(axes):
            axes.imshow(np.pad(image, 6), cmap="gray", extent=(-1.43, 1.43, 1.43, -1.43))
            axes.plot(*(np.asarray(theta) @ square.T), color=ACCENT, linewidth=1.6)
            axes.plot(*(np.asarray(theta) @ square[0]), "o", color=ACCENT, markersize=5)
            axes.set(xlim=(-1.43, 1.43), ylim=(1.43, -1.43))
            axes.axis("off")

        return draw

    shown = [("" if i else "input and window", window(x[i], thetas[i])) for i in range(12)]
    seen = [("" if i else "what the classifier sees", own[i]) for i in range(12)]
    panels = (
        shown[:6]
        + seen[:6]
        + [("", draw) for _, draw in shown[6:]]
        + [("", v) for _, v in seen[6:]]
    )
    picture(panels, path, columns=6, side=1.5)
    return {"without": without, "with": error, "difference": difference}


if __name__ == "__main__":
    main()
