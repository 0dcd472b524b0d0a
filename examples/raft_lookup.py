"""RAFT's correlation look-up.

RAFT (Teed and Deng, 2020) estimates optical flow from a volume that holds the dot product of every
pixel's features in one frame with every pixel's in the other, `(h1, w1, h2, w2)`, and its averages
over 2, 4 and 8 pixels. In each step a pixel looks up a window of `2 r + 1` by `2 r + 1` values
around the place where its current flow leads, on every level.

The window is at fractions of a pixel, so this is sampling: each pixel of the first frame has an
image of its own (its correlation with the second) and a small grid. `look_up` below is all of it.
It takes pixels, not a normalised grid, so it calls [`sample_pixels`](../docs/api/sampling.rst), and
RAFT's helper that normalises coordinates goes away. The
[tests](../tests/peers/test_examples_torch.py) compare with RAFT's own formula in PyTorch.

Two differences to know when weights are ported: RAFT's window is stored with x along its first axis
(`swapaxes` gives the same order), and RAFT divides coordinates by 2^l, which leads half a pixel off
the centre of the averages; `centred=True` looks where the average is.

Here there is no network: features are small patches, fine and coarse, of scikit-image's stereo
pair, and the flow is the mean of the window's places, weighted by the softmax of the correlation,
from the coarsest level to the finest.
"""

import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from _panels import ACCENT, IMAGES, picture
from skimage import data

import stn_jax as stn


