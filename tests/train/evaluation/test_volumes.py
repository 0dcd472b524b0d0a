"""Figures of volumes: slices and deformed grids of registration, views of classified volumes."""

from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np

import stn_jax as stn
from stn_jax.warp import Warp
from train.evaluation.figures import draw_examples
from train.evaluation.volumes import COLUMNS, FAR, LINES, NEAR, draw_registration
from train.step.step import Visualization

SHAPE = (5, 6, 8)
WARP: Callable[..., Warp] = Warp  # of NumPy arrays, as they come from the devices


def test_a_row_for_each_example_and_a_column_for_each_view() -> None:
    random = np.random.default_rng(0)
    inputs = random.uniform(size=(2, *SHAPE, 2)).astype(np.float32)
    moved = random.uniform(size=(2, *SHAPE, 1)).astype(np.float32)
    shift = np.array([0.25, 0, 0], np.float32)  # a voxel to the right
    grid = np.asarray(stn.identity_grid(SHAPE, dtype=np.float32))[None].repeat(2, axis=0) + shift
    affine = WARP(np.zeros_like(moved), np.zeros((2, 12)), np.zeros_like(grid))
    shown = Visualization(inputs, {}, (affine, WARP(moved, np.zeros((2, 9)), grid)))

    fig = draw_registration(shown, [3.25, 4.0], [0.5, 1.125], "Test examples")
    axes = np.array(fig.axes).reshape(2, 6)
    assert [ax.get_title(loc="left") for ax in axes[0]] == list(COLUMNS)
    assert fig.get_suptitle() == "Test examples"
    assert [ax.get_xlabel() for ax in axes[1, 3:5]] == ["4.00 voxels", "1.12 voxels"]

    move, fix = inputs[1, 2, ..., 0], inputs[1, 2, ..., 1]
    expected = [fix, move, moved[1, 2, ..., 0], move - fix, moved[1, 2, ..., 0] - fix, move]
    for ax, image in zip(axes[1], expected, strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), image)
        assert ax.images[0].origin == "lower"

    rows, columns = -(-SHAPE[1] // LINES), -(-SHAPE[2] // LINES)
    lines = axes[0, 5].lines
    assert len(lines) == rows + columns
    np.testing.assert_allclose(lines[1].get_xdata(), np.arange(8) + 1, atol=1e-5)
    np.testing.assert_allclose(lines[1].get_ydata(), LINES, atol=1e-5)
    plt.close(fig)


def test_volumes_are_seen_from_the_front_and_from_above_near_voxels_brighter() -> None:
    volumes = np.zeros((10, 3, 4, 5, 1), np.float32)
    volumes[0, 0, 3, 1] = 1.0  # near the front, at the bottom
    volumes[0, 2, 0, 4] = 1.0  # far back, at the top
    warp = WARP(volumes[:, :, :2], np.zeros((10, 12)), np.zeros((10, 3, 2, 5, 3)))
    captions = [(f"digit {i}", i != 1) for i in range(10)]
    fig = draw_examples(Visualization(volumes, {}, (warp,)), captions, "Test volumes")
    axes = np.array(fig.axes).reshape(4, 8)  # four rows of two examples; two are left out
    assert [ax.get_title(loc="left") for ax in axes[:, ::4].flat] == [c for c, _ in captions[:8]]
    assert axes[0, 4].title.get_text() == ""
    assert [ax.texts[0].get_text() for ax in axes[0, :4]] == [
        *("volume, front", "volume, from above", "output, front", "output, from above")
    ]
    front, above, output, _ = (np.asarray(ax.images[0].get_array()) for ax in axes[0, :4])
    assert (front.shape, above.shape, output.shape) == ((4, 5), (3, 5), (2, 5))
    np.testing.assert_allclose(front[3, 1], NEAR)
    np.testing.assert_allclose(front[0, 4], FAR)
    np.testing.assert_allclose(above[-1, 1], FAR)  # the front is below, the bottom is far
    np.testing.assert_allclose(above[0, 4], NEAR)
    assert np.count_nonzero(front) == np.count_nonzero(above) == 2
    plt.close(fig)
