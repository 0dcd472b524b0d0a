"""Datasets from .npz files: what is loaded, and the error for everything else."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loading import arrays, build, read, refused

X, Y = arrays()["x_train"], arrays()["y_train"]


def test_npz_is_loaded_unchanged_and_other_arrays_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = arrays()
    np.savez(tmp_path / "mine.npz", **given, notes=np.array(["words"]), x_extra=given["x_test"])
    dataset = read(tmp_path / "mine.npz")
    assert dataset.x_train.shape == (12, 9, 7, 1)
    np.testing.assert_array_equal(dataset.x_train[..., 0], given["x_train"])
    np.testing.assert_array_equal(dataset.x_test[..., 0], given["x_test"])
    np.testing.assert_array_equal(dataset.y_test, given["y_test"])
    assert dataset.class_names == ("0", "1", "2")
    said = capsys.readouterr().out.splitlines()
    assert said[0].endswith("mine.npz: 12 training, 6 test images of 3 classes")
    assert said[1].endswith("mine.npz are not used: 2 (notes, x_extra)")


@pytest.mark.parametrize(
    "form",
    [
        ("X_{}", "y_{}", "train", "val", "test"),
        ("{}_images", "{}_labels", "train", "val", "test"),
        ("x_{}", "y_{}", "training", "dev", "testing"),
    ],
    ids=lambda form: form[0],
)
def test_arrays_by_other_names_are_read(tmp_path: Path, form: tuple[str, ...]) -> None:
    x, y, train, valid, test = form
    given = arrays()
    arrays_there = {
        x.format(train): given["x_train"],
        y.format(train): given["y_train"],
        x.format(valid): given["x_test"][:4],
        y.format(valid): given["y_test"][:4],
        x.format(test): given["x_test"],
        y.format(test): given["y_test"],
    }
    np.savez(tmp_path / "MINE.NPZ", **arrays_there)
    (tmp_path / "MINE.NPZ.npz").rename(tmp_path / "MINE.NPZ")
    dataset = read(tmp_path / "MINE.NPZ")
    assert [len(y) for y in (dataset.y_train, dataset.y_valid, dataset.y_test)] == [12, 4, 6]
    np.testing.assert_array_equal(dataset.x_valid[..., 0], given["x_test"][:4])


def test_cluttered_digits_of_flat_rows_and_a_column_of_labels_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the cluttered digits that go about: X_train (n, 1600) in [0, 1], y_train (n, 1)."""
    x = np.random.default_rng(0).random((12, 40, 40), np.float32)
    there: dict[str, Any] = {f"X_{s}": x.reshape(12, 1600) for s in ("train", "valid", "test")}
    there |= {f"y_{s}": np.array(Y, np.int32)[:, None] for s in ("train", "valid", "test")}
    np.savez(tmp_path / "mine.npz", **there)
    dataset = read(tmp_path / "mine.npz")
    np.testing.assert_allclose(dataset.x_train[..., 0] / 255, x, atol=0.5001 / 255)
    assert "X_train has shape (12, 1600) and is read as 40 x 40 pixels" in capsys.readouterr().out


