"""Image folders with a sub-folder for each class."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from train.data.dataset import DataError, Dataset, sample
from train.data.held_out import make_dataset
from train.data.images import check_contrast, read_image, stack
from train.data.labels import order_classes
from train.data.lazy_images import lazy_file_images
from train.data.listing import SUFFIXES, is_image, list_files, list_visible, note_unread
from train.data.notes import Notes
from train.data.progress import track
from train.data.sets import SPLITS, describe_names, find_set, looks_like_set

OUTSIDE = "images outside of class folders are not used"


def load_folder(
    root: Path, name: str, image_size: int = 0, memory_limit: int | None = None
) -> Dataset:
    """Reads ``root/CLASS/*.png``, or ``root/train/CLASS/*.png`` and ``root/test/CLASS/*.png``.

    If there is a ``train`` sub-folder, ``test`` and ``valid`` (or ``val``, ``validation``, ``dev``)
    next to it are the other sets. Without a ``test``, a fixed fifth of each class is held out for
    testing. Images in sub-folders of a class folder belong to the class too; if there are several
    sub-folders, those of one name are a group, which stays on one side of such a split. Classes are
    numbered in the order of their names, or by value if all are numbers. Grey images have one
    channel; if any image is in colour, all have three. Transparency is put on black.

    Args:
        root: the folder.
        name: name of the dataset.
        image_size: resize images to this square; 0 requires images of one size.
        memory_limit: bytes of images; if there are more, they are read by index. None reads all.

    Returns:
        The dataset.

    Raises:
        DataError: if there are folders without images, damaged files or different sizes.
    """
    notes = Notes()
    folders = _find_sets(root, notes)
    classes = _list_classes(root, folders["train"], notes)

    files: list[Path] = []
    labels: list[int] = []
    sets: list[str] = []
    for key, folder in folders.items():
        for path, label in _list_images(folder, classes, notes):
            files.append(path)
            labels.append(label)
            sets.append(key)
    y, member = np.asarray(labels, np.int32), np.asarray(sets)

    x: Any = lazy_file_images(files, image_size, memory_limit, notes)
    if x is None:
        named = ((str(path), read_image(path, notes)) for path in track(files, "Reading images"))
        x = stack(named, image_size)
    check_contrast(str(root), sample(x))
    training = [path for path, key in zip(files, sets, strict=True) if key == "train"]
    return make_dataset(
        name,
        classes,
        {key: (x[member == key], y[member == key]) for key in folders},
        files=[path.relative_to(root).as_posix() for path in training],
        groups=_find_groups(folders["train"], training, notes),
        notes=notes,
    )


def find_sets(root: Path) -> dict[str, Path]:
    """Returns the folders in a folder that are sets by their names.

    Raises:
        DataError: if there are two for one set.
    """
    found: dict[str, Path] = {}
    for path in list_visible(root):
        split = find_set(path.name) if path.is_dir() else None
        if split in found:
            raise DataError(f"{root} has {found[split].name} and {path.name}; which one is used?")
        if split:
            found[split] = path
    return {split: found[split] for split in SPLITS if split in found}


def _find_sets(root: Path, notes: Notes) -> dict[str, Path]:
    """Returns the folder of each set; without a ``train``, root is the training set."""
    found = find_sets(root)
    train = found.get("train")
    if train is None or not any(path.is_dir() for path in list_visible(train)):
        return {"train": root}
    for path in list_visible(root):
        if path.is_file() and is_image(path):
            notes.count(OUTSIDE, path)
        if path.is_dir() and path not in found.values() and list_files(path).images:
            notes.count(f"folders beside {train} are not used ({describe_names()})", path)
    return found


def _list_classes(root: Path, folder: Path, notes: Notes) -> list[str]:
    """Returns the classes of the training set."""
    classes = order_classes(path.name for path in list_visible(folder) if path.is_dir())
    alike = [name for name in classes if looks_like_set(name)]
    if folder == root and alike and (len(alike) > 1 or alike == classes):
        raise DataError(
            f"{root} holds {', '.join(alike)}, which are names of sets, not of classes; sets are "
            f"called {describe_names()}, with train/CLASS/*.png for each class."
        )
    if len(classes) >= 2:
        for name in alike:
            notes.count("folders with the name of a set are read as classes", folder / name)
        return classes
    deeper = _find_class_folders(folder)
    hint = f" Did you mean {deeper}?" if deeper else ""
    if not classes:
        count = len(list_files(folder).images)
        found = f" but {count:,} images" if count else ""
        raise DataError(
            f"{folder} holds no class folders{found}; put the images of each class into its own "
            f"sub-folder.{hint}"
        )
    raise DataError(
        f"{folder} has one class folder, {classes[0]}; a classifier needs 2 or more.{hint}"
    )


def _find_class_folders(folder: Path) -> Path | None:
    """Returns the nearest folder up to three levels below that has several folders of images."""
    level = [folder]
    for _ in range(3):
        level = [sub for path in level for sub in list_visible(path) if sub.is_dir()]
        for path in level:
            subs = [sub for sub in list_visible(path) if sub.is_dir()]
            if sum(bool(list_files(sub).images) for sub in subs) >= 2:
                return path
    return None


def _list_images(folder: Path, classes: Sequence[str], notes: Notes) -> list[tuple[Path, int]]:
    """Returns the image files of a set, a folder of class folders, with their labels."""
    inside = list_visible(folder)
    loose = [path for path in inside if path.is_file() and is_image(path)]
    if not any(path.is_dir() for path in inside):
        raise DataError(
            f"{folder} holds no class folders, but {len(loose):,} images; put the images of each "
            "class into its own sub-folder, or give the folder another name than that of a set."
        )
    for path in loose:
        notes.count(OUTSIDE, path)
    found: list[tuple[Path, int]] = []
    for name in order_classes(path.name for path in inside if path.is_dir()):
        path = folder / name
        if name not in classes:
            raise DataError(
                f"{path} is a class that is not in the training folder; its classes are "
                f"{', '.join(classes)}."
            )
        listing = list_files(path)
        if not listing.images:
            others = ", ".join(sorted({file.suffix or file.name for file in listing.others}))
            raise DataError(
                f"{path} holds no images ({' '.join(SUFFIXES)})"
                f"{f', but {len(listing.others):,} files ({others})' if others else ''}; fill it "
                "or remove it."
            )
        note_unread(listing.others, notes)
        found += [(file, classes.index(name)) for file in listing.images]
    return found


def _find_groups(folder: Path, files: Sequence[Path], notes: Notes) -> np.ndarray | None:
    """Returns the group of each training image: the sub-folder of its class folder.

    Images directly in a class folder are each a group of their own. None if there are not at least
    two sub-folders of different names.
    """
    names = [path.relative_to(folder).parts[1:-1] for path in files]
    numbers = {name: i for i, name in enumerate(sorted({parts[0] for parts in names if parts}))}
    if len(numbers) < 2:
        return None
    for name in numbers:
        notes.count("sub-folders of class folders are groups, not split between sets", name)
    alone = range(len(numbers), len(numbers) + len(names))
    groups = [numbers[parts[0]] if parts else i for parts, i in zip(names, alone, strict=True)]
    return np.array(groups, np.int64)
