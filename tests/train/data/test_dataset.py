"""Validation sets: a fixed fraction of each class."""

import numpy as np
import pytest
from loading import arrays

from train.data import DataError, Images
from train.data.dataset import describe, hold_out


def test_validation_set_is_a_fraction_of_each_class(bundled):
    dataset = Images("bundled", valid_fraction=0.1).build()
    assert np.bincount(dataset.y_valid).tolist() == [100] * 10
    assert np.bincount(dataset.y_train).tolist() == [900] * 10
    parts = np.concatenate([dataset.x_train, dataset.x_valid]).reshape(10_000, -1)
    assert sorted(map(bytes, parts)) == sorted(map(bytes, bundled.x_train.reshape(10_000, -1)))
    np.testing.assert_array_equal(
        Images("bundled", valid_fraction=0.1).build().x_valid, dataset.x_valid
    )


def test_given_validation_set_is_kept(tmp_path):
    given = arrays()
    given |= {"x_valid": given["x_train"], "y_valid": given["y_train"]}
    np.savez(tmp_path / "mine.npz", **given)
    path = str(tmp_path / "mine.npz")
    assert len(Images(path).build().y_valid) == 12
    with pytest.raises(DataError, match="has 12 validation images of its own"):
        Images(path, valid_fraction=0.1).build()


def test_a_tenth_is_held_out_where_nothing_else_is_said(tmp_path):
    np.savez(tmp_path / "mine.npz", **arrays())
    dataset = Images(str(tmp_path / "mine.npz")).build()
    assert [len(y) for y in (dataset.y_train, dataset.y_valid, dataset.y_test)] == [9, 3, 6]
    assert set(dataset.splits) == {"train", "valid", "test"}
    none = Images(str(tmp_path / "mine.npz"), valid_fraction=0.0).build()
    assert set(none.splits) == {"train", "test"}


class Loose:
    """Data of a user's own part."""

    name, info = "loose", {"a": 1}

    def __init__(self, **splits):
        self.splits = splits


def test_any_object_with_splits_is_described():
    x = np.zeros((5, 3, 4), np.float32)
    spec = describe(Loose(train={"x": x, "y": x[:, 0]}, valid={"x": x[:2], "y": x[:2, 0]}))
    assert spec.counts == {"train": 5, "valid": 2}
    assert spec.arrays == {"x": ((3, 4), "float32"), "y": ((4,), "float32")}
    assert spec.info == {"a": 1}
    other = describe(Loose(train={"x": x + 1, "y": x[:, 0]}))
    assert other.crc32 != spec.crc32


def test_splits_that_do_not_fit_together_are_refused():
    x = np.zeros((5, 3), np.float32)
    for splits, message in (
        ({}, "no training examples"),
        ({"train": {"x": x}, "valid": {"x": x[:, :2]}}, "split 'valid'"),
        ({"train": {"x": x}, "holdout": {"x": x}}, "split 'holdout'"),
        ({"train": {"x": x, "y": x[:2]}}, "differ in length"),
    ):
        with pytest.raises(DataError, match=message):
            describe(Loose(**splits))


def test_hold_out_keeps_at_least_one_example_of_each_class():
    kept, held = hold_out(np.array([0, 1, 1, 2, 2, 2]), 0.9)
    assert len(held) == 3
    assert sorted([*kept, *held]) == list(range(6))
    assert 0 in kept