def test_a_test_set_is_held_out_of_an_archive_without_one(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    x, y = random.integers(0, 256, (30, 5, 5), np.uint8), np.arange(30) % 3
    np.savez(tmp_path / "mine.npz", images=x, labels=y)
    dataset = read(tmp_path / "mine.npz")
    assert np.bincount(dataset.y_test).tolist() == [2, 2, 2]
    assert len(dataset.x_train) == 24
    groups = np.repeat([f"patient {i}" for i in range(6)], 5)
    np.savez(tmp_path / "mine.npz", x_train=x, y_train=y, groups_train=groups)
    dataset = build(tmp_path / "mine.npz", valid_fraction=0.3)
    seen = [
        {groups[[np.array_equal(a, b[..., 0]) for a in x]].item() for b in part}
        for part in (dataset.x_train, dataset.x_valid, dataset.x_test)
    ]
    assert all(seen)
    assert len(set.union(*seen)) == sum(map(len, seen))


def test_npz_with_colour_floats_validation_and_names_is_loaded(tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((12, 4, 5, 3), np.float32)
    given = arrays(x_train=x, x_test=x[:6], x_valid=x[6:8], y_valid=np.array([0, 3]))
    np.savez(tmp_path / "mine.npz", **given, class_names=np.array(["a", "b", "c", "never seen"]))
    dataset = read(tmp_path / "mine.npz")
    assert dataset.class_names == ("a", "b", "c", "never seen")
    assert dataset.y_valid.tolist() == [0, 3]
    assert dataset.x_train.dtype == np.uint8
    np.testing.assert_allclose(dataset.x_train / 255, x, atol=0.5001 / 255)
    assert read(tmp_path / "mine.npz", image_size=8).x_valid.shape == (2, 8, 8, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"x_train": None},
            r"no array x_train; it has y_train, x_test, y_test, and must have x_train, ",
        ),
        ({"y_test": None}, r"only one of x_test and y_test; give both or none"),
        ({"X_train": X}, r"has x_train and X_train; which one is x_train\?"),
        ({"groups_train": Y[:5]}, r"groups_train has shape \(5,\); it must be \(12,\)"),
        ({"x_train": None, "y_train": None}, r"no array x_train, y_train;"),
        ({"x_valid": X}, r"only one of x_valid and y_valid"),
        ({"y_train": Y[:11]}, r"x_train holds 12 images and y_train 11 labels"),
        (
            {"y_train": Y + 1},
            r"y_train has labels that are not contiguous: found 3 classes between 1 and 3;",
        ),
        (
            {"y_train": Y - 1},
            r"y_train has labels that are negative: found 3 classes between -1 and 1;",
        ),
        (
            {"y_train": np.where(np.arange(12) == 5, 99, Y)},
            r"found 4 classes between 0 and 99; labels must be 0 to 3\.",
        ),
        ({"y_test": np.arange(6)}, r"y_test holds label 3; labels must be in \[0, 3\)"),
        ({"y_test": np.arange(6) % 3 - 1}, r"y_test holds label -1; labels must be in \[0, 3\)"),
        ({"y_train": Y * 2**40}, r"y_train holds label 2199023255552"),
        ({"y_train": Y.astype(np.float32)}, r"y_train is float32; labels must be integers"),
        ({"y_train": np.eye(3, dtype=int)[Y]}, r"y_train has shape \(12, 3\).*argmax"),
        ({"y_train": Y * 0}, r"has 1 class; a classifier needs 2"),
        ({"x_train": X * 2.0}, r"x_train holds values from 0 to 510; .* \[0, 1\]"),
        ({"x_train": X / 255 - 0.5}, r"x_train holds values from -0.5 to 0.5"),
        ({"x_train": np.where(X > 9, X / 255, np.nan)}, r"x_train holds NaN or infinite"),
        ({"x_train": X.astype(np.int64)}, r"x_train is int64; images must be uint8 or floats"),
        ({"x_train": X.reshape(12, 63)}, r"x_train has shape \(12, 63\); it must be \(n, h, w\)"),
        ({"x_train": X[:, None]}, r"x_train has shape \(12, 1, 9, 7\).*np.moveaxis\(x, 1, -1\)"),
        ({"x_test": X[:6, :8]}, r"x_test has images of shape \(8, 7, 1\) and x_train of \(9, 7, 1"),
        ({"x_test": X[:0], "y_test": Y[:0]}, r"x_test is empty"),
        ({"x_train": X[:, :0]}, r"x_train is empty"),
        ({"class_names": np.arange(3)}, r"class_names is int64 \(3,\); it must be strings"),
        ({"class_names": np.array(["a", "b"])}, r"y_train holds label 2; labels must be in \[0, 2"),
        (
            {"x_train": X.astype(object)},
            r"cannot be read as an .npz file of plain arrays \(x_train holds Python objects.*uint8",
        ),
    ],
)
def test_npz_errors_name_file_array_and_remedy(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = tmp_path / "mine.npz"
    np.savez(path, **arrays(**changes))
    said = refused(path)
    assert re.search(message, said)
    assert said.startswith(str(path))


def test_unreadable_npz_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    assert "does not exist" in refused(path)
    path.write_bytes(b"not an archive")
    assert "cannot be read as an .npz" in refused(path)
    with open(path, "wb") as file:
        np.save(file, X)
    assert "cannot be read as an .npz file of plain arrays (it is a single array" in refused(path)
    np.savez_compressed(path, **arrays())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "cannot be read as an .npz" in refused(path)
    path.write_bytes(whole[:100] + b"\xff" * 50 + whole[150:])
    assert "cannot be read as an .npz" in refused(path)
