"""Image folders with a sub-folder for each class."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from train.data.dataset import DataError, Dataset, hold_out
from train.data.images import SUFFIXES, read_image, stack
from train.data.progress import track

TEST_FRACTION = 0.2
"""Fraction of each class held out for testing if the folder has no ``test``."""


def load_folder(root: Path, name: str, image_size: int = 0) -> Dataset:
    """Reads ``root/CLASS/*.png``, or ``root/train/CLASS/*.png`` and ``root/test/CLASS/*.png``.

    If there is a ``train`` sub-folder, ``test`` and ``valid`` next to it are the other sets.
    Without a ``test``, a fixed fifth of each class is held out for testing. Classes are numbered in
    the order of their names, or by value if all are numbers. Grey images have one channel; if any
    image is in colour, all have three. Transparency is put on black.

    Args:
        root: the folder.
        name: name of the dataset.
        image_size: resize images to this square; 0 requires images of one size.

    Returns:
        The dataset.

    Raises:
        DataError: if there are folders without images, damaged files or different sizes.
    """
    folders = _find_sets(root)
    classes = _list_classes(folders["train"])
    if len(classes) < 2:
        raise DataError(
            f"{folders['train']} has one class folder, {classes[0]}; a classifier needs 2 or more."
        )

    files: list[Path] = []
    labels: list[int] = []
    sets: list[str] = []
    for key, folder in folders.items():
        for path, label in _list_images(folder, classes):
            files.append(path)
            labels.append(label)
            sets.append(key)
    y, member = np.asarray(labels, np.int32), np.asarray(sets)
    if "test" not in folders:
        member = _hold_out_test_set(root, y, member)

    named = ((str(path), read_image(path)) for path in track(files, "Reading images"))
    x = stack(named, image_size)
    arrays = {}
    for key in ("train", "valid", "test"):
        arrays[f"x_{key}"], arrays[f"y_{key}"] = x[member == key], y[member == key]
    return Dataset(name=name, class_names=tuple(classes), **arrays)


def _find_sets(root: Path) -> dict[str, Path]:
    """Returns the folder of each set; without a ``train``, root is the training set."""
    train = root / "train"
    if not (train.is_dir() and any(path.is_dir() for path in train.iterdir())):
        return {"train": root}
    return {"train": train} | {s: root / s for s in ("valid", "test") if (root / s).is_dir()}


def _list_classes(folder: Path) -> list[str]:
    names = [p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")]
    if not names:
        raise DataError(
            f"{folder} holds no class folders; put the images of each class into its own "
            "sub-folder."
        )
    if all(name.isdecimal() for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)


def _list_images(folder: Path, classes: Sequence[str]) -> list[tuple[Path, int]]:
    """Returns the image files of a folder of class folders, with their labels."""
    found = []
    for name in _list_classes(folder):
        if name not in classes:
            raise DataError(
                f"{folder / name} is a class that is not in the training folder; its classes are "
                f"{', '.join(classes)}."
            )
        files = sorted(
            path
            for path in (folder / name).iterdir()
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
        )
        if not files:
            raise DataError(
                f"{folder / name} holds no images ({' '.join(SUFFIXES)}); fill it or remove it."
            )
        found += [(path, classes.index(name)) for path in files]
    return found


def _hold_out_test_set(root: Path, labels: np.ndarray, member: np.ndarray) -> np.ndarray:
    member = member.copy()
    train = np.flatnonzero(member == "train")
    _, held = hold_out(labels[train], TEST_FRACTION)
    if not len(held):
        raise DataError(
            f"{root} has one image in each class, which leaves none for testing; add images, or "
            "make the sub-folders train/CLASS and test/CLASS."
        )
    member[train[held]] = "test"
    return member
