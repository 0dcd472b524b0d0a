"""Held-out sets: a fixed fraction of each class, whole groups, and what was held out is said."""

from pathlib import Path

import numpy as np
import pytest
from loading import arrays, build, read, refused

from train.data import DataError, Dataset
from train.data.dataset import report
from train.data.held_out import hold_out


def test_validation_set_is_a_fraction_of_each_class(bundled: Dataset) -> None:
    dataset = build("bundled", valid_fraction=0.1)
    assert np.bincount(dataset.y_valid).tolist() == [100] * 10
    assert np.bincount(dataset.y_train).tolist() == [900] * 10
    parts = np.concatenate([dataset.x_train, dataset.x_valid]).reshape(10_000, -1)
    assert sorted(map(bytes, parts)) == sorted(map(bytes, bundled.x_train.reshape(10_000, -1)))
    np.testing.assert_array_equal(build("bundled", valid_fraction=0.1).x_valid, dataset.x_valid)


def test_given_validation_set_is_kept(tmp_path: Path) -> None:
    given = arrays()
    given |= {"x_valid": given["x_train"], "y_valid": given["y_train"]}
    np.savez(tmp_path / "mine.npz", **given)
    assert len(build(tmp_path / "mine.npz").y_valid) == 12
    with pytest.raises(DataError, match="has 12 validation images of its own"):
        build(tmp_path / "mine.npz", valid_fraction=0.1)


def test_a_tenth_is_held_out_where_nothing_else_is_said(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", **arrays())
    dataset = build(tmp_path / "mine.npz")
    assert [len(y) for y in (dataset.y_train, dataset.y_valid, dataset.y_test)] == [9, 3, 6]
    assert set(dataset.splits) == {"train", "valid", "test"}
    none = build(tmp_path / "mine.npz", valid_fraction=0.0)
    assert set(none.splits) == {"train", "test"}


def test_hold_out_keeps_at_least_one_example_of_each_class() -> None:
    kept, held = hold_out(np.array([0, 1, 1, 2, 2, 2]), 0.9)
    assert len(held) == 3
    assert sorted([*kept, *held]) == list(range(6))
    assert 0 in kept


def test_groups_are_not_split_and_the_fraction_is_nearly_met() -> None:
    random = np.random.default_rng(0)
    groups = random.integers(0, 60, 1000)
    labels = random.integers(0, 4, 1000)  # a group has images of several classes
    kept, held = hold_out(labels, 0.2, groups)
    assert not set(groups[kept]) & set(groups[held])
    assert sorted([*kept, *held]) == list(range(1000))
    for label in range(4):
        assert 0.15 < np.mean(labels[held] == label) * len(held) / np.sum(labels == label) < 0.25


def test_a_class_of_few_large_groups_gives_its_smallest_and_never_its_last() -> None:
    labels = np.array([0] * 9 + [1] * 4 + [2] * 5)
    groups = np.array([7] * 5 + [8] * 4 + [9] * 4 + list(range(20, 25)))
    kept, held = hold_out(labels, 0.1, groups)
    assert set(groups[held][labels[held] == 0]) == {8}
    assert not np.any(labels[held] == 1)  # it has one group
    assert np.sum(labels[held] == 2) == 1
    assert set(labels[kept]) == {0, 1, 2}


def test_what_was_held_out_is_said_and_recorded(tmp_path: Path) -> None:
    given = arrays(x_test=None, y_test=None)
    np.savez(tmp_path / "mine.npz", **given)
    dataset = build(tmp_path / "mine.npz", valid_fraction=0.25)
    indices = {
        split: [int(text.removeprefix("x_train[").removesuffix("]")) for text in files]
        for split, files in dataset.held_out.items()
    }
    assert [len(held) for held in indices.values()] == [3, 3]
    for split, held in indices.items():  # of the array in the file
        np.testing.assert_array_equal(
            getattr(dataset, f"x_{split}")[..., 0], given["x_train"][sorted(held)]
        )
    line, *_ = report(dataset)
    assert "6 training, 3 validation, 3 test images of 3 classes" in line
    assert (
        f"the test images were held out of the training images ({dataset.held_out['test'][0]}, "
        in (line)
    )
    assert dataset.held_out["valid"][0] in line


def test_classes_without_a_held_out_image_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x = np.random.default_rng(0).integers(0, 256, (5, 6, 6), np.uint8)
    np.savez(tmp_path / "mine.npz", x_train=x, y_train=["common"] * 4 + ["rare"])
    assert len(read(tmp_path / "mine.npz").y_test) == 1
    assert "classes with no test image, having one image: 1 (rare)" in capsys.readouterr().out
    np.savez(tmp_path / "mine.npz", x_train=x[:2], y_train=[0, 1])
    assert "leaves none for testing" in refused(tmp_path / "mine.npz")
