"""Registration of a brain by gradient descent.

Two volumes are brought onto each other by an affine map and then a smooth, invertible deformation:
`stn.Chain(stn.Affine(ndim=3), stn.Velocity(...))`. The chain composes coordinates and samples once,
so nothing is blurred twice; the inverse of a velocity field is its negative, so the map can be
undone. The loss is the squared difference plus the
[`smoothness_penalty`](../docs/api/regularizers.rst) of the deformation; Adam moves 12 + 3 d h w
parameters.

The moving volume is the fixed one under a random deformation, so the truth is known: points of the
brain should land where they came from. A network that predicts such maps in one pass is
`configs/registration_mni.py` ([training](../docs/training.md#registration-of-volumes)).

Give it a NIfTI file of a brain, such as the template MNI152 at 1 mm:

    python examples/register_brain.py mni152_t1_1mm.nii.gz
"""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from _panels import ACCENT, IMAGES, picture

import stn_jax as stn


def read(path, side):
    """Returns a volume ``(d, h, w, 1)`` in [0, 1] whose longest axis has ``side`` voxels."""
    import nibabel

    volume = np.asarray(nibabel.load(path).dataobj, np.float32).T  # NIfTI counts x first
    volume = np.clip(volume / np.percentile(volume, 99.5), 0, 1)
    where = np.argwhere(volume > 0.05)
    low, high = where.min(0), where.max(0) + 1
    volume = volume[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    shape = [max(8, round(size * side / max(volume.shape))) for size in volume.shape]
    room = np.full(3, 1.15)  # a deformed brain stays inside
    return stn.separable_sample(volume[..., None], room, np.zeros(3), shape)


def deformation(key, field, size):
    """Returns a random affine map and a random smooth velocity, as parameters of the chain."""
    keys = jax.random.split(key, 2)
    affine = stn.Affine(ndim=3).identity() + 0.04 * jax.random.normal(keys[0], (12,))
    coarse = size * jax.random.normal(keys[1], (4, 4, 4, 3))
    velocity = stn.separable_sample(
        coarse, np.ones(3), np.zeros(3), field, mode="bicubic", padding_mode="border"
    )
    return jnp.concatenate([affine, velocity.reshape(-1)])


def halved(volume):
    """Returns a volume at half its size, smoothed."""
    shape = [size // 2 for size in volume.shape[:3]]
    return stn.separable_sample(volume, np.ones(3), np.zeros(3), shape)


def register(fixed, moving, chain, *, steps, rate=0.02, smoothness=0.0005):
    """Returns the chain's parameters after steps at half and at full size, and the losses."""
    affine, velocity = chain.transforms
    count = affine.num_params
    # The affine map moves everything, so its parameters take smaller steps.
    scale = jnp.where(jnp.arange(chain.num_params) < count, 0.3, 1.0)
    optimizer = optax.adam(optax.cosine_decay_schedule(rate, steps))

    @jax.jit
    def step(parameters, state, fixed, moving):
        def loss(parameters):
            shape = fixed.shape[:3]
            warped = stn.spatial_transform(moving, parameters, shape, transform=chain)
            bend = velocity.grid(parameters[count:], shape)
            return jnp.mean((warped - fixed) ** 2) + smoothness * stn.smoothness_penalty(bend)

        value, slope = jax.value_and_grad(loss)(parameters)
        updates, state = optimizer.update(slope, state)
        return parameters + scale * updates, state, value

    parameters, losses = jnp.asarray(chain.identity()), []
    for pair in ((halved(fixed), halved(moving)), (fixed, moving)):
        state = optimizer.init(parameters)
        for _ in range(steps):
            parameters, state, value = step(parameters, state, *pair)
            losses.append(float(value))
    return parameters, losses


def main(
    volume, path: Path = IMAGES / "example-register_brain.jpg", *, field=10, size=0.12, steps=100
):
    """Registers a volume ``(d, h, w, 1)`` with a deformation of it and measures."""
    shape = volume.shape[:3]
    grid = (field,) * 3
    chain = stn.Chain(stn.Affine(ndim=3), stn.Velocity(grid))
    truth = deformation(jax.random.key(1), grid, size)
    # moving(truth(p)) = fixed(p): `moving` is read through the inverse of the truth, each part
    # inverted and their order reversed.
    affine, velocity = chain.transforms
    first, then = truth[:12], truth[12:]
    inverse = jnp.concatenate([velocity.invert(then), affine.invert(first)])
    fixed = volume
    moving = stn.spatial_transform(volume, inverse, shape, transform=stn.Chain(velocity, affine))
    found, losses = register(fixed, moving, chain, steps=steps)
    warped = stn.spatial_transform(moving, found, shape, transform=chain)

    inside = np.asarray(fixed[..., 0]) > 0.2
    points = stn.identity_grid(shape)[inside]
    voxels = jnp.array(shape[::-1]) / 2

    def distance(parameters):
        """Mean distance in voxels of the brain's points from where they belong."""
        off = chain.apply(parameters, points) - chain.apply(truth, points)
        return float(jnp.linalg.norm(off * voxels, axis=-1).mean())

    folds = float(jnp.mean(stn.jacobian_determinant(chain.grid(found, shape)) <= 0))
    before, after = distance(chain.identity()), distance(found)
    print(f"distance of the brain's points: {before:.2f} voxels -> {after:.2f}; folded {folds:.2%}")

    middle = shape[0] // 2
    lines = np.asarray(chain.grid(found, shape))[middle]

    def show(image, with_lines=False):
        def draw(axes):
            axes.imshow(np.asarray(image)[middle, ..., 0], cmap="gray", extent=(-1, 1, -1, 1))
            if with_lines:
                x, y = lines[::3, ::3, 0], -lines[::3, ::3, 1]
                axes.plot(x, y, color=ACCENT, linewidth=0.6)
                axes.plot(x.T, y.T, color=ACCENT, linewidth=0.6)
            axes.set(xlim=(-1, 1), ylim=(-1, 1), aspect=shape[1] / shape[2])
            axes.invert_yaxis()
            axes.axis("off")

        return draw

    panels = [
        ("fixed", show(fixed)),
        ("moving", show(moving)),
        ("moving, with the grid found", show(moving, True)),
        ("warped", show(warped)),
        ("difference before x 2", show(2 * abs(moving - fixed))),
        ("difference after x 2", show(2 * abs(warped - fixed))),
    ]
    picture(panels, path, columns=3, side=2.8)
    return {"before": before, "after": after, "folds": folds, "losses": losses}


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/register_brain.py VOLUME.nii.gz (a brain, as NIfTI)")
    main(read(sys.argv[1], 48))
