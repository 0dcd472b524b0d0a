"""Validation sets: a fixed fraction of each class."""

import numpy as np
from loading import arrays, read, refused

from train.data.dataset import hold_out


def test_validation_set_is_a_fraction_of_each_class(bundled):
    dataset = read("bundled", valid_fraction=0.1)
    assert np.bincount(dataset.y_valid).tolist() == [100] * 10
    assert np.bincount(dataset.y_train).tolist() == [900] * 10
    parts = np.concatenate([dataset.x_train, dataset.x_valid]).reshape(10_000, -1)
    assert sorted(map(bytes, parts)) == sorted(map(bytes, bundled.x_train.reshape(10_000, -1)))
    np.testing.assert_array_equal(read("bundled", valid_fraction=0.1).x_valid, dataset.x_valid)


def test_given_validation_set_is_kept(tmp_path):
    given = arrays()
    given |= {"x_valid": given["x_train"], "y_valid": given["y_train"]}
    np.savez(tmp_path / "mine.npz", **given)
    assert "has 12 validation images of its own" in refused(
        tmp_path / "mine.npz", valid_fraction=0.1
    )


def test_hold_out_keeps_at_least_one_example_of_each_class():
    kept, held = hold_out(np.array([0, 1, 1, 2, 2, 2]), 0.9)
    assert len(held) == 3
    assert sorted([*kept, *held]) == list(range(6))
    assert 0 in kept
