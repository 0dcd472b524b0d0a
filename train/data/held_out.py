"""Sets held out of the training images: the same fraction of each class, and whole groups."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from train.data.dataset import DataError, Dataset
from train.data.notes import Notes

TEST_FRACTION = 0.2
"""Fraction of each class held out for testing if there is no test set."""


def hold_out(
    labels: np.ndarray, fraction: float, groups: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Holds out the same fraction of each class; the same labels give the same split.

    Args:
        labels: ``(n,)``.
        fraction: fraction of each class to hold out; at least one example, but never all.
        groups: ``(n,)``; examples of one group are kept or held out together, which meets the
            fraction as nearly as whole groups can. None if each example stands for itself.

    Returns:
        Ascending indices of the examples kept and of those held out. A class with a single example
        or group keeps it.
    """
    random = np.random.RandomState(0)  # a frozen stream, unlike a Generator's
    if groups is not None:
        held = np.isin(groups, _choose_groups(labels, fraction, groups, random))
        return np.flatnonzero(~held), np.flatnonzero(held)
    held = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        held[members[: _count_wanted(fraction, len(members))]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


def _count_wanted(fraction: float, count: int) -> int:
    return min(max(1, round(fraction * count)), count - 1)


def _choose_groups(
    labels: np.ndarray, fraction: float, groups: np.ndarray, random: np.random.RandomState
) -> np.ndarray:
    """Returns the groups to hold out."""
    classes, labels = np.unique(labels, return_inverse=True)
    names, members = np.unique(groups, return_inverse=True)
    table = np.zeros((len(names), len(classes)), np.int64)  # images of each group and class
    np.add.at(table, (members, labels), 1)
    total = table.sum(axis=0)
    wanted = np.array([_count_wanted(fraction, count) for count in total.tolist()])
    held = np.zeros(len(names), bool)
    taken = np.zeros_like(total)

    def take_if(group: int, useful: bool) -> None:
        leaves_some = np.all((taken + table[group] < total) | (table[group] == 0))
        if useful and leaves_some:
            held[group] = True
            taken[:] += table[group]

    for group in random.permutation(len(names)):
        missing = wanted - taken
        nearer = np.abs(missing - table[group]).sum() < np.abs(missing).sum()
        take_if(group, nearer)
    for label in range(len(classes)):  # a class of few large groups: the smallest one
        for group in np.argsort(table.sum(axis=1), kind="stable"):
            take_if(group, taken[label] == 0 and table[group, label] > 0)
    return names[held]


def make_dataset(
    name: str,
    class_names: Sequence[str],
    sets: Mapping[str, tuple[np.ndarray, np.ndarray]],
    *,
    files: Sequence[str] | None = None,
    groups: np.ndarray | None = None,
    notes: Notes,
) -> Dataset:
    """Makes a dataset of sets; without a test set, a fifth of each class is held out for it.

    Args:
        name: name of the dataset.
        class_names: one name for each class.
        sets: images and labels by set; ``valid`` and ``test`` may be missing.
        files: where each training image came from, if known.
        groups: group of each training image, or None.
        notes: what is to be said about the data.

    Raises:
        DataError: if the arrays are inconsistent or leave nothing to test on.
    """
    (x, y), held = sets["train"], "test" not in sets
    x_valid, y_valid = sets.get("valid", (x[:0], y[:0]))
    x_test, y_test = sets["train" if held else "test"]
    dataset = Dataset(
        name=name,
        x_train=x,
        y_train=y,
        x_valid=x_valid,
        y_valid=y_valid,
        x_test=x_test,
        y_test=y_test,
        class_names=tuple(class_names),
        files=None if files is None else tuple(files),
        groups=groups,
        notes=notes.lines(),
    )
    return _move(dataset, "test", TEST_FRACTION) if held else dataset


def with_validation(dataset: Dataset, fraction: float) -> Dataset:
    """Moves the same fraction of each class from the training to the validation set.

    The choice depends only on the data, not on the seed of a run, so that runs can be compared.

    Args:
        dataset: a dataset without validation images.
        fraction: in (0, 1).

    Returns:
        The dataset with fewer training images.

    Raises:
        DataError: if it has validation images, or the fraction is out of range.
    """
    if not 0 < fraction < 1:
        raise DataError(f"data.valid_fraction={fraction} is not allowed; it must be in [0, 1).")
    if len(dataset.x_valid):
        raise DataError(
            f"{dataset.name} has {len(dataset.x_valid)} validation images of its own, so "
            f"data.valid_fraction={fraction} has nothing to do; set it to 0."
        )
    return _move(dataset, "valid", fraction)


def _move(dataset: Dataset, split: str, fraction: float) -> Dataset:
    """Moves a fraction of each class from the training images to a set, which it replaces."""
    x, y, groups = dataset.x_train, dataset.y_train, dataset.groups
    files = dataset.files or tuple(f"x_train[{i}]" for i in range(len(y)))
    unit = "image" if groups is None else "group of images"
    kept, held = hold_out(y, fraction, groups)
    if not len(held):
        purpose = {"test": "testing", "valid": "validation"}[split]
        raise DataError(
            f"{dataset.name} has one {unit} in each class, which leaves none for {purpose}; add "
            f"images, or give a {split} set."
        )
    notes = Notes()
    for label in np.setdiff1d(y, y[held]):
        notes.count(f"classes with no {split} image, having one {unit}", dataset.class_names[label])
    return replace(
        dataset,
        **{f"x_{split}": x[held], f"y_{split}": y[held]},
        x_train=x[kept],
        y_train=y[kept],
        files=tuple(files[i] for i in kept),
        groups=None if groups is None else groups[kept],
        held_out={**dataset.held_out, split: tuple(files[i] for i in held)},
        notes=(*dataset.notes, *notes.lines()),
    )
