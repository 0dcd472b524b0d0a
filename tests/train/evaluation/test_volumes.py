"""The figure of registration: which slice is drawn where, and the lines of the deformed grid."""

import matplotlib.pyplot as plt
import numpy as np

import stn_jax as stn
from stn_jax.warp import Warp
from train.evaluation.volumes import COLUMNS, LINES, draw_registration
from train.step.step import Visualization

SHAPE = (5, 6, 8)


def test_a_row_for_each_example_and_a_column_for_each_view() -> None:
    random = np.random.default_rng(0)
    inputs = random.uniform(size=(2, *SHAPE, 2)).astype(np.float32)
    moved = random.uniform(size=(2, *SHAPE, 1)).astype(np.float32)
    shift = np.array([0.25, 0, 0], np.float32)  # a voxel to the right
    grid = np.asarray(stn.identity_grid(SHAPE, dtype=np.float32))[None].repeat(2, axis=0) + shift
    affine = Warp(np.zeros_like(moved), np.zeros((2, 12)), np.zeros_like(grid))
    shown = Visualization(inputs, {}, (affine, Warp(moved, np.zeros((2, 9)), grid)))

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
