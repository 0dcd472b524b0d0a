"""Names of sets and arrays, as people give them."""

import pytest

from train.data.sets import find_array, find_set, looks_like_set


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *(("train", "train"), ("Training", "train"), ("VAL", "valid"), ("validation", "valid")),
        *(("dev", "valid"), ("Test", "test"), ("testing", "test"), ("eval", None)),
        *(("tests", None), ("trained", None), ("cats", None), ("train_images", None)),
    ],
)
def test_folders_are_sets_by_their_names(name: str, split: str | None) -> None:
    assert find_set(name) == split


@pytest.mark.parametrize(
    ("key", "array"),
    [
        *(("x_train", "x_train"), ("X_train", "x_train"), ("train_images", "x_train")),
        *(("val_labels", "y_valid"), ("y_val", "y_valid"), ("test_y", "y_test"), ("x", "x_train")),
        *(("labels", "y_train"), ("groups", "groups_train"), ("train_groups", "groups_train")),
        *(("x_extra", None), ("notes", None), ("train", None), ("x_train_test", None)),
        *(("x_y_train", None), ("x_train_2", None), ("x_eval", None)),
    ],
)
def test_arrays_are_known_by_part_and_set(key: str, array: str | None) -> None:
    assert find_array(key) == array


def test_names_with_the_word_of_a_set_look_like_sets() -> None:
    assert all(map(looks_like_set, ("train", "Test_Images", "eval", "my-val", "train2")))
    assert not any(map(looks_like_set, ("contest", "trainer", "cat", "", "1")))
