"""Labels from arrays: words become classes, a column is taken, and a cure fits the array."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loading import arrays, read, refused

from train.data.labels import order_classes

Y = arrays()["y_train"]
WORDS = np.array(["eel", "cat", "dog"])


@pytest.mark.parametrize("kind", ["U", "S"])
@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_words_become_classes_in_the_order_of_the_alphabet(
    tmp_path: Path, kind: str, shape: tuple[int, ...]
) -> None:
    y_train, y_test = (WORDS.astype(kind)[y].reshape(shape) for y in (Y, Y[:6]))
    np.savez(tmp_path / "mine.npz", **arrays(y_train=y_train, y_test=y_test))
    dataset = read(tmp_path / "mine.npz")
    assert dataset.class_names == ("cat", "dog", "eel")
    assert [dataset.class_names[i] for i in dataset.y_test] == WORDS[Y[:6]].tolist()
    assert dataset.y_train.dtype == np.int32


def test_words_have_the_order_of_class_names_where_there_are_any(tmp_path: Path) -> None:
    given = arrays(y_train=WORDS[Y], y_test=WORDS[Y[:6]])
    np.savez(tmp_path / "mine.npz", **given, class_names=WORDS)
    dataset = read(tmp_path / "mine.npz")
    np.testing.assert_array_equal(dataset.y_train, Y)
    np.savez(tmp_path / "mine.npz", **given, class_names=WORDS[:2])
    assert "y_train holds the label 'dog', which class_names lacks" in refused(
        tmp_path / "mine.npz"
    )


def test_a_column_of_labels_is_taken(tmp_path: Path) -> None:
    for dtype in (np.uint8, np.int64):
        column = {"y_train": Y[:, None].astype(dtype), "y_test": Y[:6, None].astype(dtype)}
        np.savez(tmp_path / "mine.npz", **arrays(**column))
        np.testing.assert_array_equal(read(tmp_path / "mine.npz").y_train, Y)


@pytest.mark.parametrize(
    ("changes", "message", "harm"),
    [
        ({"y_train": np.eye(3)[Y]}, r"\(12, 3\).*y\.argmax\(axis=1\)", "ravel"),
        ({"y_train": np.eye(3, dtype=bool)[Y]}, r"\(12, 3\).*y\.argmax\(axis=1\)", "ravel"),
        ({"y_train": np.stack([Y, Y, Y], 1)}, r"\(12, 3\).*one label for each image", "argmax"),
        ({"y_train": Y[None]}, r"\(1, 12\).*y\.ravel\(\)", "argmax"),
        ({"y_train": np.float32(Y)}, r"float32.*astype\(np\.int32\)", "whole"),
        ({"y_train": Y > 0}, r"bool.*astype\(np\.int32\)", "whole"),
        ({"y_train": Y + 0.5}, r"float64.*not whole numbers", r"astype"),
        ({"y_train": Y.astype(object)}, r"y_train holds Python objects.*astype\(str\)", "uint8"),
        ({"y_train": Y + 1, "y_test": Y[:6] + 1}, r"Subtract 1 in every set", r"unique|between y"),
        ({"y_train": Y - 5, "y_test": Y[:6] - 5}, r"Add 5 in every set\.", "class_names"),
        ({"y_train": Y - 1}, r"If -1 marks images without a label, leave them out", "Add"),
        ({"y_train": 7 * Y}, r"np\.searchsorted\(classes, y\), or give class_names", "Subtract"),
        ({"y_train": WORDS[Y]}, r"y_train holds words and y_test numbers", "astype"),
        ({"y_test": WORDS[Y[:6]]}, r"y_train holds numbers and y_test words", "astype"),
        (
            {"y_train": WORDS[Y], "y_test": np.array(["cat", "ape"] * 3)},
            r"y_test holds the label 'ape', which y_train lacks",
            "astype",
        ),
        ({"class_names": np.array(["a", "b", "a"])}, r"class_names holds 'a' twice", "strings,"),
    ],
)
def test_a_cure_fits_the_labels(
    tmp_path: Path, changes: dict[str, Any], message: str, harm: str
) -> None:
    np.savez(tmp_path / "mine.npz", **arrays(**changes))
    said = refused(tmp_path / "mine.npz")
    assert re.search(message, said), said
    assert not re.search(harm, said), said


def test_the_cure_for_labels_with_gaps_cures_them(tmp_path: Path) -> None:
    y, y_test = 7 * Y, np.array([7, 14, 7, 0, 0, 0])
    classes = np.unique(y)
    renumbered = {
        "y_train": np.searchsorted(classes, y),
        "y_test": np.searchsorted(classes, y_test),
    }
    np.savez(tmp_path / "mine.npz", **arrays(**renumbered))
    assert read(tmp_path / "mine.npz").y_test.tolist() == [1, 2, 1, 0, 0, 0]


def test_numbers_among_names_are_in_their_own_order() -> None:
    assert order_classes({"10", "9", "1"}) == ["1", "9", "10"]
    assert order_classes({"10", "9", "x"}) == ["10", "9", "x"]