def correlation_pyramid(first, second, levels):
    """Returns the levels of the correlation of two feature maps ``(h, w, c)``.

    Each level is ``(h1, w1, h2 / 2^l, w2 / 2^l)``.
    """
    h, w, c = second.shape
    volume = jnp.einsum("ijc,klc->ijkl", first, second) / np.sqrt(c)
    found = [volume]
    for _ in range(levels - 1):
        i, j, h, w = found[-1].shape
        halves = found[-1][:, :, : h // 2 * 2, : w // 2 * 2]
        found.append(halves.reshape(i, j, h // 2, 2, w // 2, 2).mean((3, 5)))
    return found


def look_up(pyramid, places, radius, *, centred=False):
    """Reads a window around a place for each pixel, on each level.

    Args:
        pyramid: of `correlation_pyramid`.
        places: ``(h1, w1, 2)``, (x, y) in pixels of the second frame.
        radius: of the window.
        centred: whether to read at the centre of the averages, as RAFT does not.

    Returns:
        ``(h1, w1, levels, 2 radius + 1, 2 radius + 1)``, rows along y.
    """
    levels = range(len(pyramid))
    return jnp.stack([look_up_level(pyramid, i, places, radius, centred) for i in levels], axis=2)


def look_up_level(pyramid, level, places, radius, centred):
    """Reads one level: ``(h1, w1, 2 radius + 1, 2 radius + 1)``."""
    steps = jnp.arange(-radius, radius + 1.0)
    window = jnp.stack(jnp.meshgrid(steps, steps), axis=-1)  # points (x, y)
    middle = (places + 0.5) / 2**level - 0.5 if centred else places / 2**level
    points = middle[:, :, None, None] + window
    return stn.sample_pixels(pyramid[level][..., None], points)[..., 0]


def features_of(image, *, side=5, spacings=(1, 3)):
    """Returns for each pixel its patch, fine and coarse, each with mean 0 and length 1."""
    found = []
    for spacing in spacings:
        blurred = box(jnp.asarray(image), spacing)
        h, w = image.shape[:2]
        reach = side // 2 * spacing
        padded = jnp.pad(blurred, ((reach, reach), (reach, reach), (0, 0)), mode="reflect")
        places = range(0, side * spacing, spacing)
        parts = jnp.stack([padded[i : i + h, j : j + w] for i in places for j in places], axis=2)
        parts = (parts - parts.mean(2, keepdims=True)).reshape(h, w, -1)
        found.append(parts / (jnp.linalg.norm(parts, axis=-1, keepdims=True) + 0.05))
    return jnp.concatenate(found, axis=-1)


def box(image, side):
    """Returns the mean of ``side`` x ``side`` pixels around each."""
    add = (0.0, jax.lax.add, (side, side, 1), (1, 1, 1), "SAME")
    counts = jax.lax.reduce_window(jnp.ones_like(image), *add)
    return jax.lax.reduce_window(image, *add) / counts


def estimate(pyramid, shape, radius, *, steps=4, sharpness=250.0):
    """Returns the flow ``(h, w, 2)`` after each level, from the coarsest to the finest."""
    start = stn.denormalize_grid(stn.identity_grid(shape), shape)
    offsets = jnp.arange(-radius, radius + 1.0)
    window = jnp.stack(jnp.meshgrid(offsets, offsets), axis=-1)

    def update(places, level):
        found = look_up_level(pyramid, level, places, radius, True)
        weights = jax.nn.softmax(sharpness * found.reshape(*shape, -1))
        return places + 2**level * (weights @ window.reshape(-1, 2))

    update = jax.jit(update, static_argnums=1)
    places, flows = start, []
    for level in reversed(range(len(pyramid))):
        for _ in range(steps if level == 0 else 1):
            places = update(places, level)
        flow = np.asarray(places - start)
        places = start + jnp.median(neighbours(places - start), axis=0)
        flows.append(flow)
    return flows


def neighbours(flow):
    """Returns a flow and its eight neighbours ``(9, h, w, 2)``: their median smooths it."""
    padded = jnp.pad(flow, ((1, 1), (1, 1), (0, 0)), mode="edge")
    h, w = flow.shape[:2]
    return jnp.stack([padded[i : i + h, j : j + w] for i in range(3) for j in range(3)])


def stereo(scale):
    """Returns scikit-image's stereo pair and the disparity, reduced to one pixel of ``scale``."""
    left, right, disparity = data.stereo_motorcycle()
    h, w = (size // scale for size in disparity.shape)

    def reduce(image):
        return image[: h * scale, : w * scale].reshape(h, scale, w, scale, -1)

    frames = [np.float32(reduce(image).mean((1, 3)) / 255) for image in (left, right)]
    blocks = reduce(np.where(np.isfinite(disparity), disparity, np.nan))[..., 0].swapaxes(1, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a block where nothing was measured
        return *frames, np.nanmedian(blocks, axis=(2, 3)) / scale


def main(scale=9, levels=3, radius=3, path: Path = IMAGES / "example-raft_lookup.jpg"):
    """Estimates the flow of the stereo pair and draws a look-up."""
    left, right, disparity = stereo(scale)
    pyramid = correlation_pyramid(features_of(left), features_of(right), levels)
    flows = estimate(pyramid, left.shape[:2], radius)
    known = np.isfinite(disparity)
    error = np.abs(-flows[-1][..., 0] - disparity)[known]
    print(f"correlation volume {pyramid[0].size:,} values, {levels} levels")
    print(
        f"disparity: median error {np.median(error):.2f} pixels, "
        f"{100 * np.mean(error < 1):.0f} % below 1"
    )

    h, w = left.shape[:2]
    y, x = int(0.62 * h), int(0.42 * w)
    window = look_up(pyramid, jnp.asarray([[[x, y]]]) * jnp.ones((h, w, 1)), radius, centred=True)
    window = np.asarray(window[y, x])

    def place(axes):
        axes.imshow(right, extent=(0, w, h, 0))
        for level in range(levels):
            reach = (radius + 0.5) * 2**level
            box = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]]) * reach + [
                x + 0.5,
                y + 0.5,
            ]
            axes.plot(*box.T, color=ACCENT, linewidth=1.3)
        axes.axis("off")

    def point(axes):
        axes.imshow(left, extent=(0, w, h, 0))
        axes.plot(x + 0.5, y + 0.5, "o", color=ACCENT, markersize=5)
        axes.axis("off")

    def field(values):
        def draw(axes):
            axes.imshow(values, cmap="viridis", vmin=0, vmax=np.nanmax(disparity))
            axes.axis("off")

        return draw

    def level_of(number):
        return lambda axes: (axes.imshow(window[number], cmap="gray"), axes.axis("off"))

    panels = [("a pixel of the left frame", point), ("its windows in the right frame", place)]
    panels += [(f"what it looks up on level {level}", level_of(level)) for level in range(levels)]
    panels = panels[:3] + panels[4:5]
    panels += [(f"after level {levels - 1}", field(-flows[0][..., 0]))]
    panels += [
        ("after level 0", field(-flows[-1][..., 0])),
        ("measured disparity", field(disparity)),
    ]
    wrong = np.nan_to_num(np.abs(-flows[-1][..., 0] - disparity)) / 3
    panels += [("error, white is 3 pixels", wrong)]
    picture(panels, path, columns=4)
    return {"error": float(np.median(error)), "within_one": float(np.mean(error < 1))}


if __name__ == "__main__":
    main()
