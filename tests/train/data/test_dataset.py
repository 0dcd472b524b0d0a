"""Descriptions of data: splits and arrays that fit together, a checksum, what is said."""

from typing import Any

import numpy as np
import pytest

from train.data import DataError
from train.data.dataset import describe, report


class Loose:
    """Data of a user's own part."""

    name, info = "loose", {"a": 1}

    notes: tuple[str, ...]

    def __init__(self, **splits: Any) -> None:
        self.splits = splits


def test_any_object_with_splits_is_described() -> None:
    x = np.zeros((5, 3, 4), np.float32)
    spec = describe(Loose(train={"x": x, "y": x[:, 0]}, valid={"x": x[:2], "y": x[:2, 0]}))
    assert spec.counts == {"train": 5, "valid": 2}
    assert spec.arrays == {"x": ((3, 4), "float32"), "y": ((4,), "float32")}
    assert spec.info == {"a": 1}
    other = describe(Loose(train={"x": x + 1, "y": x[:, 0]}))
    assert other.crc32 != spec.crc32


def test_splits_that_do_not_fit_together_are_refused() -> None:
    x = np.zeros((5, 3), np.float32)
    for splits, message in (
        ({}, "no training examples"),
        ({"train": {"x": x}, "valid": {"x": x[:, :2]}}, "split 'valid'"),
        ({"train": {"x": x}, "holdout": {"x": x}}, "split 'holdout'"),
        ({"train": {"x": x, "y": x[:2]}}, "differ in length"),
    ):
        with pytest.raises(DataError, match=message):
            describe(Loose(**splits))


def test_any_data_is_reported_with_its_notes() -> None:
    x = np.zeros((5, 3), np.float32)
    data = Loose(train={"x": x}, valid={"x": x[:2]})
    assert report(data) == ["loose: 5 train, 2 valid examples"]
    data.notes = ("something else",)
    assert report(data)[1:] == ["something else"]
