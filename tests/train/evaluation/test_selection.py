"""Examples for figures: as many classes as there is room for, whatever the order of the set."""

import numpy as np

from train.evaluation.selection import spread_over_classes


def test_a_sorted_set_shows_all_classes() -> None:
    labels = np.repeat(np.arange(10), 200)
    shown = spread_over_classes(labels, 16)
    assert labels[shown].tolist() == [*range(10), *range(6)]
    assert len(set(shown.tolist())) == 16


def test_the_order_of_the_set_does_not_matter() -> None:
    labels = np.random.default_rng(0).integers(0, 3, 50)
    shown = spread_over_classes(labels, 16)
    assert labels[shown].tolist() == (6 * [0, 1, 2])[:16]
    assert all(np.diff(shown[labels[shown] == label]).min() > 0 for label in range(3))


def test_few_images_and_many_classes() -> None:
    assert spread_over_classes(np.array([2, 0, 2]), 16).tolist() == [1, 0, 2]
    assert spread_over_classes(np.zeros(0, int), 16).tolist() == []
    assert spread_over_classes(np.arange(1000), 6).tolist() == [0, 200, 400, 599, 799, 999]
