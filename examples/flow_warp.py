"""Warp by optical flow, with occlusion.

An optical flow says for each pixel of frame 1 where it is in frame 2. That is the direction in
which a sampler reads, so the flow warps frame *2* back onto frame 1, in one line:

    warped = stn.grid_sample(second, stn.flow_grid(flow, units="pixels"))

What frame 1 shows and frame 2 hides cannot be found there: warping copies whatever stands in front.
This script finds these pixels with a depth buffer, and shows that they, an eighth of all, have half
of the error. The frames are scikit-image's stereo pair (Middlebury 2014) with its measured
disparity, so `flow = (-disparity, 0)`.

The last two panels are the other direction: **splatting** moves each pixel of frame 1 to its place
in frame 2. It is the transpose of sampling, which JAX derives: `jax.linear_transpose` of the
sampler, on the image and on ones; their quotient is the picture, and where nothing arrives it has
holes.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from _panels import IMAGES, picture
from skimage import data

import stn_jax as stn


def warp(second, flow):
    """Reads frame 2 where the flow of frame 1 leads."""
    return stn.grid_sample(second, stn.flow_grid(flow, units="pixels"), padding_mode="border")


def splat(first, flow):
    """Moves frame 1 along its flow: the transpose of sampling, divided by what arrived."""
    grid = stn.flow_grid(flow, units="pixels")
    images = jnp.concatenate([first, jnp.ones_like(first[..., :1])], axis=-1)
    [moved] = jax.linear_transpose(lambda image: stn.grid_sample(image, grid), images)(images)
    return moved[..., :-1] / jnp.maximum(moved[..., -1:], 1e-3), moved[..., -1]


def occluded(disparity, margin=1.0):
    """Returns where something nearer than a pixel stands at its place in frame 2, or it left it."""
    h, w = disparity.shape
    rows, columns = jnp.mgrid[:h, :w]
    target = jnp.round(columns - disparity).astype(int)
    inside = (target >= 0) & (target < w)
    buffer = jnp.full((h, w), -jnp.inf).at[rows, jnp.clip(target, 0, w - 1)]
    buffer = buffer.max(jnp.where(inside, disparity, -jnp.inf))
    # Pixels spread where a surface is near; the column beside it may hold the front one.
    buffer = jax.lax.reduce_window(buffer, -jnp.inf, jax.lax.max, (1, 3), (1, 1), "SAME")
    return ~inside | (buffer[rows, jnp.clip(target, 0, w - 1)] > disparity + margin)


def filled(disparity):
    """Returns a disparity whose unknown pixels have the smaller of their row's neighbours."""
    filled = np.where(np.isfinite(disparity), disparity, np.nan)
    h, w = filled.shape
    known = np.isfinite(filled)
    before = np.maximum.accumulate(np.where(known, np.arange(w), 0), axis=1)
    after = np.minimum.accumulate(np.where(known, np.arange(w), w - 1)[:, ::-1], axis=1)[:, ::-1]
    rows = np.arange(h)[:, None]
    return np.nan_to_num(np.fmin(filled[rows, before], filled[rows, after])), known


def main(step=1, path: Path = IMAGES / "example-flow_warp.jpg"):
    """Warps the right frame onto the left one; with ``step`` every n-th row and column."""
    left, right, disparity = data.stereo_motorcycle()
    left, right = (np.float32(image[::step, ::step] / 255) for image in (left, right))
    disparity, known = filled(disparity[::step, ::step] / step)
    flow = jnp.stack([-disparity, jnp.zeros_like(disparity)], axis=-1).astype(jnp.float32)

    warped = np.asarray(jax.jit(warp)(right, flow))
    hidden = np.asarray(occluded(jnp.asarray(disparity)))
    moved, arrived = splat(jnp.asarray(left), flow)
    error = np.abs(warped - left).mean(-1)
    plain = np.abs(right - left).mean(-1)
    visible = known & ~hidden
    found = {
        "unwarped": 255 * plain[known].mean(),
        "warped": 255 * error[known].mean(),
        "visible": 255 * error[visible].mean(),
        "hidden": 255 * error[known & hidden].mean(),
        "share_hidden": hidden.mean(),
        "share_empty": float(np.mean(arrived < 1e-3)),
    }
    print("mean difference of grey levels from the left frame, where the disparity is known:")
    print(f"  right frame as it is    {found['unwarped']:5.1f}")
    print(f"  warped by the flow      {found['warped']:5.1f}")
    print(f"    where it is visible   {found['visible']:5.1f}")
    print(
        f"    where it is occluded  {found['hidden']:5.1f}"
        f"   ({found['share_hidden']:.0%} of the pixels)"
    )

    marked = np.where(hidden[..., None], [1.0, 0.69, 0.0], warped)
    panels = [
        ("left frame", left),
        ("right frame", right),
        ("disparity", lambda axes: (axes.imshow(disparity, cmap="viridis"), axes.axis("off"))),
        ("right, warped back to the left", warped),
        ("orange: occluded", marked),
        ("difference x 4", 4 * error),
        ("difference x 4 where visible", 4 * error * ~hidden),
        ("left, splatted to the right", np.asarray(moved)),
        ("share that arrived / 2", np.asarray(arrived) / 2),
    ]
    picture(panels, path, columns=3, side=3.4)
    return found


if __name__ == "__main__":
    main()
